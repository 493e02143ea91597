"""TRN-SSE: event streams, their ids, and taking them up again (MCP Transports, Resumability)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from . import revisions
from .plugin import Judge
from .requirements import requirement
from .target import Caller, Target
from .wire import Answer, as_object, events


def streams(target: Target, revision: str, caller: Caller) -> Iterator[Answer]:
    """The event streams that calls of harmless tools are answered with."""
    for tool in caller.tools():
        needs = as_object(tool.get("inputSchema")).get("required")
        calm = as_object(tool.get("annotations")).get("readOnlyHint") is True
        if calm and not needs:
            answer = caller.ask("tools/call", {"name": tool["name"], "arguments": {}, **_asks_progress(revision)})
            if answer.media_type == "text/event-stream":
                yield answer


def _asks_progress(revision: str) -> dict[str, object]:
    return {"_meta": {**(revisions.meta() if revision == revisions.MODERN else {}), "progressToken": "conformance"}}


@cache
def answered(target: Target, revision: str) -> tuple[Caller, list[Answer]]:
    """A client and all the streams it was answered with, twice each; asked for once."""
    caller = target.opened(revision)
    return caller, [*streams(target, revision, caller), *streams(target, revision, caller)]


def with_ids(target: Target, revision: str) -> tuple[Caller, list[Answer]]:
    """A client and the streams it was answered with, whose events have ids."""
    caller, said = answered(target, revision)
    found = [answer for answer in said if any("id" in each for each in events(answer.text))]
    if not found:
        pytest.skip("No answer to a harmless tool (readOnlyHint, no arguments) is a stream whose events have ids.")
    return caller, found


@requirement("TRN-SSE-01")
def test_event_ids_are_there_once(target: Target, judge: Judge, token: str, revision: str) -> None:
    _, found = with_ids(target, revision)
    ids = [each["id"] for answer in found for each in events(answer.text) if "id" in each]
    again = sorted({each for each in ids if ids.count(each) > 1})
    judge.expect(
        not again,
        f"Within one session {len(again)} event ids stand for several events.",
        found[0],
        fix="Give every event of a session its own id, across its streams.",
    )


def resumed(caller: Caller, answer: Answer) -> tuple[Answer, list[str]]:
    """What comes after the first event of a stream, and what should."""
    sent = [each for each in events(answer.text) if "id" in each]
    back = caller.send("GET", {"Last-Event-ID": sent[0]["id"]}, seconds=1.0)
    return back, [each.get("data", "") for each in sent[1:] if each.get("data")]


@requirement("TRN-SSE-01")
def test_resumed_stream_repeats_its_own_events_alone(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller, found = with_ids(target, revision)
    if len(found) < 2:
        pytest.skip("There was only one stream.")
    back, own = resumed(caller, found[0])
    if not back.ok:
        pytest.skip(f"Streams cannot be resumed here: {back.said()}.")
    said = [each["data"] for each in events(back.text) if each.get("data")]
    foreign = [each for each in said if each not in own]
    judge.expect(
        not foreign,
        f"Resuming one stream brought {len(foreign)} events of another.",
        back,
        fix="Let ids name their stream, and repeat that stream alone.",
    )


@requirement("TRN-SSE-01")
def test_resumed_stream_is_its_owners(target: Target, judge: Judge, second_token: str, revision: str) -> None:
    caller, found = with_ids(target, revision)
    thief = target.opened(revision, second_token)
    for session in (thief.session, caller.session):
        thief.session = session
        back, own = resumed(thief, found[0])
        stolen = [each for each in events(back.text) if each.get("data") in own]
        judge.expect(
            not stolen,
            f"Another principal got {len(stolen)} events of a stream, by its id.",
            back,
            fix="Look events up in the session of the caller, which is bound to its principal.",
        )


@requirement("TRN-SSE-02")
def test_stream_begins_with_an_id(target: Target, judge: Judge, token: str, revision: str) -> None:
    _, found = answered(target, revision)
    resumable = [answer for answer in found if any("id" in each for each in events(answer.text))]
    if not resumable:
        pytest.skip("No answer to a harmless tool is a stream that could be resumed.")
    first = events(resumable[0].text)[0]
    judge.expect(
        "id" in first and not first.get("data"),
        "A stream that can be resumed does not begin with an event of an id and no data.",
        resumable[0],
        fix="Send `id: …` with empty data first, so that a client can come back before anything was said.",
    )


@requirement("TRN-SSE-03")
def test_stream_asks_nothing_of_the_client(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = target.opened(revision)
    plain = caller.ask("tools/list", headers={"Last-Event-ID": "conformance"})
    for answer in [plain, *answered(target, revision)[1]]:
        asked = [each.get("method") for each in answer.messages() if "method" in each and "id" in each]
        judge.expect(
            not asked,
            f"A stream of 2026-07-28 holds the request {', '.join(map(str, asked))}.",
            answer,
            fix="Ask by a result of the type input_required.",
        )
