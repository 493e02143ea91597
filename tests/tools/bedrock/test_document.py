"""docs/bedrock.md is true: its settings load, its tables are complete, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer

from tools.bedrock import plugin, prices
from tools.bedrock.access import Caller, account_for
from tools.bedrock.reports import Reports
from tools.bedrock.sample import Sample
from tools.bedrock.server import register_reports
from tools.bedrock.settings import Settings, load

FILE = Path(__file__).resolve().parents[3] / "docs" / "bedrock.md"
PAGE = FILE.read_text()
PRICES, SETTINGS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_settings_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "bedrock.yaml").write_text(SETTINGS)
    (tmp_path / "prices.yaml").write_text(PRICES)
    settings = load({}, tmp_path)
    own = account_for(settings, None, Caller("a", frozenset({"platform"})))
    other = account_for(settings, "444455556666", Caller("a", frozenset({"finance"})))
    assert own is not None
    assert other is not None
    assert (own.role, other.external_id) == (None, "c8b1f7e2-bearergate")
    assert prices.load(settings.prices).of("claude-sonnet-5-20260901-v1:0") is not None


def test_every_setting_is_in_its_table() -> None:
    table = PAGE[PAGE.index("| key | default |") :]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(Settings.__struct_fields__)


async def test_every_argument_and_scope_is_told() -> None:
    server = MCPServer("bedrock", log_level="ERROR")
    register_reports(server, Reports(Settings(sample=True), prices.load(None), Sample()))
    async with Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    arguments = set(tools["get_bedrock_usage_report"].input_schema["properties"])
    table = PAGE[PAGE.index("| argument | default |") :]
    assert set(re.findall(r"^\| `(\w+)`", table[: table.index("\n\n")], re.MULTILINE)) == arguments
    assert set(tools["get_bedrock_spend_report"].input_schema["properties"]) == arguments
    for needs in plugin.needs:
        for scope in needs.scopes:
            assert f"| `{needs.name}` | `{scope}` |" in PAGE


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((\.\./[^)]+)\)", PAGE))))
def test_links_lead_somewhere(link: str) -> None:
    assert (FILE.parent / link).exists()
