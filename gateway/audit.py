"""The audit log: every decision as one line of JSON, with an id that a refused caller is given too.

Lines of allowed requests are gathered for a moment and written together; a refusal is written at once. A line holds
the principal as issuer and subject, never a token, a header or a query.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection

import msgspec

from gateway.errors import Refusal
from gateway.operation import Operation
from gateway.principal import Principal

GATHER_SECONDS = 0.1
GATHER_LINES = 1_000
MAX_TEXT = 300  # characters of anything a stranger chose

Write = Callable[[bytes], object]


class Decision(msgspec.Struct, omit_defaults=True):
    """One line of the audit log."""

    time: float  # seconds since the epoch
    id: str
    decision: str  # allowed, refused
    resource: str
    method: str  # of HTTP
    operation: str = ""  # JSON-RPC methods, where a rule made the gate read them
    target: str = ""
    issuer: str = ""
    subject: str = ""
    client: str = ""
    status: int = 0
    reason: str = ""
    detail: str = ""
    scopes: list[str] = []  # all that a refused operation needs
    would_refuse: str = ""  # what policies on trial (`cedar.dry_run`) say against an allowed request


class Decisions:
    """How many decisions of one resource there were."""

    __slots__ = ("allowed", "refused")

    def __init__(self) -> None:
        self.allowed = 0
        self.refused: Counter[str] = Counter()  # by reason, of which there are few


Counts = defaultdict[str, Decisions]  # by resource


class Audit:
    """Writes and counts decisions of one resource; `write` takes whole lines and must not block for long.

    Several parts of a gate decide about a resource; those that are given the same `counts` count together.
    """

    def __init__(
        self,
        resource: str,
        write: Write | None,
        now: Callable[[], float] = time.time,
        counts: Counts | None = None,
    ) -> None:
        self.resource = resource
        self._counts = defaultdict(Decisions) if counts is None else counts
        self._decisions = self._counts[resource]
        self._write = write
        self._now = now
        self._lines: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode

    def allowed(
        self, principal: Principal, method: str, operations: Collection[Operation], trial: Refusal | None = None
    ) -> None:
        """Note that a request went on; `trial` is why policies on trial would have refused it."""
        self._decisions.allowed += 1
        if self._write is None:
            return
        decision = Decision(
            self._now(),
            new_id(),
            "allowed",
            self.resource,
            method,
            issuer=principal.issuer,
            subject=principal.subject,
            client=principal.client_id,
        )
        if operations:
            _describe(decision, operations)
        if trial is not None:
            decision.would_refuse = printable(str(trial))
        self._gather(self._encode(decision))

    def refused(
        self, refusal: Refusal, method: str, principal: Principal | None = None, operations: Collection[Operation] = ()
    ) -> str:
        """Note why a request went no further; returns the id that the answer carries."""
        self._decisions.refused[refusal.reason] += 1
        decision = Decision(
            self._now(),
            new_id(),
            "refused",
            self.resource,
            printable(method),
            status=refusal.status,
            reason=refusal.reason,
            detail=printable(str(refusal)),
            scopes=sorted(getattr(refusal, "scopes", ())),
        )
        if principal is not None:
            decision.issuer, decision.subject, decision.client = (
                principal.issuer,
                principal.subject,
                principal.client_id,
            )
        _describe(decision, operations)
        if self._write is not None:
            self._lines.append(self._encode(decision))
            self.flush()
        return decision.id

    def of(self, resource: str) -> Audit:
        """The same log, for another resource."""
        return Audit(resource, self._write, self._now, self._counts)

    def flush(self) -> None:
        """Write what has been gathered."""
        if self._lines and self._write is not None:
            lines, self._lines = self._lines, []
            self._write(b"\n".join(lines) + b"\n")

    def _gather(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        elif len(self._lines) >= GATHER_LINES:
            self.flush()


def _describe(decision: Decision, operations: Collection[Operation]) -> None:
    decision.operation = printable(" ".join(operation.method for operation in operations))
    decision.target = printable(" ".join(target.name for operation in operations for target in operation.targets))


def printable(text: str) -> str:
    """A stranger's text, cut to a length and without anything a terminal would act on."""
    return text[:MAX_TEXT] if text.isascii() and text.isprintable() else ascii(text[:MAX_TEXT])[1:-1]


def new_id() -> str:
    """A name for one decision: sixteen hexadecimal digits, unlikely to repeat in a log; no secret."""
    return f"{random.getrandbits(64):016x}"
