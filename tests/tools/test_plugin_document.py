"""docs/plugins.md is true: its plugin is built from the page, checked, served and protected as the page says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from mcp.types import TextResourceContents

from deploy.assembly import assemble, with_rules
from deploy.check import print_report
from gateway.settings import ResourceSettings
from gateway.sources import load
from tests.gated import Gated, gated
from tests.tools.conftest import Install
from tests.tools.front import MODERN, call, connected, fronted, messages, request, text
from tools.registry import find
from tools.server import app, check

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text()
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
SETTINGS = FILES.pop("bearergate.yaml")
(REPORT,) = re.findall(r"it says, among other things:\n\n```text\n(.*?)```", PAGE, re.DOTALL)
MODES = pytest.mark.parametrize("mode", ["legacy", MODERN])


@pytest.fixture(autouse=True)
def _installed(install: Install) -> None:
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    install(project["name"], project["entry-points"]["bearergate.tools"], FILES)


def test_page_has_all_files_of_its_tree() -> None:
    tree = re.findall(r"[├└]── (\S+\.\w+)", PAGE)
    assert sorted(Path(name).name for name in FILES) == sorted(tree)


def test_plugin_is_found_and_good_to_serve() -> None:
    (plugin,) = find(["weather"])
    check([plugin])


def test_check_says_what_the_page_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bearergate.yaml").write_text(SETTINGS)
    print_report(load(tmp_path / "bearergate.yaml"))
    said = capsys.readouterr().out.splitlines()
    assert REPORT.splitlines()
    assert [line for line in said if line in REPORT.splitlines()] == REPORT.splitlines()


@MODES
async def test_stock_client_uses_everything(mode: str) -> None:
    async with fronted(app(find(["weather"]))) as http:
        async with connected(http, mode) as client:
            assert text(await client.call_tool("forecast")) == "Sun in London"
            assert text(await client.call_tool("set-home", {"city": "Oslo"})) == "You live in Oslo."
            assert text(await client.call_tool("forecast")) == "Sun in Oslo"
            (content,) = (await client.read_resource("weather://cities/Rome")).contents
            assert isinstance(content, TextResourceContents)
            assert content.text == "Sun in Rome"
            prompt = await client.get_prompt("packing-list", {"city": "Rome"})
            assert "weather://cities/Rome" in str(prompt.messages[0].content)
        for other in ("bob", "machine called alice"):  # neither is alice
            async with connected(http, mode, other) as client:
                assert text(await client.call_tool("forecast")) == "Sun in London"


@pytest.fixture
async def gate(tmp_path: Path, _installed: None) -> AsyncIterator[Gated]:
    (tmp_path / "bearergate.yaml").write_text(SETTINGS)
    (resource,) = assemble(load(tmp_path / "bearergate.yaml")).settings.resources
    protected = {"scopes": resource.scopes, "rules": msgspec.to_builtins(resource.rules)}
    async with gated(app=app(find(["weather"]), sessions=False), resource=protected) as running:
        yield running


async def test_list_shows_what_the_caller_may_use(gate: Gated) -> None:
    for scopes, shown in (
        (["weather:read"], {"forecast"}),
        (["weather:read", "weather:write"], {"forecast", "set-home"}),
    ):
        (answer,) = messages(await gate.post(gate.token(scopes=scopes), request("tools/list")))
        assert {tool["name"] for tool in answer["result"]["tools"]} == shown


async def test_call_without_a_scope_is_challenged_with_every_scope_and_not_made(gate: Gated) -> None:
    token = gate.token(scopes=["weather:read"])
    refused = await gate.post(token, call("set-home", city="Oslo"))
    assert refused.status_code == 403
    assert 'scope="weather:read weather:write"' in refused.headers["www-authenticate"]
    batch = await gate.post(token, [call("forecast", 1), call("set-home", 2, city="Oslo")])
    assert batch.status_code == 403
    (answer,) = messages(await gate.post(token, call("forecast")))
    assert answer["result"]["content"][0]["text"] == "Sun in London"


def test_prefix_makes_the_long_name_of_a_scope() -> None:
    resource = ResourceSettings(scope_prefix="https://mcp.example.com/mcp/")
    (rule, *_) = with_rules(resource, find(["weather"])).rules
    assert rule.scopes == ["https://mcp.example.com/mcp/weather:read"]
    assert f'scope_prefix: "{resource.scope_prefix}"' in PAGE
    assert rule.scopes[0] in PAGE
