"""What became of one request, and what to change: `bearergate explain ID`, from the audit log."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

import msgspec

from gateway.audit import Decision
from gateway.errors import Refusal
from gateway.facade.errors import REMEDIES


class NotExplained(Exception):
    """There is no such decision to explain; the text says where to look."""


def explain(decision_id: str, log: str) -> str:
    """One decision in words; `log` is the file of the audit log, or `-` for standard input.

    Raises:
        NotExplained: the log cannot be read, or holds no such decision.
    """
    if log == "-":
        decision = find(decision_id, sys.stdin)
    else:
        try:
            with Path(log).open(encoding="utf-8", errors="replace") as lines:
                decision = find(decision_id, lines)
        except OSError as error:
            reason = error.strerror or str(error)
            raise NotExplained(f"{log} cannot be read ({reason}): name the audit log with --log") from None
    if decision is None:
        where = "standard input" if log == "-" else log
        raise NotExplained(
            f"No decision in {where} has the id {decision_id}: try an older log, or that of another replica"
        )
    return "\n".join(in_words(decision))


def find(decision_id: str, lines: Iterable[str] | TextIO) -> Decision | None:
    """The decision of this id, line by line; other lines, as a shared log may have, are passed over."""
    for line in lines:
        if decision_id in line:
            try:
                decision = msgspec.json.decode(line, type=Decision)
            except msgspec.MsgspecError:
                continue
            if decision.id == decision_id:
                return decision
    return None


def in_words(decision: Decision) -> Iterator[str]:
    """What was asked, by whom, what was wrong, and what to change."""
    when = dt.datetime.fromtimestamp(decision.time, dt.UTC)
    verdict = f"{decision.decision} {decision.status or ''}".strip()
    yield f"{when:%Y-%m-%d %H:%M:%S} UTC  {verdict}"
    asked = " ".join(part for part in (decision.operation, decision.target) if part)
    yield f"  request    {decision.method} {decision.resource}{f', {asked}' if asked else ''}"
    if decision.subject:
        yield f"  principal  {decision.subject} of {decision.issuer}"
    if decision.client:
        yield f"  client     {decision.client}"
    if decision.reason:
        yield f"  reason     {decision.reason}: {decision.detail}"
    if decision.would_refuse:
        yield f"  dry run    would be refused: {decision.would_refuse}"
    if decision.scopes:
        yield f"  scopes     {' '.join(decision.scopes)}"
    if remedy := remedies().get(decision.reason):
        yield f"  to change  {remedy}"


def remedies() -> dict[str, str]:
    """What helps against each reason."""
    kinds, found = [Refusal], dict(REMEDIES)
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if "reason" in vars(kind):
            found[kind.reason] = kind.remedy
    return found
