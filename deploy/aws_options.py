"""The options of `bearergate deploy`, and the parameters of the template that they stand for.

Every option is judged before AWS is asked anything; the names of the first version's options are kept.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

FUNCTION = "bearergate"
DOORS = ("http-api", "rest-api", "function-url")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/[\w+=,.@/-]+")
IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[\w./-]+(:[\w.-]+|@sha256:[0-9a-f]{64})")
POOL = re.compile(r"[a-z]{2}(-[a-z]+)+-\d_[A-Za-z0-9]+")
SETTINGS = "bearergate.yaml"


class BadOptionError(Exception):
    """Options cannot be used; the text has a sentence for each of them."""


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
    say("--role-arn", metavar="ARN", help="an existing role for the function; one is made otherwise")
    say("--bedrock-role-arn", metavar="ARN", help="a role that the reports about Bedrock read with")
    say("--memory", type=int, default=512, metavar="MB", help="memory of the function (512)")
    say("--timeout", type=int, default=29, metavar="SECONDS", help="time for one request (29)")
    say("--architecture", choices=("arm64", "x86_64"), default="arm64", help="processor of the function (arm64)")
    say("--front-door", choices=DOORS, help="what clients reach (http-api)")
    say("--api-gateway", action="store_true", help="a REST API with an API key, as in the first version")
    say("--api-name", metavar="NAME", help="name of the API; that of the function")
    say("--stage-name", metavar="NAME", help="stage of the REST API (prod)")
    say("--auth-method", choices=("oauth", "lambda"), default="oauth", help="lambda puts an authorizer before the gate")
    say("--lambda-authorizer-name", metavar="NAME", help="name of its function")
    say("--cognito-user-pool-id", metavar="ID", help="the existing user pool whose tokens are accepted")
    say("--cognito-domain", metavar="PREFIX", help="domain of the new user pool")
    say("--cognito-client-ids", nargs="+", metavar="ID", help="clients of the existing pool that are accepted")
    say("--new-pool", action="store_true", help="make a user pool, and the gate its authorization server")
    say("--image-uri", metavar="URI", help="a container image in ECR, in place of a package")
    say("--domain-name", metavar="NAME", help="a domain name of yours for the API")
    say("--certificate-arn", metavar="ARN", help="its certificate in ACM")
    say("--streaming", action="store_true", help="answers go out as they are made")
    say("--upstream-url", metavar="URL", help="an MCP server behind the gate, in place of its own tools")
    say("--bucket", metavar="NAME", help="bucket for packages; bearergate-packages-ACCOUNT-REGION otherwise")


def parameters(said: Namespace) -> dict[str, str]:
    """The parameters of the template that options stand for.

    Raises:
        BadOptionError: with every problem there is.
    """
    if problems := list(problems_of(said)):
        raise BadOptionError("\n".join(problems))
    made = {
        "FunctionName": said.function_name,
        "Architecture": said.architecture,
        "MemorySize": str(said.memory),
        "Timeout": str(said.timeout),
        "FrontDoor": door(said),
        "ApiName": said.api_name or said.function_name,
        "Authorizer": "on" if said.auth_method == "lambda" else "off",
        "Streaming": "on" if said.streaming else "off",
        "UserPool": pool(said),
        "StageName": said.stage_name,
        "RoleArn": said.role_arn,
        "BedrockRoleArn": said.bedrock_role_arn,
        "ImageUri": said.image_uri,
        "AuthorizerName": said.lambda_authorizer_name,
        "CognitoUserPoolId": said.cognito_user_pool_id,
        "CognitoDomain": said.cognito_domain,
        "CognitoClientIds": ",".join(client_ids(said)),
        "DomainName": said.domain_name,
        "CertificateArn": said.certificate_arn,
        "UpstreamUrl": said.upstream_url,
    }
    return {key: value for key, value in made.items() if value}


def door(said: Namespace) -> str:
    """The front door that options choose."""
    chosen: str = said.front_door or ("rest-api" if said.api_gateway else "http-api")
    return chosen


def pool(said: Namespace) -> str:
    """Where principals come from."""
    return "new" if said.new_pool else "existing" if said.cognito_user_pool_id else "settings"


def client_ids(said: Namespace) -> list[str]:
    """The clients, written with commas or blanks."""
    return " ".join(said.cognito_client_ids or ()).replace(",", " ").split()


def settings_file(said: Namespace) -> Path | None:
    """The settings that are packaged, if any."""
    file: Path | None = said.file
    return file if file is not None else Path(SETTINGS) if Path(SETTINGS).exists() else None


def problems_of(said: Namespace) -> Iterator[str]:
    """A sentence for each option that cannot be used."""
    yield from name_problems(said.function_name)
    if not 128 <= said.memory <= 10240:
        yield f"--memory {said.memory}: give 128 to 10240 MB"
    longest = 900 if said.streaming else 30 if door(said) == "http-api" else 29 if door(said) == "rest-api" else 900
    if not 1 <= said.timeout <= longest:
        yield f"--timeout {said.timeout}: give 1 to {longest} seconds; the {door(said)} waits no longer"
    yield from malformed(said)
    yield from door_problems(said)
    yield from pool_problems(said)


def name_problems(name: str) -> Iterator[str]:
    """What is wrong with the name of a function, which is that of its stack too."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,39}", name):
        yield f"--function-name {name}: give up to 40 letters, digits and hyphens, a letter first"


def malformed(said: Namespace) -> Iterator[str]:
    """Options that do not look like what they are to name."""
    for option, value in (("--role-arn", said.role_arn), ("--bedrock-role-arn", said.bedrock_role_arn)):
        if value and not ROLE.fullmatch(value):
            yield f"{option} {value}: a role is named arn:aws:iam::111122223333:role/NAME"
    if said.image_uri and not IMAGE.fullmatch(said.image_uri):
        yield f"--image-uri {said.image_uri}: give 111122223333.dkr.ecr.REGION.amazonaws.com/NAME:TAG"
    if said.cognito_user_pool_id and not POOL.fullmatch(said.cognito_user_pool_id):
        yield f"--cognito-user-pool-id {said.cognito_user_pool_id}: a user pool is named eu-central-1_AbCdEfGhI"
    if said.cognito_domain and not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", said.cognito_domain):
        yield f"--cognito-domain {said.cognito_domain}: give the prefix alone, of small letters, digits and hyphens"
    for option, value in (("--stage-name", said.stage_name), ("--lambda-authorizer-name", said.lambda_authorizer_name)):
        if value and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
            yield f"{option} {value}: give up to 64 letters, digits, hyphens and underscores"
    if said.upstream_url and not re.fullmatch(r"https?://[^\s?#\"']+", said.upstream_url):
        yield f"--upstream-url {said.upstream_url}: give an http:// or https:// URL without a query"


def door_problems(said: Namespace) -> Iterator[str]:
    """Options that the front door does not have."""
    if said.api_gateway and said.front_door not in (None, "rest-api"):
        yield f"--api-gateway means --front-door rest-api, not {said.front_door}: leave one of them out"
    if door(said) == "function-url" and said.auth_method == "lambda":
        yield "--auth-method lambda: a function URL has no Lambda authorizer; choose --front-door http-api or rest-api"
    if door(said) == "function-url" and said.domain_name:
        yield "--domain-name: a function URL takes none; choose --front-door http-api or rest-api"
    if door(said) == "http-api" and said.streaming:
        yield "--streaming: an HTTP API does not stream; choose --front-door rest-api or function-url"
    if said.stage_name and door(said) != "rest-api":
        yield "--stage-name: only a REST API has a stage with a name; add --front-door rest-api"
    if said.lambda_authorizer_name and said.auth_method != "lambda":
        yield "--lambda-authorizer-name: there is no authorizer; add --auth-method lambda"
    if bool(said.domain_name) != bool(said.certificate_arn):
        yield "--domain-name and --certificate-arn go together: give both"


def pool_problems(said: Namespace) -> Iterator[str]:
    """What is wrong with where principals come from."""
    if said.new_pool and said.cognito_user_pool_id:
        yield "--new-pool and --cognito-user-pool-id: choose one of them"
    if said.new_pool and not said.cognito_domain:
        yield "--new-pool: add --cognito-domain, a prefix that nobody else has in the region"
    if client_ids(said) and not said.cognito_user_pool_id:
        yield "--cognito-client-ids: add --cognito-user-pool-id, the pool they belong to"
    if pool(said) == "settings" and settings_file(said) is None and not said.image_uri:
        yield "Nothing says whose tokens are accepted: give --cognito-user-pool-id, --new-pool, or a bearergate.yaml"
