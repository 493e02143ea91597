"""A replay gives all that there is of a stream, ends where the stream ends, and no message can end a session."""

from __future__ import annotations

import pytest
from mcp.server.mcpserver import MCPServer
from mcp.server.streamable_http import EventMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCResponse

from tests.tools.front import call, events, fronted, open_session, request
from tools.event_store import BoundedEventStore
from tools.registry import Needs, Plugin
from tools.server import app


def note(text: str) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method=text)


def answer(text: str = "") -> JSONRPCResponse:
    return JSONRPCResponse(jsonrpc="2.0", id=1, result={"text": text})


ERROR = JSONRPCError(jsonrpc="2.0", id=1, error=ErrorData(code=1, message="m"))
NOBODYS = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=1, message="m"))


async def replayed(store: BoundedEventStore, event_id: str) -> tuple[str | None, list[JSONRPCMessage]]:
    seen: list[JSONRPCMessage] = []

    async def keep(event: EventMessage) -> None:
        seen.append(event.message)

    return await store.replay_events_after(event_id, keep), seen


@pytest.mark.parametrize("last", [answer(), ERROR])
async def test_stream_of_an_answered_request_does_not_go_on(last: JSONRPCMessage) -> None:
    store = BoundedEventStore()
    first = await store.store_event("1", None)
    response = await store.store_event("1", last)
    assert await replayed(store, first) == (None, [last])
    assert await replayed(store, response) == (None, [])


async def test_error_that_answers_no_request_ends_nothing() -> None:
    store = BoundedEventStore()
    first = await store.store_event("_GET_stream", None)
    await store.store_event("_GET_stream", NOBODYS)
    assert await replayed(store, first) == ("_GET_stream", [NOBODYS])


async def test_replay_ends_with_the_answer_although_the_id_of_its_request_was_used_again() -> None:
    store = BoundedEventStore()
    first = await store.store_event("1", None)
    await store.store_event("1", answer("first"))
    again = await store.store_event("1", None)
    await store.store_event("1", note("second"))
    assert await replayed(store, first) == (None, [answer("first")])
    assert await replayed(store, again) == ("1", [note("second")])


async def test_what_comes_during_a_replay_is_replayed_too() -> None:
    store = BoundedEventStore()
    first = await store.store_event("1", None)
    await store.store_event("1", note("before"))
    seen: list[JSONRPCMessage] = []

    async def keep_and_add(event: EventMessage) -> None:
        seen.append(event.message)
        if len(seen) == 1:
            await store.store_event("1", answer())

    assert await store.replay_events_after(first, keep_and_add) is None
    assert seen == [note("before"), answer()]


async def test_message_that_json_cannot_say_is_kept_as_an_error() -> None:
    store = BoundedEventStore()
    first = await store.store_event("1", None)
    await store.store_event("1", answer("\ud800"))
    _, (kept,) = await replayed(store, first)
    assert isinstance(kept, JSONRPCError)
    assert kept.id == 1


def register(server: MCPServer) -> None:
    async def half() -> str:
        return "\ud800"

    server.tool("half", description="Returns half a surrogate pair.")(half)


async def test_tool_that_returns_what_json_cannot_say_does_not_end_its_session() -> None:
    async with fronted(app([Plugin("half", register, [Needs("tool", "half")])])) as http:
        session = await open_session(http, "2025-11-25")
        (first,) = [event for event in events((await session.post(call("half", 5))).text) if event.id]
        async with session.stream("GET", last_event_id=first.id) as response:
            text = "".join([line + "\n" async for line in response.aiter_lines()])
        assert [event.message["error"]["code"] for event in events(text)] == [-32603]
        assert (await session.post(request("ping"))).status_code == 200


async def test_resumed_stream_whose_request_was_answered_is_ended_by_the_server() -> None:
    async with fronted(app([])) as http:
        session = await open_session(http, "2025-11-25")
        *_, last = events((await session.post(request("ping"))).text)
        assert (await session.send("GET", last_event_id=last.id)).text == ""  # all of it: there is nothing to wait for
