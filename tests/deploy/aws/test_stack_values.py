"""What only the stack knows goes over the settings of its one resource, and leaves everything else of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.aws_lambda import instance
from deploy.stack_values import FACADE, RESOURCE, SEAL_KEYS_FILE, function_values
from gateway.sources import SettingsError, parse

ORIGIN = "https://mcp.example.com"
POOL = {"path": "/mcp", "scopes": [f"{ORIGIN}/mcp/mcp:use"], "scope_prefix": f"{ORIGIN}/mcp/"}
TOOLS = {**POOL, "tool_scopes": {"a": "a:read", "b": "b:read"}}
RULE = {"tools": ["*"], "groups": ["admins"]}


def values(tmp_path: Path, settings: dict[str, Any], **said: object) -> tuple[dict[str, Any], list[str]]:
    file = tmp_path / "bearergate.yaml"
    file.write_text(yaml.safe_dump({"public_url": ORIGIN, "issuers": [{"issuer": "https://i.example"}]} | settings))
    return function_values({name: json.dumps(value) for name, value in said.items()}, str(file))


@pytest.mark.parametrize(
    ("settings", "said", "made"),
    [
        pytest.param(None, {"path": "/mcp"}, {"path": "/mcp"}, id="no resource in the settings"),
        pytest.param(
            {"rules": [RULE], "tools": ["greetings"]},
            POOL,
            {**POOL, "rules": [RULE], "tools": ["greetings"]},
            id="rules",
        ),
        pytest.param(
            {"scopes": ["more", *POOL["scopes"]]}, POOL, {**POOL, "scopes": [*POOL["scopes"], "more"]}, id="scopes"
        ),
        pytest.param(
            {"upstream": {"url": "http://a", "preserve_host": True}},
            {"path": "/mcp", "upstream": {"url": "http://b"}},
            {"path": "/mcp", "upstream": {"url": "http://b", "preserve_host": True}},
            id="another address of an upstream",
        ),
        pytest.param(
            {"upstream": None},
            {"path": "/mcp", "upstream": {"url": "http://b"}},
            {"path": "/mcp", "upstream": {"url": "http://b"}},
            id="no upstream in the settings",
        ),
        pytest.param(
            {"scopes": ["more"]},
            TOOLS,
            {**POOL, "scopes": [*POOL["scopes"], "more", "a:read", "b:read"]},
            id="all tools",
        ),
        pytest.param(
            {"tools": ["b"]}, TOOLS, {**POOL, "tools": ["b"], "scopes": [*POOL["scopes"], "b:read"]}, id="one"
        ),
        pytest.param({"tools": []}, TOOLS, {**POOL, "tools": []}, id="no tools"),
        pytest.param(
            {"upstream": {"url": "http://a"}},
            TOOLS,
            {**POOL, "upstream": {"url": "http://a"}},
            id="an upstream's tools",
        ),
        pytest.param({"command": {"run": ["x"]}}, TOOLS, {**POOL, "command": {"run": ["x"]}}, id="a command's tools"),
        pytest.param({"scopes": "use"}, POOL, {**POOL, "scopes": "use"}, id="what is no list is left to be refused"),
    ],
)
def test_resource_keeps_what_the_stack_says_nothing_of(
    tmp_path: Path, settings: dict[str, Any] | None, said: dict[str, Any], made: dict[str, Any]
) -> None:
    found, problems = values(tmp_path, {} if settings is None else {"resources": [settings]}, **{RESOURCE: said})
    assert (found["resources"], problems) == ([made], [])


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        pytest.param("/mcp", [], id="the first, which names none"),
        pytest.param("/b", [], id="the second"),
        pytest.param(
            "/c", ["resources: none has the path /c, which the front door leads to; see ResourcePath"], id="none"
        ),
    ],
)
def test_of_several_resources_one_is_where_the_front_door_leads(tmp_path: Path, path: str, problem: list[str]) -> None:
    several = [{"tools": ["greetings"]}, {"path": "/b"}]
    found, problems = values(tmp_path, {"resources": several}, **{RESOURCE: {"path": path}})
    assert (found["resources"], problems) == (several, problem)


def test_pool_of_the_stack_is_for_one_resource(tmp_path: Path) -> None:
    _, (problem,) = values(tmp_path, {"resources": [{}, {"path": "/b"}]}, **{RESOURCE: POOL})
    assert problem.startswith("resources: a user pool of the stack, or its upstream, is for one resource; leave one")


@pytest.mark.parametrize("wrong", ["/mcp", ["/mcp"]])
def test_resources_that_are_none_are_left_to_be_refused(tmp_path: Path, wrong: object) -> None:
    found, problems = values(tmp_path, {"resources": wrong}, **{RESOURCE: POOL})
    with pytest.raises(SettingsError, match=r"resources.*: must be"):
        parse(found, problems)


def test_facade_keeps_what_is_not_about_its_issuer(tmp_path: Path) -> None:
    facade = {
        "client_id": "old",
        "client_secret": "x",
        "issuer": "https://i.example",
        "kind": "okta",
        "registration": False,
    }
    said = {"client_id": "new", "client_secret_file": "aws:secretsmanager:facade"}
    found, _ = values(tmp_path, {"facade": facade}, **{FACADE: said})
    assert found["facade"] == {"registration": False, **said}
    found, _ = values(tmp_path, {"facade": "off"}, **{FACADE: said})
    assert found["facade"] == said


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        pytest.param({}, "aws:secretsmanager:made", id="none in the settings"),
        pytest.param({"seal_keys_file": "aws:ssm:/mine"}, "aws:ssm:/mine", id="those of the settings"),
        pytest.param({"seal_keys": ["a"]}, None, id="in the settings themselves"),
    ],
)
def test_seal_keys_of_the_stack_are_there_where_the_settings_name_none(
    tmp_path: Path, settings: dict[str, Any], named: str | None
) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(settings))
    found, _ = function_values({SEAL_KEYS_FILE: "aws:secretsmanager:made"}, str(tmp_path / "a.yaml"))
    assert found.get("seal_keys_file") == named


def test_what_a_stack_says_that_is_no_json_keeps_the_function_from_starting(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        yaml.safe_dump({"public_url": ORIGIN, "issuers": [{"issuer": "https://i.example"}]})
    )
    with pytest.raises(SettingsError, match="STACK_RESOURCE: not valid JSON"):
        instance({RESOURCE: '{"path": "/a"b"}'}, str(tmp_path / "a.yaml"))
