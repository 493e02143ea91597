"""Rows: calls that agree in day, model, caller and so on, counted together by Logs Insights, or here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec

SCHEMA = "ModelInvocationLog"
MAX_ROWS = 100_000  # of one answer; what Insights gives at most

Tokens = Annotated[int, msgspec.Meta(ge=0)]


class Key(NamedTuple):
    """What calls of one row have in common; "" where a record does not say."""

    day: str  # in UTC, as 2026-11-21
    schema: str
    region: str
    model: str
    caller: str  # the ARN
    operation: str
    error: str  # the code of the error, "" where there was none


@dataclass(slots=True)
class Figures:
    """Sums over calls. Cache tokens are not part of the input tokens."""

    calls: int = 0
    counted: int = 0  # calls whose record says how many input tokens there were
    answered: int = 0  # calls whose record says how many output tokens there were
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def add(self, other: Figures) -> None:
        """Add those of more calls."""
        self.calls += other.calls
        self.counted += other.counted
        self.answered += other.answered
        self.input += other.input
        self.output += other.output
        self.cache_read += other.cache_read
        self.cache_write += other.cache_write


Row = tuple[Key, Figures]


class _Identity(msgspec.Struct):
    arn: str | list[str] | None = None


class _Input(msgspec.Struct):
    tokens: Tokens | None = msgspec.field(default=None, name="inputTokenCount")
    cache_read: Tokens | None = msgspec.field(default=None, name="cacheReadInputTokenCount")
    cache_write: Tokens | None = msgspec.field(default=None, name="cacheWriteInputTokenCount")


class _Output(msgspec.Struct):
    tokens: Tokens | None = msgspec.field(default=None, name="outputTokenCount")


class _Record(msgspec.Struct):
    schema: str = msgspec.field(default="", name="schemaType")
    region: str | None = None
    model: str | None = msgspec.field(default=None, name="modelId")
    operation: str | None = None
    error: str | None = msgspec.field(default=None, name="errorCode")
    identity: _Identity | None = None
    input: _Input | None = None
    output: _Output | None = None

    def key(self, day: str) -> Key:
        arn = self.identity.arn if self.identity else None
        caller = arn if isinstance(arn, str) else next(iter(arn or ()), "")
        said = (self.schema, self.region, self.model, caller, self.operation, self.error)
        return Key(day, *(sys.intern(text or "") for text in said))

    def figures(self) -> Figures:
        given, made = self.input or _Input(), self.output or _Output()
        return Figures(
            calls=1,
            counted=int(given.tokens is not None),
            answered=int(made.tokens is not None),
            input=given.tokens or 0,
            output=made.tokens or 0,
            cache_read=given.cache_read or 0,
            cache_write=given.cache_write or 0,
        )


_decode = msgspec.json.Decoder(_Record).decode
_NO_RECORD = _Record()  # what something else in the log counts as


class Rows:
    """Rows that grow record by record; their memory depends on how different the calls are, not on how many."""

    def __init__(self) -> None:
        self._figures: dict[Key, Figures] = {}

    def __len__(self) -> int:
        return len(self._figures)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._figures.items())

    def add_events(self, events: Iterable[dict[str, Any]]) -> None:
        """Count the records of log events, as FilterLogEvents has them."""
        for event in events:
            self.add(event["timestamp"], event["message"])

    def add(self, milliseconds: int, message: str) -> None:
        """Count one record, written at this time since the epoch."""
        day = datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")
        try:
            record = _decode(message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            record = _NO_RECORD
        self._figures.setdefault(record.key(day), Figures()).add(record.figures())
