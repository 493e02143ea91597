"""The spend report: the bill by day and model for a cent, kept for an hour, or an estimate that says so."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from tests.tools.bedrock.cloud import LOG_GROUP, Answer, Cloud, Refusal
from tests.tools.bedrock.conftest import Ask, Call, Clock, texts
from tests.tools.bedrock.records import DAY, NOW, Log, log_of
from tests.tools.bedrock.test_refusals import refused
from tests.tools.front import principal
from tools.bedrock.bill import model_of, region_of
from tools.bedrock.settings import Account, Settings

SPEND = "get_bedrock_spend_report"
TODAY = datetime.fromtimestamp(NOW, UTC).date()
SERVICES = {
    "Amazon Bedrock": ("USE1-Nova-Pro-input-tokens", "USE1-Nova-Pro-output-tokens"),
    "Claude Sonnet 4 (Amazon Bedrock Edition)": ("USE1-MP:USE1_InputTokenCount-Units",),
}
MODELS = ("Claude Sonnet 5", "Nova Pro", "")
PAGE_DAYS = 10


def amount(day: date, label: str) -> Decimal:
    """What the fake bill says: something else for every day and label."""
    return Decimal(day.toordinal() % 97 + len(label) * 13) / Decimal(1_000)


class CostExplorer:
    """A bill that groups as it is asked to, in pages of ten days."""

    def __init__(
        self, *, by_model: bool = True, services: bool = True, without_models: str = "DataUnavailableException"
    ) -> None:
        self.by_model = by_model
        self.without_models = without_models
        self.services = services

    def __call__(self, operation: str, asked: Answer) -> Answer:
        if operation == "GetDimensionValues":
            assert asked["SearchString"] == "Bedrock"
            return {"DimensionValues": [{"Value": name} for name in SERVICES] if self.services else []}
        assert (asked["Granularity"], asked["Metrics"]) == ("DAILY", ["UnblendedCost"])
        start, end = (date.fromisoformat(asked["TimePeriod"][name]) for name in ("Start", "End"))
        first = start + timedelta(days=int(asked.get("NextPageToken", 0)) * PAGE_DAYS)
        last = min(first + timedelta(days=PAGE_DAYS), end)
        groups = [group["Type"] for group in asked["GroupBy"]]
        if groups == ["PRODUCT_ATTRIBUTE"]:
            if not self.by_model or start < date(2026, 9, 1):
                raise Refusal(self.without_models)
            assert "Filter" not in asked, "models of other companies are under names of their own"
            keys = [[f"model${model}"] for model in MODELS]
        else:
            assert asked["Filter"]["Dimensions"]["Values"] == list(SERVICES)
            keys = [[service, kind] for service, kinds in SERVICES.items() for kind in kinds]
        days = [first + timedelta(days=more) for more in range((last - first).days)]
        results = [
            {
                "TimePeriod": {"Start": day.isoformat(), "End": (day + timedelta(days=1)).isoformat()},
                "Groups": [
                    {"Keys": key, "Metrics": {"UnblendedCost": {"Amount": str(amount(day, key[-1])), "Unit": "USD"}}}
                    for key in keys
                ],
            }
            for day in days
        ]
        token = {"NextPageToken": str(int(asked.get("NextPageToken", 0)) + 1)} if last < end else {}
        return {"ResultsByTime": results, **token}


async def spend(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(SPEND, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def test_bill_by_day_and_model_adds_up_and_says_what_it_cost(cloud: Cloud, tools: Ask) -> None:
    cloud.bill = CostExplorer()
    async with tools() as client:
        result = await client.call_tool(SPEND, {"days": 30})
    said = result.structured_content
    assert said is not None
    days = [TODAY - timedelta(days=back) for back in range(29, -1, -1)]
    expected = {
        (day.isoformat(), name or "not of one model"): amount(day, f"model${name}") for day in days for name in MODELS
    }
    assert {(part["date"], part["model"]): part["amount"] for part in said["daily_models"]} == {
        key: float(value) for key, value in expected.items()
    }
    assert said["total"] == float(sum(expected.values()))
    assert [day["amount"] for day in said["daily"]] == [
        float(sum(value for (of, _), value in expected.items() if of == day.isoformat())) for day in days
    ]
    assert sum(Decimal(str(model["amount"])) for model in said["models"]) == Decimal(str(said["total"]))
    assert (said["source"], said["estimated"]) == ("cost_explorer", False)
    assert (said["cost_explorer_requests"], said["cost_of_answer_usd"]) == (3, 0.03)
    assert "Requests to Cost Explorer for this answer: 3, which cost $0.03." in texts(result)[1]
    assert texts(result)[0].startswith("Bedrock Spend Report (Past 30 days - USD)\nTotal: ")


async def test_bill_is_kept_for_an_hour(cloud: Cloud, tools: Ask, clock: Clock) -> None:
    cloud.bill = CostExplorer()
    async with tools() as client:
        first = await spend(client, days=5)
        clock.now += 3_599
        again = await client.call_tool(SPEND, {"days": 5})
        assert again.structured_content is not None
        assert again.structured_content["daily_models"] == first["daily_models"]
        assert again.structured_content["cost_of_answer_usd"] == 0
        assert "which cost nothing: the bill was read less than an hour ago" in texts(again)[1]
        clock.now += 2
        assert (await spend(client, days=5))["cost_of_answer_usd"] == 0.01
    assert cloud.operations() == ["GetCostAndUsage"] * 2


async def test_bill_of_one_account_is_not_shown_for_another(cloud: Cloud, moto: str, tools: Ask) -> None:
    assert moto
    other = Account("444455556666", ("finance",), "arn:aws:iam::444455556666:role/R", "an-id")
    cloud.bill = CostExplorer()
    async with tools(Settings(accounts=(other,)), who=principal("a", groups=frozenset({"finance"}))) as client:
        await spend(client, days=5)
        assert (await spend(client, days=5, aws_account_id=other.id))["cost_explorer_requests"] == 1
    assert len({key for _, _, key in cloud.asked}) == 2


async def test_two_who_ask_at_once_pay_once(cloud: Cloud, tools: Ask) -> None:
    import asyncio  # noqa: PLC0415

    cloud.bill = CostExplorer()
    async with tools() as client:
        both = await asyncio.gather(spend(client, days=5), spend(client, days=5))
    assert sorted(one["cost_explorer_requests"] for one in both) == [0, 1]


async def test_bill_that_takes_long_holds_up_no_other(cloud: Cloud, tools: Ask) -> None:
    import asyncio  # noqa: PLC0415

    reading, read, told = threading.Event(), threading.Event(), CostExplorer()

    def bill(operation: str, asked: Answer) -> Answer:
        if asked["TimePeriod"]["Start"] < TODAY.isoformat():
            reading.set()
            assert read.wait(20)
        return told(operation, asked)

    cloud.bill = bill
    async with tools() as client:
        long = asyncio.create_task(spend(client, days=5))
        assert await asyncio.to_thread(reading.wait, 20)
        try:
            assert (await asyncio.wait_for(spend(client, days=1), 10))["cost_explorer_requests"] == 1
        finally:
            read.set()
        assert (await long)["cost_explorer_requests"] == 1


async def test_time_before_models_are_billed_by_name_is_read_off_usage_types(
    cloud: Cloud, tools: Ask, clock: Clock
) -> None:
    clock.now = datetime(2026, 9, 5, 12, tzinfo=UTC).timestamp()
    cloud.bill = CostExplorer()
    async with tools() as client:
        said = await spend(client, days=12)
    before = {part["model"] for part in said["daily_models"] if part["date"] < "2026-09-01"}
    since = {part["model"] for part in said["daily_models"] if part["date"] >= "2026-09-01"}
    assert before == {"Nova-Pro", "Claude Sonnet 4"}
    assert since == {"Claude Sonnet 5", "Nova Pro", "not of one model"}
    assert said["daily"][0]["date"] == "2026-08-25"
    assert said["daily"][-1]["date"] == "2026-09-05"
    assert said["daily_models"][1] == {
        "date": "2026-08-25",
        "model": "Nova-Pro",
        "amount": float(sum(amount(date(2026, 8, 25), kind) for kind in SERVICES["Amazon Bedrock"])),
    }
    assert cloud.operations() == ["GetDimensionValues", "GetCostAndUsage", "GetCostAndUsage"]
    assert said["cost_of_answer_usd"] == 0.03
    assert any("before 2026-09-01" in note for note in said["notes"])


async def test_time_that_is_all_before_is_asked_for_once(cloud: Cloud, tools: Ask, clock: Clock) -> None:
    clock.now = datetime(2026, 8, 20, tzinfo=UTC).timestamp()
    cloud.bill = CostExplorer()
    async with tools() as client:
        await spend(client, days=3)
    assert cloud.operations() == ["GetDimensionValues", "GetCostAndUsage"]


@pytest.mark.parametrize("code", ["DataUnavailableException", "ValidationException"])
async def test_bill_without_names_of_models_is_read_off_usage_types(cloud: Cloud, tools: Ask, code: str) -> None:
    cloud.bill = CostExplorer(by_model=False, without_models=code)
    async with tools() as client:
        said = await spend(client, days=3)
    assert {part["model"] for part in said["daily_models"]} == {"Nova-Pro", "Claude Sonnet 4"}
    assert said["cost_explorer_requests"] == 3


async def test_account_without_bedrock_on_its_bill(cloud: Cloud, tools: Ask) -> None:
    cloud.bill = CostExplorer(by_model=False, services=False)
    async with tools() as client:
        said = await spend(client, days=3)
    assert (said["total"], said["daily"], said["models"]) == (0, [], [])


@pytest.mark.parametrize(
    ("service", "usage_type", "model"),
    [
        ("Amazon Bedrock", "USE1-Nova-Pro-input-tokens", "Nova-Pro"),
        ("Amazon Bedrock", "USW2-Claude3Haiku-output-tokens", "Claude3Haiku"),
        ("Amazon Bedrock", "EU-TitanEmbeddingsG1-Text-input-tokens", "TitanEmbeddingsG1-Text"),
        ("Amazon Bedrock", "USE1-Nova-Lite-cache-read-input-token-count", "Nova-Lite"),
        ("Amazon Bedrock", "Guardrail-ContentPolicyUnitsConsumed", "Guardrail-ContentPolicyUnitsConsumed"),
        ("Claude Opus 4.1 (Amazon Bedrock Edition)", "USE1-MP:USE1_OutputTokenCount-Units", "Claude Opus 4.1"),
    ],
)
def test_model_is_read_off_a_usage_type(service: str, usage_type: str, model: str) -> None:
    assert model_of(service, usage_type) == model


@pytest.mark.parametrize(
    ("region", "asked"),
    [("us-east-1", "us-east-1"), ("eu-west-1", "us-east-1"), ("cn-north-1", "cn-north-1"), ("eusc-de-east-1",) * 2],
)
def test_bill_is_asked_for_where_its_partition_has_it(region: str, asked: str) -> None:
    assert region_of(region) == asked


async def test_govcloud_has_no_bill_of_its_own(cloud: Cloud, tools: Ask) -> None:
    cloud.bill = CostExplorer()
    cloud.logs[LOG_GROUP], _ = log_of(100, days=1)
    async with tools() as client:
        said = await spend(client, days=3, region="us-gov-west-1")
    assert said["estimated"]
    assert "part of the bill of its standard account" in said["notes"][0]
    assert "GetCostAndUsage" not in cloud.operations()


@given(st.text(), st.text())
def test_any_usage_type_is_of_something(service: str, usage_type: str) -> None:
    assert model_of(service, usage_type) or not usage_type or service.endswith("(Amazon Bedrock Edition)")


async def test_moto_s_bill_is_read_too(cloud: Cloud, moto: str, tools: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cloud.url
    monkeypatch.setenv("AWS_ENDPOINT_URL_COST_EXPLORER", moto)
    metrics = {"UnblendedCost": {"Amount": "1.25", "Unit": "USD"}}
    period = {"Start": TODAY.isoformat(), "End": (TODAY + timedelta(days=1)).isoformat()}
    result = {"ResultsByTime": [{"TimePeriod": period, "Groups": [{"Keys": ["model$Nova Pro"], "Metrics": metrics}]}]}
    inject(moto, result)
    async with tools() as client:
        said = await spend(client, days=1)
    assert said["models"] == [{"name": "Nova Pro", "amount": 1.25, "tokens": None}]


def inject(moto: str, result: Answer) -> None:
    body = json.dumps({"results": [result]}).encode()
    request = urllib.request.Request(  # noqa: S310 - the server of this test
        f"{moto}/moto-api/static/ce/cost-and-usage-results", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.status == 201


async def test_bill_that_may_not_be_read_gives_an_estimate_that_says_so(cloud: Cloud, tools: Ask) -> None:
    cloud.logs[LOG_GROUP], expected = log_of(5_000, days=3)
    async with tools() as client:
        result = await client.call_tool(SPEND, {"days": 3})
    said = result.structured_content
    assert said is not None
    assert (said["source"], said["estimated"], said["prices_as_of"]) == ("estimate", True, "2025-12-01")
    text, notes = texts(result)
    assert text.startswith("Bedrock Estimated Spend Report (Past 3 days - USD)\nEstimated Total: ")
    assert "\nESTIMATE with list prices of 2025-12-01, not a bill.\n" in text
    assert "allow it in the IAM policy" in notes
    assert "ce:GetCostAndUsage" in notes
    sonnet = sum(
        (
            counter
            for (what, label), counter in expected.by.items()
            if what == "day and model" and since(label, "sonnet")
        ),
        Counter(),
    )
    by_hand = (
        Decimal(3) * sonnet["input_tokens"]
        + 15 * sonnet["completion_tokens"]
        + Decimal("0.3") * sonnet["cache_read_tokens"]
        + Decimal("3.75") * sonnet["cache_write_tokens"]
    ) / 1_000_000
    (found,) = (model for model in said["models"] if "sonnet" in model["name"])
    assert found["amount"] == float(round(by_hand, 6))
    assert found["tokens"]["input_tokens"] == sonnet["input_tokens"]


def since(label: str, model: str) -> bool:
    """Whether it is about the model, and a day that three days of the bill include."""
    return model in label and label[:10] >= (TODAY - timedelta(days=2)).isoformat()


async def test_model_without_a_price_is_tokens_without_a_price(cloud: Cloud, tools: Ask) -> None:
    log = Log()
    known, unknown, half = (
        log.message(json.dumps({"schemaType": "ModelInvocationLog", "modelId": model, "input": tokens}))
        for model, tokens in (
            ("amazon.nova-lite-v1:0", {"inputTokenCount": 1_000_000}),
            ("maker.new-model-v9:0", {"inputTokenCount": 7}),
            ("meta.llama3-3-70b-instruct-v1:0", {"inputTokenCount": 5, "cacheReadInputTokenCount": 3}),
        )
    )
    plain = log.message(
        json.dumps(
            {
                "schemaType": "ModelInvocationLog",
                "modelId": "meta.llama3-3-70b-instruct-v1:0",
                "input": {"inputTokenCount": 9},
            }
        )
    )
    log.put((NOW - DAY) * 1000, plain)
    for number in (known, unknown, half):
        log.put(NOW * 1000 - 5, number)
    cloud.logs[LOG_GROUP] = log
    async with tools() as client:
        result = await client.call_tool(SPEND, {"days": 3, "chart": True})
    said = result.structured_content
    assert said is not None
    assert {model["name"]: model["amount"] for model in said["models"]} == {
        "nova-lite-v1:0": 0.06,
        "new-model-v9:0": None,
        "llama3-3-70b-instruct-v1:0": None,
    }
    assert said["total"] == 0.06
    assert texts(result)[0].endswith(
        "--- Models Without A Price ---\n"
        "llama3-3-70b-instruct-v1:0: Input=14, Completion=0, Cache=3\n"
        "new-model-v9:0: Input=7, Completion=0, Cache=0"
    )


async def test_own_prices_win(cloud: Cloud, tools: Ask, tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text('as_of: "2026-11-01"\nmodels:\n  nova-lite-*: {input: "2", output: "3"}\n')
    log = Log()
    for model in ("amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0"):
        record = {"schemaType": "ModelInvocationLog", "modelId": model, "input": {"inputTokenCount": 1_000_000}}
        log.put(NOW * 1000 - 5, log.message(json.dumps(record)))
    cloud.logs[LOG_GROUP] = log
    async with tools(priced=str(own)) as client:
        said = await spend(client, days=1)
    assert {model["name"]: model["amount"] for model in said["models"]} == {
        "nova-lite-v1:0": 2,
        "nova-micro-v1:0": 0.035,
    }
    assert said["prices_as_of"] == "2026-11-01"


async def test_cost_explorer_that_is_too_busy_is_no_reason_to_guess(cloud: Cloud, tools: Ask) -> None:
    cloud.fail("GetCostAndUsage", "LimitExceededException", 5)
    async with tools() as client:
        assert "AWS is too busy for ce:GetCostAndUsage" in await refused(client, SPEND)
    assert "StartQuery" not in cloud.operations()


async def test_answers_fit_the_schema_that_is_published(cloud: Cloud, tools: Ask, made: list[Call]) -> None:
    import jsonschema  # noqa: PLC0415

    cloud.logs[LOG_GROUP], _ = log_of(500, days=3)
    async with tools() as client:
        (schema,) = [tool.output_schema for tool in (await client.list_tools()).tools if tool.name == SPEND]
        assert schema is not None
        jsonschema.validate(await spend(client, days=3), schema)
        cloud.bill = CostExplorer()
        jsonschema.validate(await spend(client, days=3), schema)
    assert made[0][1]["TimePeriod"]["End"] == (TODAY + timedelta(days=1)).isoformat()
