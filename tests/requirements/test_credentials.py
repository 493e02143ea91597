"""RS-400 and RS-CRED: how a token may be conveyed, and everything that is not a way to convey one."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from conformance.issuer.signing import segment
from conformance.requirements import requirement
from tests.gated import Gated, gated
from tests.requirements.callers import (
    EACH_HANDSHAKE,
    EACH_VERSION,
    MODERN,
    Caller,
    caller,
    exchange,
    guarded,
    message,
    on_socket,
    opening,
    text_of,
    token_of,
    usual_headers,
)
from tests.requirements.challenges import challenge, told_to_log_in

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@asynccontextmanager
async def hops() -> AsyncIterator[tuple[Gated, list[httpx.AsyncClient]]]:
    """A gate with two ways to it: in process, where fields arrive as sent, and through a real HTTP server."""
    async with guarded() as door, on_socket(door.gate) as http:
        yield door, [door.client, http]


@EACH_VERSION
@requirement("RS-400-01")
async def test_token_in_the_header_and_another_in_a_form_is_an_invalid_request(version: str) -> None:
    async with guarded() as door:
        token = token_of(door)
        for field in ("access_token", "token"):
            answer = await Caller(door.client, version, token).post(
                opening(version), FORM, content=f"{field}={token}".encode()
            )
            assert (answer.status_code, challenge(answer)["error"]) == (400, "invalid_request")


@EACH_VERSION
@requirement("RS-400-02")
async def test_of_two_credentials_none_is_picked(version: str) -> None:
    async with hops() as (door, ways):
        good, other = token_of(door), token_of(door, "bob")
        usual = list(usual_headers(version, opening(version)).items())
        body = json.dumps(opening(version)).encode()
        for http in ways:
            for fields in ([good, "garbage"], ["garbage", good], [good, other], [good, good]):
                doubled = [*usual, *(("authorization", f"Bearer {token}") for token in fields)]
                answer = await http.post("/mcp", headers=doubled, content=body)
                assert (answer.status_code, challenge(answer)["error"]) == (400, "invalid_request")
            for folded in (f"Bearer {good}, Bearer {other}", f"Bearer {good},{good}", f"Bearer {good} {good}"):
                answer = await http.post("/mcp", headers=[*usual, ("authorization", folded)], content=body)
                assert (answer.status_code, challenge(answer)["error"]) == (400, "invalid_request")
            basic_too = [*usual, ("authorization", "Basic dTpw"), ("authorization", f"Bearer {good}")]
            assert (await http.post("/mcp", headers=basic_too, content=body)).status_code == 400


@pytest.mark.parametrize("name", ["access_token", "token", "authorization", "api_key", "Access_Token", "bearer_token"])
@EACH_VERSION
@requirement("RS-CRED-01")
async def test_token_in_the_query_authenticates_nobody(version: str, name: str) -> None:
    async with guarded() as door:
        nobody = Caller(door.client, version, None)
        told_to_log_in(await nobody.post(opening(version), query=f"?{name}={token_of(door)}"))
        told_to_log_in(await nobody.post(opening(version), query=f"?{name}=Bearer%20{token_of(door)}"))


@requirement("RS-CRED-02")
async def test_token_in_the_query_beside_the_header_is_neither_used_nor_passed_on_nor_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "bearergate")
    async with gated() as door:
        hidden = token_of(door, "bob")
        answer = await caller(door, MODERN).post(opening(MODERN), query=f"?access_token={hidden}")
        assert (answer.status_code, challenge(answer)["error"]) == (400, "invalid_request")
        assert not door.app.scopes
        assert door.log
        for part in (hidden, hidden.rpartition(".")[2]):
            assert part not in json.dumps(door.log) + caplog.text + answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@EACH_VERSION
@requirement("RS-CRED-03")
async def test_scheme_counts_in_any_case(version: str, scheme: str) -> None:
    async with guarded() as door:
        answer = await Caller(door.client, version, None).post(
            opening(version), {"Authorization": f"{scheme} {token_of(door)}"}
        )
        assert answer.status_code == 200


ODD = [
    b"Bearer",
    b"Bearer ",
    b"Bearer  a b",
    b"Bearer \t",
    b"Bearer\ttoken",
    b"Bearer ..",
    b"Bearer ...",
    b"Bearer =",
    b"Bearer ,",
    b'Bearer "x"',
    b"Bearer token=x",
    b"Bearer \xff\xfe\x80",
    b"\xe2\x80\x8bBearer x",
    b"",
    b" ",
    b"B",
    b"Bearerx",
    b"Bearer:x",
]


@pytest.mark.parametrize("field", ODD, ids=ascii)
@requirement("RS-CRED-04")
async def test_odd_authorization_is_refused_without_a_fault(field: bytes) -> None:
    async with gated() as door:
        answer = await door.client.post("/mcp", headers=[(b"authorization", field)], content=b"{}")
        assert answer.status_code in (400, 401)
        assert challenge(answer)


@requirement("RS-CRED-04")
async def test_odd_authorization_is_refused_without_a_fault_by_a_real_server() -> None:
    async with gated() as door, on_socket(door.gate) as http:
        for field in [*ODD, b"Bearer \x00", b"Bearer a\x01b"]:
            head = b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\nContent-Length: 2\r\n"
            said = await exchange(http, head + b"Authorization:" + field + b"\r\n\r\n{}")
            assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 ")), field


@requirement("RS-CRED-04")
async def test_token_without_a_scheme_is_refused_without_a_fault() -> None:
    async with hops() as (door, ways):
        for http in ways:
            told_to_log_in(await http.post("/mcp", headers={"Authorization": token_of(door)}, content=b"{}"))


OTHER_PLACES = (
    "Cookie",
    "X-Access-Token",
    "X-Api-Key",
    "X-Forwarded-Access-Token",
    "X-Amzn-Oidc-Accesstoken",
    "Proxy-Authorization",
    "X-Original-Authorization",
    "X-Forwarded-Authorization",
    "Mcp-Session-Id",
    "Mcp-Param-Authorization",
    "DPoP",
)


@EACH_VERSION
@requirement("RS-CRED-05")
async def test_no_other_header_authenticates(version: str) -> None:
    async with guarded() as door:
        token = token_of(door)
        for name in OTHER_PLACES:
            for value in (token, f"Bearer {token}", f"access_token={token}"):
                told_to_log_in(await Caller(door.client, version, None).post(opening(version), {name: value}))


@EACH_VERSION
@requirement("RS-CRED-05")
async def test_nothing_in_the_body_authenticates(version: str) -> None:
    async with guarded() as door:
        token, nobody = token_of(door), Caller(door.client, version, None)
        told_to_log_in(await nobody.post(opening(version), FORM, content=f"access_token={token}".encode()))
        sent = message(version, "tools/list")
        sent["params"]["_meta"] = {**sent["params"].get("_meta", {}), "authorization": f"Bearer {token}"}
        sent["params"]["access_token"] = sent["access_token"] = token
        told_to_log_in(await nobody.post(sent))


@EACH_HANDSHAKE
@requirement("RS-CRED-05")
async def test_session_does_not_authenticate(version: str) -> None:
    async with guarded() as door:
        owner = await caller(door, version).open()
        told_to_log_in(await owner.with_token(None).call("whoami"))
        assert text_of(await owner.call("greet")) == "Hello, World!"


NESTED = segment(b'{"alg":"RS256","typ":"at+jwt"}') + "." + segment(b'{"iss":' + b"[" * 5000 + b"]" * 5000 + b"}")
MEBIBYTE = 1024 * 1024
HUGE = ("a" * 8 * 1024, "a" * 64 * 1024, "." * 64 * 1024, f"{NESTED}.x", "a" * MEBIBYTE)


@requirement("RS-CRED-06")
async def test_oversized_credentials_are_cut_off_early() -> None:
    async with hops() as (door, ways):
        for http, token in itertools.product(ways, HUGE):
            with anyio.fail_after(1):
                try:
                    answer = await http.post("/mcp", headers={"Authorization": f"Bearer {token}"}, content=b"{}")
                except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                    assert len(token) == MEBIBYTE
                    continue
            assert answer.status_code in (400, 401, 431)
        assert (await caller(door, MODERN).call("greet")).status_code == 200
