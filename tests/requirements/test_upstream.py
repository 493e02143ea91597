"""GWP-01 to GWP-13 and RS-CRED-02 through the proxy: what an upstream on a real socket sees, and what it cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from conformance.requirements import requirement
from gateway.errors import Refusal
from gateway.sources import parse
from gateway.upstream import Upstream
from tests.gated import ISSUER, PUBLIC, Gated, gated
from tests.gateway.upstream.scripted import OK, STREAM, Script, Scripted, Talk, saying, upstream
from tests.requirements.callers import EACH_HANDSHAKE, MODERN, Caller, exchange, message, on_socket, opening, token_of
from tests.requirements.test_gateway import PATHS, ambiguous

SECONDS = 10
RULES = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]


@asynccontextmanager
async def proxied(script: Script, **resource: Any) -> AsyncIterator[tuple[Gated, httpx.AsyncClient, Scripted]]:
    """The gate before the proxy before an upstream of this script, each on its own socket."""
    async with upstream(script) as behind:
        told = {"path": "/mcp", "upstream": {"url": behind.url}, **resource}
        settings = parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [told]})
        app = Upstream(settings, settings.resources[0])
        async with gated(app=app, resource=resource) as door, on_socket(door.gate) as http:
            yield door, http, behind


def seen(behind: Scripted) -> bytes:
    """All that reached the upstream."""
    return b"\n".join(behind.requests)


@requirement("GWP-01")
async def test_token_of_the_client_never_reaches_the_upstream() -> None:
    answers = (
        OK,
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        OK,
    )
    async with proxied(saying(*answers)) as (door, http, behind):
        token = token_of(door)
        for _ in range(6):
            await Caller(http, "2025-11-25", token).ask("tools/list")
        await Caller(http, "2025-11-25", token).send("GET")
        await http.post("/mcp", headers={"Authorization": f"Bearer {token}", "Connection": "Authorization"}, json={})
        spare = dict.fromkeys(("Proxy-Authorization", "X-Forwarded-Access-Token", "Cookie"), f"Bearer {token}")
        await http.post("/mcp", headers={"Authorization": f"bearer {token}", **spare}, json={})
    assert len(behind.requests) >= 6
    assert token.encode() not in seen(behind)
    assert b"authorization" not in seen(behind).lower()


@requirement("GWP-03")
async def test_headers_an_upstream_trusts_are_set_by_the_gate_alone() -> None:
    names = [
        *("X-Forwarded-User", "X-Remote-User", "X-Amzn-Oidc-Data", "X-Auth-Request-Email", "Forwarded", "REMOTE_USER"),
        *("X_Forwarded_User", "x-AUTH-user", "X-Real-IP", "X-Bearergate-Identity", "X_Bearergate_Identity"),
    ]
    async with upstream(saying(OK)) as behind:
        identity = {"url": behind.url, "identity": {}}
        settings = parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [{"upstream": identity}]})
        app = Upstream(settings, settings.resources[0])
        async with gated(app=app) as door, on_socket(door.gate) as http:
            for name in names:
                headers = {"Authorization": f"Bearer {token_of(door)}", name: "forged"}
                headers["Connection"] = "X-Bearergate-Identity, close"
                assert (await http.post("/mcp", headers=headers, json={})).status_code == 200
    assert len(behind.requests) == len(names)
    for request in behind.requests:
        assert b"forged" not in request
        assert request.lower().count(b"x-bearergate-identity: ey") == 1


@requirement("GWP-04")
async def test_challenge_and_documents_of_the_upstream_never_reach_the_client() -> None:
    challenge = b'WWW-Authenticate: Bearer resource_metadata="http://inside.example/.well-known/x"'
    said = b"HTTP/1.1 401 No\r\n%b\r\nContent-Length: 14\r\n\r\ninside.example" % challenge
    async with proxied(saying(said), subpaths=True) as (door, http, behind):
        answer = await Caller(http, "2025-11-25", token_of(door)).ask("tools/list")
        assert answer.status_code == 502
        assert "inside" not in answer.text + str(answer.headers)
        assert "www-authenticate" not in answer.headers
        asked = len(behind.requests)
        authorized = {"Authorization": f"Bearer {token_of(door)}"}
        for path in ("/.well-known/oauth-protected-resource/mcp", "/mcp/.well-known/oauth-protected-resource"):
            document = await http.get(path, headers=authorized)
            assert document.status_code == 404 or document.json()["resource"] == f"{PUBLIC}/mcp"
        assert len(behind.requests) == asked


@requirement("GWP-05")
async def test_upstream_is_told_no_name_that_the_request_made_up() -> None:
    async with proxied(saying(OK)) as (door, http, behind):
        spoofed = {"X-Forwarded-Host": "evil.test", "Forwarded": "host=evil.test", "X-Forwarded-Proto": "http"}
        sent = {"Authorization": f"Bearer {token_of(door)}", **spoofed}
        assert (await http.post("/mcp", headers=sent, json={})).status_code == 200
        refused = await http.post("/mcp", headers={**sent, "Host": "evil.test"}, json={})
        assert refused.status_code == 421
    assert b"evil.test" not in seen(behind)
    assert len(behind.requests) == 1


@requirement("GWP-06")
async def test_no_spelling_of_the_path_reaches_the_upstream_without_a_token() -> None:
    async with proxied(saying(OK), subpaths=True) as (_, http, behind):
        for path in PATHS:
            await exchange(
                http,
                f"POST {path} HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode(),
            )
    assert behind.requests == []


@requirement("GWP-06")
async def test_upstream_sees_the_path_that_was_judged() -> None:
    async with proxied(saying(OK), subpaths=True) as (door, http, behind):
        head = f"Host: gw.example\r\nConnection: close\r\nAuthorization: Bearer {token_of(door)}\r\n"
        for path in (*PATHS, "/mcp/a/../b", "/mcp/%2e%2e/healthz", "/mcp/..%2fx", "/mcp/x%0d%0aY: z"):
            await exchange(http, f"POST {path} HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n".encode())
    assert behind.requests
    for request in behind.requests:
        target = request.split(b" ")[1]
        assert target == b"/mcp" or target.startswith((b"/mcp/", b"/mcp?"))
        assert b".." not in target


@requirement("GWP-07")
async def test_ambiguous_request_never_reaches_the_upstream() -> None:
    async with proxied(saying(OK)) as (door, http, behind):
        for kind, sent in ambiguous(token_of(door)).items():
            said = await exchange(http, sent.encode())
            assert said.split(b" ")[1] == b"400", kind
            assert behind.requests == [], kind


@requirement("GWP-10")
async def test_parameter_headers_reach_the_upstream_as_they_are() -> None:
    async with proxied(saying(OK), rules=RULES) as (door, http, behind):
        sent = message(MODERN, "tools/call", {"name": "whoami"})
        values = ("=?base64?4pyTIMOg?=", "=?base64?broken", "plain")
        for value in values:
            answer = await Caller(http, MODERN, token_of(door)).post(sent, {"Mcp-Param-Foo": value})
            assert answer.status_code == 200
    for value, request in zip(values, behind.requests, strict=True):
        assert b"\r\nmcp-param-foo: %b\r\n" % value.encode() in request


@requirement("GWP-11")
@pytest.mark.parametrize("rules", [[], RULES])
async def test_events_of_an_upstream_pass_one_by_one_and_to_the_letter(rules: list[dict[str, Any]]) -> None:
    events = (
        b": still here\n\n",
        b"id: 1\r\nretry: 500\r\ndata: \r\n\r\n",
        b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n',
    )
    taken = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(STREAM)
        for event in events:
            await talk.say(b"%x\r\n%b\r\n" % (len(event), event))
            await taken.wait()
            taken.clear()
        await talk.say(b"0\r\n\r\n")

    async with proxied(script, rules=rules) as (door, http, _):
        headers = {"Authorization": f"Bearer {token_of(door)}", "Accept-Encoding": "gzip"}
        async with http.stream("POST", "/mcp", json=message("2025-11-25", "tools/list"), headers=headers) as answer:
            assert answer.headers["x-accel-buffering"] == "no"
            chunks = answer.aiter_raw()
            for event in events:
                with anyio.fail_after(5):
                    assert await anext(chunks) == event
                taken.set()


async def hung_up(version: str, behind_done: asyncio.Event) -> None:
    """A client of this revision drops a call that the upstream works at."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.closed()
        behind_done.set()

    async with proxied(script) as (door, http, behind):
        caller = Caller(http, version, token_of(door))
        call = asyncio.create_task(caller.post(message(version, "tools/call", {"name": "wait"})))
        await behind.arrived()
        call.cancel()
        if version == MODERN:
            await asyncio.wait_for(behind_done.wait(), 5)
        else:
            await asyncio.sleep(0.5)
            assert not behind_done.is_set()


@requirement("GWP-12")
async def test_client_that_hangs_up_closes_a_modern_request_at_the_upstream() -> None:
    await hung_up(MODERN, asyncio.Event())


@EACH_HANDSHAKE
@requirement("GWP-12")
async def test_client_that_hangs_up_leaves_an_older_request_at_the_upstream_alone(version: str) -> None:
    await hung_up(version, asyncio.Event())


@requirement("GWP-13")
async def test_proxy_keeps_nothing_for_another_principal() -> None:
    count = 0

    async def script(talk: Talk) -> None:
        nonlocal count
        while await talk.request():
            count += 1
            body = (
                b'{"jsonrpc":"2.0","id":1,"result":{"tools":[],"ttlMs":3600000,"cacheScope":"private","n":%d}}' % count
            )
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=3600\r\n"
            await talk.say(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async with proxied(script) as (door, http, _):
        for number, user in enumerate(("alice", "bob", "alice", "alice"), 1):
            answer = await Caller(http, MODERN, token_of(door, user)).ask("tools/list")
            assert answer.json()["result"]["n"] == number


@requirement("RS-CRED-02")
async def test_token_in_the_query_never_reaches_the_upstream() -> None:
    async with proxied(saying(OK)) as (door, http, behind):
        other = token_of(door, "bob")
        for name in ("access_token", "ACCESS_TOKEN", "token", "authorization", "api_key", "x"):
            sent = Caller(http, "2025-11-25", token_of(door))
            answer = await sent.post(opening("2025-11-25"), query=f"?a=b&{name}={other}")
            assert answer.status_code in (200, 400)
    assert behind.requests
    assert other.encode() not in seen(behind)
    assert b"?a=b HTTP" in seen(behind)


@requirement("GWP-12")
async def test_stream_ends_with_the_token_and_the_upstream_hears_of_it() -> None:
    ended = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(STREAM)
        await talk.event("first")
        await talk.closed()
        ended.set()

    async with proxied(script) as (door, http, _):
        now = door.issuer.clock.now()
        token = token_of(door, exp=int(now) - 26)  # within the leeway of 30 seconds, for some more
        async with http.stream("GET", "/mcp", headers={"Authorization": f"Bearer {token}"}) as answer:
            with anyio.fail_after(10):
                assert [chunk async for chunk in answer.aiter_raw()] == [b"data: first\n\n"]
        await asyncio.wait_for(ended.wait(), 5)


@requirement("GWP-04")
def test_every_failure_of_an_upstream_is_told_from_a_refused_token() -> None:
    kinds = [kind for kind in Refusal.__subclasses__() if kind.__name__.startswith("Upstream")]
    assert all(kind.status >= 500 and kind.error is None for kind in kinds)
