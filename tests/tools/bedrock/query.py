"""The part of the Logs Insights query language that a report uses, really carried out. Anything else is refused."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FIELDS = 200  # that Insights discovers in an event
Flat = Mapping[str, str]
Event = tuple[int, Flat]  # milliseconds, fields


class Malformed(Exception):
    """A query that is none."""


def flattened(message: str) -> dict[str, str]:
    """The fields that Insights discovers in a message: paths of JSON, every value a text."""
    fields: dict[str, str] = {}
    try:
        decoded = json.loads(message)
    except ValueError:
        return fields
    if isinstance(decoded, dict):
        _flatten("", decoded, fields)
    return fields


def _flatten(path: str, value: Any, fields: dict[str, str]) -> None:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is not None:
        for name, member in members:
            _flatten(f"{path}.{name}" if path else str(name), member, fields)
    elif value is not None and len(fields) < FIELDS:
        fields[path] = value if isinstance(value, str) else json.dumps(value)


@dataclass
class Query:
    """A query that has been read."""

    derived: list[tuple[str, list[str]]]
    bounds: list[tuple[Callable[[int, int], bool], int]]
    aggregates: list[tuple[str, str, str]]  # name, function, argument
    by: list[tuple[str, str]]  # name, field or bin
    order: tuple[str, bool] | None

    def run(self, events: Iterable[Event]) -> list[list[dict[str, str]]]:
        """The rows, as GetQueryResults has them."""
        groups: dict[tuple[str | None, ...], list[float]] = {}
        fields = [field for _, field in self.by]
        derived = dict(self.derived)
        for at, flat in events:
            if not all(compare(at, bound) for compare, bound in self.bounds):
                continue
            key = tuple(self._value(field, at, flat, derived) for field in fields)
            sums = groups.setdefault(key, [0.0] * len(self.aggregates))
            for number, (_, function, argument) in enumerate(self.aggregates):
                if argument == "*":
                    sums[number] += 1
                elif argument in flat:
                    sums[number] += 1 if function == "count" else float(flat[argument])
        rows = [self._row(key, sums) for key, sums in groups.items()]
        if self.order:
            name, down = self.order
            rows.sort(key=lambda row: row.get(name, ""), reverse=down)
        return [[{"field": name, "value": value} for name, value in row.items()] for row in rows]

    def _value(self, field: str, at: int, flat: Flat, derived: Mapping[str, list[str]]) -> str | None:
        if field == "bin(1d)":
            return f"{datetime.fromtimestamp(at // 86_400_000 * 86_400, UTC):%Y-%m-%d} 00:00:00.000"
        if field in derived:
            return next((flat[option] for option in derived[field] if option in flat), None)
        return flat.get(field)

    def _row(self, key: tuple[str | None, ...], sums: list[float]) -> dict[str, str]:
        row = {name: value for (name, _), value in zip(self.by, key, strict=True) if value is not None}
        return row | {name: f"{value:.0f}" for (name, _, _), value in zip(self.aggregates, sums, strict=True)}


PATH = r"[@\w]+(?:\.\w+)*"
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def parse(text: str) -> Query:
    """A query from its text. Raises `Malformed`."""
    query = Query([], [], [], [], None)
    for command in text.split("|"):
        name, _, rest = command.strip().partition(" ")
        if name not in ("fields", "filter", "stats", "sort"):
            raise Malformed(f"unexpected {name!r}")
        globals()[f"_{name}"](query, " ".join(rest.split()))
    if not query.aggregates:
        raise Malformed("only stats are carried out here")
    return query


def _matched(pattern: str, text: str) -> re.Match[str]:
    found = re.fullmatch(pattern, text.strip())
    if found is None:
        raise Malformed(f"unexpected {text!r}")
    return found


def _fields(query: Query, text: str) -> None:
    options, name = _matched(rf"coalesce\(((?:{PATH})(?:, ?{PATH})*)\) as (\w+)", text).groups()
    query.derived.append((name, re.split(", ?", options)))


def _filter(query: Query, text: str) -> None:
    for condition in text.split(" and "):
        compare, bound = _matched(r"toMillis\(@timestamp\) (>=|<=|>|<) (\d+)", condition).groups()
        query.bounds.append((_COMPARE[compare], int(bound)))


def _stats(query: Query, text: str) -> None:
    aggregates, by = _matched(r"(.*) by (.*)", text).groups()
    for aggregate in aggregates.split(","):
        function, argument, name = _matched(rf"(count|sum)\((\*|{PATH})\) as (\w+)", aggregate).groups()
        query.aggregates.append((name, function, argument))
    for label in by.split(","):
        field, name = _matched(rf"(bin\(1d\)|{PATH})(?: as (\w+))?", label).groups()
        query.by.append((name or field, field))


def _sort(query: Query, text: str) -> None:
    name, way = _matched(r"(\w+) (asc|desc)", text).groups()
    query.order = (name, way == "desc")
