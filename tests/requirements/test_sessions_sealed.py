"""SES and TRN once more, where the server is an upstream that does without authorization: the gate holds them alone.

Every test of sessions, streams, revisions and mirrored headers runs again with HTTP between the gate and the tools,
but for those that look into the tools, or at what only a server that knows principals can do.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from conformance.requirements import checked_by, requirement
from tests.requirements import test_mirrored_headers, test_revisions, test_sessions, test_streams
from tests.requirements.behind import Everybody, behind
from tests.requirements.callers import EACH_HANDSHAKE, Caller, caller, events, on_socket, text_of, token_of
from tests.requirements.workshop import Workshop
from tools.server import app as tool_server

AGAIN = ("SES-", "TRN-SSE-", "TRN-VER-", "TRN-HDR-")
# Of the tools themselves, which here are another server's business, or of ids as the tools make them.
ELSEWHERE = {
    "test_session_ids_are_unique_visible_and_not_to_be_guessed",  # below, for sealed ones
    "test_server_without_sessions_gives_out_no_ids_in_any_revision",  # the gate cannot know that it would take junk
    "test_request_state_is_worth_nothing_to_another_principal",  # the upstream would have to know principals
}


def again() -> Iterator[Any]:
    """Every such test with every set of its parameters."""
    for module in (test_sessions, test_streams, test_revisions, test_mirrored_headers):
        for name, test in vars(module).items():
            if name.startswith("test_") and name not in ELSEWHERE and "guarded" in test.__code__.co_names:
                ids = [each for each in checked_by(test) if each.startswith(AGAIN)]
                if ids:
                    yield from rows(module, name, test)


def rows(module: ModuleType, name: str, test: Callable[..., Any]) -> Iterator[Any]:
    """A row for each set of parameters of a test."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    for chosen in itertools.product(*(enumerate(mark.args[1]) for mark in marks)):
        given: dict[str, Any] = {}
        for mark, (_, values) in zip(marks, chosen, strict=True):
            names = mark.args[0]
            parts = getattr(values, "values", None)
            row = (
                parts if parts is not None and not callable(parts) else (values,) if isinstance(names, str) else values
            )
            given |= dict(zip((names,) if isinstance(names, str) else names, row, strict=True))
        yield pytest.param(module, test, given, id="-".join([name, *(str(number) for number, _ in chosen)]))


EVERY = list(again())


@pytest.mark.parametrize(("module", "test", "given"), EVERY)
@requirement(*sorted({each for row in EVERY for each in checked_by(row.values[1])}))
async def test_requirement_holds_before_an_upstream(
    module: ModuleType, test: Callable[..., Any], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "guarded", behind)  # a way to set up a test, not code of ours
    done = test(**given)
    if inspect.isawaitable(done):
        await done


@EACH_HANDSHAKE
@requirement("SES-03")
async def test_sealed_ids_are_unique_visible_and_not_those_of_the_upstream(version: str) -> None:
    upstream = Everybody(loaded())
    async with behind(upstream=upstream) as door:
        callers = [await caller(door, version).open() for _ in range(20)]
        assert len({each.session for each in callers}) == 20
        own = {value.decode() for headers in upstream.seen for name, value in headers if name == b"mcp-session-id"}
        assert len(own) == 20, "the upstream is given its own ids"
        for each in callers:
            assert re.fullmatch(r"[\x21-\x7E]{40,}", each.session)
            assert not any(session in each.session for session in own)
        for session in own:
            leaked = caller(door, version)
            leaked.session = session
            assert (await leaked.call("whoami")).status_code == 404


@EACH_HANDSHAKE
@requirement("SES-02")
async def test_session_of_another_never_reaches_the_upstream(version: str) -> None:
    upstream = Everybody(loaded())
    async with behind(upstream=upstream) as door:
        owner = await caller(door, version).open()
        reached = len(upstream.seen)
        thief = owner.with_token(token_of(door, "bob"))
        for verb in ("GET", "DELETE"):
            assert (await thief.send(verb)).status_code == 404
        assert (await thief.call("whoami")).status_code == 404
        assert len(upstream.seen) == reached
        assert (await owner.call("whoami")).status_code == 200


@EACH_HANDSHAKE
@requirement("SES-04")
async def test_session_carries_on_with_a_token_of_another_client(version: str) -> None:
    async with behind() as door:
        owner = await caller(door, version).open()
        other = owner.with_token(token_of(door, client_id="client-two"))
        assert text_of(await other.call("whoami")) == text_of(await owner.call("whoami"))


@requirement("TRN-SSE-01")
async def test_event_id_of_another_session_replays_nothing() -> None:
    async with behind() as door, on_socket(door.gate) as http:
        alice = await Caller(http, "2025-11-25", token_of(door)).open()
        event = events((await alice.call("report")).text)[0]["id"]
        bob = await Caller(http, "2025-11-25", token_of(door, "bob")).open()
        bob.session = alice.session
        stolen = await bob.send("GET", {"Last-Event-ID": event})
        assert stolen.status_code == 404


def loaded() -> Any:
    """The workshop as an MCP server that is there at once."""
    app = tool_server([Workshop().plugin()])
    app._wanted.set()
    return app
