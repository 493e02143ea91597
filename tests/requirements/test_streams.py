"""TRN-GET, SSE and SUB: event streams, what they carry, and how they are taken up again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from conformance.requirements import requirement
from tests.requirements.callers import (
    EACH_HANDSHAKE,
    EVERY_SCOPE,
    HANDSHAKE,
    LOW,
    META,
    MODERN,
    Caller,
    caller,
    events,
    guarded,
    message,
    messages,
    meta,
    on_socket,
    text_of,
    token_of,
    usual_headers,
)
from tests.requirements.challenges import lacks_scope, told_to_log_in
from tests.requirements.workshop import Workshop

STREAM = {"Accept": "text/event-stream"}


class Events:
    """The events of an open stream, one by one."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.lines = answer.aiter_lines()

    async def next(self) -> dict[str, str]:
        """The fields of the next event; comments are passed over."""
        event: dict[str, str] = {}
        with anyio.fail_after(5):
            async for line in self.lines:
                if not line and event:
                    return event
                name, _, value = line.partition(":")
                if name:
                    event[name] = value.removeprefix(" ")
        raise EOFError("the stream is over")

    async def message(self) -> dict[str, Any]:
        """The next message; events without data are passed over."""
        while not (event := await self.next()).get("data"):
            pass
        found: dict[str, Any] = json.loads(event["data"])
        return found


@asynccontextmanager
async def opened(client: Caller, verb: str, sent: Any = None, **headers: str) -> AsyncIterator[Events]:
    """An event stream, until the end of the block."""
    version = {} if client.version == "2025-03-26" else {"MCP-Protocol-Version": client.version}
    usual = usual_headers(client.version, sent) if sent else {**STREAM, **version}
    request: dict[str, Any] = {"json": sent} if sent else {}
    async with client.http.stream(verb, "/mcp", headers=client.fields(usual, headers), timeout=10, **request) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Events(answer)


@EACH_HANDSHAKE
@requirement("TRN-GET-01")
async def test_get_opens_an_event_stream(version: str) -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        async with opened(client, "GET") as stream:
            assert stream.answer.headers["mcp-session-id"] == client.session
        for accept in ("application/json", "text/html"):
            assert (await client.send("GET", {"Accept": accept})).status_code in (405, 406)
        told_to_log_in(await client.with_token(None).send("GET"))


@pytest.mark.parametrize("verb", ["HEAD", "PUT", "PATCH", "TRACE", "OPTIONS", "PROPFIND"])
@EACH_HANDSHAKE
@requirement("TRN-GET-01")
async def test_verb_that_is_not_offered_is_a_405_without_effect(version: str, verb: str) -> None:
    workshop = Workshop()
    async with guarded(workshop) as door:
        client = await caller(door, version).open()
        sent = json.dumps(message(version, "tools/call", {"name": "admin-reset", "arguments": {}})).encode()
        fields = client.fields(usual_headers(version, {"method": "tools/call"}), {})
        for headers in (fields, {k: v for k, v in fields.items() if k != "Mcp-Session-Id"}):
            answer = await door.client.request(verb, "/mcp", content=sent, headers=headers)
            assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, True)
        assert not workshop.done


@pytest.mark.parametrize("resource", [{}, {"rules": []}], ids=["rules", "no rules"])
@requirement("TRN-GET-01")
async def test_get_that_names_a_method_is_a_get_all_the_same(resource: dict[str, Any]) -> None:
    async with guarded(resource=resource) as door:
        named = {"Mcp-Method": "subscriptions/listen"}
        assert (await caller(door, MODERN).send("GET", named)).status_code == 405


@EACH_HANDSHAKE
@requirement("TRN-GET-01")
async def test_server_without_sessions_has_no_stream_to_open(version: str) -> None:
    async with guarded(sessions=False) as door:
        answer = await caller(door, version).send("GET")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


PROGRESS = {"_meta": {"progressToken": "p"}}


@EACH_HANDSHAKE
@requirement("TRN-SSE-01")
async def test_event_ids_are_unique_and_a_resumed_stream_repeats_only_its_own_events(version: str) -> None:
    workshop = Workshop()
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        wait = message(version, "tools/call", {"name": "wait", "arguments": {}, **PROGRESS}, 7)
        async with opened(client, "POST", wait) as stream:
            while not (first := await stream.next()).get("data"):
                pass
            between = await client.ask("tools/call", {"name": "report", "arguments": {}, **PROGRESS})
            workshop.release.set()
            last = await stream.next()
        ids = [event["id"] for event in (first, *events(between.text), last)]
        assert len(ids) == len(set(ids)) >= 4
        resumed = await client.send("GET", {"Last-Event-ID": first["id"]})
        assert messages(resumed) == [json.loads(last["data"])]


@EACH_HANDSHAKE
@requirement("TRN-SSE-01")
async def test_guessed_event_id_repeats_nothing(version: str) -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        genuine = events((await client.call("whoami")).text)[-1]["id"]
        other = await Caller(http, version, token_of(door, "bob")).open()
        for guess in ("1", "0", genuine[:-1], genuine[:-1] + chr(ord(genuine[-1]) ^ 1)):
            answer = await client.send("GET", {"Last-Event-ID": guess})
            assert not [event for event in events(answer.text) if event.get("data")]
        for foreign in (genuine, "1"):
            answer = await other.send("GET", {"Last-Event-ID": foreign})  # another session, another principal
            assert not [event for event in events(answer.text) if event.get("data")]
        stolen = await client.with_token(token_of(door, "bob")).send("GET", {"Last-Event-ID": genuine})
        assert stolen.status_code == 404


@EACH_HANDSHAKE
@requirement("TRN-SSE-01")
async def test_no_message_is_sent_on_two_streams(version: str) -> None:
    workshop = Workshop()
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        wait = message(version, "tools/call", {"name": "wait", "arguments": {}}, 7)
        async with opened(client, "POST", wait) as waiting, opened(client, "GET") as listening:
            await workshop.started.wait()
            assert len(messages(await client.ask("tools/call", {"name": "report", "arguments": {}, **PROGRESS}))) == 2
            workshop.release.set()
            assert (await waiting.message())["id"] == 7
            with anyio.move_on_after(0.2) as waited:
                await listening.message()
            assert waited.cancelled_caught


@requirement("TRN-SSE-02")
async def test_stream_of_2025_11_25_begins_with_an_id_and_says_when_to_come_back_before_it_is_cut() -> None:
    workshop = Workshop()
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        client = await Caller(http, "2025-11-25", token_of(door)).open()
        cut = await client.call("hang-up")  # the server ends the connection, not the call
        (primed,) = events(cut.text)
        assert primed["id"]
        assert not primed.get("data")
        assert int(primed["retry"]) > 0
        async with opened(client, "GET", **{"Last-Event-ID": primed["id"]}) as stream:
            assert (await stream.message())["result"]["content"][0]["text"] == "still there"


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18"])
@requirement("TRN-SSE-02")
async def test_older_clients_get_no_event_without_data(version: str) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        assert all(event.get("data") for event in events((await client.call("whoami")).text))
        assert text_of(await client.call("hang-up")) == "still there"  # they could not come back


@requirement("TRN-SSE-03")
async def test_stream_of_2026_07_28_asks_nothing_and_tells_only_of_its_own_request() -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        client = Caller(http, MODERN, token_of(door))
        envelope = {**meta(MODERN, elicitation={"form": {}}), "progressToken": "mine"}
        listen = message(MODERN, "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, 1)
        async with opened(client, "POST", listen):
            await client.call("announce")
            sent = {"name": "report", "arguments": {}, "_meta": envelope}
            reported = await client.ask("tools/call", sent, headers={"Last-Event-ID": "junk"})
            assert reported.headers["content-type"].startswith("text/event-stream")
            progress, answer = messages(reported)
            assert progress["params"]["progressToken"] == "mine"
            assert "result" in answer
            assert not [each for each in messages(reported) if "method" in each and "id" in each]
            assert not [event for event in events(reported.text) if "id" in event]  # so nothing can be resumed
            asked = messages(await client.ask("tools/call", {"name": "ask", "arguments": {}, "_meta": envelope}))
            assert [each for each in asked if "method" in each] == []


LISTEN = {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["note://mine"]}}


@requirement("TRN-SUB-01")
async def test_subscription_is_confirmed_first_tagged_and_delivers_only_what_was_asked_for() -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        client = Caller(http, MODERN, token_of(door))
        async with opened(client, "POST", message(MODERN, "subscriptions/listen", LISTEN, 7)) as stream:
            confirmed = await stream.message()
            assert confirmed["method"] == "notifications/subscriptions/acknowledged"
            assert confirmed["params"]["notifications"] == LISTEN["notifications"]
            assert (await client.call("announce")).status_code == 200
            heard = [await stream.message(), await stream.message()]
            assert [each["method"] for each in heard] == [
                "notifications/tools/list_changed",
                "notifications/resources/updated",
            ]
            assert heard[1]["params"]["uri"] == "note://mine"
            for each in (confirmed, *heard):
                assert each["params"]["_meta"][f"{META}/subscriptionId"] == 7
            with anyio.move_on_after(0.2) as waited:
                await stream.message()
            assert waited.cancelled_caught


@requirement("TRN-SUB-01")
async def test_resource_that_may_not_be_read_cannot_be_subscribed_to() -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        low = Caller(http, MODERN, token_of(door, scopes=LOW))
        for uris in (["secret://plans"], ["note://mine", "secret://plans"]):
            answer = await low.ask("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
            assert lacks_scope(answer) >= {"mcp:admin", "mcp:write"}
        allowed = Caller(http, MODERN, token_of(door, scopes=EVERY_SCOPE))
        wanted = {"notifications": {"resourceSubscriptions": ["secret://plans"]}}
        async with opened(allowed, "POST", message(MODERN, "subscriptions/listen", wanted)) as stream:
            await stream.message()
            await allowed.call("announce")
            assert (await stream.message())["params"]["uri"] == "secret://plans"


@requirement("TRN-SUB-01")
async def test_older_revisions_do_not_subscribe_to_what_may_not_be_read() -> None:
    async with guarded() as door:
        for version in HANDSHAKE:
            low = await Caller(door.client, version, token_of(door, scopes=LOW)).open()
            assert lacks_scope(await low.ask("resources/subscribe", {"uri": "secret://plans"}))
