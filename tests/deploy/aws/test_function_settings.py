"""What the function will read is judged before anything is sent to AWS: settings, options, and the two together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.aws_access import Aws, AwsRefused
from deploy.aws_options import BadOption
from deploy.function_settings import judge, public_url, resource_path
from deploy.key_snapshot import Snapshots
from deploy.parameters import Parameters
from deploy.stack import Stack, stack_name
from deploy.stack_values import function_values
from gateway.sources import SettingsError
from tests.deploy.aws.cloudformation import ACCOUNT, POOL, REGION, Cloud, surroundings
from tests.deploy.aws.conftest import OUTPUTS
from tests.deploy.aws.driven import Driver

ISSUERS = [{"issuer": "https://issuer.example"}]
SETTINGS: dict[str, Any] = {"public_url": "http://127.0.0.1:8000", "issuers": ISSUERS}
NEW = {"UserPool": "new", "CognitoDomain": "acme-new"}
KEPT = {"UserPool": "kept", "CognitoUserPoolId": POOL}
EXISTING = {"UserPool": "existing", "CognitoUserPoolId": POOL, "CognitoClientIds": "a1"}
UPSTREAM = {"UpstreamUrl": "https://up.example/mcp"}
DOMAIN = {"DomainName": "mcp.example.com"}
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/bearergate:1"
LINES = ("--new-pool", "--cognito-domain", "acme-new")
RULE = {"tools": ["*"], "groups": ["admins"]}


def no_keys(_: Iterable[Mapping[str, Any]], __: Iterable[str]) -> Snapshots:
    return Snapshots({}, {}, [])


def written(folder: Path, settings: Mapping[str, Any]) -> Path:
    file = folder / "bearergate.yaml"
    file.write_text(yaml.safe_dump(dict(settings)))
    return file


def judged(folder: Path, settings: Mapping[str, Any] | None, said: Mapping[str, str], **others: Any) -> list[str]:
    """The notes, where the function would start; but for the one about scopes of tools, which most have."""
    file = None if settings is None else written(folder, settings)
    notes = judge(file, Parameters({"FunctionName": "bearergate", **said}, {}), REGION, **others)
    return [note for note in notes if not note.startswith("no login asks for ")]


def refusal(folder: Path, settings: Mapping[str, Any] | None, said: Mapping[str, str], **others: Any) -> str:
    with pytest.raises((SettingsError, BadOption)) as refused:
        judged(folder, settings, said, **others)
    return str(refused.value)


@pytest.mark.parametrize("pool", [NEW, KEPT], ids=["new pool", "kept pool"])
def test_mistake_in_the_settings_is_found_whatever_the_pool_is(tmp_path: Path, pool: dict[str, str]) -> None:
    said = refusal(tmp_path, {**SETTINGS, "issuerss": [], "leeway": "soon"}, pool)
    assert "issuerss: not a setting; did you mean issuers?" in said
    assert "leeway: must be a number" in said


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        pytest.param({"PublicUrl": "https://MCP.Example.com"}, "public_url (--public-url): write it as", id="capitals"),
        pytest.param({"PublicUrl": "https://a.example:99999"}, "public_url (--public-url): ", id="port"),
        pytest.param({"KnownOrigin": "https://A.example"}, "public_url: write it as https://a.example", id="settings"),
        pytest.param({"DomainName": "-a.example.com"}, "public_url (--domain-name): ", id="domain name"),
        pytest.param({"ResourcePath": "oauth"}, "resources[0].path (--resource-path): /oauth is a path", id="path"),
        pytest.param({"ResourcePath": ".."}, "resources[0].path (--resource-path): '/..' must begin", id="dots"),
        pytest.param(
            {"UpstreamUrl": "https://user:pw@a.example"},
            "resources[0].upstream.url (--upstream-url): holds a name or password",
            id="password",
        ),
        pytest.param({"UpstreamUrl": 'https://a"b'}, "STACK_RESOURCE: not valid JSON", id="quote"),
    ],
)
@pytest.mark.parametrize("pool", [NEW, EXISTING], ids=["new pool", "existing pool"])
def test_option_with_which_the_function_would_not_start_is_named(
    tmp_path: Path, pool: dict[str, str], said: dict[str, str], sentence: str
) -> None:
    assert sentence in refusal(tmp_path, None, pool | said)
    assert sentence in refusal(tmp_path, None, said, image=True)


def test_clients_of_an_existing_pool_that_are_missing_are_named_with_their_option(tmp_path: Path) -> None:
    said = refusal(tmp_path, None, EXISTING | {"CognitoClientIds": ""})
    assert said.startswith("issuers[0].client_ids (--cognito-client-ids): no audience rule")


def test_authorizer_that_remembers_is_for_one_resource(tmp_path: Path) -> None:
    settings = {**SETTINGS, "resources": [{"path": "/mcp"}, {"path": "/b"}]}
    authorizer = {"Authorizer": "on", "AuthorizerCacheSeconds": "300"}
    said = refusal(tmp_path, settings, authorizer)
    assert said.startswith("--authorizer-cache-seconds: must be 0, for ")
    assert judged(tmp_path, settings, authorizer | {"AuthorizerCacheSeconds": "0"}) == []
    assert judged(tmp_path, SETTINGS, authorizer) == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param(
            {"audit_log": "/var/log/audit.jsonl"}, "audit_log: /var/log/audit.jsonl cannot be", id="audit log"
        ),
        pytest.param(
            {"resources": [{"upstream": {"url": "http://a", "credential": {"variable": "PATH"}}}]},
            "resources[0].upstream.credential.variable: the function has no variable PATH",
            id="variable",
        ),
        pytest.param({"resources": [{"tools": ["mine"]}]}, "resources[0].tools: mine is not packaged", id="tools"),
        pytest.param(
            {"resources": [{"cedar": {"file": "absent.cedar"}}]},
            "resources[0].cedar: ",
            id="policies that are not there",
        ),
        pytest.param(
            {"seal_keys_file": "aws:kms:x"}, "seal_keys_file: aws:kms:x names no secret; write aws:", id="no secret"
        ),
    ],
)
def test_what_a_package_does_not_have_is_refused(tmp_path: Path, settings: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(tmp_path, SETTINGS | settings, {})


def test_files_are_looked_for_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.cedar").write_text("permit(principal, action, resource);")
    settings = {**SETTINGS, "resources": [{"cedar": {"file": "mine.cedar"}, "tools": ["greetings"]}]}
    assert judged(tmp_path, settings, {}) == []


SECRETS: dict[str, Any] = {
    **SETTINGS,
    "seal_keys_file": "aws:secretsmanager:seal",
    "identity_key_file": "aws:ssm:/identity",
    "facade": {"client_id": "a1", "client_secret_file": "aws:secretsmanager:facade"},
    "resources": [
        {
            "cedar": {"file": "aws:ssm:/policies"},
            "upstream": {
                "url": "https://up.example/mcp",
                "identity": {},
                "client_certificate_file": "here.pem",
                "client_key_file": "aws:secretsmanager:key",
                "credential": {"file": "aws:secretsmanager:upstream"},
            },
        }
    ],
}


def test_secrets_at_aws_are_not_looked_for_here(tmp_path: Path) -> None:
    assert judged(tmp_path, SECRETS, {}) == []


def test_authorizer_that_would_have_to_read_a_secret_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, SECRETS, {"Authorizer": "on"})
    assert said.startswith("--auth-method lambda: resources[0].cedar: ")
    readable = {
        **SECRETS,
        "resources": [{key: each for key, each in SECRETS["resources"][0].items() if key != "cedar"}],
    }
    assert judged(tmp_path, readable, {"Authorizer": "on"}) == []
    assert judged(tmp_path, None, {"Authorizer": "on"}, image=True) == []


def test_files_of_an_image_are_not_looked_for_here(tmp_path: Path) -> None:
    in_image = yaml.safe_load(yaml.safe_dump(SECRETS).replace("aws:ssm:/", "").replace("aws:secretsmanager:", ""))
    assert judged(tmp_path, in_image, {}, image=True) == []
    in_image["resources"][0]["upstream"]["credential"] = {"variable": "OF_THE_IMAGE"}
    assert judged(tmp_path, in_image, {}, image=True) == []
    assert "seal_keys_file" in refusal(tmp_path, in_image, {})


@pytest.mark.parametrize("said", [NEW, KEPT, NEW | UPSTREAM], ids=["new pool", "kept pool", "new pool, upstream"])
def test_pool_of_the_stack_keeps_the_rules_of_the_settings(tmp_path: Path, said: dict[str, str]) -> None:
    settings = {**SETTINGS, "resources": [{"rules": [RULE], "name": "Mine"}]}
    notes = judged(tmp_path, settings, said)
    assert notes == ["issuers of the settings are not used: tokens come from the user pool of the stack"]


@pytest.mark.parametrize(
    ("resource", "missing"),
    [
        pytest.param({}, "bedrock:spend, greetings:many, prompts:write", id="all own tools"),
        pytest.param({"tools": ["greetings"]}, "greetings:many", id="one plugin"),
        pytest.param({"tools": ["greetings"], "scopes": ["greetings:many"]}, "", id="all named"),
        pytest.param({"tools": []}, "", id="no tools"),
        pytest.param({"upstream": {"url": "https://up.example"}}, "", id="an upstream"),
    ],
)
def test_scopes_that_no_login_asks_for_are_named(tmp_path: Path, resource: dict[str, Any], missing: str) -> None:
    """Behind the front doors of AWS no step-up can ask for them later."""
    server = "https://mcp.example.com/mcp"
    scopes = {"scopes": [f"{server}/{scope}" for scope in resource["scopes"]]} if "scopes" in resource else {}
    file = written(tmp_path, {"resources": [resource | scopes]})
    notes = judge(file, Parameters({"FunctionName": "bearergate", **NEW, **DOMAIN}, {}), REGION)
    found = [note for note in notes if note.startswith("no login asks for ")]
    names = ", ".join(f"{server}/{scope}" for scope in missing.split(", "))
    assert [note.partition(", and behind")[0] for note in found] == ([f"no login asks for {names}"] if missing else [])


def test_tools_of_an_image_are_not_looked_for_here(tmp_path: Path) -> None:
    file = written(tmp_path, {**SETTINGS, "resources": [{"tools": ["only-in-the-image"]}]})
    assert judge(file, Parameters({"FunctionName": "bearergate"}, {}), REGION, image=True) == []
    with pytest.raises(SettingsError, match="only-in-the-image is not packaged"):
        judge(file, Parameters({"FunctionName": "bearergate"}, {}), REGION)


def test_scope_that_the_pool_of_the_stack_does_not_have_is_named(tmp_path: Path) -> None:
    resource = {"scopes": ["use"], "rules": [{"tools": ["*"], "scopes": ["admin"]}]}
    said = refusal(tmp_path, {"resources": [resource]}, NEW | DOMAIN).splitlines()
    assert said[0].startswith(
        "resources[0].scopes: the user pool of the stack has no scope use, so nobody could have it"
    )
    assert said[1].startswith("resources[0].rules[0].scopes: the user pool of the stack has no scope admin")
    assert "one of bedrock:read, bedrock:spend, greetings:many, greetings:read, mcp:use, " in said[1]


@pytest.mark.parametrize(
    ("said", "origin"),
    [pytest.param(NEW | DOMAIN, "", id="own domain"), pytest.param(NEW, "https://mcp.example.com", id="known already")],
)
def test_scopes_of_the_pool_can_be_asked_for(tmp_path: Path, said: dict[str, str], origin: str) -> None:
    server = "https://mcp.example.com/mcp"
    rules = [{"tools": ["a"], "scopes": [f"{server}/bedrock:read"]}, {"tools": ["b"], "scopes": ["implied"]}]
    settings = {"resources": [{"rules": rules}], "scope_hierarchy": {f"{server}/mcp:use": ["implied"]}}
    assert judged(tmp_path, settings, said, origin=origin) == []


def test_two_resources_and_one_pool_of_the_stack_are_refused(tmp_path: Path) -> None:
    settings = {"public_url": "https://a.example", "resources": [{"path": "/mcp"}, {"path": "/b"}]}
    for said in (NEW, EXISTING | UPSTREAM):
        assert "a user pool of the stack, or its upstream, is for one resource" in refusal(tmp_path, settings, said)


def test_issuers_and_an_existing_pool_are_refused(tmp_path: Path) -> None:
    assert "--cognito-user-pool-id: " in refusal(tmp_path, SETTINGS, EXISTING)


def test_upstream_whose_sessions_nothing_seals_is_named(tmp_path: Path) -> None:
    settings = {**SETTINGS, "resources": [{"upstream": {"url": "https://up.example/mcp"}}]}
    (note,) = judged(tmp_path, settings, {})
    assert note.startswith("sessions of an upstream end with each instance of the function")
    assert judged(tmp_path, SETTINGS, UPSTREAM) == [], "the stack makes keys for its own"


@pytest.mark.parametrize(
    ("resources", "said", "path"),
    [
        pytest.param(None, {}, "mcp", id="nothing said"),
        pytest.param(None, {"ResourcePath": "tools"}, "tools", id="by the option"),
        pytest.param([{"tools": []}], {"ResourcePath": "tools"}, "tools", id="settings that name none"),
        pytest.param([{"path": "/tools"}], {}, "tools", id="by the settings"),
        pytest.param([{"path": "/tools"}], {"ResourcePath": "tools"}, "tools", id="by both"),
        pytest.param([{"path": "/a"}, {"path": "/b"}], {}, "a", id="first of several"),
        pytest.param([{"path": "/a"}, {"path": "/b"}], {"ResourcePath": "b"}, "b", id="one of several"),
        pytest.param([{"path": "/a"}, {}], {}, "mcp", id="one that names none"),
        pytest.param("wrong", {}, "mcp", id="no list, which is refused elsewhere"),
    ],
)
def test_path_of_the_front_door_is_that_of_the_settings(resources: object, said: dict[str, str], path: str) -> None:
    values = {} if resources is None else {"resources": resources}
    assert resource_path(values, Parameters({"FunctionName": "a", **said}, {})) == path


@pytest.mark.parametrize(
    ("path", "said", "sentence"),
    [
        pytest.param("/tools", {"ResourcePath": "mcp2"}, "--resource-path mcp2: the settings say /tools", id="another"),
        pytest.param("/a/b", {}, "resources\\[0\\].path: the front door leads to one segment", id="two segments"),
        pytest.param("/", {}, "one segment, such as /mcp, and not to /", id="no segment"),
    ],
)
def test_path_that_no_front_door_has_is_refused(path: str, said: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadOption, match=sentence):
        resource_path({"resources": [{"path": path}]}, Parameters({"FunctionName": "a", **said}, {}))


@pytest.mark.parametrize(
    ("named", "url"),
    [
        pytest.param("https://a.example/", "https://a.example", id="slash"),
        pytest.param("http://127.0.0.1:8000", "", id="laptop"),
        pytest.param(None, "", id="none"),
        pytest.param(["https://a.example"], "", id="no text"),
    ],
)
def test_public_url_of_the_settings_is_taken_where_aws_could_serve_it(named: object, url: str) -> None:
    assert public_url({} if named is None else {"public_url": named}) == url


def test_public_url_goes_with_the_settings(driver: Driver) -> None:
    driver.take = no_keys
    written(driver.folder, {**SETTINGS, "public_url": "https://a.example.com"})
    assert "Note: clients are told https://a.example.com, which is to lead to this front door" in driver.deploy()
    assert "No changes" in driver.deploy()
    written(driver.folder, {**SETTINGS, "public_url": "https://b.example.com"})
    certificate = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1b2f8d1e"
    driver.deploy("--domain-name", "b.example.com", "--certificate-arn", certificate)
    known = {"PublicUrl": "", "KnownOrigin": "https://b.example.com", "DomainName": "b.example.com"}
    assert known.items() <= driver.parameters().items()
    written(driver.folder, SETTINGS)
    assert "clients are told" not in driver.deploy("--domain-name", "", "--certificate-arn", "")
    assert driver.parameters()["KnownOrigin"] == ""


def test_public_url_of_settings_in_an_image_stays(driver: Driver) -> None:
    file = written(driver.folder, {**SETTINGS, "public_url": "https://a.example.com"})
    driver.deploy("--image-uri", IMAGE)
    file.unlink()
    assert "No changes" in driver.deploy()
    assert driver.parameters()["KnownOrigin"] == "https://a.example.com"


def test_path_of_the_settings_is_that_of_the_stack(driver: Driver) -> None:
    driver.take = no_keys
    written(driver.folder, {**SETTINGS, "resources": [{"path": "/tools"}]})
    driver.deploy("--auth-method", "lambda")
    assert driver.parameters()["ResourcePath"] == "tools"


def test_pool_over_settings_with_rules_ends_in_a_gate_with_them(driver: Driver, aws: Cloud) -> None:
    driver.take = no_keys
    aws.pool_made = "eu-central-1_MadeHere1"
    written(driver.folder, {**SETTINGS, "resources": [{"rules": [RULE]}]})
    assert "Note: issuers of the settings are not used" in driver.deploy(*LINES)
    (driver.folder / "held.yaml").write_bytes(driver.held()["bearergate.yaml"])
    said = {"STACK_RESOURCE": '{"path": "/mcp", "scopes": ["use"]}'}
    values, _ = function_values(said, str(driver.folder / "held.yaml"))
    assert values["resources"] == [{"path": "/mcp", "scopes": ["use"], "rules": [RULE]}]


def test_refusal_of_settings_changes_nothing(driver: Driver, aws: Cloud) -> None:
    written(driver.folder, {**SETTINGS, "nonsense": 1})
    with pytest.raises(SettingsError, match="nonsense: not a setting"):
        driver.deploy(*LINES)
    assert aws.changing() == []


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        pytest.param(
            ["--image-uri", IMAGE], ["--image-uri", ""], "is an image, and AWS does not make a package", id="image"
        ),
        pytest.param([], ["--image-uri", IMAGE], "is a package, and AWS does not make an image", id="package"),
    ],
)
def test_package_and_image_do_not_take_each_others_place(
    driver: Driver, aws: Cloud, before: list[str], after: list[str], sentence: str
) -> None:
    driver.take = no_keys
    pool = ("--cognito-user-pool-id", POOL, "--cognito-client-ids", "a1")
    driver.deploy(*pool, *before)
    aws.asked.clear()
    with pytest.raises(BadOption, match=f"The function bearergate {sentence} of it: remove it first"):
        driver.deploy(*after)
    assert aws.changing() == []


def test_cloudformation_of_ours_makes_no_image_of_a_package(driver: Driver, aws: Cloud) -> None:
    driver.deploy("--image-uri", IMAGE)
    (stack,) = aws.stacks.values()
    assert stack.made_from is not None
    stack.made_from = (stack.made_from[0], stack.made_from[1] | {"ImageUri": ""})
    with surroundings(driver.folder, aws.environment()):
        ours = Stack(Aws(None).client("cloudformation"), "bearergate")
        change_set = ours.prepare(stack.made_from[0], Parameters({"ImageUri": IMAGE}, stack.made_from[1]).sent())
        assert change_set is not None
        with pytest.raises(
            AwsRefused, match="Function failed: CloudFormation cannot update a stack when a custom-named"
        ):
            list(ours.apply(change_set))


@pytest.mark.parametrize(
    ("function", "stack"),
    [
        pytest.param("my-mcp", r"my-mcp", id="as it is"),
        pytest.param("my_mcp", r"function-my-mcp-[0-9a-f]{8}", id="underscore"),
        pytest.param("3-tools", r"function-3-tools-[0-9a-f]{8}", id="digit first"),
    ],
)
def test_stack_of_a_function_is_named_after_it_as_far_as_stacks_can(function: str, stack: str) -> None:
    assert re.fullmatch(stack, stack_name(function))
    assert stack_name("my_mcp") != stack_name("my__mcp")


def test_function_whose_name_no_stack_can_have_is_deployed(driver: Driver, aws: Cloud) -> None:
    driver.deploy("--image-uri", IMAGE, "--function-name", "my_mcp")
    (stack,) = aws.stacks.values()
    assert stack.made_from is not None
    assert (stack.name, stack.made_from[1]["FunctionName"]) == (stack_name("my_mcp"), "my_mcp")
    assert stack.outputs == OUTPUTS
