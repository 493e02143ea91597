"""The template: clean for cfn-lint, small enough to be sent, and roles that may do what the code calls."""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.seal import KEY_BYTES, _key
from gateway.settings import Settings
from gateway.sources import parse, values_of
from tests.deploy.laptop import ROOT

TEMPLATE = ROOT / "deploy" / "template.yaml"
MAX_BODY = 51_200  # bytes of a template that is sent with the request
PACKAGE = {"CodeBucket": "packages-of-mine", "CodeKey": "bearergate/abc.zip"}
IMAGE = {"ImageUri": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/bearergate:1"}
DOMAIN = {
    "DomainName": "mcp.example.com",
    "CertificateArn": "arn:aws:acm:eu-central-1:111122223333:certificate/1b2f8d1e-0000-4000-8000-000000000000",
    "HostedZoneId": "Z0123456789ABCDEFGHIJ",
}
POOLS = {
    "settings": {},
    "existing": {"CognitoUserPoolId": "eu-central-1_AbCdEfGhI", "CognitoClientIds": "a1,b2"},
    "new": {"CognitoDomain": "acme-mcp"},
}
POOL_PARTS = ("Pool", "PoolDomain", "PoolResourceServer", "FacadeClient")
DOORS = ["http-api", "rest-api", "function-url"]
SHARED = {
    "BedrockRoleArn": "arn:aws:iam::111122223333:role/reader",
    "PromptsBucket": "prompts-of-mine",
    "AlarmTopicArn": "arn:aws:sns:eu-central-1:111122223333:alarms",
    "UpstreamUrl": "https://mcp.internal.example.com/mcp",
    "RoleArn": "arn:aws:iam::111122223333:role/made-by-hand",
    "ReservedConcurrency": "10",
}


class Loader(yaml.SafeLoader):
    """Reads the short forms of CloudFormation as what they stand for."""


def short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {"Ref" if tag == "Ref" else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", short_form)


def template() -> dict[str, Any]:
    read: dict[str, Any] = yaml.load(TEMPLATE.read_text("utf-8"), Loader)  # noqa: S506 - it is a safe one
    return read


def lint(parameters: dict[str, str]) -> str:
    given = [f"{key}={value}" for key, value in parameters.items()]
    linter = Path(sys.executable).with_name("cfn-lint")
    command = [str(linter), "--template", str(TEMPLATE), "--regions", "us-east-1", "eu-central-1"]
    done = subprocess.run(
        [*command, *(["--parameters", *given] if given else [])], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def combinations() -> list[Any]:
    """Each front door with each pool; the other parameters both ways, spread over them."""
    rows = []
    for number, (door, pool) in enumerate(itertools.product(DOORS, POOLS)):
        chosen = {"FrontDoor": door, "UserPool": pool, **POOLS[pool]} | (IMAGE if number % 2 else PACKAGE)
        if door != "http-api":
            chosen["Streaming"] = "on" if number % 2 else "off"
        if door != "function-url":
            chosen |= {"Authorizer": "off" if number % 2 else "on"} | (DOMAIN if pool != "existing" else {})
        if number % 3 == 0:
            chosen |= SHARED
        rows.append(pytest.param(chosen, id=f"{door} with pool {pool}"))
    return rows


def test_template_is_clean_whatever_its_conditions_are() -> None:
    assert lint({}) == ""


@pytest.mark.parametrize("parameters", combinations())
def test_template_is_clean_for_parameters(parameters: dict[str, str]) -> None:
    assert set(parameters) <= template()["Parameters"].keys()
    assert lint(parameters) == ""


def test_template_is_small_enough_to_be_sent_with_the_request() -> None:
    assert TEMPLATE.stat().st_size <= MAX_BODY


def policies(role: str) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for entry in template()["Resources"][role]["Properties"]["Policies"]:
        policy = entry["Fn::If"][1] if "Fn::If" in entry else entry
        found[policy["PolicyName"]] = policy["PolicyDocument"]["Statement"]
    return found


def actions(statements: list[dict[str, Any]]) -> set[str]:
    listed = (statement["Action"] for statement in statements)
    return {action for each in listed for action in ([each] if isinstance(each, str) else each)}


@pytest.mark.parametrize(
    ("policy", "file"),
    [
        pytest.param("bedrock", "tools/bedrock/iam-policy.json", id="reports about Bedrock"),
        pytest.param("prompts", "tools/prompts/iam-policy.json", id="prompt library"),
    ],
)
def test_role_may_do_what_the_tools_call_and_nothing_else(policy: str, file: str) -> None:
    stated = json.loads((ROOT / file).read_text("utf-8"))["Statement"]
    assert actions(policies("Role")[policy]) == actions(stated)


def test_authorizer_may_write_its_log_and_nothing_else() -> None:
    assert actions([s for each in policies("AuthorizerRole").values() for s in each]) == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_no_action_is_a_pattern_and_a_free_resource_is_one_that_has_no_names() -> None:
    statements = [s for role in ("Role", "AuthorizerRole") for each in policies(role).values() for s in each]
    assert not [action for action in actions(statements) if "*" in action]
    free = {statement["Sid"] for statement in statements if statement["Resource"] == "*"}
    assert free == {"FollowOwnQueries", "ReadBill"}


def test_pool_and_what_clients_know_of_it_stay_when_the_stack_goes_but_not_when_its_making_fails() -> None:
    kept = {name: made["DeletionPolicy"] for name, made in template()["Resources"].items() if name in POOL_PARTS}
    assert kept == dict.fromkeys(POOL_PARTS, "RetainExceptOnCreate")


def test_generated_seal_key_is_a_seal_key() -> None:
    made = template()["Resources"]["SealKeys"]["Properties"]["GenerateSecretString"]
    assert made == {"PasswordLength": 43, "ExcludePunctuation": True}
    for letter in ("A", "z", "7"):
        assert len(_key(letter * 43)) == KEY_BYTES
    assert len(base64.b64decode("z" * 43 + "=")) == KEY_BYTES


def test_every_variable_of_the_functions_is_a_setting() -> None:
    names = {f"BEARERGATE_{field.upper()}" for field in Settings.__struct_fields__}
    known = names | {"BEARERGATE_PROMPTS_BUCKET", "AWS_LAMBDA_EXEC_WRAPPER", "AUTHORIZER_CACHE_SECONDS"}
    for function in ("Function", "AuthorizerFunction"):
        variables = template()["Resources"][function]["Properties"]["Environment"]["Variables"]
        assert {name for name in variables if not name.startswith("COGNITO_")} <= known


def test_settings_of_a_new_pool_are_good_to_serve() -> None:
    """What the template writes, with the names AWS would put in, is read by the gate itself."""
    variables = template()["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    names = {"AWS::Region": "eu-central-1", "AWS::URLSuffix": "amazonaws.com", "Pool": "eu-central-1_AbCdEfGhI"}
    names |= {"Origin.Value": "https://mcp.example.com", "ResourcePath": "mcp", "FacadeClient": "a1", "Upstream": ""}

    def text(value: Any) -> str:
        sub = value["Fn::If"][1]["Fn::Sub"]
        sub = sub if isinstance(sub, str) else sub[0]
        return re.sub(r"\$\{([^}]+)\}", lambda m: names.get(m[1], "arn"), sub)

    environment = {"BEARERGATE_PUBLIC_URL": names["Origin.Value"], "BEARERGATE_SEAL_KEYS": f"[{'a' * 43}]"}
    for name in ("ISSUERS", "RESOURCES", "FACADE"):
        environment[f"BEARERGATE_{name}"] = text(variables[f"BEARERGATE_{name}"])
    values, problems = values_of(None, environment)
    values["facade"] = {"client_id": values["facade"]["client_id"], "client_secret": "known at AWS"}
    settings = parse(values, problems)
    assert settings.url_of(settings.resources[0]) == "https://mcp.example.com/mcp"
