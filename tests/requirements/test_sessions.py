"""SES: sessions, state handles and the streams that outlive a request."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from conformance.requirements import requirement
from gateway.app import drain
from tests.gated import gated
from tests.requirements.callers import (
    EACH_HANDSHAKE,
    EACH_VERSION,
    META,
    MODERN,
    Caller,
    caller,
    error,
    events,
    guarded,
    message,
    meta,
    on_socket,
    opening,
    result,
    text_of,
    token_of,
    usual_headers,
)
from tests.requirements.challenges import lacks_scope, refused_token, told_to_log_in
from tests.requirements.workshop import Workshop

LISTEN = {"notifications": {"toolsListChanged": True}}


@EACH_HANDSHAKE
@requirement("SES-01")
async def test_session_id_does_not_stand_in_for_a_token(version: str) -> None:
    async with guarded() as door:
        owner = await caller(door, version).open()
        thief = owner.with_token(None)
        told_to_log_in(await thief.ask("tools/list"))
        told_to_log_in(await thief.send("GET"))
        told_to_log_in(await thief.send("DELETE"))
        refused_token(await owner.with_token("x").send("DELETE"))
        assert (await owner.ask("tools/list")).status_code == 200


@EACH_HANDSHAKE
@requirement("SES-02")
async def test_session_does_not_exist_for_another_principal(version: str) -> None:
    async with guarded() as door:
        owner = await caller(door, version).open()
        said = await owner.call("whoami")
        event = events(said.text)[-1]["id"]
        other = owner.with_token(token_of(door, "bob"))
        unknown = owner.with_token(token_of(door, "bob"))
        unknown.session = "0" * 32
        for refused, like in (
            (await other.call("whoami"), await unknown.call("whoami")),
            (await other.send("GET"), await unknown.send("GET")),
            (await other.send("GET", {"Last-Event-ID": event}), await unknown.send("GET", {"Last-Event-ID": event})),
            (await other.send("DELETE"), await unknown.send("DELETE")),
        ):
            assert refused.status_code == like.status_code == 404
            said_why, said_unknown = refused.json()["error"], like.json()["error"]
            assert (said_why["code"], said_why["message"]) == (said_unknown["code"], said_unknown["message"])
            assert {**refused.json(), "error": None} == {**like.json(), "error": None}
        assert text_of(await owner.with_token(token_of(door)).call("whoami")) == text_of(said)


@EACH_HANDSHAKE
@requirement("SES-03")
async def test_session_ids_are_unique_visible_and_not_to_be_guessed(version: str) -> None:
    async with guarded() as door:
        ids = [(await caller(door, version).open()).session for _ in range(100)]
        assert len(set(ids)) == 100
        for session in ids:
            assert re.fullmatch(r"[\x21-\x7E]+", session)
            assert re.fullmatch(r"[0-9a-f]{32,}", session), "at least 128 bits"
        for part in (slice(8), slice(-8, None)):  # chance is at both ends, not a counter at one of them
            assert len({session[part] for session in ids}) == 100


@EACH_HANDSHAKE
@requirement("SES-03")
async def test_session_id_is_not_adopted_from_the_client(version: str) -> None:
    async with guarded() as door:
        client = caller(door, version)
        for own in ("my-own-session", "0" * 32, "x"):
            answer = await client.post(opening(version), {"Mcp-Session-Id": own})
            assert answer.headers.get("mcp-session-id") != own
            client.session = own
            assert (await client.call("whoami")).status_code == 404
            client.session = ""


@EACH_VERSION
@requirement("SES-04")
async def test_expired_token_is_refused_and_a_new_one_of_the_same_principal_carries_on(version: str) -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        now = door.issuer.clock.now()
        client = await Caller(http, version, token_of(door, exp=now + 30)).open()
        first = await client.call("whoami")
        door.issuer.clock.move(61)
        refused_token(await client.call("whoami"))
        if client.session:
            refused_token(await client.send("GET"))
        assert text_of(await client.with_token(token_of(door)).call("whoami")) == text_of(first)


async def streamed(http: httpx.AsyncClient, verb: str, **request: Any) -> tuple[httpx.Response, float]:
    """An event stream read to its end, and how many seconds that took."""
    began = time.monotonic()
    with anyio.fail_after(5):
        async with http.stream(verb, "/mcp", timeout=None, **request) as answer:
            await answer.aread()
    return answer, time.monotonic() - began


@EACH_HANDSHAKE
@requirement("SES-05")
async def test_get_stream_ends_with_the_token_that_opened_it(version: str) -> None:
    async with guarded(leeway=0) as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        brief = client.with_token(token_of(door, exp=door.issuer.clock.now() + 0.2))
        answer, took = await streamed(http, "GET", headers=brief.fields({"Accept": "text/event-stream"}, {}))
        assert answer.status_code == 200
        assert took < 1.5
        assert (await client.call("whoami")).status_code == 200  # the session goes on


@pytest.mark.parametrize("resource", [{}, {"rules": []}], ids=["rules", "no rules"])
@requirement("SES-05")
async def test_subscription_ends_with_the_token_that_opened_it_and_says_so(resource: dict[str, Any]) -> None:
    async with guarded(resource=resource, leeway=0) as door, on_socket(door.gate) as http:
        brief = Caller(http, MODERN, token_of(door, exp=door.issuer.clock.now() + 0.2))
        sent = message(MODERN, "subscriptions/listen", LISTEN, 7)
        fields = brief.fields(usual_headers(MODERN, sent), {})
        answer, took = await streamed(http, "POST", headers=fields, json=sent)
        assert answer.status_code == 200
        assert took < 1.5
        last = result(answer)
        assert last["_meta"][f"{META}/subscriptionId"] == 7


@requirement("SES-05")
async def test_subscription_that_a_server_ends_when_it_stops_says_so_too() -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        client = Caller(http, MODERN, token_of(door))
        sent = message(MODERN, "subscriptions/listen", LISTEN, 77)
        fields = client.fields(usual_headers(MODERN, sent), {})
        with anyio.fail_after(5):
            async with http.stream("POST", "/mcp", headers=fields, json=sent) as answer:
                lines = answer.aiter_lines()
                assert "acknowledged" in [line async for line in _until_data(lines)][-1]
                drain(door.gate)
                (last,) = events("\n".join([line async for line in lines]))
        assert json.loads(last["data"])["id"] == 77


class CutShort:
    """An app that sends an event and a half, and then waits."""

    def __init__(self) -> None:
        self.sent = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "there is nothing to start"
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b'data: {"half":', "more_body": True})
        self.sent.set()
        await receive()


@requirement("SES-05")
async def test_stream_that_ends_within_an_event_ends_without_another_one() -> None:
    app = CutShort()
    async with gated(app=app) as door, on_socket(door.gate) as http:
        sent = message(MODERN, "subscriptions/listen", LISTEN, 7)
        client = Caller(http, MODERN, token_of(door))
        fields = client.fields(usual_headers(MODERN, sent), {})
        with anyio.fail_after(5):
            async with http.stream("POST", "/mcp", headers=fields, json=sent) as answer:
                await app.sent.wait()
                drain(door.gate)
                assert await answer.aread() == b'data: {}\n\ndata: {"half":'


@EACH_HANDSHAKE
@requirement("SES-06")
async def test_ended_and_unknown_sessions_are_404_and_a_missing_id_is_400(version: str) -> None:
    async with guarded() as door:
        owner = await caller(door, version).open()
        assert (await owner.send("DELETE")).is_success
        for verb in ("GET", "DELETE"):
            assert (await owner.send(verb)).status_code == 404
        assert (await owner.call("whoami")).status_code == 404
        owner.session = "never-opened"
        assert (await owner.call("whoami")).status_code == 404
        refused_token(await owner.with_token("not-a-token").call("whoami"))
        owner.session = ""
        assert (await owner.call("whoami")).status_code == 400
        assert (await owner.send("GET")).status_code == 400
        assert (await owner.send("DELETE")).status_code == 400


@EACH_HANDSHAKE
@requirement("SES-06")
async def test_nobody_ends_the_session_of_another_principal(version: str) -> None:
    async with guarded() as door:
        owner = await caller(door, version).open()
        assert (await owner.with_token(token_of(door, "bob")).send("DELETE")).status_code == 404
        assert (await owner.with_token("x").send("DELETE")).status_code == 401
        assert (await owner.call("whoami")).status_code == 200


@requirement("SES-08")
async def test_request_state_is_worth_nothing_to_another_principal() -> None:
    workshop = Workshop()
    envelope = {"_meta": meta(MODERN, elicitation={"form": {}}), "name": "ask", "arguments": {}}
    async with guarded(workshop) as door:
        alice = caller(door, MODERN)
        asked = result(await alice.ask("tools/call", envelope))
        assert asked["resultType"] == "input_required"
        (key,) = asked["inputRequests"]
        answered = {
            **envelope,
            "requestState": asked["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {"colour": "blue"}}},
        }
        stolen = await alice.with_token(token_of(door, "bob")).ask("tools/call", answered)
        assert error(stolen)["code"] == -32602
        assert not workshop.done
        changed = await alice.ask("tools/call", {**answered, "requestState": asked["requestState"][:-2] + "AA"})
        assert error(changed)["code"] == -32602
        assert text_of(await alice.ask("tools/call", answered)) == "blue"


@requirement("SES-08")
async def test_handles_of_tasks_give_no_data_to_anybody() -> None:
    async with guarded() as door:
        for method in ("tasks/get", "tasks/cancel", "tasks/update", "tasks/list"):
            answer = await caller(door, MODERN).ask(method, {"taskId": "1"}, headers={"Mcp-Name": "1"})
            assert (answer.status_code, error(answer)["code"]) == (404, -32601)


@requirement("SES-08")
async def test_subscription_id_of_another_principal_reaches_nothing_of_theirs() -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        sent = message(MODERN, "subscriptions/listen", LISTEN, 7)
        alice, bob = Caller(http, MODERN, token_of(door)), Caller(http, MODERN, token_of(door, "bob"))
        headers = alice.fields(usual_headers(MODERN, sent), {})
        with anyio.fail_after(5):
            async with http.stream("POST", "/mcp", json=sent, headers=headers) as stream:
                lines = stream.aiter_lines()
                assert "acknowledged" in [line async for line in _until_data(lines)][-1]
                cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
                assert (await bob.post(cancel)).status_code == 202
                await alice.call("announce")
                assert "tools/list_changed" in [line async for line in _until_data(lines)][-1]


async def _until_data(lines: Any) -> Any:
    async for line in lines:
        yield line
        if line.startswith("data:"):
            return


JUNK = {"Mcp-Session-Id": "junk", "Last-Event-ID": "junk"}


@requirement("SES-09")
async def test_modern_requests_ignore_session_and_event_ids_and_are_given_none() -> None:
    async with guarded() as door:
        client = caller(door, MODERN)
        for method, params in (("server/discover", {}), ("tools/list", {}), ("tools/call", {"name": "whoami"})):
            sent = message(MODERN, method, params)
            plain, junk = await client.post(sent), await client.post(sent, JUNK)
            assert (plain.status_code, plain.text) == (junk.status_code, junk.text) == (200, plain.text)
            assert "mcp-session-id" not in {**plain.headers, **junk.headers}


@requirement("SES-09")
async def test_modern_get_and_delete_are_not_allowed() -> None:
    async with guarded() as door:
        client = caller(door, MODERN)
        for verb in ("GET", "DELETE"):
            answer = await client.send(verb)
            assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, True)
            assert "mcp-session-id" not in answer.headers


@requirement("SES-09")
async def test_get_and_delete_of_no_session_are_not_served() -> None:
    async with guarded() as door:
        for verb in ("GET", "DELETE"):
            assert (await caller(door, "2025-11-25").send(verb)).status_code == 400
        low = await Caller(door.client, "2025-11-25", token_of(door, scopes=())).send("GET")
        assert lacks_scope(low)


@requirement("SES-09")
async def test_server_without_sessions_gives_out_no_ids_in_any_revision() -> None:
    async with guarded(sessions=False) as door:
        for version in ("2025-03-26", "2025-06-18", "2025-11-25"):
            client = caller(door, version)
            assert "mcp-session-id" not in (await client.post(opening(version))).headers
            assert (await client.call("greet")).status_code == 200
            assert (await client.send("DELETE")).status_code == 405
            client.session = "junk"
            assert (await client.call("greet")).status_code == 200
