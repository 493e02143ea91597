"""The spend report: the bill by day and model, or an estimate that says it is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from tools.bedrock.bill import REQUEST_CENTS, Bill
from tools.bedrock.prices import Prices
from tools.bedrock.usage import SAMPLE_LABEL, DayModelUsage, Usage, UsageReport

FINE = Decimal("0.000001")  # a call can cost less than a hundredth of a cent


class DaySpend(BaseModel):
    """Of one day in UTC."""

    date: str
    amount: float


class ModelSpend(BaseModel):
    """Of one model."""

    name: str
    amount: float | None = Field(description="Null where the model has no price.")
    tokens: Usage | None = Field(default=None, description="What an estimate was worked out from.")


class DayModelSpend(BaseModel):
    """Of one model on one day in UTC."""

    date: str
    model: str
    amount: float


class SpendReport(BaseModel):
    """What Bedrock cost in the past days."""

    sample: bool = Field(description="True: invented data, not those of an account.")
    source: Literal["cost_explorer", "estimate"]
    estimated: bool = Field(description="True: worked out from tokens and list prices, not what AWS charges.")
    account: str | None = Field(description="The account asked about; null is that of the server.")
    days: int
    start: str = Field(description="First day, in UTC.")
    end: str = Field(description="Last day, in UTC.")
    currency: str
    total: float = Field(description="Of everything that has a price.")
    daily: list[DaySpend]
    models: list[ModelSpend]
    daily_models: list[DayModelSpend]
    prices_as_of: str | None = Field(default=None, description="The day of the price list behind an estimate.")
    cost_explorer_requests: int = Field(default=0, description="That this answer took; none where the bill was kept.")
    cost_of_answer_usd: float = Field(default=0, description="What AWS charges for this answer.")
    notes: list[str]

    @property
    def unpriced(self) -> list[ModelSpend]:
        """The models without a price."""
        return [model for model in self.models if model.amount is None]


Amounts = Mapping[tuple[str, str], Decimal]  # by day and model


def of_bill(bill: Bill, *, kept: bool, account: str | None, days: int, start: date, last: date) -> SpendReport:
    """The report of a bill."""
    requests = 0 if kept else bill.requests
    price = "nothing: the bill was read less than an hour ago" if kept else f"${requests * REQUEST_CENTS / 100:.2f}"
    notes = [
        f"Requests to Cost Explorer for this answer: {requests}, which cost {price}.",
        "Amounts are unblended costs; the latest day or two may still grow.",
    ]
    if bill.by_usage_type:
        notes.append("Some models are read off usage types, where the bill does not name them, as before 2026-09-01.")
    return SpendReport(
        sample=False,
        source="cost_explorer",
        estimated=False,
        account=account,
        days=days,
        start=start.isoformat(),
        end=last.isoformat(),
        currency=bill.currency,
        models=[ModelSpend(name=name, amount=_float(amount)) for name, amount in _by_model(bill.amounts)],
        cost_explorer_requests=requests,
        cost_of_answer_usd=requests * REQUEST_CENTS / 100,
        notes=notes,
        total=_total(bill.amounts),
        daily=_by_day(bill.amounts),
        daily_models=_by_day_and_model(bill.amounts),
    )


def estimate(used: UsageReport, parts: Iterable[DayModelUsage], prices: Prices, why: str) -> SpendReport:
    """The report worked out from tokens by day and model; `why` says in a sentence why the bill was not read."""
    amounts = _priced(parts, prices)
    priced = dict(_by_model(amounts))
    models = [
        ModelSpend(
            name=model.name,
            amount=_float(priced[model.name]) if model.name in priced else None,
            tokens=Usage(**model.model_dump(include=set(Usage.model_fields))),
        )
        for model in used.models
    ]
    return SpendReport(
        sample=used.sample,
        source="estimate",
        estimated=True,
        account=used.account,
        days=used.days,
        start=used.start[:10],
        end=used.end[:10],
        currency="USD",
        models=sorted(models, key=lambda model: (model.amount is None, -(model.amount or 0), model.name)),
        prices_as_of=prices.as_of,
        notes=[why, *_limits(prices), *used.not_covered],
        total=_total(amounts),
        daily=_by_day(amounts),
        daily_models=_by_day_and_model(amounts),
    )


def _priced(parts: Iterable[DayModelUsage], prices: Prices) -> dict[tuple[str, str], Decimal]:
    """What has a price. A model of which only some tokens have one is left out: half a sum is a wrong one."""
    amounts: dict[tuple[str, str], Decimal] = {}
    without: set[str] = set()
    for part in parts:
        price = prices.of(part.model)
        amount = price.of(part) if price else None
        if amount is None:
            without.add(part.model)
        else:
            amounts[part.date, part.model] = amount
    return {(day, model): amount for (day, model), amount in amounts.items() if model not in without}


def _limits(prices: Prices) -> list[str]:
    return [
        f"An estimate from tokens and on-demand list prices of {prices.as_of}: region, tier and discounts count too.",
        "Asking Logs Insights costs about half a cent for each gigabyte of log.",
    ]


def _by_model(amounts: Amounts) -> list[tuple[str, Decimal]]:
    sums: dict[str, Decimal] = {}
    for (_, model), amount in amounts.items():
        sums[model] = sums.get(model, Decimal(0)) + amount
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))


def _by_day(amounts: Amounts) -> list[DaySpend]:
    sums: dict[str, Decimal] = {}
    for (day, _), amount in amounts.items():
        sums[day] = sums.get(day, Decimal(0)) + amount
    return [DaySpend(date=day, amount=_float(sums[day])) for day in sorted(sums)]


def _by_day_and_model(amounts: Amounts) -> list[DayModelSpend]:
    return [DayModelSpend(date=day, model=model, amount=_float(amounts[day, model])) for day, model in sorted(amounts)]


def _total(amounts: Amounts) -> float:
    return _float(sum(amounts.values(), Decimal(0)))


def _float(amount: Decimal) -> float:
    return float(amount.quantize(FINE))


def text(report: SpendReport) -> str:
    """The report as people read it."""
    mark = "Estimated " if report.estimated else ""
    lines = [SAMPLE_LABEL, ""] if report.sample else []
    lines += [f"Bedrock {mark}Spend Report (Past {report.days} days - {report.currency})"]
    lines += [f"{mark}Total: {_money(report.total)}"]
    if report.estimated:
        lines += [f"ESTIMATE with list prices of {report.prices_as_of}, not a bill."]
    lines += _section(f"{mark}Daily Totals", ((day.date, day.amount) for day in report.daily))
    priced = ((model.name, model.amount) for model in report.models if model.amount is not None)
    lines += _section(f"{mark}Model Summary", priced)
    if report.unpriced:
        lines += ["", "--- Models Without A Price ---"]
        lines += [_tokens(model.name, model.tokens) for model in report.unpriced if model.tokens]
    return "\n".join(lines)


def _section(title: str, lines: Iterable[tuple[str, float]]) -> list[str]:
    return ["", f"--- {title} ---", *(f"{name}: {_money(amount)}" for name, amount in lines)]


def _money(amount: float) -> str:
    return f"{amount:.2f}" if abs(amount) >= 1 else f"{amount:.4f}"


def _tokens(name: str, used: Usage) -> str:
    cached = used.cache_read_tokens + used.cache_write_tokens
    return f"{name}: Input={used.input_tokens}, Completion={used.completion_tokens}, Cache={cached}"


def notes(report: SpendReport) -> str:
    """What the figures mean."""
    return "\n".join([f"From {report.start} to {report.end}, both included.", *(f"- {note}" for note in report.notes)])
