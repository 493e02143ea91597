"""The bundled sample: through the code that reads AWS, without AWS, and never taken for anything else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import ImageContent, TextContent

from tests.tools.bedrock.conftest import Ask, Clock
from tests.tools.bedrock.test_refusals import refused
from tools.bedrock import plugin
from tools.bedrock.insights import Limits, LogGroup, Span, read
from tools.bedrock.rows import Figures, Row
from tools.bedrock.sample import FILE, LOG_GROUP, REGION, Sample, SampleLogs, events
from tools.bedrock.server import register
from tools.server import check, load

USAGE, SPEND = "get_bedrock_usage_report", "get_bedrock_spend_report"


async def test_report_is_what_the_file_adds_up_to(tools: Ask, clock: Clock) -> None:
    async with tools(services=Sample(clock)) as client:
        result = await client.call_tool(USAGE, {"days": 40})
    said = result.structured_content
    assert said is not None
    records = [record for _, record in map(json.loads, FILE.read_text().splitlines()) if isinstance(record, dict)]
    assert said["totals"]["requests"] == len(records)
    assert said["totals"]["input_tokens"] == sum(record["input"].get("inputTokenCount", 0) for record in records)
    assert said["totals"]["errors"] == sum("errorCode" in record for record in records) > 0
    assert {error["code"]: error["requests"] for error in said["errors"]} == Counter(
        record["errorCode"] for record in records if "errorCode" in record
    )
    assert said["malformed_records"] == 1
    assert len(said["daily"]) == 30
    assert "claude-haiku-4-5-20251001-v1:0" in [model["name"] for model in said["models"]], "the profile has its name"


@pytest.mark.parametrize("tool", [USAGE, SPEND])
async def test_it_is_labelled_wherever_it_shows(tools: Ask, clock: Clock, tool: str) -> None:
    async with tools(services=Sample(clock)) as client:
        result = await client.call_tool(tool, {"days": 7})
    assert isinstance(result.content[0], TextContent)
    assert result.content[0].text.startswith("SAMPLE DATA: invented calls")
    assert result.structured_content is not None
    assert result.structured_content["sample"] is True


async def test_spend_of_it_is_an_estimate_with_one_model_that_has_no_price(tools: Ask, clock: Clock) -> None:
    async with tools(services=Sample(clock)) as client:
        result = await client.call_tool(SPEND, {})
    said = result.structured_content
    assert said is not None
    assert said["estimated"] is True
    assert [model["name"] for model in said["models"] if model["amount"] is None] == ["unpriced-model-v1:0"]
    assert said["notes"][0] == "The bill is not part of the sample."


async def test_there_is_always_something_of_the_past_day(clock: Clock, tools: Ask) -> None:
    for second in (0, 1, 43_200, 86_399):
        clock.now = 1_795_046_400.0 + second
        async with tools(services=Sample(clock)) as client:
            result = await client.call_tool(USAGE, {})
        assert result.structured_content is not None
        assert result.structured_content["totals"]["requests"] > 0


async def test_it_knows_one_region_and_one_log_group(tools: Ask, clock: Clock) -> None:
    async with tools(services=Sample(clock)) as client:
        assert "choose one such as us-east-1" in await refused(client, USAGE, region="eu-west-1")
        assert "There is no log group /other in us-east-1" in await refused(client, USAGE, log_group_name="/other")


async def test_it_pages_and_stops_as_aws_does(clock: Clock) -> None:
    logs = SampleLogs(clock)
    started = await logs.call("start_query", logGroupName=LOG_GROUP, startTime=0, endTime=int(clock.now))
    query = started["queryId"]
    assert (await logs.call("get_query_results", queryId=query, maxItems=1))["status"] == "Running"
    first = await logs.call("get_query_results", queryId=query, maxItems=3)
    second = await logs.call("get_query_results", queryId=query, maxItems=3, nextToken=first["nextToken"])
    assert len(first["results"]) == len(second["results"]) == 3
    assert first["results"] != second["results"]
    assert await logs.call("stop_query", queryId=query) == {"success": True}
    assert await logs.call("stop_query", queryId=query) == {"success": False}


async def test_nothing_of_it_is_in_the_future(clock: Clock) -> None:
    assert max(at for at, _ in events(clock.now)) <= clock.now * 1000
    assert all(record == sorted(events(clock.now))[number] for number, record in enumerate(events(clock.now)))


def test_environment_switches_it_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEARERGATE_BEDROCK_SAMPLE", "1")
    check([plugin])


async def test_without_it_the_tools_are_those_of_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    server = MCPServer("bedrock", log_level="ERROR")
    register(server)
    async with Client(server) as client:
        assert "This server has no AWS credentials" in await refused(client)


def test_settings_that_cannot_be_used_end_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bedrock.yaml").write_text("nonsense: 1\n")
    with pytest.raises(Exception, match=r"bedrock\.yaml.*nonsense"):
        load((plugin,), "x")


def test_neither_boto3_nor_pillow_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, tools.bedrock.server, tools.bedrock.reports; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'boto3', 'botocore', 'PIL'}))"
    )
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert started.stdout.split() == []


def test_gate_reads_what_is_needed_without_the_sdk() -> None:
    code = "import sys, tools.bedrock; print(*sorted(sys.modules.keys() & {'mcp', 'pydantic', 'boto3'}))"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert started.stdout.split() == []


WITHOUT = """
import sys
for name in ("boto3", "botocore", "PIL"):
    sys.modules[name] = None
import anyio
from mcp import Client
from mcp.server.mcpserver import MCPServer
from tools.bedrock.server import register
async def main():
    server = MCPServer("x", log_level="ERROR")
    register(server)
    async with Client(server) as client:
        for chart in (False, True):
            result = await client.call_tool("get_bedrock_usage_report", {"chart": chart})
            print(result.is_error, result.content[0].text.partition("report: ")[2])
anyio.run(main)
"""


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ("0", ["True This server lacks boto3: install it with pip install 'bearergate[aws]'."] * 2),
        ("1", ["False", "True This server lacks Pillow for charts: install it with pip install 'bearergate[aws]'."]),
    ],
    ids=["aws", "sample"],
)
def test_what_is_not_installed_is_named(sample: str, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARERGATE_BEDROCK_SAMPLE", sample)
    ended = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert [line.strip() for line in ended.stdout.splitlines()] == said


async def test_chart_is_an_image_on_request(tools: Ask, clock: Clock) -> None:
    async with tools(services=Sample(clock)) as client:
        without = await client.call_tool(USAGE, {})
        with_one = await client.call_tool(USAGE, {"chart": True})
    assert not any(isinstance(content, ImageContent) for content in without.content)
    (image,) = (content for content in with_one.content if isinstance(content, ImageContent))
    assert image.mime_type == "image/png"


async def test_rows_of_the_sample_go_the_way_of_those_of_insights(clock: Clock) -> None:
    rows: list[Row] = []

    async def say(_: str) -> None:
        return None

    log = LogGroup(SampleLogs(clock), LOG_GROUP)
    await read(log, Span(int(clock.now) - 40 * 86_400, int(clock.now)), rows.append, say, Limits())
    assert rows
    assert all(isinstance(figures, Figures) for _, figures in rows)
    assert {key.region for key, _ in rows} == {REGION, ""}
