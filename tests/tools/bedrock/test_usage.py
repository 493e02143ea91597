"""The usage report: every figure is the sum of the records, whichever way they are read."""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import anyio
import boto3
import pytest
from botocore.awsrequest import AWSResponse
from mcp import Client

from tests.tools.bedrock.cloud import LOG_GROUP, Cloud
from tests.tools.bedrock.conftest import Ask, Call, Clock, texts
from tests.tools.bedrock.records import DAY, MODELS, NOW, PROFILE, Expected, Log, log_of
from tools.bedrock.insights import Limits

FIGURES = (
    "requests",
    "errors",
    "input_tokens",
    "completion_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)
MANY = 500_000
FEW = 8_000


async def report(client: Client, **arguments: Any) -> dict[str, Any]:
    """The structured content of a usage report."""
    result = await client.call_tool("get_bedrock_usage_report", arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def figures(entry: dict[str, Any]) -> dict[str, int]:
    return {name: entry[name] for name in FIGURES if entry[name]}


def check_sums(said: dict[str, Any], expected: Expected) -> None:
    """Everything that is said is what the records add up to, and nothing is missing."""
    found = {("total", ""): figures(said["totals"])}
    found |= {("day", day["date"]): figures(day) for day in said["daily"]}
    for what, entries, label in (
        ("region", "regions", "name"),
        ("model", "models", "name"),
        ("user", "users", "arn"),
        ("operation", "operations", "name"),
    ):
        found |= {(what, entry[label]): figures(entry) for entry in said[entries]}
    found |= {("day and model", f"{part['date']} {part['model']}"): figures(part) for part in said["daily_models"]}
    assert found == {label: dict(+counter) for label, counter in expected.by.items()}
    assert {error["code"]: error["requests"] for error in said["errors"]} == dict(expected.errors)
    assert said["malformed_records"] == expected.malformed


@pytest.fixture(scope="module")
def many() -> tuple[Log, Expected]:
    return log_of(MANY)


@pytest.fixture(scope="module")
def few() -> tuple[Log, Expected]:
    return log_of(FEW)


async def test_half_a_million_records_add_up(cloud: Cloud, tools: Ask, many: tuple[Log, Expected]) -> None:
    cloud.logs[LOG_GROUP], expected = many
    async with tools() as client:
        said = await report(client, days=20)
    assert said["source"] == "logs_insights"
    check_sums(said, expected)
    assert sum(counter["requests"] for (what, _), counter in expected.by.items() if what == "day") > MANY * 0.99


async def test_fallback_reads_every_event_and_adds_up_the_same(
    cloud: Cloud, tools: Ask, few: tuple[Log, Expected]
) -> None:
    cloud.logs[LOG_GROUP], expected = few
    cloud.fail("StartQuery", "AccessDeniedException")
    async with tools() as client:
        said = await report(client, days=20)
    assert said["source"] == "filter_log_events"
    check_sums(said, expected)
    assert cloud.operations().count("FilterLogEvents") > 5, "pages, of which every other is empty"


async def test_text_has_the_layout_that_its_readers_know(cloud: Cloud, tools: Ask) -> None:
    log = Log()
    lite = log.message(
        '{"schemaType":"ModelInvocationLog","region":"us-east-1","modelId":"amazon.nova-lite-v1:0","operation":"Converse",'
        '"identity":{"arn":"arn:aws:sts::012345678901:assumed-role/a-role/i-0e"},'
        '"input":{"inputTokenCount":1000},"output":{"outputTokenCount":50}}'
    )
    failed = log.message(
        '{"schemaType":"ModelInvocationLog","region":"us-east-1","modelId":"us.meta.llama3-3-70b-instruct-v1:0",'
        '"errorCode":"ThrottlingException","operation":"Converse","input":{}}'
    )
    for before in (2 * DAY, 2 * DAY - 5, 60):
        log.put((NOW - before) * 1000, lite)
    log.put(NOW * 1000 - 1, failed)
    cloud.logs[LOG_GROUP] = log
    async with tools() as client:
        result = await client.call_tool("get_bedrock_usage_report", {"days": 3})
    said, notes = texts(result)
    assert re.sub(r"\d{4}-\d\d-\d\d", "DAY", said) == (
        "Bedrock Daily Usage Report (Past 3 days - us-east-1)\n"
        "Total Requests: 4\n"
        "Total Input Tokens: 3000\n"
        "Total Completion Tokens: 150\n"
        "Total Tokens: 3150\n"
        "\n"
        "--- Daily Totals ---\n"
        "DAY: Requests=2, Input=2000, Completion=100, Total=2100\n"
        "DAY: Requests=2, Input=1000, Completion=50, Total=1050\n"
        "\n"
        "--- Region Summary ---\n"
        "us-east-1: Requests=4, Input=3000, Completion=150, Total=3150\n"
        "\n"
        "--- Model Summary ---\n"
        "nova-lite-v1:0: Requests=3, Input=3000, Completion=150, Total=3150\n"
        "llama3-3-70b-instruct-v1:0: Requests=1, Input=0, Completion=0, Total=0\n"
        "\n"
        "--- User Summary ---\n"
        "arn:aws:sts::012345678901:assumed-role/a-role/i-0e: Requests=3, Input=3000, Completion=150, Total=3150\n"
        "unknown: Requests=1, Input=0, Completion=0, Total=0"
    )
    assert "Failed requests: 1 (ThrottlingException=1)" in notes
    assert "bedrock-mantle" in notes
    assert result.structured_content is not None
    assert result.structured_content["users"][0]["name"] == "a-role/i-0e", "shortened for display only"


async def test_record_writes_no_lines_of_the_report(cloud: Cloud, tools: Ask) -> None:
    log = Log()
    evil = "x\n--- Daily Totals ---\n2026-11-18: Requests=9\u202e\ud800"
    facts = {"region": evil, "operation": evil, "errorCode": evil, "identity": {"arn": evil}, "modelId": f"a.{evil}"}
    log.put(NOW * 1000 - 5, log.message(json.dumps({"schemaType": "ModelInvocationLog", **facts})))
    cloud.logs[LOG_GROUP] = log
    async with tools() as client:
        result = await client.call_tool("get_bedrock_usage_report", {"chart": True})
    said, notes = texts(result)
    plain = "x?--- Daily Totals ---?2026-11-18: Requests=9??"
    assert said.count("\n--- Daily Totals ---\n") == 1
    assert said.count(f"\n{plain}: Requests=1, ") == 3
    assert f"Failed requests: 1 ({plain}=1)\nOperations: {plain}=1\n" in notes


async def test_log_of_other_entries_says_so(cloud: Cloud, tools: Ask) -> None:
    """Of the class Infrequent Access, Insights reads no field: every record looks like something else."""
    log = Log()
    log.put(NOW * 1000 - 5, log.message("something else"))
    cloud.logs[LOG_GROUP] = log
    async with tools() as client:
        said = await report(client)
    assert (said["totals"]["requests"], said["malformed_records"]) == (0, 1)
    assert said["not_covered"][-1].startswith(
        "That is all of them: give another log group, or one of the class Standard"
    )


async def test_defaults_are_those_of_old(cloud: Cloud, tools: Ask, few: tuple[Log, Expected]) -> None:
    cloud.logs[LOG_GROUP], _ = few
    async with tools() as client:
        said = await report(client)
    assert (said["region"], said["log_group"], said["days"]) == ("us-east-1", "/aws/bedrock/modelinvocations", 1)
    assert (said["start"][11:], said["end"][11:]) == ("13:53:20Z", "13:53:20Z")


async def test_log_without_calls_is_an_empty_report(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    async with tools() as client:
        result = await client.call_tool("get_bedrock_usage_report", {"chart": True})
    assert texts(result)[0].endswith("--- User Summary ---")
    assert result.structured_content is not None
    assert result.structured_content["totals"]["requests"] == 0


async def test_bounds_of_the_time_belong_to_one_side_only(cloud: Cloud, tools: Ask) -> None:
    log = Log()
    number = log.message('{"schemaType":"ModelInvocationLog","modelId":"amazon.nova-lite-v1:0"}')
    start, turn = (NOW - 40 * DAY) * 1000, (NOW - 9 * DAY) * 1000  # where the second query begins
    for at in (start - 1, start, turn - 1, turn - 500, turn, turn + 1, NOW * 1000 - 1, NOW * 1000):
        log.put(at, number)
    cloud.logs[LOG_GROUP] = log
    async with tools() as client:
        said = await report(client, days=40)
        cloud.fail("StartQuery", "AccessDeniedException")
        again = await report(client, days=40)
    assert cloud.operations().count("StartQuery") == 3, "forty days are two queries"
    assert said["totals"]["requests"] == 6
    assert said["requests_without_token_counts"] == 6
    assert "turn the delivery of bodies off" in " ".join(said["not_covered"])
    assert again["daily"] == said["daily"]


async def test_time_before_the_log_group_is_told_and_stops_nothing(
    cloud: Cloud, tools: Ask, few: tuple[Log, Expected]
) -> None:
    cloud.logs[LOG_GROUP], expected = few
    cloud.since = NOW - 30 * DAY
    async with tools() as client:
        said = await report(client, days=366)
        assert cloud.operations().count("StartQuery") == 12
        check_sums(said, expected)
        (told,) = [sentence for sentence in said["not_covered"] if "nothing from before" in sentence]
        assert told.startswith(
            f"The log has nothing from before {datetime.fromtimestamp(NOW - 56 * DAY, UTC):%Y-%m-%dT}"
        )
        spend = await client.call_tool("get_bedrock_spend_report", {"days": 366})
        assert "The log has nothing from before" in texts(spend)[1]
        cloud.since = NOW
        assert (await report(client, days=1))["totals"]["requests"] == 0


async def test_more_rows_than_a_page_are_all_fetched(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP], expected = log_of(14_000, people=4_000, kinds=14_000, days=2)
    async with tools() as client:
        said = await report(client, days=2)
    (query,) = cloud.queries.values()
    assert len(query.rows) > 10_000
    assert len(said["users"]) == 501
    assert said["users"][-1]["name"] == f"{sum(what == 'user' for what, _ in expected.by) - 500} others"
    assert sum(user["requests"] for user in said["users"]) == expected.by["total", ""]["requests"]
    assert figures(said["totals"]) == dict(expected.by["total", ""])


async def test_time_with_more_rows_than_insights_gives_is_halved(
    cloud: Cloud, tools: Ask, few: tuple[Log, Expected]
) -> None:
    cloud.logs[LOG_GROUP], expected = few
    cloud.max_rows = 3_000
    async with tools(limits=Limits(rows=3_000)) as client:
        said = await report(client, days=20)
    check_sums(said, expected)
    assert cloud.operations().count("StartQuery") >= 3


async def test_query_that_times_out_is_halved_down_to_an_hour(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.statuses = ("Running", "Timeout")
    async with tools() as client:
        result = await client.call_tool("get_bedrock_usage_report", {})
    assert result.is_error
    assert "ask for fewer days" in texts(result)[0]
    spans = [asked["endTime"] - asked["startTime"] for name, asked, _ in cloud.asked if name == "StartQuery"]
    assert spans == [DAY, DAY // 2, DAY // 4, DAY // 8, DAY // 16, DAY // 32]


async def test_query_that_fails_is_replaced_by_reading_events(
    cloud: Cloud, tools: Ask, few: tuple[Log, Expected]
) -> None:
    cloud.logs[LOG_GROUP], expected = few
    cloud.statuses = ("Running", "Failed")
    async with tools() as client:
        said = await report(client, days=20)
    assert said["source"] == "filter_log_events"
    check_sums(said, expected)


async def test_progress_is_told_and_never_goes_back(cloud: Cloud, tools: Ask, few: tuple[Log, Expected]) -> None:
    cloud.logs[LOG_GROUP], _ = few
    steps: list[tuple[float, str | None]] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        steps.append((progress, message))

    async with tools() as client:
        await client.call_tool("get_bedrock_usage_report", {"days": 20}, progress_callback=step)
        assert [message for _, message in steps] == [
            f"Scheduled: {FEW:,} records scanned",
            f"Running: {FEW:,} records scanned",
        ]
        steps.clear()
        cloud.fail("StartQuery", "AccessDeniedException")
        await client.call_tool("get_bedrock_usage_report", {"days": 20}, progress_callback=step)
    assert len(steps) > 5
    assert steps[-1][1] == f"{FEW:,} records read"
    assert [progress for progress, _ in steps] == list(range(1, len(steps) + 1))


async def test_query_is_stopped_when_the_client_goes_away(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.statuses = ("Running",)
    async with tools() as client:
        with anyio.move_on_after(30) as waiting:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "get_bedrock_usage_report", {})
                assert await asyncio.to_thread(cloud.waited.wait, 20)
                tasks.cancel_scope.cancel()
        assert not waiting.cancelled_caught
        assert await asyncio.to_thread(cloud.stopped.wait, 20)
    (query,) = cloud.queries.values()
    assert query.stopped


async def test_query_that_nobody_would_wait_for_is_stopped(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.statuses = ("Running",)
    async with tools(limits=Limits(patience=0.05, shortest=DAY)) as client:
        result = await client.call_tool("get_bedrock_usage_report", {})
    assert "ask for fewer days" in texts(result)[0]
    assert cloud.stopped.is_set()


async def test_query_that_ended_by_itself_is_not_stopped(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.statuses = ("Cancelled",)
    async with tools() as client:
        result = await client.call_tool("get_bedrock_usage_report", {})
    assert "Somebody stopped the query" in texts(result)[0]
    assert "StopQuery" not in cloud.operations()


async def test_profile_is_asked_for_once_and_shown_by_its_model(
    cloud: Cloud, tools: Ask, few: tuple[Log, Expected]
) -> None:
    cloud.logs[LOG_GROUP], _ = few
    async with tools() as client:
        said = await report(client, days=20)
        await report(client, days=20)
    assert cloud.operations().count("GetInferenceProfile") == 1
    (model,) = (model for model in said["models"] if PROFILE in model["ids"])
    assert model["name"] == "claude-3-5-haiku-20241022-v1:0"


async def test_profile_that_bedrock_does_not_tell_is_shown_by_its_id(
    cloud: Cloud, tools: Ask, few: tuple[Log, Expected]
) -> None:
    cloud.logs[LOG_GROUP], _ = few
    cloud.fail("GetInferenceProfile", "AccessDeniedException")
    async with tools() as client:
        said = await report(client, days=20)
    assert "application-inference-profile/abc123def456" in [model["name"] for model in said["models"]]
    assert "bedrock:GetInferenceProfile" in said["not_covered"][-1]


async def test_answer_fits_the_schema_that_is_published(cloud: Cloud, tools: Ask, few: tuple[Log, Expected]) -> None:
    import jsonschema  # noqa: PLC0415 - one test

    cloud.logs[LOG_GROUP], _ = few
    async with tools() as client:
        (schema,) = [
            tool.output_schema for tool in (await client.list_tools()).tools if tool.name == "get_bedrock_usage_report"
        ]
        said = await report(client, days=20)
    assert schema is not None
    jsonschema.validate(said, schema)


class Denied:
    """The body of a refusal."""

    def stream(self) -> list[bytes]:
        return [b'{"__type":"AccessDeniedException","message":"no"}']


async def test_log_in_moto_is_read_event_by_event(
    moto: str, tools: Ask, clock: Clock, monkeypatch: pytest.MonkeyPatch, made: list[Call]
) -> None:
    """Moto's Insights answers with rows that nobody asked for, so here it refuses."""
    clock.now = time.time()  # what is older than two weeks is not put into a log
    log, expected = log_of(12_000, days=1, end=int(clock.now))
    logs = boto3.client("logs", region_name="us-east-1", endpoint_url=moto)
    stream = {"logGroupName": LOG_GROUP, "logStreamName": "aws/bedrock/modelinvocations"}
    logs.create_log_group(logGroupName=LOG_GROUP)
    logs.create_log_stream(**stream)
    events = [
        {"timestamp": at, "message": log.messages[number]} for at, number in zip(log.times, log.numbers, strict=True)
    ]
    for first in range(0, len(events), 2_000):
        logs.put_log_events(**stream, logEvents=events[first : first + 2_000])
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", moto)
    denied = AWSResponse("", 400, {}, Denied())
    async with tools(answer={"before-send.cloudwatch-logs.StartQuery": lambda **_: denied}) as client:
        said = await report(client, days=1)
    assert said["source"] == "filter_log_events"
    profile = "application-inference-profile/abc123def456"  # of which nobody tells here
    told = json.loads(json.dumps(said).replace(profile, MODELS[PROFILE]))
    check_sums(told, expected)
    assert [name for name, _ in made].count("logs:FilterLogEvents") >= 2
