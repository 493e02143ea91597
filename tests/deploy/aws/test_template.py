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

from deploy.assembly import assemble
from deploy.deployment import STAGED
from deploy.function_settings import readable
from deploy.intrinsics import Filled
from deploy.parameters import Parameters
from deploy.stack_values import FACADE, RESOURCE, SEAL_KEYS_FILE, function_values
from gateway.operation import Target
from gateway.policy import Policy
from gateway.principal import Principal
from gateway.seal import KEY_BYTES, _key
from gateway.settings import Settings
from gateway.sources import add_cognito, parse
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
LISTS = ("SecretArns", "BedrockRoleArns")
MINE = ("PoolResourceServer", "FacadeClient")  # of the gate at a pool: of no use without it, and in the way of the next
DOORS = ["http-api", "rest-api", "function-url"]
SHARED = {
    "BedrockRoleArn": "arn:aws:iam::111122223333:role/reader",
    "BedrockRoleArns": "arn:aws:iam::444455556666:role/reader",
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
    given = [{key: [value] if key in LISTS else value for key, value in row.items()} for row in rows]
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
        "origin": [{}, {"KnownOrigin": "https://mcp.example.com"}],
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
    known |= {"AUTHORIZER_RAISES", RESOURCE, FACADE, SEAL_KEYS_FILE}
    for function in ("Function", "AuthorizerFunction"):
        variables = template()["Resources"][function]["Properties"]["Environment"]["Variables"]
        assert {name for name in variables if not name.startswith(("COGNITO_", "BEARERGATE_BEDROCK_"))} <= known


def filled(**said: str) -> Filled:
    return Filled(Parameters({"FunctionName": "bearergate", **said}, {}), "eu-central-1")


@pytest.mark.parametrize("function", ["Function", "AuthorizerFunction"])
def test_variables_are_good_to_serve_whatever_the_parameters_are(function: str) -> None:
    """What the template writes, with the names AWS would put in, is read by the gate itself."""
    for row in combinations():
        issuers = {} if row["UserPool"] != "settings" else {"BEARERGATE_ISSUERS": "[{issuer: https://i.example}]"}
        variables = filled(**row | {"KeysFile": ""}).variables(function)
        values, problems = function_values(variables | issuers)
        settings = parse(readable(values, problems, image=False), problems)
        (resource,) = settings.resources
        url = settings.url_of(resource)
        if row["UserPool"] in ("new", "kept"):
            read = [] if resource.upstream else ["greetings:read", "bedrock:read", "prompts:read"]
            assert resource.scopes == [f"{url}/{scope}" for scope in ("mcp:use", *read)]
            assert settings.issuers[0].resource_server == url
        if function == "Function":
            assert (resource.upstream is not None) == ("UpstreamUrl" in row)
            assert bool(settings.seal_keys) == (row["UserPool"] in ("new", "kept") or "UpstreamUrl" in row)
            assert (settings.facade != "off") == (row["UserPool"] in ("new", "kept"))


def test_first_login_at_a_pool_of_the_stack_may_use_what_the_own_tools_read() -> None:
    """Behind a front door that renames challenges there is no second one."""
    values, problems = function_values(filled(UserPool="new", CognitoDomain="acme", KeysFile="").variables("Function"))
    settings = assemble(parse(readable(values, problems, image=False), problems)).settings
    (resource,) = settings.resources
    somebody = Principal("https://i.example", "a", "c", frozenset(resource.scopes), frozenset(), 0.0)
    policy = Policy(resource.scopes, resource.rules)
    reading = ("greet", "get_bedrock_usage_report", "read_prompt")
    assert all(policy.may(somebody, Target("tool", tool)) for tool in reading)
    assert not any(policy.may(somebody, Target("tool", tool)) for tool in ("multi-greet", "create_prompt"))


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        pytest.param({}, "https://not-known-yet.execute-api.eu-central-1.amazonaws.com", id="HTTP API"),
        pytest.param(
            {"FrontDoor": "rest-api"}, "https://not-known-yet.execute-api.eu-central-1.amazonaws.com", id="REST API"
        ),
        pytest.param({"FrontDoor": "function-url"}, "https://not-known-yet.invalid", id="function URL"),
        pytest.param({"KnownOrigin": "https://a.example"}, "https://a.example", id="what is known"),
        pytest.param(
            {"KnownOrigin": "https://a.example", "DomainName": "b.example"}, "https://b.example", id="domain name"
        ),
        pytest.param(
            {"DomainName": "b.example", "PublicUrl": "https://c.example"}, "https://c.example", id="public URL"
        ),
    ],
)
def test_origin_is_the_nearest_that_is_named(said: dict[str, str], origin: str) -> None:
    assert filled(**said).variables("Function")["BEARERGATE_PUBLIC_URL"] == origin


@pytest.mark.parametrize("clients", ["a1,b2", ""], ids=["two clients", "no clients"])
def test_settings_of_an_existing_pool_whose_keys_are_packaged_are_what_they_are_without(clients: str) -> None:
    pool = {"UserPool": "existing", "CognitoUserPoolId": POOL, "CognitoClientIds": clients}
    for function in ("Function", "AuthorizerFunction"):
        (written,) = json.loads(filled(**pool, KeysFile="keys/a.json").variables(function)["BEARERGATE_ISSUERS"])
        values: dict[str, Any] = {}
        add_cognito(values, filled(**pool).variables(function), [])
        assert written.pop("jwks_file") == "keys/a.json"
        assert {key: value for key, value in written.items() if value} == values["issuers"][0]


def named_in(part: object) -> set[str]:
    """The parameters that a part of the template is made from, conditions and the origin included."""
    if isinstance(part, list):
        return {name for each in part for name in named_in(each)}
    if not isinstance(part, dict):
        return set()
    found = {name for key, each in part.items() if key != "Condition" for name in named_in(each)}
    texts = part.get("Fn::Sub", "") if isinstance(part.get("Fn::Sub"), str) else (part.get("Fn::Sub") or [""])[0]
    names = {part.get("Ref", ""), part.get("Fn::GetAtt", ""), *re.findall(r"\$\{([^}]+)\}", texts)}
    conditions = {name for name in (part.get("Fn::Condition"), (part.get("Fn::If") or [None])[0]) if name}
    found |= {name for each in conditions for name in named_in(template()["Conditions"][each])}
    if "Origin.Value" in names:
        found |= named_in(template()["Resources"]["Origin"]["Properties"])
    if "AuthorizerFunction.Arn" in names:
        found |= named_in(template()["Resources"]["AuthorizerFunction"]["Properties"]["FunctionName"])
    return {*found, *(names & template()["Parameters"].keys())}


def test_rest_api_is_deployed_again_when_what_it_is_made_from_changes() -> None:
    """A stage goes on with the authorizer, the responses and the integrations of its deployment."""
    kinds = ("Method", "Resource", "Authorizer", "GatewayResponse")
    made = [
        each for each in template()["Resources"].values() if each["Type"] in {f"AWS::ApiGateway::{k}" for k in kinds}
    ]
    assert len(made) == 9
    needed = {name for each in made for name in named_in(each["Properties"])}
    assert needed - {"FunctionName"} == {*STAGED}, "a stack is of one function"


def test_refusals_of_the_authorizer_raise_the_same_alarm() -> None:
    made = template()["Resources"]
    filters = [made[name]["Properties"] for name in ("Refusals", "AuthorizerRefusals")]
    assert filters[0]["MetricTransformations"] == filters[1]["MetricTransformations"]
    assert filters[0]["FilterPattern"] == filters[1]["FilterPattern"]
    assert [each["LogGroupName"]["Ref"] for each in filters] == ["LogGroup", "AuthorizerLogGroup"]


def test_web_pages_can_read_what_a_rest_api_refuses_itself() -> None:
    made = [each["Properties"] for each in template()["Resources"].values() if each["Type"].endswith("GatewayResponse")]
    allowed = {each["ResponseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"] for each in made}
    exposed = {each["ResponseParameters"]["gatewayresponse.header.Access-Control-Expose-Headers"] for each in made}
    assert (allowed, exposed) == ({"'*'"}, {"'WWW-Authenticate, Mcp-Session-Id'"})


def test_domain_name_stays_when_one_kind_of_api_takes_the_place_of_the_other() -> None:
    """Two resources of one name would be in each other's way: the new one is made first."""
    kinds = [each["Type"] for each in template()["Resources"].values()]
    assert [kind for kind in kinds if kind.endswith("::DomainName")] == ["AWS::ApiGatewayV2::DomainName"]
    assert template()["Resources"]["ApiDomain"]["Condition"] == "ApiHasDomain"
