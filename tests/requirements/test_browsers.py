"""TRN-ORIG and TRN-CORS: web pages, where they come from and what they may read."""

from __future__ import annotations

import errno

import anyio
import httpx
import pytest

from conformance.requirements import requirement
from deploy.server import listen
from gateway.settings import Settings
from tests.gated import PUBLIC, Gated, gated
from tests.requirements.callers import (
    EACH_VERSION,
    HANDSHAKE,
    MODERN,
    Caller,
    caller,
    guarded,
    opening,
    text_of,
    token_of,
)

APP = "https://app.test"
FOREIGN = (
    "https://evil.test",
    "null",
    "https://gw.example.evil.test",
    "https://evilgw.example",
    "http://gw.example",
    "https://gw.example:8443",
    "https://gw.example@evil.test",
    "https://app.test.evil.test",
    "file://",
    "",
)
EVERY_HEADER = (
    "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Last-Event-ID, Mcp-Method, Mcp-Name, "
    "Mcp-Param-Region, Mcp-Param-X-Y_z, DPoP"
)


@EACH_VERSION
@requirement("TRN-ORIG-01")
async def test_foreign_origin_is_refused_on_every_verb(version: str) -> None:
    async with guarded(allowed_origins=[APP]) as door:
        client = await caller(door, version).open()
        for origin in FOREIGN:
            page = {"Origin": origin}
            asked = {**page, "Access-Control-Request-Method": "POST", "Authorization": None}
            with anyio.fail_after(5):  # a GET that is let in would wait for events for ever
                answers = [
                    await client.post(opening(version), page),
                    await client.call("whoami"),
                    await client.send("GET", page),
                    await client.send("OPTIONS", page),
                    await client.send("OPTIONS", asked),
                    await client.send("DELETE", page),
                ]
            assert [answer.status_code for answer in answers] == [403, 200, 403, 403, 403, 403], origin


@EACH_VERSION
@requirement("TRN-ORIG-01")
async def test_own_and_listed_origins_pass_and_so_does_a_request_without_one(version: str) -> None:
    async with guarded(allowed_origins=[APP]) as door:
        for origin in (None, PUBLIC, APP):
            answer = await caller(door, version).post(opening(version), {"Origin": origin})
            assert answer.status_code == 200


def loopback(door: Gated, host: str) -> httpx.AsyncClient:
    """A browser on this machine that believes to speak to a host."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(door.gate), base_url=f"http://{host}")


@EACH_VERSION
@requirement("TRN-ORIG-02")
async def test_loopback_server_refuses_a_host_that_was_rebound_to_it(version: str) -> None:
    async with guarded(public_url="http://localhost:8000") as door:
        token = door.issuer.token("alice", "c", ["mcp:use"], "http://localhost:8000/mcp")
        for host in ("evil.test", "evil.test:8000", "localhost.evil.test", "192.168.0.7:8000", "127.0.0.1.nip.io"):
            async with loopback(door, host) as http:
                client = Caller(http, version, token)
                for headers in ({}, {"Origin": f"http://{host}"}):
                    assert 400 <= (await client.post(opening(version), headers)).status_code < 500
        for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
            async with loopback(door, host) as http:
                answer = await Caller(http, version, token).post(opening(version), {"Origin": f"http://{host}"})
                assert answer.status_code == 200


@requirement("TRN-ORIG-02")
async def test_local_server_is_not_reachable_by_another_address_of_the_machine() -> None:
    assert Settings(public_url=PUBLIC, issuers=[]).host == "127.0.0.1"
    (opened,) = listen(["127.0.0.1"], 0)
    with opened:
        assert opened.getsockname()[0] == "127.0.0.1"
        with pytest.raises(OSError) as refused:  # noqa: PT011 - which error it is, is looked at below
            await anyio.connect_tcp("127.0.0.2", opened.getsockname()[1])
        cause = refused.value.__cause__
        assert isinstance(cause, OSError)
        assert cause.errno in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL)  # the latter where it is no address at all


@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
@requirement("TRN-CORS-01")
async def test_preflight_allows_verbs_and_every_header_of_mcp_without_a_token(verb: str) -> None:
    asked = {"Access-Control-Request-Method": verb, "Access-Control-Request-Headers": EVERY_HEADER.lower()}
    async with guarded(allowed_origins=[APP]) as door:
        for origin in (APP, PUBLIC):
            answer = await door.client.options("/mcp", headers={"Origin": origin, **asked})
            assert answer.is_success
            assert answer.headers["access-control-allow-origin"] == origin
            assert verb in answer.headers["access-control-allow-methods"].split(", ")
            allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
            assert set(allowed) == set(EVERY_HEADER.lower().split(", "))


@requirement("TRN-CORS-01")
async def test_preflight_allows_no_header_beyond() -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-evil, cookie, mcp-param-"}
    async with guarded() as door:
        answer = await door.client.options("/mcp", headers={"Origin": PUBLIC, **asked})
        assert answer.headers["access-control-allow-headers"] == ""


@EACH_VERSION
@requirement("TRN-CORS-02")
async def test_page_of_an_allowed_origin_can_read_every_answer(version: str) -> None:
    async with guarded(allowed_origins=[APP]) as door:
        client = await caller(door, version).open()
        page = {"Origin": APP}
        gone = client.with_token(client.token)
        gone.session = "gone"
        answers = [
            (200, await client.post(opening(version), page)),
            (401, await client.with_token(None).post(opening(version), page)),
            (401, await client.with_token("x").post(opening(version), page)),
            (403, await client.with_token(token_of(door, scopes=())).post(opening(version), page)),
            (400, await client.post(opening(version), {**page, "Content-Length": "x"})),
            (405, await client.send("PUT", page)),
        ]
        if version in HANDSHAKE:
            answers.append((404, await gone.send("GET", page)))
        else:
            answers.append((404, await client.ask("no/such", headers=page)))
        for status, answer in answers:
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == APP
            exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
            assert {"www-authenticate", "mcp-session-id", "mcp-protocol-version", "dpop-nonce"} <= set(exposed)


@EACH_VERSION
@requirement("TRN-CORS-03")
async def test_no_origin_is_reflected_unless_it_is_listed(version: str) -> None:
    async with guarded(allowed_origins=[APP]) as door:
        for origin in ("https://random-1.test", "https://evil.test", "null"):
            for token in (None, token_of(door)):
                answer = await Caller(door.client, version, token).post(opening(version), {"Origin": origin})
                assert answer.status_code == 403
                assert not [name for name in answer.headers if name.startswith("access-control-")]
        listed = await caller(door, version).post(opening(version), {"Origin": APP})
        assert listed.headers["access-control-allow-origin"] == APP
        assert "access-control-allow-credentials" not in listed.headers
        assert "origin" in listed.headers["vary"].lower()


@requirement("TRN-CORS-03")
async def test_preflight_of_an_unlisted_origin_allows_nothing() -> None:
    async with gated(allowed_origins=[APP]) as door:
        asked = {"Access-Control-Request-Method": "POST"}
        foreign = await door.client.options("/mcp", headers={"Origin": "https://evil.test", **asked})
        assert foreign.status_code == 403
        assert not [name for name in foreign.headers if name.startswith("access-control-")]
        listed = await door.client.options("/mcp", headers={"Origin": APP, **asked})
        assert "origin" in listed.headers["vary"].lower()
        assert "access-control-allow-credentials" not in listed.headers


@requirement("TRN-CORS-03")
async def test_page_keeps_to_cors_rules_of_the_gate_and_not_to_those_of_the_tools() -> None:
    async with guarded() as door:
        answer = await caller(door, MODERN).call("whoami")
        assert text_of(answer)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
