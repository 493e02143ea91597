"""The page that hosts with MCP Apps show: a real browser, the host's sandbox and policy, mouse and keyboard."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.server.apps import APP_MIME_TYPE
from mcp.server.mcpserver import MCPServer
from mcp.types import TextResourceContents

from tests.official.node import ROOT, node
from tests.tools.bedrock.records import NOW
from tools.bedrock import prices
from tools.bedrock.reports import Reports
from tools.bedrock.sample import Sample
from tools.bedrock.server import PAGE_URI, register_reports
from tools.bedrock.settings import Settings

SECONDS = 90  # it takes three
SCREENSHOTS = ROOT / "screenshots"
USAGE, SPEND = "get_bedrock_usage_report", "get_bedrock_spend_report"

Step = Sequence[Any]
THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


@pytest.fixture(scope="module")
def program() -> str:
    """A Chromium that is on the machine; CI's always is."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("There is no chromium: CI installs it, or nobody has looked at the page.", pytrace=False)
    pytest.skip("there is no chromium on this machine")


def sample() -> MCPServer:
    server = MCPServer("bedrock", log_level="ERROR")
    settings = Settings(sample=True)
    register_reports(server, Reports(settings, prices.load(None), Sample(lambda: NOW), now=lambda: NOW))
    return server


async def answer(tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's answer over the sample, as a host hands it on."""
    async with Client(sample()) as client:
        return (await client.call_tool(tool, arguments)).model_dump(mode="json", by_alias=True)


async def view(
    tmp_path: Path, program: str, result: Any, steps: Sequence[Step], *, theme: str = "light", width: int = 900
) -> dict[str, Any]:
    """What became of the page in a host after these steps."""
    async with Client(sample()) as client:
        (page,) = (await client.read_resource(PAGE_URI)).contents
    assert isinstance(page, TextResourceContents)
    asked = {"program": program, "theme": theme, "width": width, "html": page.text, "result": result, "steps": steps}
    file = tmp_path / "host.json"
    file.write_text(json.dumps(asked))
    script = Path(__file__).with_name("host.mjs")
    ended = await asyncio.to_thread(node, file, script=script, seconds=SECONDS)
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout)
    assert seen["console"] == [], "neither an error nor anything the policy forbids"
    assert seen["asked"] == [], "no network"
    return seen


def look(name: str) -> Step:
    SCREENSHOTS.mkdir(exist_ok=True)
    return ("look", str(SCREENSHOTS / f"{name}.png"))


async def test_tools_and_page_know_each_other() -> None:
    async with Client(sample()) as client:
        tools = (await client.list_tools()).tools
        resources = (await client.list_resources()).resources
        (page,) = (await client.read_resource(PAGE_URI)).contents
    assert {tool.name: (tool.meta or {})["ui"] for tool in tools} == {
        name: {"resourceUri": "ui://bedrock/report.html"} for name in (USAGE, SPEND)
    }
    (listed,) = resources
    assert (str(listed.uri), listed.mime_type) == (PAGE_URI, APP_MIME_TYPE)
    assert page.mime_type == APP_MIME_TYPE
    assert page.meta == {"ui": {"csp": {}, "prefersBorder": True}}


async def test_page_names_no_address_to_load_from() -> None:
    async with Client(sample()) as client:
        (page,) = (await client.read_resource(PAGE_URI)).contents
    assert isinstance(page, TextResourceContents)
    assert set(re.findall(r"https?://[^\"'\s]+", page.text)) == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|@import|url\(", page.text)


@THEMES
async def test_usage_is_drawn_in_the_host_s_theme(tmp_path: Path, program: str, theme: str) -> None:
    result = await answer(USAGE, days=17)
    steps = [
        ("wait", "#report"),
        ("read", "title", "h1"),
        ("read", "badge", "#badge"),
        ("count", "bars", "#plot svg rect:not(.day)"),
        ("count", "days", "#plot svg rect.day"),
        ("style", "paper", "backgroundColor"),
        ("style", "ink", "color"),
        look(f"bedrock-usage-{theme}"),
    ]
    seen = await view(tmp_path, program, result, steps, theme=theme)
    report = result["structuredContent"]
    assert seen["read"]["title"] == "Bedrock usage, us-east-1"
    assert seen["read"]["badge"] == "Sample data"
    assert seen["read"]["days"] == len(report["daily"])
    assert seen["read"]["bars"] == sum(part["total_tokens"] > 0 for part in report["daily_models"])
    papers = {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 29)"}
    inks = {"light": "rgb(17, 17, 17)", "dark": "rgb(238, 238, 238)"}  # the host's own variable
    assert (seen["read"]["paper"], seen["read"]["ink"]) == (papers[theme], inks[theme])


async def test_person_uses_it_by_keyboard_alone(tmp_path: Path, program: str) -> None:
    result = await answer(USAGE, days=17)
    report = result["structuredContent"]
    steps = [
        ("wait", "#report"),
        ("reach", "#measures input:checked"),
        ("press", "ArrowRight"),
        ("reach", "#plot"),  # which tells the last day at once
        ("read", "last", "#told strong"),
        ("press", "Home"),
        ("read", "first", "#told strong"),
        ("press", "ArrowRight"),
        ("read", "second", "#told strong"),
        ("reach", "#models button"),  # the first
        ("press", "Space"),
        ("read", "without", "#told strong"),
        ("read", "list", "#told"),
    ]
    seen = (await view(tmp_path, program, result, steps))["read"]
    daily = report["daily"]
    for name, day in (("last", daily[-1]), ("first", daily[0]), ("second", daily[1])):
        assert seen[name] == f"{day['date']}: {day['input_tokens']:,} input"
    largest = max(report["models"], key=lambda model: model["total_tokens"])["name"]
    left = sum(
        part["input_tokens"]
        for part in report["daily_models"]
        if part["date"] == daily[1]["date"] and part["model"] != largest
    )
    assert seen["without"] == f"{daily[1]['date']}: {left:,} input"
    assert largest not in seen["list"]


async def test_table_holds_every_figure(tmp_path: Path, program: str) -> None:
    result = await answer(SPEND, days=10)
    steps = [
        ("wait", "#report"),
        ("said", "As a table"),
        ("focus", "details:first-of-type summary"),
        ("press", "Enter"),
        ("read", "table", "#table"),
        ("read", "badge", "#badge"),
        look("bedrock-spend-table"),
    ]
    seen = (await view(tmp_path, program, result, steps, theme="dark"))["read"]
    report = result["structuredContent"]
    figures = [float(cell) for cell in re.findall(r"\d+\.\d+(?=\s|$)", seen["table"])]
    assert sum(figures) == pytest.approx(report["total"], abs=0.01)
    assert seen["badge"] == "Sample data · Estimate"


async def test_narrow_host_shows_all_of_it(tmp_path: Path, program: str) -> None:
    steps = [("wait", "#report"), ("sized", 360), ("overflow", "overflows"), look("bedrock-usage-phone")]
    seen = await view(tmp_path, program, await answer(USAGE, days=17), steps, width=360)
    assert seen["read"]["overflows"] is False
    sizes = [said["params"] for said in seen["sent"] if said.get("method") == "ui/notifications/size-changed"]
    assert sizes[-1]["width"] == 360
    assert sizes[-1]["height"] > 500


async def test_view_that_is_hidden_names_no_size(tmp_path: Path, program: str) -> None:
    """A host gives a view the size it names: one that named that of its padding would stay as narrow."""
    steps = [("wait", "#report"), ("sized", 900), ("hide",), ("unhide",), ("wait", "#report")]
    seen = await view(tmp_path, program, await answer(USAGE, days=17), steps)
    widths = {said["params"]["width"] for said in seen["sent"] if said.get("method") == "ui/notifications/size-changed"}
    assert widths == {900}


async def test_theme_that_changes_is_followed(tmp_path: Path, program: str) -> None:
    changed = {"method": "ui/notifications/host-context-changed", "params": {"theme": "dark"}}
    steps = [
        ("wait", "#report"),
        ("toView", changed),
        ("wait", ":root[data-theme=dark]"),
        ("style", "paper", "backgroundColor"),
    ]
    seen = await view(tmp_path, program, await answer(USAGE), steps)
    assert seen["read"]["paper"] == "rgb(21, 24, 29)"


async def test_refusal_is_shown_as_the_tool_says_it(tmp_path: Path, program: str) -> None:
    result = await answer(USAGE, days=0)
    seen = await view(tmp_path, program, result, [("said", "days must be between"), ("read", "state", "#state")])
    assert seen["read"]["state"].endswith("days must be between 1 and 366, and 0 is not.")


async def test_host_is_answered_as_the_protocol_says(tmp_path: Path, program: str) -> None:
    steps = [
        ("toView", {"method": "ui/notifications/tool-cancelled", "params": {"reason": "x"}}),
        ("said", "The report was cancelled."),
        ("toView", {"id": 7, "method": "ui/resource-teardown", "params": {"reason": "x"}}),
        ("answered", 7),
        ("toView", {"id": 8, "method": "tools/list"}),
        ("answered", 8),
    ]
    seen = await view(tmp_path, program, None, [("said", "Waiting for the report"), *steps])
    first, *others = seen["sent"]
    assert first["method"] == "ui/initialize"
    assert first["params"].keys() == {"protocolVersion", "appInfo", "appCapabilities"}
    assert first["params"]["appCapabilities"] == {"availableDisplayModes": ["inline", "fullscreen"]}
    assert others[0] == {"jsonrpc": "2.0", "method": "ui/notifications/initialized"}
    assert {said["id"]: said.get("result", said.get("error", {}).get("code")) for said in others if "id" in said} == {
        7: {},
        8: -32601,
    }


async def test_names_from_a_log_are_never_markup(tmp_path: Path, program: str) -> None:
    result = await answer(USAGE, days=5)
    evil = '<img src=x onerror="document.title=1"><b id=evil>'
    report = result["structuredContent"]
    for part in report["daily_models"][:1]:
        part["model"] = evil
    report["region"] = report["not_covered"][0] = evil
    seen = await view(
        tmp_path, program, result, [("wait", "#report"), ("count", "evil", "#evil, img"), ("read", "h1", "h1")]
    )
    assert seen["read"] == {"evil": 0, "h1": f"Bedrock usage, {evil}"}


async def test_name_without_end_takes_no_more_than_its_room(tmp_path: Path, program: str) -> None:
    result = await answer(USAGE, days=5)
    for part in result["structuredContent"]["daily_models"]:
        part["model"] += "x" * 300
    steps = [("wait", "#report"), ("focus", "#plot"), ("press", "End"), ("overflow", "overflows")]
    assert (await view(tmp_path, program, result, steps, width=360))["read"] == {"overflows": False}


async def test_log_without_calls_is_an_empty_chart(tmp_path: Path, program: str) -> None:
    result = await answer(USAGE)
    result["structuredContent"] |= {"daily_models": [], "daily": []}
    steps = [("wait", "#report"), ("read", "told", "#told"), ("focus", "#plot"), ("press", "End")]
    seen = await view(tmp_path, program, result, steps)
    assert seen["read"]["told"] == "No calls in this time."


async def test_many_models_have_few_colours(tmp_path: Path, program: str) -> None:
    result = await answer(USAGE)
    report = result["structuredContent"]
    used = report["totals"]
    report["daily_models"] = [{"date": "2026-11-20", "model": f"model-{number:02}", **used} for number in range(30)]
    steps = [
        ("wait", "#report"),
        ("count", "models", "#models button"),
        ("focus", "#plot"),
        ("read", "told", "#told strong"),
    ]
    seen = await view(tmp_path, program, result, steps)
    assert seen["read"]["models"] == 9
    assert seen["read"]["told"] == f"2026-11-20: {30 * used['total_tokens']:,} total tokens"
