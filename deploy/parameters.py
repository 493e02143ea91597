"""The parameters of the template for one deployment: what options say, over what the stack has, over the defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from deploy.intrinsics import template

SECONDS = {"http-api": 30, "rest-api": 29, "function-url": 900}  # how long a front door waits for an answer
STREAMING_SECONDS = 900
LONGEST_NAME = 64  # of a function
OF_AUTHORIZER = "-authorizer"  # what the template puts behind the name of the function
PLACES = {  # where a value says its region: the option, what separates its parts, and which one it is
    "CertificateArn": ("--certificate-arn", ":", 3),
    "AlarmTopicArn": ("--alarm-topic-arn", ":", 3),
    "ImageUri": ("--image-uri", ".", 3),
}
REST_ONLY = {
    "StageName": ("--stage-name", "a stage with a name"),
    "ApiKey": ("--api-key", "an API key"),
    "RequestsPerDay": ("--requests-per-day", "a limit for a day"),
}


@cache
def defaults() -> dict[str, str]:
    """Each parameter of the template with its default."""
    return {name: str(parameter["Default"]) for name, parameter in template()["Parameters"].items()}


class Parameters(Mapping[str, str]):
    """What each parameter will be; only what was said is sent, the stack keeps the rest.

    `kept` is what an existing stack has; empty for a new one.
    """

    def __init__(self, said: Mapping[str, str], kept: Mapping[str, str]) -> None:
        self._said = dict(said)
        self.kept = {name: value for name, value in kept.items() if name in defaults()}
        if not kept:
            self._said.setdefault("ApiName", self["FunctionName"])

    def __getitem__(self, name: str) -> str:
        """The value that a parameter will have."""
        return self._said.get(name, self.kept.get(name, defaults()[name]))

    def __iter__(self) -> Iterator[str]:
        """The names of all parameters."""
        return iter(defaults())

    def __len__(self) -> int:
        """How many parameters there are."""
        return len(defaults())

    def __setitem__(self, name: str, value: str) -> None:
        """Say what a parameter is to be."""
        self._said[name] = value

    def states(self, name: str) -> bool:
        """Whether an option says what a parameter is to be."""
        return name in self._said

    def stays(self, *names: str) -> bool:
        """Whether a stack has what parameters will be."""
        return all(self.kept.get(name) == self[name] for name in names)

    def sent(self) -> list[dict[str, Any]]:
        """The parameters as CloudFormation takes them; what a stack has and nobody spoke of stays as it is."""
        spoken = [{"ParameterKey": name, "ParameterValue": value} for name, value in self._said.items()]
        stays = [{"ParameterKey": name, "UsePreviousValue": True} for name in self.kept if name not in self._said]
        return [*spoken, *stays]


def problems_of(parameters: Parameters, *, has_settings: bool, has_image: bool) -> Iterator[str]:
    """A sentence for each pair that does not go together; `has_image` is whether the settings may be in an image."""
    yield from door_problems(parameters)
    yield from name_problems(parameters)
    yield from pool_problems(parameters, has_settings=has_settings, has_image=has_image)


def door_problems(parameters: Parameters) -> Iterator[str]:
    """What the front door does not have."""
    door = parameters["FrontDoor"]
    longest = STREAMING_SECONDS if parameters["Streaming"] == "on" else SECONDS[door]
    if int(parameters["Timeout"]) > longest:
        yield f"--timeout {parameters['Timeout']}: give 1 to {longest} seconds; the {door} waits no longer"
    if door == "function-url" and parameters["Authorizer"] == "on":
        yield "--auth-method lambda: a function URL has no Lambda authorizer; choose --front-door http-api or rest-api"
    if door == "function-url" and parameters["DomainName"]:
        yield "--domain-name: a function URL takes none; choose --front-door http-api or rest-api"
    if door == "http-api" and parameters["Streaming"] == "on":
        yield "--streaming: an HTTP API does not stream; choose rest-api or function-url, or --no-streaming"
    for name, (flag, thing) in REST_ONLY.items():
        if parameters.states(name) and door != "rest-api":
            yield f"{flag}: only a REST API has {thing}; add --front-door rest-api"


def name_problems(parameters: Parameters) -> Iterator[str]:
    """Parameters that need another one beside them."""
    if parameters["Authorizer"] != "on":
        if parameters.states("AuthorizerName"):
            yield "--lambda-authorizer-name: there is no authorizer; add --auth-method lambda"
        if parameters.states("AuthorizerCacheSeconds"):
            yield "--authorizer-cache-seconds: there is no authorizer; add --auth-method lambda"
        if parameters.states("AuthorizerRaises"):
            yield "--authorizer-raises: there is no authorizer; add --auth-method lambda"
    elif not parameters["AuthorizerName"] and len(parameters["FunctionName"] + OF_AUTHORIZER) > LONGEST_NAME:
        yield "--auth-method lambda: with a function's name as long as this, add --lambda-authorizer-name"
    if bool(parameters["DomainName"]) != bool(parameters["CertificateArn"]):
        yield "--domain-name and --certificate-arn go together: give both"
    if parameters["HostedZoneId"] and not parameters["DomainName"]:
        yield "--hosted-zone-id: there is no name for it to hold; add --domain-name and --certificate-arn"
    if parameters["AlarmTopicArn"] and parameters["AlarmEmail"]:
        yield "--alarm-email: a topic is told already; subscribe the address to it, or add --alarm-topic-arn ''"
    if parameters["RoleArn"] and parameters.states("SecretArns") and parameters["SecretArns"]:
        yield "--secret-arns: --role-arn names a role of yours; allow it to read them there"


def place_problems(parameters: Parameters, account: str, region: str) -> Iterator[str]:
    """What an option names that lies where the function cannot use it."""
    for name, (flag, separator, position) in PLACES.items():
        value = parameters[name] if parameters.states(name) else ""
        place = value.split(separator)[position] if value else region
        if place != region:
            yield f"{flag}: it is in {place}, the function in {region}; name one in {region}"
    owner = parameters["RoleArn"].split(":")[4] if parameters.states("RoleArn") and parameters["RoleArn"] else account
    if owner != account:
        yield f"--role-arn: the role is of account {owner}, the credentials are of {account}; name one of {account}"


def pool_problems(parameters: Parameters, *, has_settings: bool, has_image: bool) -> Iterator[str]:
    """What is wrong with where principals come from."""
    kind = parameters["UserPool"]
    if kind == "new" and not parameters["CognitoDomain"]:
        yield "--new-pool: add --cognito-domain, a prefix that nobody else has in the region"
    if parameters.states("CognitoClientIds") and kind != "existing":
        yield "--cognito-client-ids: add --cognito-user-pool-id, the pool they belong to"
    speaks = parameters.states("NativeRegistration") and parameters["NativeRegistration"] != "off"
    if speaks and kind == "settings":
        yield "--native-registration: there is no user pool; add --new-pool or --cognito-user-pool-id"
    if kind == "settings" and not has_settings and not has_image:
        yield ("Nothing says whose tokens are accepted: give --cognito-user-pool-id, --new-pool, or a bearergate.yaml")
