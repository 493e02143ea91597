"""RS-401: the refusal of whoever comes without a usable token."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest

from conformance.requirements import requirement
from tests.gated import RESOURCE, Gated
from tests.requirements.callers import (
    EACH_VERSION,
    LOW,
    METADATA,
    MODERN,
    Caller,
    caller,
    guarded,
    message,
    opening,
    token_of,
)
from tests.requirements.challenges import challenge, lacks_scope, refused_token, told_to_log_in

NASTY = 'x"\r\nSet-Cookie: a=b\r\n\r\n<script>\\'


def stranger(door: Gated, version: str, credentials: str | None = None) -> Caller:
    """A client without a token, or with something in its place."""
    return Caller(door.client, version, credentials)


@EACH_VERSION
@requirement("RS-401-01")
async def test_request_without_a_token_gets_401_and_a_bearer_challenge_that_says_something(version: str) -> None:
    async with guarded() as door:
        answer = await stranger(door, version).post(opening(version))
        assert answer.status_code == 401
        assert challenge(answer)


@requirement("RS-401-02")
async def test_challenge_to_2025_06_18_clients_names_the_metadata() -> None:
    async with guarded() as door:
        answer = await stranger(door, "2025-06-18").post(opening("2025-06-18"))
        assert challenge(answer)["resource_metadata"] == METADATA


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
@requirement("RS-401-03")
async def test_metadata_is_found_by_the_challenge_and_at_both_well_known_uris(version: str) -> None:
    async with guarded() as door:
        answer = await stranger(door, version).post(opening(version))
        root = "/.well-known/oauth-protected-resource"
        for place in (challenge(answer)["resource_metadata"], f"{root}/mcp", root):
            document = await door.client.get(place)
            assert document.status_code == 200
            assert document.json()["resource"] == RESOURCE
            assert document.json()["authorization_servers"]


@pytest.mark.parametrize("credentials", [None, "Basic dTpw", "Negotiate YII=", "DPoP abc"])
@EACH_VERSION
@requirement("RS-401-04")
async def test_challenge_without_usable_credentials_names_no_error(version: str, credentials: str | None) -> None:
    async with guarded() as door:
        answer = await stranger(door, version).post(opening(version), {"Authorization": credentials})
        told_to_log_in(answer)
        assert challenge(answer)["resource_metadata"] == METADATA


@EACH_VERSION
@requirement("RS-401-05")
async def test_token_that_is_no_good_is_called_invalid_token(version: str) -> None:
    async with guarded() as door:
        for token in ("not-a-token", token_of(door, exp=1), token_of(door, aud="https://other.example/mcp")):
            answer = await stranger(door, version, token).post(opening(version))
            refused_token(answer)
            assert challenge(answer)["resource_metadata"] == METADATA


@requirement("RS-401-06")
async def test_metadata_url_of_the_challenge_is_absolute_https_and_open_to_everybody() -> None:
    async with guarded() as door:
        inside = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "10.0.0.7:8080"}  # as behind a TLS terminator
        answer = await stranger(door, MODERN).post(opening(MODERN), inside)
        assert f'resource_metadata="{METADATA}"' in answer.headers["www-authenticate"]
        assert urlsplit(METADATA).scheme == "https"
        document = await door.client.get(METADATA)
        assert (document.status_code, document.headers["content-type"]) == (200, "application/json")


@requirement("RS-401-06")
async def test_metadata_url_of_the_challenge_is_http_only_on_loopback() -> None:
    async with (
        guarded(public_url="http://localhost:8000") as door,
        httpx.AsyncClient(transport=httpx.ASGITransport(door.gate), base_url="http://localhost:8000") as http,
    ):
        place = challenge(await http.post("/mcp"))["resource_metadata"]
        assert place == "http://localhost:8000/.well-known/oauth-protected-resource/mcp"
        assert (await http.get(place)).status_code == 200


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
@requirement("RS-401-07")
async def test_challenge_names_the_scopes_that_the_request_needs(version: str) -> None:
    async with guarded() as door:
        answer = await stranger(door, version).post(opening(version))
        assert challenge(answer)["scope"] == "mcp:use"


@requirement("RS-401-08")
async def test_challenges_are_well_formed_and_repeat_nothing_of_the_request() -> None:
    async with guarded() as door:
        low = token_of(door, scopes=LOW)
        tokens = [
            None,
            "not-a-token",
            *(token_of(door, **{claim: NASTY}) for claim in ("sub", "aud", "iss", "jti", "scope", "client_id")),
            door.issuer.token("alice", "c", LOW, RESOURCE, header={"kid": NASTY}),
            door.issuer.token("alice", "c", LOW, RESOURCE, header={"typ": NASTY}),
        ]
        for token in tokens:
            answer = await stranger(door, MODERN, token).post(opening(MODERN), {"Mcp-Session-Id": 'a"b'})
            if answer.status_code == 200:
                continue  # only a claim that nothing depends on
            assert challenge(answer)
            assert "Set-Cookie" not in str(answer.headers)
            assert "<script" not in str(answer.headers) + answer.text
        called = await Caller(door.client, MODERN, low).call("admin-reset", note=NASTY)
        assert lacks_scope(called)
        doubled = await door.client.post("/mcp", headers=[("authorization", f"Bearer {low}")] * 2)
        assert challenge(doubled)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "tools/list", "tools/call", "server/discover", "subscriptions/listen", "no/such"],
)
@EACH_VERSION
@requirement("RS-401-09")
async def test_every_method_needs_a_token(version: str, method: str) -> None:
    async with guarded() as door:
        told_to_log_in(await stranger(door, version).ask(method))
        refused_token(await stranger(door, version, "not-a-token").ask(method))


@EACH_VERSION
@requirement("RS-401-09")
async def test_every_verb_and_notification_needs_a_token(version: str) -> None:
    async with guarded() as door:
        owner = await caller(door, version).open()
        anybody = owner.with_token(None)
        told_to_log_in(await anybody.post({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        told_to_log_in(await anybody.post({"jsonrpc": "2.0", "id": 1, "result": {}}))
        for verb in ("GET", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS", "TRACE"):
            assert (await anybody.send(verb)).status_code == 401, verb
        assert (await owner.call("whoami")).status_code == 200


@pytest.mark.parametrize("token", [None, "not-a-token"])
@pytest.mark.parametrize("accept", ["application/json, text/event-stream", "text/event-stream", "text/html", "*/*"])
@EACH_VERSION
@requirement("RS-401-10")
async def test_failed_authorization_is_a_status_and_never_a_redirect_page_or_result(
    version: str, accept: str, token: str | None
) -> None:
    async with guarded() as door:
        for sent in (opening(version), message(version, "tools/call", {"name": "whoami", "arguments": {}})):
            answer = await stranger(door, version, token).post(sent, {"Accept": accept})
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/json"
            assert "location" not in answer.headers
            assert "result" not in answer.json()


@requirement("RS-401-12")
async def test_offline_access_is_neither_asked_for_nor_published() -> None:
    async with guarded() as door:
        low = Caller(door.client, MODERN, token_of(door, scopes=LOW))
        for answer in (
            await stranger(door, MODERN).post(opening(MODERN)),
            await stranger(door, MODERN, "x").post(opening(MODERN)),
            await low.call("admin-reset"),
            await low.with_token(token_of(door, scopes=("mcp:use", "offline_access"))).call("admin-reset"),
        ):
            assert "offline_access" not in challenge(answer)["scope"]
        assert "offline_access" not in (await door.client.get(METADATA)).json()["scopes_supported"]


@EACH_VERSION
@requirement("RS-401-13")
async def test_refusals_are_not_stored_and_borrow_no_code_from_mcp(version: str) -> None:
    async with guarded(resource={"rules": [{"tools": ["*"], "groups": ["nobody"]}]}) as door:
        low = stranger(door, version, token_of(door, scopes=LOW))
        answers = [
            await stranger(door, version).post(opening(version)),
            await stranger(door, version, "x").post(opening(version)),
            await stranger(door, version, token_of(door, scopes=())).post(opening(version)),
            await low.call("whoami"),
            await low.post(opening(version), {"Origin": "https://evil.test"}),
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 403, 403, 403]
        for answer in answers:
            assert answer.headers["cache-control"] == "no-store"
            body = answer.json()
            assert body["jsonrpc"] == "2.0"
            assert "id" not in body or body["id"] == 1
            assert not -32099 <= body["error"]["code"] <= -32020
