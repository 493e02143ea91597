"""How a refusal is said: status, challenge and one sentence in JSON (RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.types import Message

from discovery.challenge import find_bearer
from gateway.errors import (
    BodyTooLarge,
    DeniedByPolicy,
    ExpiredToken,
    HeaderMismatch,
    HostRefused,
    InsufficientScope,
    InvalidJson,
    KeysUnavailable,
    MalformedRequest,
    MissingToken,
    Refusal,
)
from gateway.refuse import Answers
from gateway.sources import parse
from tests.gated import ISSUER, PUBLIC

METADATA = f"{PUBLIC}/.well-known/oauth-protected-resource/mcp"
SETTINGS = parse(
    {"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [{"path": "/mcp", "scopes": ["b", "a"]}]}
)


async def said(refusal: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body of an answer."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await Answers(SETTINGS, SETTINGS.resources[0]).refuse(refusal, "0123456789abcdef", send)
    start, body = messages
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(headers["content-length"]) == len(body["body"])
    return start["status"], headers, json.loads(body["body"])


def challenge(headers: dict[str, str]) -> dict[str, str]:
    found = find_bearer([headers["www-authenticate"]])
    assert found is not None
    return found.params


async def test_missing_token_is_challenged_without_an_error() -> None:
    """RS-401-01 to RS-401-07."""
    status, headers, _ = await said(MissingToken("none"))
    assert status == 401
    assert challenge(headers) == {"scope": "a b", "resource_metadata": METADATA}


async def test_invalid_token_is_challenged_with_its_error_and_not_its_reason() -> None:
    status, headers, body = await said(ExpiredToken("it expired 7 s ago"))
    assert status == 401
    assert challenge(headers) == {
        "error": "invalid_token",
        "error_description": ExpiredToken.description,
        "scope": "a b",
        "resource_metadata": METADATA,
    }
    assert "7 s" not in json.dumps(body) + str(headers)


async def test_malformed_request_is_challenged_with_400() -> None:
    status, headers, _ = await said(MalformedRequest("two"))
    assert status == 400
    assert challenge(headers)["error"] == "invalid_request"


async def test_missing_scope_names_every_scope_needed() -> None:
    """RS-403-01, RS-403-03."""
    status, headers, _ = await said(InsufficientScope(frozenset({"z", "a"}), "it lacks z"))
    assert status == 403
    found = challenge(headers)
    assert (found["error"], found["scope"], found["resource_metadata"]) == ("insufficient_scope", "a z", METADATA)


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        pytest.param(DeniedByPolicy("group"), 403, id="denied"),
        pytest.param(HostRefused("host"), 421, id="host"),
        pytest.param(InvalidJson("no"), 400, id="no JSON"),
        pytest.param(BodyTooLarge("10 bytes"), 413, id="too large"),
        pytest.param(KeysUnavailable("down", 7), 503, id="keys"),
    ],
)
async def test_what_no_token_cures_is_not_challenged(refusal: Refusal, status: int) -> None:
    """RS-403-07."""
    got, headers, _ = await said(refusal)
    assert got == status
    assert "www-authenticate" not in headers


async def test_keys_that_cannot_be_had_say_when_to_come_back() -> None:
    _, headers, _ = await said(KeysUnavailable("down", 7))
    assert headers["retry-after"] == "7"


async def test_body_that_is_too_large_ends_the_connection_and_nothing_else_does() -> None:
    _, headers, _ = await said(BodyTooLarge("10 bytes"))
    assert headers["connection"] == "close"
    _, headers, _ = await said(MissingToken("none"))
    assert "connection" not in headers


@pytest.mark.parametrize("refusal", [MissingToken("x"), DeniedByPolicy("x"), InvalidJson("x"), HostRefused("x")])
async def test_answer_is_a_json_rpc_error_that_nobody_keeps(refusal: Refusal) -> None:
    """RS-401-13."""
    _, headers, body = await said(refusal)
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == "application/json"
    error = {"code": refusal.code, "message": refusal.description, "data": {"refusal": "0123456789abcdef"}}
    assert body == {"jsonrpc": "2.0", "error": error}


@pytest.mark.parametrize("request_id", [1, "one", 0, ""])
async def test_broken_message_is_answered_with_its_id(request_id: int | str) -> None:
    _, _, body = await said(HeaderMismatch("no", request_id))
    assert body["id"] == request_id
