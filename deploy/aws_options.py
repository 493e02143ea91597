"""The options of `bearergate deploy`, and the parameters of the template that they stand for.

An option that is not given stands for nothing: a stack keeps what it has, a new one gets the template's default. What
is wrong with an option by itself is found here, before AWS is asked anything; `deploy.parameters` judges them together.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FUNCTION = "bearergate"
SETTINGS = "bearergate.yaml"
DOORS = ("http-api", "rest-api", "function-url")
ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+"
IMAGE = r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[\w./-]+(:[\w.-]+|@sha256:[0-9a-f]{64})"
POOL = r"[a-z]{2}(-[a-z]+)+-\d_[A-Za-z0-9]+"
NAME = r"[A-Za-z0-9_-]{1,64}"
RETENTION = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


class BadOption(Exception):
    """Options cannot be used; the text has a sentence for each of them."""


def attribute_of(flag: str) -> str:
    """Where the command line keeps the value of an option."""
    return flag.removeprefix("--").replace("-", "_")


class Option(NamedTuple):
    """An option that stands for one parameter of the template, as it is written."""

    flag: str
    parameter: str
    metavar: str
    help: str
    form: str = r".+"  # what a value looks like; an empty one takes back what was set
    expects: str = ""

    @property
    def attribute(self) -> str:
        """Where the command line keeps its value."""
        return attribute_of(self.flag)


class Number(NamedTuple):
    """An option that stands for a parameter that is a number."""

    flag: str
    parameter: str
    metavar: str
    help: str
    least: int = 1
    most: int = 1_000_000_000
    among: tuple[int, ...] = ()

    @property
    def attribute(self) -> str:
        """Where the command line keeps its value."""
        return attribute_of(self.flag)


LETTERS = "give up to 64 letters, digits, hyphens and underscores"
A_ROLE = "a role is named arn:aws:iam::111122223333:role/NAME"
A_POOL = "a user pool is named eu-central-1_AbCdEfGhI"
TEXTS = (
    Option("--role-arn", "RoleArn", "ARN", "an existing role for the function; one is made otherwise", ROLE, A_ROLE),
    Option("--bedrock-role-arn", "BedrockRoleArn", "ARN", "a role that the reports read with", ROLE, A_ROLE),
    Option(
        "--api-name", "ApiName", "NAME", "name of the API; that of the function", r"\S.{0,127}", "give 1 to 128 letters"
    ),
    Option("--stage-name", "StageName", "NAME", "stage of the REST API (prod)", NAME, LETTERS),
    Option("--lambda-authorizer-name", "AuthorizerName", "NAME", "name of its function", NAME, LETTERS),
    Option(
        "--cognito-domain",
        "CognitoDomain",
        "PREFIX",
        "domain of the new user pool",
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        "give the prefix alone, of small letters, digits and hyphens",
    ),
    Option(
        "--image-uri",
        "ImageUri",
        "URI",
        "a container image in ECR, in place of a package",
        IMAGE,
        "give 111122223333.dkr.ecr.REGION.amazonaws.com/NAME:TAG",
    ),
    Option(
        "--public-url",
        "PublicUrl",
        "URL",
        "origin that clients are told, where a proxy of yours stands in front",
        r"https://[^/\s?#\"'\\]+",
        "give https:// and a host, without a path",
    ),
    Option(
        "--domain-name",
        "DomainName",
        "NAME",
        "a domain name of yours for the API",
        r"([a-z0-9-]+\.)+[a-z0-9-]+",
        "give a host name such as mcp.example.com",
    ),
    Option(
        "--certificate-arn",
        "CertificateArn",
        "ARN",
        "its certificate in ACM",
        r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+",
        "a certificate is named arn:aws:acm:REGION:111122223333:certificate/ID",
    ),
    Option(
        "--hosted-zone-id",
        "HostedZoneId",
        "ID",
        "Route 53 zone that gets the domain name",
        r"Z[A-Z0-9]{1,31}",
        "a zone is named Z0123456789ABCDEFGHIJ",
    ),
    Option(
        "--upstream-url",
        "UpstreamUrl",
        "URL",
        "an MCP server behind the gate, in place of its own tools",
        r"https?://[^\s?#\"'\\]+",
        "give an http:// or https:// URL without a query",
    ),
    Option(
        "--resource-path",
        "ResourcePath",
        "NAME",
        "path of the MCP endpoint (mcp)",
        r"[A-Za-z0-9._~-]+",
        "give one segment, without a slash",
    ),
    Option(
        "--prompts-bucket",
        "PromptsBucket",
        "NAME",
        "bucket of the prompt library",
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "give the name of a bucket",
    ),
    Option(
        "--alarm-topic-arn",
        "AlarmTopicArn",
        "ARN",
        "SNS topic that alarms are told to",
        r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+",
        "a topic is named arn:aws:sns:REGION:111122223333:NAME",
    ),
    Option(
        "--alarm-email",
        "AlarmEmail",
        "ADDRESS",
        "address that alarms are told to; a mail asks to confirm it",
        r"[^@\s]+@[^@\s]+",
        "give an address such as ops@example.com",
    ),
)
CHOICES = (
    Option("--architecture", "Architecture", "arm64|x86_64", "processor of the function (arm64)"),
    Option("--runtime", "Runtime", "python3.12|python3.13|python3.14", "Python of a package (python3.13)"),
    Option("--front-door", "FrontDoor", "|".join(DOORS), "what clients reach (http-api)"),
    Option(
        "--authorizer-raises", "AuthorizerRaises", "on|off", "off: 403 in place of 401, if an HTTP API makes 500 (on)"
    ),
    Option("--api-key", "ApiKey", "offered|required", "whether a REST API refuses calls without its key (offered)"),
    Option(
        "--native-registration",
        "NativeRegistration",
        "off|authenticated|open",
        "who may register clients at the user pool itself (off)",
    ),
)
NUMBERS = (
    Number("--memory", "MemorySize", "MB", "memory of the function (512)", 128, 10240),
    Number("--timeout", "Timeout", "SECONDS", "time for one request (29)", 1, 900),
    Number("--reserved-concurrency", "ReservedConcurrency", "N", "instances kept for it; -1 for none (-1)", -1),
    Number("--requests-per-second", "RequestsPerSecond", "N", "requests a second that the API lets through (50)"),
    Number("--burst", "Burst", "N", "requests at once that it lets through (100)"),
    Number("--requests-per-day", "RequestsPerDay", "N", "requests a day with one API key, REST API only (100000)"),
    Number("--authorizer-cache-seconds", "AuthorizerCacheSeconds", "N", "how long an API remembers it (0)", 0, 3600),
    Number("--log-retention-days", "LogRetentionDays", "DAYS", "how long the log is kept (30)", among=RETENTION),
    Number("--refusals-per-five-minutes", "RefusalsPerFiveMinutes", "N", "refusals that raise an alarm (500)"),
)


def name_option(parser: ArgumentParser) -> None:
    """What all verbs about AWS have in common."""
    say = parser.add_argument
    say("--function-name", default=FUNCTION, metavar="NAME", help=f"name of the function and its stack ({FUNCTION})")
    say("--region", metavar="REGION", help="region of AWS; AWS_REGION, or that of the profile")
    say("--profile", metavar="NAME", help="profile of the AWS credentials; AWS_PROFILE")


def deploy_options(parser: ArgumentParser) -> None:
    """The options of `deploy`."""
    name_option(parser)
    say = parser.add_argument
    say("--plan", action="store_true", help="show what would change, and change nothing")
    say("--yes", action="store_true", help="do not ask")
    say("-f", "--file", type=Path, help="settings that are packaged; bearergate.yaml if it is there")
    for text in TEXTS:
        say(text.flag, metavar=text.metavar, help=text.help)
    for choice in CHOICES:
        say(choice.flag, choices=choice.metavar.split("|"), help=choice.help)
    for number in NUMBERS:
        say(number.flag, metavar=number.metavar, help=number.help)
    say("--api-gateway", action="store_true", help="a REST API with an API key, as in the first version")
    say("--auth-method", choices=("oauth", "lambda"), help="lambda puts an authorizer before the gate (oauth)")
    say("--streaming", action=BooleanOptionalAction, help="answers go out as they are made")
    say("--cognito-user-pool-id", metavar="ID", help="the existing user pool whose tokens are accepted")
    say("--cognito-client-ids", nargs="+", metavar="ID", help="clients of the existing pool that are accepted")
    say("--new-pool", action="store_true", help="make a user pool, and the gate its authorization server")
    say("--kept-pool", metavar="ID", help="the same with a pool that an earlier deployment made and left")
    say("--secret-arns", nargs="+", metavar="ARN", help="secrets and parameters that the packaged settings name")
    say("--image", action="store_true", help="build a container image with Docker, in place of a package")
    say("--bucket", metavar="NAME", help="bucket for packages; bearergate-packages-ACCOUNT-REGION otherwise")


def parameters(said: Namespace) -> dict[str, str]:
    """The parameters of the template that options state; an empty value takes back what was set.

    Raises:
        BadOption: with every problem of an option by itself.
    """
    if problems := list(problems_of(said)):
        raise BadOption("\n".join(problems))
    made: dict[str, str | None] = {"FunctionName": said.function_name}
    made |= {option.parameter: getattr(said, option.attribute) for option in (*TEXTS, *CHOICES, *NUMBERS)}
    if said.api_gateway:
        made["FrontDoor"] = "rest-api"
    if said.auth_method is not None:
        made["Authorizer"] = "on" if said.auth_method == "lambda" else "off"
    if said.streaming is not None:
        made["Streaming"] = "on" if said.streaming else "off"
    if said.cognito_client_ids is not None:
        made["CognitoClientIds"] = ",".join(separated(said.cognito_client_ids))
    if said.secret_arns is not None:
        made["SecretArns"] = ",".join(separated(said.secret_arns))
    return {key: value for key, value in (made | pool(said)).items() if value is not None}


def pool(said: Namespace) -> dict[str, str | None]:
    """Where principals come from; nothing where no option says so."""
    if said.new_pool:
        return {"UserPool": "new", "CognitoUserPoolId": ""}
    if said.kept_pool:
        return {"UserPool": "kept", "CognitoUserPoolId": said.kept_pool}
    if said.cognito_user_pool_id is None:
        return {}
    kind = "existing" if said.cognito_user_pool_id else "settings"
    return {"UserPool": kind, "CognitoUserPoolId": said.cognito_user_pool_id}


def separated(words: list[str]) -> list[str]:
    """Words that are written with commas or blanks."""
    return " ".join(words).replace(",", " ").split()


def settings_file(said: Namespace) -> Path | None:
    """The settings that are packaged, if any."""
    file: Path | None = said.file
    return file if file is not None else Path(SETTINGS) if Path(SETTINGS).exists() else None


def problems_of(said: Namespace) -> Iterator[str]:
    """A sentence for each option that cannot be used, whatever is deployed."""
    yield from name_problems(said.function_name)
    for option in TEXTS:
        value = getattr(said, option.attribute)
        if value and not re.fullmatch(option.form, value):
            yield f"{option.flag} {value}: {option.expects}"
    for number in NUMBERS:
        yield from number_problems(number, getattr(said, number.attribute))
    for flag, named in (("--cognito-user-pool-id", said.cognito_user_pool_id), ("--kept-pool", said.kept_pool)):
        if named and not re.fullmatch(POOL, named):
            yield f"{flag} {named}: {A_POOL}"
    for client in separated(said.cognito_client_ids or []):
        if not re.fullmatch(r"[\w+]{1,128}", client, re.ASCII):
            yield f"--cognito-client-ids {client}: the id of an app client has letters and digits alone"
    for arn in separated(said.secret_arns or []):
        if not re.fullmatch(r"arn:aws[a-z-]*:(secretsmanager|ssm):[a-z0-9-]+:\d{12}:(secret:|parameter/)\S+", arn):
            yield f"--secret-arns {arn}: give ARNs of Secrets Manager or of the Parameter Store"
    yield from contradictions(said)


def name_problems(name: str) -> Iterator[str]:
    """What is wrong with the name of a function, which is that of its stack too."""
    if not re.fullmatch(NAME, name):
        yield f"--function-name {name}: {LETTERS}"


def number_problems(number: Number, value: str | None) -> Iterator[str]:
    """What is wrong with a number."""
    if value is None:
        return
    meant = int(value) if re.fullmatch(r"-?\d{1,12}", value) else None
    if number.among and meant not in number.among:
        yield f"{number.flag} {value}: give one of {', '.join(map(str, number.among))}"
    elif not number.among and (meant is None or not number.least <= meant <= number.most):
        unit = {"MB": " MB", "SECONDS": " seconds"}.get(number.metavar, "")
        yield f"{number.flag} {value}: give {number.least} to {number.most}{unit}"


def contradictions(said: Namespace) -> Iterator[str]:
    """Options of which only one can be meant."""
    if said.api_gateway and said.front_door not in (None, "rest-api"):
        yield f"--api-gateway means --front-door rest-api, not {said.front_door}: leave one of them out"
    pools = {"--new-pool": said.new_pool, "--kept-pool": said.kept_pool}
    named = [flag for flag, given in (pools | {"--cognito-user-pool-id": said.cognito_user_pool_id}).items() if given]
    if len(named) > 1:
        yield f"{' and '.join(named)}: choose one of them"
    if said.image and said.image_uri:
        yield "--image and --image-uri: choose one of them"
