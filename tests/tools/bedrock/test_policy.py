"""The IAM policy is what the code calls: nothing is missing, and nothing is there that is not called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tools.bedrock.cloud import LOG_GROUP, Cloud
from tests.tools.bedrock.conftest import Ask, Call
from tests.tools.bedrock.records import log_of
from tests.tools.bedrock.test_spend import CostExplorer
from tests.tools.front import principal
from tools import bedrock
from tools.bedrock.settings import Account, Settings

FOLDER = Path(bedrock.__file__).parent
DOCUMENT = FOLDER.parents[1] / "docs" / "bedrock.md"
OTHER = Account("444455556666", ("finance",), "arn:aws:iam::444455556666:role/BearergateBedrockReader", "an-id")
WHO = principal("alice", groups=frozenset({"finance"}))


def actions(name: str) -> list[str]:
    """Every action that a policy allows."""
    policy = json.loads((FOLDER / name).read_text())
    found: list[str] = []
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        assert "Condition" not in statement
        allowed = statement["Action"]
        found += [allowed] if isinstance(allowed, str) else allowed
    return found


async def everything(cloud: Cloud, tools: Ask) -> None:
    """Every way that a report can come about."""
    cloud.logs[LOG_GROUP], _ = log_of(2_000, days=2)
    async with tools(Settings(accounts=(OTHER,)), who=WHO) as client:

        async def call(tool: str, **arguments: Any) -> None:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content

        await call("get_bedrock_usage_report", days=2, aws_account_id=OTHER.id)
        cloud.statuses = ("Failed",)
        await call("get_bedrock_usage_report", days=2)
        cloud.bill = CostExplorer(by_model=False)
        await call("get_bedrock_spend_report", days=2)
        cloud.fail("GetQueryResults", "ThrottlingException", 5)
        cloud.statuses = ("Running",)
        assert (await client.call_tool("get_bedrock_usage_report", {})).is_error


async def test_policy_is_what_is_called(cloud: Cloud, moto: str, tools: Ask, made: list[Call]) -> None:
    assert moto
    await everything(cloud, tools)
    allowed = actions("iam-policy.json") + actions("iam-policy-accounts.json")
    assert sorted({name for name, _ in made}) == sorted(allowed)


def test_policy_has_no_wildcards_in_actions_and_names_the_log() -> None:
    for name in ("iam-policy.json", "iam-policy-accounts.json"):
        assert not any("*" in action for action in actions(name))
    statements = json.loads((FOLDER / "iam-policy.json").read_text())["Statement"]
    for_all = {action for statement in statements if statement["Resource"] == "*" for action in statement["Action"]}
    assert for_all == {"logs:GetQueryResults", "logs:StopQuery", "ce:GetCostAndUsage", "ce:GetDimensionValues"}


def test_document_links_the_policies() -> None:
    page = DOCUMENT.read_text()
    for name in ("iam-policy.json", "iam-policy-accounts.json"):
        assert f"](../tools/bedrock/{name})" in page
