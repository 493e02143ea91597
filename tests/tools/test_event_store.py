"""The event store of one session: what it keeps is bounded, what it replays is of one stream and in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.streamable_http import EventMessage
from mcp.types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from tools.event_store import MAX_MESSAGE, BoundedEventStore


def message(number: int, size: int = 0) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/x", params={"n": number, "pad": "x" * size})


async def replayed(store: BoundedEventStore, event_id: str) -> tuple[str | None, list[EventMessage]]:
    seen: list[EventMessage] = []

    async def keep(event: EventMessage) -> None:
        seen.append(event)

    return await store.replay_events_after(event_id, keep), seen


def numbers(seen: list[EventMessage]) -> list[int]:
    return [event.message.params["n"] for event in seen]  # type: ignore[union-attr, index]


async def test_replay_is_what_came_after_on_the_same_stream_with_the_same_ids() -> None:
    store = BoundedEventStore()
    first = await store.store_event("a", None)
    ids = [await store.store_event(stream, message(n)) for n, stream in enumerate("abab")]
    stream, seen = await replayed(store, first)
    assert (stream, numbers(seen)) == ("a", [0, 2])
    assert [event.event_id for event in seen] == [ids[0], ids[2]]
    assert numbers((await replayed(store, ids[1]))[1]) == [3]
    assert (await replayed(store, ids[3])) == ("b", [])


async def test_event_that_only_says_where_a_stream_begins_is_not_replayed() -> None:
    store = BoundedEventStore()
    first = await store.store_event("a", None)
    await store.store_event("a", None)
    assert (await replayed(store, first)) == ("a", [])


async def test_unknown_event_is_nothing() -> None:
    assert (await replayed(BoundedEventStore(), "made-up")) == (None, [])


async def test_ids_are_unguessable() -> None:
    store = BoundedEventStore(max_events=1000)
    ids = {await store.store_event("a", None) for _ in range(1000)}
    assert len(ids) == 1000
    assert min(len(event_id) for event_id in ids) * 6 >= 128  # bits, of six per character


async def test_oldest_events_are_forgotten_first() -> None:
    store = BoundedEventStore(max_events=3)
    ids = [await store.store_event("a", message(n)) for n in range(5)]
    assert (await replayed(store, ids[1])) == (None, [])
    assert numbers((await replayed(store, ids[2]))[1]) == [3, 4]


async def test_events_that_are_forgotten_during_a_replay_are_left_out() -> None:
    store = BoundedEventStore(max_events=3)
    ids = [await store.store_event("a", message(n)) for n in range(3)]
    seen: list[EventMessage] = []

    async def keep_and_add(event: EventMessage) -> None:
        seen.append(event)
        for n in range(3):
            await store.store_event("b", message(n))

    assert await store.replay_events_after(ids[0], keep_and_add) == "a"
    assert numbers(seen) == [1]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 400)))))
async def test_store_never_holds_more_than_it_may(stored: list[tuple[str, int | None]]) -> None:
    store = BoundedEventStore(max_events=5, max_characters=1000)
    for stream, size in stored:
        await store.store_event(stream, None if size is None else message(0, size))
        held = [kept for _, kept, _ in store._events.values()]
        assert len(held) <= 5
        assert sum(len(kept.model_dump_json(exclude_unset=True)) for kept in held if kept) <= 1000


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(JSONRPCResponse(jsonrpc="2.0", id="q", result={"x": "x" * MAX_MESSAGE}), id="a result"),
        pytest.param(
            JSONRPCError.model_validate(
                {"jsonrpc": "2.0", "id": "q", "error": {"code": 1, "message": "m", "data": "x" * MAX_MESSAGE}}
            ),
            id="an error",
        ),
    ],
)
async def test_answer_too_large_is_kept_as_an_error_for_the_same_request(answer: JSONRPCMessage) -> None:
    store = BoundedEventStore()
    first = await store.store_event("q", None)
    await store.store_event("q", answer)
    _, (event,) = await replayed(store, first)
    assert isinstance(event.message, JSONRPCError)
    assert event.message.id == "q"
    assert event.message.error.data is None


@pytest.mark.parametrize(
    "too_large",
    [
        pytest.param(message(0, MAX_MESSAGE), id="a notification"),
        pytest.param(JSONRPCRequest(jsonrpc="2.0", id=1, method="x", params={"x": "x" * MAX_MESSAGE}), id="a request"),
    ],
)
async def test_anything_else_too_large_is_not_kept(too_large: JSONRPCMessage) -> None:
    store = BoundedEventStore()
    first = await store.store_event("a", None)
    await store.store_event("a", too_large)
    await store.store_event("a", message(1))
    assert numbers((await replayed(store, first))[1]) == [1]
