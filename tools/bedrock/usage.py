"""The usage report: what the rows add up to, as structured content and as text."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from tools.bedrock.insights import Span
from tools.bedrock.names import caller_name
from tools.bedrock.rows import SCHEMA, Figures, Row

UNKNOWN = "unknown"  # where a record does not say
LISTED = 500  # callers at most that a report lists one by one; all others are one line
CHARTED = 20  # models at most that are told apart day by day
OTHERS = "all others"
SAMPLE_LABEL = "SAMPLE DATA: invented calls that come with bearergate, not those of any AWS account."


class Usage(BaseModel):
    """What calls used. Cache tokens come on top of the input tokens."""

    requests: int = 0
    errors: int = Field(default=0, description="Requests that failed; they are among the requests.")
    input_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = Field(default=0, description="Input and completion tokens; without cache tokens.")
    cache_read_tokens: int = Field(
        default=0, description="Tokens read from a prompt cache; not among the input tokens."
    )
    cache_write_tokens: int = Field(
        default=0, description="Tokens written to a prompt cache; not among the input tokens."
    )


class DayUsage(Usage):
    """Of one day in UTC."""

    date: str


class NamedUsage(Usage):
    """Of one region, operation and so on."""

    name: str


class ModelUsage(NamedUsage):
    """Of one model, however it was called."""

    ids: list[str] = Field(description="The ids, inference profiles and ARNs that stand for this model.")


class UserUsage(NamedUsage):
    """Of one caller."""

    arn: str


class DayModelUsage(Usage):
    """Of one model on one day in UTC."""

    date: str
    model: str


class ErrorCount(BaseModel):
    """How often calls failed with one error."""

    code: str
    requests: int


class UsageReport(BaseModel):
    """Bedrock calls of the past days, added up."""

    sample: bool = Field(description="True: invented data, not those of an account.")
    region: str
    log_group: str
    account: str | None = Field(description="The account asked about; null is that of the server.")
    days: int
    start: str
    end: str
    source: Literal["logs_insights", "filter_log_events"]
    totals: Usage
    daily: list[DayUsage]
    regions: list[NamedUsage]
    models: list[ModelUsage]
    users: list[UserUsage]
    operations: list[NamedUsage]
    errors: list[ErrorCount]
    daily_models: list[DayModelUsage]
    malformed_records: int = Field(description="Entries of the log that are no record of a call; in no other figure.")
    requests_without_token_counts: int = Field(
        description="Successful requests of which the log does not tell all tokens."
    )
    not_covered: list[str] = Field(description="What these figures leave out, in sentences.")


@dataclass
class Sums:
    """Figures, and how many calls failed."""

    figures: Figures = field(default_factory=Figures)
    errors: int = 0

    def add(self, figures: Figures, errors: int) -> None:
        """Add those of some calls, of which so many failed."""
        self.figures.add(figures)
        self.errors += errors

    def facts(self) -> dict[str, int]:
        """The fields of `Usage`."""
        sums = self.figures
        return {
            "requests": sums.calls,
            "errors": self.errors,
            "input_tokens": sums.input,
            "completion_tokens": sums.output,
            "total_tokens": sums.input + sums.output,
            "cache_read_tokens": sums.cache_read,
            "cache_write_tokens": sums.cache_write,
        }


def _one_line(label: str) -> str:
    """What a record says, such that nobody who writes to the log writes lines of the report."""
    return label if label.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in label)


class Tally:
    """Adds rows up in every way a report shows."""

    def __init__(self) -> None:
        self.total = Sums()
        self.days: dict[str, Sums] = {}
        self.regions: dict[str, Sums] = {}
        self.models: dict[str, Sums] = {}  # by id
        self.callers: dict[str, Sums] = {}  # by ARN
        self.operations: dict[str, Sums] = {}
        self.day_models: dict[tuple[str, str], Sums] = {}  # by day and id
        self.errors: dict[str, int] = {}
        self.malformed = 0
        self._uncounted = 0
        self._unanswered: dict[str, int] = {}  # by id: calls with a count of input tokens, and none of output tokens
        self._answering: set[str] = set()  # ids of models that have output tokens; those of embeddings have none

    @property
    def without_counts(self) -> int:
        """Successful calls of which the log tells no tokens, or only those of the input."""
        return self._uncounted + sum(self._unanswered[model] for model in self._answering)

    def add(self, row: Row) -> None:
        """Add one row."""
        key, figures = row
        if key.schema != SCHEMA or not key.model:
            self.malformed += figures.calls
            return
        errors, model, error = figures.calls if key.error else 0, _one_line(key.model), _one_line(key.error)
        self.total.add(figures, errors)
        for table, label in (
            (self.days, key.day),
            (self.regions, _one_line(key.region) or UNKNOWN),
            (self.models, model),
            (self.callers, _one_line(key.caller) or UNKNOWN),
            (self.operations, _one_line(key.operation) or UNKNOWN),
        ):
            table.setdefault(label, Sums()).add(figures, errors)
        self.day_models.setdefault((key.day, model), Sums()).add(figures, errors)
        if error:
            self.errors[error] = self.errors.get(error, 0) + errors
            return
        self._uncounted += figures.calls - figures.counted
        self._unanswered[model] = self._unanswered.get(model, 0) + max(figures.counted - figures.answered, 0)
        if figures.answered or key.operation.endswith("Stream"):
            self._answering.add(model)


@dataclass(frozen=True)
class Question:
    """What a report is about."""

    region: str
    log_group: str
    days: int
    account: str | None
    span: Span
    since: int  # when the log begins to have anything, as far as that is known
    sample: bool


def report(
    asked: Question,
    tally: Tally,
    names: Mapping[str, str],
    problems: Iterable[str],
    source: Literal["logs_insights", "filter_log_events"],
) -> UsageReport:
    """The report of a tally; `names` has one for each id of a model, `problems` are sentences about names."""
    models = _models(tally, names)
    return UsageReport(
        sample=asked.sample,
        region=asked.region,
        log_group=asked.log_group,
        account=asked.account,
        days=asked.days,
        start=_instant(asked.span.start),
        end=_instant(asked.span.end),
        source=source,
        totals=Usage(**tally.total.facts()),
        daily=[DayUsage(date=day, **tally.days[day].facts()) for day in sorted(tally.days)],
        regions=[NamedUsage(name=name, **sums.facts()) for name, sums in _most_first(tally.regions)],
        models=models,
        users=_users(tally),
        operations=[NamedUsage(name=name, **sums.facts()) for name, sums in _most_first(tally.operations)],
        errors=[
            ErrorCount(code=code, requests=calls)
            for code, calls in sorted(tally.errors.items(), key=lambda item: (-item[1], item[0]))
        ],
        daily_models=by_day_and_model(tally, names, {model.name for model in models[:CHARTED]}),
        malformed_records=tally.malformed,
        requests_without_token_counts=tally.without_counts,
        not_covered=[*_not_covered(asked, tally), *problems],
    )


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _most_first(table: Mapping[str, Sums]) -> list[tuple[str, Sums]]:
    return sorted(table.items(), key=lambda item: (-item[1].figures.calls, item[0]))


def _models(tally: Tally, names: Mapping[str, str]) -> list[ModelUsage]:
    sums: dict[str, Sums] = {}
    ids: dict[str, list[str]] = {}
    for model, of_model in sorted(tally.models.items()):
        sums.setdefault(names[model], Sums()).add(of_model.figures, of_model.errors)
        ids.setdefault(names[model], []).append(model)
    return [ModelUsage(name=name, ids=ids[name], **of_name.facts()) for name, of_name in _most_first(sums)]


def _users(tally: Tally) -> list[UserUsage]:
    """The callers with most requests; all others together, so that the sum is that of all."""
    ranked = _most_first(tally.callers)
    users = [UserUsage(arn=arn, name=caller_name(arn), **sums.facts()) for arn, sums in ranked[:LISTED]]
    if others := ranked[LISTED:]:
        rest = Sums()
        for _, sums in others:
            rest.add(sums.figures, sums.errors)
        label = f"{len(others)} others"
        users.append(UserUsage(arn=label, name=label, **rest.facts()))
    return users


def by_day_and_model(tally: Tally, names: Mapping[str, str], kept: Container[str] | None = None) -> list[DayModelUsage]:
    """What each model was used for each day; models that are not to be kept apart are counted together."""
    sums: dict[tuple[str, str], Sums] = {}
    for (day, model), of_model in tally.day_models.items():
        name = names[model] if kept is None or names[model] in kept else OTHERS
        sums.setdefault((day, name), Sums()).add(of_model.figures, of_model.errors)
    return [DayModelUsage(date=day, model=name, **sums[day, name].facts()) for day, name in sorted(sums)]


def _not_covered(asked: Question, tally: Tally) -> list[str]:
    """What the log does not tell (Bedrock user guide, model invocation logging)."""
    said = [
        "Calls through bedrock-mantle are in no invocation log; these are the calls through bedrock-runtime.",
        "Batch jobs and asynchronous calls are in no invocation log: it has Converse and InvokeModel, streamed or not.",
        f"Calls in other regions than {asked.region} and of other accounts are in logs of their own.",
        "Calls made while invocation logging was off were never written down.",
    ]
    if asked.since > asked.span.start:
        said.append(
            f"The log has nothing from before {_instant(asked.since)}: the log group is younger, or keeps no more."
        )
    if tally.without_counts:
        said.append(
            f"Successful requests of which the log does not tell all tokens: {tally.without_counts}. Models of images "
            "have none; if these are others, turn the delivery of bodies off, since long ones push the counts out."
        )
    if tally.malformed:
        said.append(f"Entries of the log that are no records of calls, and are left out: {tally.malformed}.")
        if not tally.total.figures.calls:
            said.append(
                "That is all of them: give another log group, or one of the class Standard, if this is not one."
            )
    return said


def text(report: UsageReport) -> str:
    """The report as people read it."""
    label = [SAMPLE_LABEL, ""] if report.sample else []
    return "\n".join(
        [
            *label,
            f"Bedrock Daily Usage Report (Past {report.days} days - {report.region})",
            f"Total Requests: {report.totals.requests}",
            f"Total Input Tokens: {report.totals.input_tokens}",
            f"Total Completion Tokens: {report.totals.completion_tokens}",
            f"Total Tokens: {report.totals.total_tokens}",
            *_section("Daily Totals", ((day.date, day) for day in report.daily)),
            *_section("Region Summary", ((region.name, region) for region in report.regions)),
            *_section("Model Summary", ((model.name, model) for model in report.models)),
            *_section("User Summary", ((user.arn, user) for user in report.users)),
        ]
    )


def _section(title: str, lines: Iterable[tuple[str, Usage]]) -> list[str]:
    return ["", f"--- {title} ---", *(_line(name, used) for name, used in lines)]


def _line(name: str, used: Usage) -> str:
    return (
        f"{name}: Requests={used.requests}, Input={used.input_tokens}, "
        f"Completion={used.completion_tokens}, Total={used.total_tokens}"
    )


def notes(report: UsageReport) -> str:
    """What the report has no line for: failures, cache tokens, operations, and what is not covered."""
    totals = report.totals
    failed = ", ".join(f"{error.code}={error.requests}" for error in report.errors)
    operations = ", ".join(f"{operation.name}={operation.requests}" for operation in report.operations)
    return "\n".join(
        [
            f"From {report.start} to {report.end}; days are in UTC.",
            f"Cache tokens on top of the input: read {totals.cache_read_tokens}, written {totals.cache_write_tokens}",
            f"Failed requests: {totals.errors}" + (f" ({failed})" if failed else ""),
            f"Operations: {operations or 'none'}",
            "Not covered:",
            *(f"- {sentence}" for sentence in report.not_covered),
        ]
    )
