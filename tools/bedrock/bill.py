"""The bill of Bedrock by day and model, from Cost Explorer. Every request of it costs a cent, so answers are kept.

API: Cost Explorer, GetCostAndUsage; grouping by PRODUCT_ATTRIBUTE has data from 2026-09-01 on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from weakref import WeakValueDictionary

import anyio
from cachetools import TTLCache

from tools.aws_codes import DENIED
from tools.bedrock.aws import Answer, Service
from tools.bedrock.refusals import Refused

REGION = "us-east-1"  # where Cost Explorer is, for all regions but those of other partitions
PARTITIONS = ("cn-", "us-iso", "eu-isoe-", "eusc-")  # how their regions begin; each has a Cost Explorer of its own
GOVCLOUD = "us-gov-"  # has none
REQUEST_CENTS = 1  # for every request and every further page
KEPT_SECONDS = 3600
KEPT = 256  # bills at most
BY_MODEL_FROM = date(2026, 9, 1)
NO_DATA = "DataUnavailableException"
NO_MODELS = frozenset({NO_DATA, "ValidationException"})  # the latter where grouping by product attribute is not known
UNREADABLE = DENIED | {NO_DATA, "OptInRequired", "SubscriptionRequiredException"}
NO_MODEL = "not of one model"
METRIC = "UnblendedCost"
EDITION = " (Amazon Bedrock Edition)"  # ends the service name of a model that is sold through AWS Marketplace
_REGION_CODE = re.compile(r"^[A-Z]{2,4}\d?-(?=.)")
_KIND = re.compile(r"-(?:input|output|cache|prompt|invocation)[-\w.]*$", re.IGNORECASE)


def region_of(region: str) -> str:
    """Where Cost Explorer is asked about what was called in a region.

    Raises:
        Refused: it is not to be had there (AWS GovCloud user guide, billing and payment).
    """
    if region.startswith(GOVCLOUD):
        raise Refused(NO_DATA, "That of GovCloud is part of the bill of its standard account.")
    return region if region.startswith(PARTITIONS) else REGION


@dataclass
class Bill:
    """What was charged, by day and model."""

    amounts: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    currency: str = "USD"
    requests: int = 0  # to Cost Explorer
    by_usage_type: bool = False  # models are read off usage types, at least for some days

    def add(self, day: str, model: str, metric: dict[str, str]) -> None:
        """Add one amount."""
        self.amounts[day, model] = self.amounts.get((day, model), Decimal(0)) + Decimal(metric["Amount"])
        self.currency = metric["Unit"]


Key = tuple[str, date, date]  # account, first day, the day after the last


class Bills:
    """Bills, each kept for an hour. Whoever asks for one that is being read waits, so that nobody pays twice for it."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._kept: TTLCache[Key, Bill] = TTLCache(KEPT, KEPT_SECONDS, timer)
        self._reading: WeakValueDictionary[Key, anyio.Lock] = WeakValueDictionary()  # for as long as somebody has it

    async def of(
        self, account: str, start: date, end: date, service: Callable[[], Awaitable[Service]]
    ) -> tuple[Bill, bool]:
        """The bill of an account from a day up to, but not including, another, and whether it was kept.

        Raises:
            Refused: Cost Explorer does not tell.
        """
        key = account, start, end
        reading = self._reading.setdefault(key, anyio.Lock())
        async with reading:
            kept = self._kept.get(key)
            if kept is not None:
                return kept, True
            bill = Bill()
            await _read(await service(), start, end, bill)
            self._kept[key] = bill
            return bill, False


async def _read(ce: Service, start: date, end: date, bill: Bill) -> None:
    """Ask by model where Cost Explorer has that, and by usage type where it has not."""
    turn = min(max(start, BY_MODEL_FROM), end)
    if start < turn:
        await _by_usage_type(ce, start, turn, bill)
    if turn < end:
        try:
            await _by_model(ce, turn, end, bill)
        except Refused as refused:
            if refused.code not in NO_MODELS:
                raise
            await _by_usage_type(ce, turn, end, bill)


async def _by_model(ce: Service, start: date, end: date, bill: Bill) -> None:
    """No filter by service: those of other companies' models have names of their own, and all are meant."""
    groups = [{"Type": "PRODUCT_ATTRIBUTE", "Key": "model"}]
    async for day, group in _groups(ce, bill, {"TimePeriod": _period(start, end), "GroupBy": groups}):
        bill.add(day, group["Keys"][0].removeprefix("model$") or NO_MODEL, group["Metrics"][METRIC])


async def _by_usage_type(ce: Service, start: date, end: date, bill: Bill) -> None:
    bill.by_usage_type = True
    period = _period(start, end)
    services = await _services(ce, bill, period)
    if not services:
        return
    asked = {
        "TimePeriod": period,
        "Filter": {"Dimensions": {"Key": "SERVICE", "Values": services}},
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
    }
    async for day, group in _groups(ce, bill, asked):
        bill.add(day, model_of(*group["Keys"]), group["Metrics"][METRIC])


async def _services(ce: Service, bill: Bill, period: dict[str, str]) -> list[str]:
    """Every name under which Bedrock is charged."""
    found: list[str] = []
    async for answer in _pages(
        ce, bill, "get_dimension_values", Dimension="SERVICE", SearchString="Bedrock", TimePeriod=period
    ):
        found += (value["Value"] for value in answer["DimensionValues"])
    return found


async def _groups(ce: Service, bill: Bill, asked: dict[str, Any]) -> Any:
    async for answer in _pages(ce, bill, "get_cost_and_usage", Granularity="DAILY", Metrics=[METRIC], **asked):
        for result in answer["ResultsByTime"]:
            for group in result.get("Groups", ()):
                yield result["TimePeriod"]["Start"], group


async def _pages(ce: Service, bill: Bill, operation: str, **asked: Any) -> Any:
    token: dict[str, str] = {}
    while True:
        bill.requests += 1
        answer: Answer = await ce.call(operation, **asked, **token)
        yield answer
        if not answer.get("NextPageToken"):
            return
        token = {"NextPageToken": answer["NextPageToken"]}


def _period(start: date, end: date) -> dict[str, str]:
    return {"Start": start.isoformat(), "End": end.isoformat()}


def model_of(service: str, usage_type: str) -> str:
    """The model that a usage type is about: `Nova-Pro` of `USE1-Nova-Pro-input-tokens`."""
    if service.endswith(EDITION):
        return service.removesuffix(EDITION)
    return _KIND.sub("", _REGION_CODE.sub("", usage_type)) or usage_type
