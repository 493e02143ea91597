"""Whatever is wrong is said in one sentence that tells what to do, and nothing half-done is left behind."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import TextContent

from tests.tools.bedrock.cloud import LOG_GROUP, Cloud, Running
from tests.tools.bedrock.conftest import Ask
from tests.tools.bedrock.records import Log, log_of
from tests.tools.front import principal
from tools.bedrock.insights import Limits
from tools.bedrock.settings import Account, Settings

USAGE, SPEND = "get_bedrock_usage_report", "get_bedrock_spend_report"
OTHER = "444455556666"
ROLE = f"arn:aws:iam::{OTHER}:role/Reader"
SETTINGS = Settings(accounts=(Account(OTHER, ("finance",), ROLE, "an-external-id"),))


async def refused(client: Client, tool: str = USAGE, **arguments: Any) -> str:
    """The sentence with which a tool refuses."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    (content,) = result.content
    assert isinstance(content, TextContent)
    sentence = content.text.removeprefix(f"Error executing tool {tool}: ")
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "arn:" not in sentence
    return sentence


@pytest.mark.parametrize("tool", [USAGE, SPEND])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            {"region": "mars-north-1"}, "There is no region 'mars-north-1': choose one such as us-east-1", id="region"
        ),
        pytest.param({"region": "us-east-1.evil.example/"}, "There is no region", id="region that is a host"),
        pytest.param({"days": 0}, "days must be between 1 and 366, and 0 is not.", id="no days"),
        pytest.param({"days": 367}, "days must be between 1 and 366", id="too many days"),
        pytest.param({"days": -(10**30)}, "days must be between 1 and 366", id="days before all time"),
        pytest.param({"log_group_name": "a b"}, "'a b' cannot be a log group", id="log group with a space"),
        pytest.param({"log_group_name": "é" * 600}, "cannot be a log group", id="log group of foreign letters"),
        pytest.param({"log_group_name": ""}, "cannot be a log group", id="log group without a name"),
        pytest.param({"aws_account_id": "12345"}, "An AWS account id has 12 digits", id="account of five digits"),
        pytest.param(
            {"aws_account_id": "999999999999"}, "is not among those that you may ask about", id="strange account"
        ),
        pytest.param({"aws_account_id": OTHER}, "is not among those that you may ask about", id="account of others"),
    ],
)
async def test_bad_argument_is_refused_before_aws_is_asked(
    cloud: Cloud, tools: Ask, tool: str, arguments: dict[str, Any], said: str
) -> None:
    async with tools(SETTINGS) as client:
        assert said in await refused(client, tool, **arguments)
    assert cloud.asked == []


async def test_account_that_is_not_allowed_reads_like_one_that_is_not_there(cloud: Cloud, tools: Ask) -> None:
    async with tools(SETTINGS, who=principal("eve", groups=frozenset({"staff"}))) as client:
        there = await refused(client, aws_account_id=OTHER)
        nowhere = await refused(client, aws_account_id="999999999999")
    assert there.replace(OTHER, "X") == nowhere.replace("999999999999", "X")
    assert cloud.asked == []


@pytest.mark.parametrize("tool", [USAGE, SPEND])
async def test_missing_log_group_is_named(cloud: Cloud, tools: Ask, tool: str) -> None:
    async with tools() as client:
        said = await refused(client, tool, log_group_name="/not/there")
    assert "There is no log group /not/there in us-east-1: turn on Bedrock's model invocation logging" in said
    assert ("allow it in the IAM policy of this server. Nor can it be estimated: " in said) == (tool == SPEND)
    assert "StopQuery" not in cloud.operations()


@pytest.mark.parametrize(
    ("operation", "action"),
    [("StartQuery", "logs:StartQuery"), ("GetQueryResults", "logs:GetQueryResults")],
)
async def test_missing_permission_names_the_action(cloud: Cloud, tools: Ask, operation: str, action: str) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.fail(operation, "AccessDeniedException", 2)
    cloud.fail("FilterLogEvents", "AccessDeniedException", 2)
    async with tools() as client:
        said = await refused(client)
    assert said == f"AWS does not let this server do {action} in us-east-1: allow it in the IAM policy of this server."


async def test_fallback_that_finds_something_else_wrong_says_that(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.fail("StartQuery", "AccessDeniedException")
    cloud.fail("FilterLogEvents", "InvalidParameterException")
    async with tools() as client:
        said = await refused(client)
    assert said == "AWS answered logs:FilterLogEvents in us-east-1 with InvalidParameterException: no."


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("ExpiredTokenException", "credentials of this server have expired: renew them", id="expired"),
        pytest.param(
            "UnrecognizedClientException",
            "AWS does not know the credentials of this server in us-east-1: correct them or its clock, or turn",
            id="unknown key, or a region that is off",
        ),
        pytest.param("MalformedQueryException", "with MalformedQueryException: no.", id="anything else"),
    ],
)
async def test_bad_credentials_are_named_and_not_asked_with_again(
    cloud: Cloud, tools: Ask, code: str, said: str
) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.fail("StartQuery", code)
    async with tools() as client:
        assert said in await refused(client)
    assert cloud.operations() == ["StartQuery"]


@pytest.mark.parametrize("before", ["[default]\naws_access_key_id = OLD\naws_secret_access_key = x\n", ""])
async def test_credentials_that_are_renewed_are_used_without_a_restart(
    cloud: Cloud, tools: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str
) -> None:
    file = tmp_path / "credentials"
    file.write_text(before)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    cloud.logs[LOG_GROUP] = Log()
    cloud.fail("StartQuery", "ExpiredTokenException", bool(before))
    async with tools() as client:
        said = await refused(client)
        assert ("have expired: renew them and ask again" in said) == bool(before)
        file.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = x\n")
        assert not (await client.call_tool(USAGE, {})).is_error
    assert cloud.asked[-1][2] == "NEW"


async def test_throttling_is_waited_out(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.fail("StartQuery", "LimitExceededException")
    cloud.fail("GetQueryResults", "ThrottlingException")
    async with tools() as client:
        assert not (await client.call_tool(USAGE, {})).is_error


async def test_throttling_without_end_is_named_and_has_an_end(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.fail("GetQueryResults", "ThrottlingException", 100)
    async with tools(attempts=2) as client:
        said = await refused(client)
    assert said.startswith("AWS is too busy for logs:GetQueryResults and was asked several times: try again")
    assert cloud.operations() == ["StartQuery", "GetQueryResults", "GetQueryResults", "StopQuery"]


async def test_too_many_queries_of_others_are_named(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.queries = {f"other-{number}": Running(deque(("Running", "Complete")), [], 0) for number in range(100)}
    async with tools(attempts=1) as client:
        assert "AWS is too busy for logs:StartQuery" in await refused(client)
    assert cloud.operations() == ["StartQuery"], "reading every event would make it worse"


async def test_no_credentials_at_all(cloud: Cloud, tools: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with tools() as client:
        assert "This server has no AWS credentials: give it a role" in await refused(client)
    assert cloud.asked == []


async def test_profile_that_is_not_there(tools: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    async with tools() as client:
        assert "This server has no AWS credentials" in await refused(client)


async def test_login_that_cannot_be_renewed(tools: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile gone]\ncredential_process = false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "gone")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with tools() as client:
        assert "cannot be renewed: log in again" in await refused(client)


async def test_aws_that_cannot_be_reached(tools: Ask) -> None:
    async with tools(attempts=1) as client:
        said = await refused(client)
    assert said.startswith("AWS cannot be reached for logs:StartQuery in us-east-1")


async def test_endpoint_that_is_none(tools: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "nonsense")
    async with tools() as client:
        assert "check the network and the endpoint" in await refused(client)


@pytest.mark.parametrize("limits", [Limits(events=10_000), Limits(rows=1)], ids=["events", "rows"])
async def test_more_events_than_are_worth_reading_are_not_read(cloud: Cloud, tools: Ask, limits: Limits) -> None:
    cloud.logs[LOG_GROUP], _ = log_of(20_000, days=1)
    cloud.statuses = ("Failed",)
    async with tools(limits=limits) as client:
        said = await refused(client)
    assert said.endswith("records are too many to read without logs:StartQuery: ask for fewer days.")
    assert cloud.operations().count("FilterLogEvents") < 12
