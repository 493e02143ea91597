"""The template: clean for cfn-lint, small enough to be sent, and roles that may do what the code calls."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Mapping
from typing import Any

import cfnlint.api  # type: ignore[import-untyped]  # ships no types
import pytest
import yaml
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]  # likewise

from gateway.seal import KEY_BYTES, _key
from gateway.settings import Settings
from gateway.sources import add_cognito, parse, values_of
from tests.deploy.aws.cloudformation import POOL
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
SECRETS = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:seal-AbCdEf"
POOLS: dict[str, dict[str, str]] = {
    "settings": {},
    "existing": {"CognitoUserPoolId": "eu-central-1_AbCdEfGhI", "CognitoClientIds": "a1,b2"},
    "new": {"CognitoDomain": "acme-mcp", "NativeRegistration": "open"},
    "kept": {"CognitoUserPoolId": "eu-central-1_AbCdEfGhI", "KeysFile": "keys/0123456789abcdef.json"},
}
CLIENT_IDS = {"Fn::Split": [",", {"Ref": "CognitoClientIds"}]}
MINE = ("PoolResourceServer", "FacadeClient")  # of the gate at a pool: of no use without it, and in the way of the next
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
    else:
        assert isinstance(node, yaml.SequenceNode)
        value = loader.construct_sequence(node, deep=True)
    return {"Ref" if tag == "Ref" else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", short_form)


def template() -> dict[str, Any]:
    read: dict[str, Any] = yaml.load(TEMPLATE.read_text("utf-8"), Loader)  # noqa: S506 - it is a safe one
    return read


def lint(*rows: Mapping[str, str]) -> list[str]:
    """What cfn-lint finds with each of these rows of parameters; in this process, and many at once, to be quick."""
    given = [{key: [value] if key == "SecretArns" else value for key, value in row.items()} for row in rows]
    config = ManualArgs(regions=["eu-central-1"], parameters=given)
    return [str(match) for match in cfnlint.api.lint(TEMPLATE.read_text("utf-8"), None, None, config)]


def choices() -> dict[str, list[dict[str, str]]]:
    """Everything that decides about a condition, with each position that it can be in."""
    both = {
        "code": [PACKAGE, IMAGE],
        "door": [{"FrontDoor": door} for door in DOORS],
        "pool": [{"UserPool": kind, **parameters} for kind, parameters in POOLS.items()],
        "streaming": [{"Streaming": "off"}, {"Streaming": "on"}],
        "authorizer": [{"Authorizer": "off"}, {"Authorizer": "on"}, {"Authorizer": "on", "AuthorizerName": "door"}],
        "domain": [{}, {key: value for key, value in DOMAIN.items() if key != "HostedZoneId"}, DOMAIN],
        "alarms": [{}, {"AlarmTopicArn": SHARED["AlarmTopicArn"]}, {"AlarmEmail": "ops@example.com"}],
        "keys": [{}, {"KeysFile": "keys/0123456789abcdef.json"}],
        "secrets": [{}, {"SecretArns": SECRETS}],
    }
    return both | {name: [{}, {name: value}] for name, value in SHARED.items() if name != "AlarmTopicArn"}


def goes_together(chosen: Mapping[str, str]) -> bool:
    """Whether the rules of the template let parameters through."""
    door = chosen.get("FrontDoor", "http-api")
    if door == "http-api":
        return chosen.get("Streaming") != "on"
    return door == "rest-api" or (chosen.get("Authorizer") != "on" and "DomainName" not in chosen)


def combinations() -> list[dict[str, str]]:
    """Rows in which each position of each choice meets each position of every other, where they go together."""
    axes = choices()
    missing = {
        frozenset(((one, i), (other, j)))
        for one, other in itertools.combinations(axes, 2)
        for i, j in itertools.product(range(len(axes[one])), range(len(axes[other])))
        if goes_together(axes[one][i] | axes[other][j])
    }
    rows = []
    while missing:
        row = dict(min(missing, key=sorted))
        for axis, positions in axes.items():
            if axis not in row:
                row[axis] = max(range(len(positions)), key=lambda i, axis=axis: gain(missing, axes, row, (axis, i)))  # type: ignore[misc]
        missing -= pairs(row)
        rows.append(merged(axes, row))
    return rows


def merged(axes: Mapping[str, list[dict[str, str]]], row: Mapping[str, int]) -> dict[str, str]:
    return {key: value for axis, i in row.items() for key, value in axes[axis][i].items()}


def pairs(row: Mapping[str, int]) -> set[frozenset[tuple[str, int]]]:
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}


def gain(
    missing: set[frozenset[tuple[str, int]]],
    axes: Mapping[str, list[dict[str, str]]],
    row: Mapping[str, int],
    more: tuple[str, int],
) -> int:
    """How many pairs a position would bring to a row; less than none where it does not go with what is there."""
    if not goes_together(merged(axes, {**row, more[0]: more[1]})):
        return -1
    return sum(frozenset((more, other)) in missing for other in row.items())


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_template_is_clean_whatever_its_conditions_are(region: str) -> None:
    found = cfnlint.api.lint(TEMPLATE.read_text("utf-8"), None, None, ManualArgs(regions=[region]))
    assert [str(match) for match in found] == []


@pytest.mark.parametrize("part", range(3))
def test_template_is_clean_for_parameters_in_every_pair(part: int) -> None:
    rows = combinations()[part::3]
    assert all(set(row) <= template()["Parameters"].keys() for row in rows)
    assert lint(*rows) == []


def test_every_position_of_a_choice_meets_every_other() -> None:
    rows = combinations()
    assert len(rows) >= len(DOORS) * len(POOLS)
    for door, kind in itertools.product(DOORS, POOLS):
        assert [row for row in rows if row["FrontDoor"] == door and row["UserPool"] == kind]


def test_linter_looks_at_every_row_of_parameters() -> None:
    assert lint(PACKAGE, PACKAGE | {"FrontDoor": "carrier-pigeon"})


def test_rules_of_the_template_are_those_the_combinations_keep() -> None:
    assert set(template()["Rules"]) == {
        "Package",
        "FunctionUrl",
        "HttpApi",
        "Domain",
        "ExistingPool",
        "NewPool",
        "KeptPool",
    }


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


def test_pool_and_its_domain_stay_when_the_stack_goes_but_not_when_its_making_fails() -> None:
    resources = template()["Resources"]
    kept = {name for name, made in resources.items() if made.get("DeletionPolicy") == "RetainExceptOnCreate"}
    assert kept == {"Pool", "PoolDomain"}
    assert {resources[name]["DeletionPolicy"] for name in MINE} == {"Delete"}
    assert {resources[name]["Condition"] for name in MINE} == {"OwnPool"}, "a pool that was kept gets them anew"


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
    names = {"AWS::Region": "eu-central-1", "AWS::URLSuffix": "amazonaws.com", "Id": POOL, "KeysFile": ""}
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
    assert settings.issuers[0].issuer == f"https://cognito-idp.eu-central-1.amazonaws.com/{POOL}"


@pytest.mark.parametrize("clients", ["a1,b2", ""], ids=["two clients", "no clients"])
def test_settings_of_an_existing_pool_whose_keys_are_packaged_are_what_they_are_without(clients: str) -> None:
    for function in ("Function", "AuthorizerFunction"):
        variables = template()["Resources"][function]["Properties"]["Environment"]["Variables"]
        text, told = variables["BEARERGATE_ISSUERS"]["Fn::If"][2]["Fn::If"][1]["Fn::Sub"]
        assert told["Clients"]["Fn::If"][1] == {"Fn::Join": ["", ['"', {"Fn::Join": ['","', CLIENT_IDS]}, '"']]}
        joined = '"' + '","'.join(clients.split(",")) + '"' if clients else ""
        names = {"PoolRegion": "eu-central-1", "AWS::URLSuffix": "amazonaws.com", "CognitoUserPoolId": POOL}
        names |= {"KeysFile": "keys/a.json", "Clients": joined}
        for name, value in names.items():
            text = text.replace(f"${{{name}}}", value)
        (written,) = json.loads(text)
        environment = {"COGNITO_REGION": "eu-central-1", "COGNITO_USER_POOL_ID": POOL}
        values: dict[str, Any] = {}
        add_cognito(values, environment | {"COGNITO_ALLOWED_CLIENT_IDS": clients}, [])
        assert written.pop("jwks_file") == "keys/a.json"
        assert {key: value for key, value in written.items() if value} == values["issuers"][0]
