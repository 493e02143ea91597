"""How a report comes about: what may be asked is settled first, then AWS is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal, NamedTuple

import anyio.to_thread
from mcp.server.mcpserver.exceptions import ToolError

from tools.aws_codes import DENIED
from tools.bedrock import bill, events, insights, spend, usage
from tools.bedrock.access import Caller, account_for
from tools.bedrock.aws import Service, Services
from tools.bedrock.insights import FAILED, Limits, LogGroup, Say, Span
from tools.bedrock.names import Names, is_application_profile
from tools.bedrock.prices import Prices
from tools.bedrock.refusals import Refused
from tools.bedrock.settings import Account, Settings
from tools.bedrock.spend import SpendReport
from tools.bedrock.usage import DayModelUsage, Question, Tally, UsageReport

MAX_DAYS = 366
LOG_GROUP_LETTERS = frozenset("./-_#ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
MAX_LOG_GROUP = 512  # characters

Source = Literal["logs_insights", "filter_log_events"]


class Asked(NamedTuple):
    """What a caller asks about, as it came."""

    region: str
    log_group: str
    days: int
    account_id: str | None
    caller: Caller


class Reports:
    """Makes reports. `now` is in seconds since the epoch, and `timer` counts the hour for which bills are kept."""

    def __init__(
        self,
        settings: Settings,
        prices: Prices,
        services: Services,
        *,
        now: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        limits: Limits | None = None,
    ) -> None:
        self._settings = settings
        self._prices = prices
        self._services = services
        self._now = now
        self._limits = limits or Limits()
        self._bills = bill.Bills(timer)
        self._names = Names()

    async def usage(self, asked: Asked, say: Say) -> UsageReport:
        """What was used, up to now. Raises `ToolError`."""
        account = await self._check(asked)
        end = int(self._now())
        report, _ = await self._used(asked, account, Span(end - asked.days * 86_400, end), say)
        return report

    async def spend(self, asked: Asked, say: Say) -> SpendReport:
        """What it cost, today included. Raises `ToolError`."""
        account = await self._check(asked)
        today = datetime.fromtimestamp(self._now(), UTC).date()
        start = today - timedelta(days=asked.days - 1)
        try:
            cost_explorer = partial(self._services.service, "ce", bill.region_of(asked.region), account, asked.caller)
            await say("Asking Cost Explorer")
            key = account.id if account else ""
            found, kept = await self._bills.of(key, start, today + timedelta(days=1), cost_explorer)
        except Refused as refused:
            if refused.code not in bill.UNREADABLE:
                raise
            why = (
                "The bill is not part of the sample."
                if self._services.sample
                else f"The bill cannot be read. {refused}"
            )
            return await self._estimate(asked, account, start.isoformat(), why, say)
        account_id = asked.account_id or None
        return spend.of_bill(found, kept=kept, account=account_id, days=asked.days, start=start, last=today)

    async def _estimate(self, asked: Asked, account: Account | None, start: str, why: str, say: Say) -> SpendReport:
        midnight = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp())
        try:
            used, parts = await self._used(asked, account, Span(midnight, int(self._now())), say)
        except ToolError as error:
            raise ToolError(f"{why} Nor can it be estimated: {error}") from None
        return spend.estimate(used, parts, self._prices, why)

    async def _check(self, asked: Asked) -> Account | None:
        """The account that is asked about; nothing has been asked of it so far."""
        if not 1 <= asked.days <= MAX_DAYS:
            raise ToolError(f"days must be between 1 and {MAX_DAYS}, and {asked.days} is not.")
        if not 1 <= len(asked.log_group) <= MAX_LOG_GROUP or not LOG_GROUP_LETTERS.issuperset(asked.log_group):
            raise ToolError(
                f"{asked.log_group[:60]!r} cannot be a log group: names have letters, digits and ./-_# only."
            )
        account = account_for(self._settings, asked.account_id, asked.caller)
        regions = await self._services.regions()
        if asked.region not in regions:
            raise ToolError(
                f"There is no region {asked.region[:40]!r}: choose one such as {', '.join(_near(regions))}."
            )
        return account

    async def _used(
        self, asked: Asked, account: Account | None, span: Span, say: Say
    ) -> tuple[UsageReport, list[DayModelUsage]]:
        """The report of a span, and its figures for every model and day."""
        logs = await self._services.service("logs", asked.region, account, asked.caller)
        try:
            log = LogGroup(logs, asked.log_group)
            tally, source, since = await _tally(log, span, say, self._limits)
        except Refused as refused:
            if refused.code == "ResourceNotFoundException":
                raise _no_log_group(asked) from None
            raise
        bedrock: Service | None = None
        if any(is_application_profile(model) for model in tally.models):
            bedrock = await self._services.service("bedrock", asked.region, account, asked.caller)
        names, problems = await self._names.of(tally.models, bedrock)
        account_id = asked.account_id or None
        question = Question(asked.region, asked.log_group, asked.days, account_id, span, since, self._services.sample)
        return await anyio.to_thread.run_sync(_reported, question, tally, names, problems, source)


def _reported(
    question: Question, tally: Tally, names: Mapping[str, str], problems: list[str], source: Source
) -> tuple[UsageReport, list[DayModelUsage]]:
    return usage.report(question, tally, names, problems, source), usage.by_day_and_model(tally, names)


async def _tally(log: LogGroup, span: Span, say: Say, limits: Limits) -> tuple[Tally, Source, int]:
    """Everything of a span added up by Logs Insights, or from single events where that is not to be had; since when."""
    tally = Tally()
    try:
        since = await insights.read(log, span, tally.add, say, limits)
    except Refused as refused:
        if refused.code not in DENIED and refused.code != FAILED:
            raise
        return await _tally_of_events(log, span, say, limits, refused), "filter_log_events", span.start
    return tally, "logs_insights", since


async def _tally_of_events(log: LogGroup, span: Span, say: Say, limits: Limits, why: Refused) -> Tally:
    tally = Tally()
    try:
        rows = await events.read(log, span, say, limits)
    except Refused as refused:
        if refused.code in DENIED:
            raise why from None  # what is to be mended first
        raise
    for row in rows:
        tally.add(row)
    return tally


def _no_log_group(asked: Asked) -> ToolError:
    return ToolError(
        f"There is no log group {asked.log_group} in {asked.region}: turn on Bedrock's model invocation logging there, "
        "or give the log_group_name it writes to."
    )


def _near(regions: Sequence[str]) -> list[str]:
    """A few regions to choose from."""
    usual = ("us-east-1", "us-west-2", "eu-central-1", "ap-northeast-1")
    return [region for region in usual if region in regions]
