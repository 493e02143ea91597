"""Whether events arrive as they are made, or something on the way gathers them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from conformance import revisions
from conformance.revisions import HANDSHAKE, MODERN
from conformance.wire import Answer, events
from deploy.doctor.asking import Header, Progress, answered
from deploy.doctor.visit import Visit

FIRST_SECONDS = 3.0  # within which a stream that is open for ever must have begun
TOGETHER = 0.1  # seconds within which events count as sent in one piece
FEW = 3  # events that arrive together before that says anything: the last progress may belong to the result
SLOW = 0.5  # seconds that a tool must take, so that its events can be told apart
HOW = "Switch off buffering and compression for text/event-stream on the way."
NEEDS = "a server that opens streams, or --tool with a harmless, slow tool that tells its progress"


@dataclass(frozen=True)
class Session:
    """A client of one revision that the server lets in."""

    revision: str
    id: str = field(default="", repr=False)

    def headers(self, message: Any) -> list[Header]:
        """The header fields that go with a message; None for one without a body."""
        usual = revisions.headers(self.revision, message) if message else {"MCP-Protocol-Version": self.revision}
        return [*usual.items(), *([("Mcp-Session-Id", self.id)] if self.id else [])]


@dataclass
class Arrivals:
    """When the events of an answer arrived, in seconds since it was asked."""

    started: float = field(default_factory=time.monotonic)
    at: list[float] = field(default_factory=list)

    def note(self, got: Progress) -> None:
        """Note the events that are whole now and were not before."""
        text = bytes(got.body).decode("utf-8", "replace").replace("\r\n", "\n")
        whole = [event for event in events(text[: text.rfind("\n\n") + 2]) if event.get("data")]
        self.at += [time.monotonic() - self.started] * (len(whole) - len(self.at))

    @property
    def together(self) -> bool:
        """Whether all came in one piece."""
        return self.at[-1] - self.at[0] <= TOGETHER


async def watch(visit: Visit) -> None:
    """Open a stream and call a tool with progress, and look at when what arrives."""
    if not visit.revisions:
        visit.findings.skip("buffering of event streams", "an access token that the server takes")
        return
    known = MODERN in visit.revisions and await _subscribe(visit)
    session = await _session(visit)
    if not known and session.revision != MODERN:
        known = await _listen(visit, session)
    if visit.question.tool:
        known = await _call(visit, session) or known
    if session.id:
        await visit.asker.ask("DELETE", visit.url, session.headers(None), token=visit.question.token)
    if not known:
        visit.findings.skip("buffering of event streams", NEEDS)


async def _session(visit: Visit) -> Session:
    """A session in the newest revision that has them, where the server gives one."""
    handshakes = [revision for revision in visit.revisions if revision in HANDSHAKE]
    if not handshakes:
        return Session(MODERN)
    revision = handshakes[-1]
    answer = await _post(visit, Session(revision), revisions.opening(revision))
    session = Session(revision, answer.header("mcp-session-id"))
    await _post(visit, session, revisions.notification(revision))
    return session


async def _post(visit: Visit, session: Session, message: dict[str, Any]) -> Answer:
    return await visit.asker.post(visit.url, session.headers(message), message, token=visit.question.token)


async def _subscribe(visit: Visit) -> bool:
    """Whether a subscription's first event, which the server owes at once, arrives; and whether that was to be seen."""
    message = revisions.message(MODERN, "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, 9)
    body = json.dumps(message).encode()
    answer = await _begun(visit, "POST", Session(MODERN).headers(message), body)
    if answer.media_type == "text/event-stream" and not answer.body:
        visit.findings.add(
            "buffered",
            f"A subscription begins, but its acknowledgement, which comes first, is not there after "
            f"{FIRST_SECONDS:g} s: something on the way gathers events.",
            visit.at("buffering", HOW),
        )
        return True
    return _judge(visit, answer)


async def _listen(visit: Visit, session: Session) -> bool:
    """Whether the stream of the server's own messages begins; and whether an event could be seen."""
    return _judge(visit, await _begun(visit, "GET", [("Accept", "text/event-stream"), *session.headers(None)]))


async def _begun(visit: Visit, method: str, headers: list[Header], body: bytes = b"") -> Answer:
    """What comes of a stream before anything is to be told: its head, and what it begins with."""
    return await visit.asker.ask(
        method,
        visit.url,
        headers,
        body,
        token=visit.question.token,
        until=lambda got: bool(got.body),
        patience=FIRST_SECONDS,
        zipped=True,
    )


def _judge(visit: Visit, answer: Answer) -> bool:
    if answer.media_type == "text/event-stream":
        visit.findings.good("Event streams begin at once" + (", and so do their events" if answer.body else ""))
        return bool(answer.body)  # the head alone passes what holds events back
    if answer.status or "within" not in answer.note:
        return False  # 405, or JSON: it opens no streams
    visit.findings.add(
        "buffered",
        f"A {answer.method} that opens an event stream has no answer after {FIRST_SECONDS:g} s, though other requests "
        "are answered: something waits for the stream's end, which never comes.",
        visit.at("buffering", HOW),
    )
    return True


async def _call(visit: Visit, session: Session) -> bool:
    """Whether the progress of a tool arrives while it works; and whether that could be tested."""
    tool, arrivals = visit.question.tool, Arrivals()
    message = _call_of(visit, session.revision)
    done = answered(message)

    def until(got: Progress) -> bool:
        arrivals.note(got)
        return done(got)

    answer = await visit.asker.ask(
        "POST",
        visit.url,
        session.headers(message),
        json.dumps(message).encode(),
        token=visit.question.token,
        until=until,
        zipped=True,
    )
    if answer.media_type != "text/event-stream":
        visit.findings.skip(f"progress of {tool}", f"an answer that is a stream of events: it was {answer.said()}")
        return False
    enough = len(arrivals.at) >= FEW or (len(arrivals.at) > 1 and not arrivals.together)
    if not enough or answer.seconds < SLOW:
        few = f"it sent {len(arrivals.at)} in {answer.seconds:.1f} s"
        visit.findings.skip(f"progress of {tool}", f"a tool that sends several events over {SLOW:g} s or more: {few}")
        return False
    if arrivals.together:
        visit.findings.add(
            "buffered",
            f"{tool} works for {answer.seconds:.1f} s, and its {len(arrivals.at)} events arrive together at the end: "
            "people see no progress, and questions of the server come too late to be answered.",
            visit.at("buffering", HOW),
        )
    else:
        first, last = arrivals.at[0], arrivals.at[-1]
        visit.findings.good(f"Events of {tool} arrive as they are made, from {first:.1f} s to {last:.1f} s")
    return True


def _call_of(visit: Visit, revision: str) -> dict[str, Any]:
    meta = {**(revisions.meta() if revision == MODERN else {}), "progressToken": "doctor"}
    params = {"name": visit.question.tool, "arguments": visit.question.arguments, "_meta": meta}
    return revisions.message(revision, "tools/call", params, 8)
