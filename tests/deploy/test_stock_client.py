"""A stock client, written by nobody here, against `bearergate dev`: login, calls, step-up, refresh, revocation."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from mcp.shared.auth import OAuthToken
from mcp.types import LoggingMessageNotificationParams, TextContent

from tests.deploy.laptop import Laptop, Person, laptop

WIRES = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])


@pytest.fixture(scope="module")
def running() -> Iterator[Laptop]:
    with laptop() as started:
        yield started


def person(running: Laptop) -> Person:
    return Person(running.user, running.password)


@WIRES
async def test_client_registers_logs_in_and_calls(running: Laptop, mode: str) -> None:
    alice = person(running)
    async with alice.connected(running.endpoint, mode) as client:
        tools = await client.list_tools()
        assert "greet" in {tool.name for tool in tools.tools}
        result = await client.call_tool("greet", {"name": "Ada"})
        assert isinstance(result.content[0], TextContent)
        assert "Ada" in result.content[0].text
    assert len(alice.logins) == 1
    asked = parse_qs(urlsplit(alice.logins[0]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["resource"] == [running.endpoint]
    assert set(asked["scope"][0].split()) == running.scopes("greetings:read")


@WIRES
async def test_tool_that_needs_more_leads_to_a_step_up_and_shows_logs_and_progress(running: Laptop, mode: str) -> None:
    alice = person(running)
    logs: list[str] = []
    steps: list[float] = []

    async def log(params: LoggingMessageNotificationParams) -> None:
        logs.append(str(params.data))

    async def step(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
        steps.append(progress)

    options: dict[str, Any] = {"logging_callback": log}
    if mode != "legacy":
        options["log_level"] = "info"
    async with alice.connected(running.endpoint, mode, **options) as client:
        await client.list_tools()  # the SDK steps up where it had a token before, not in the request it logs in for
        result = await client.call_tool("multi-greet", {"name": "Ada"}, progress_callback=step)
        assert not result.is_error
    assert len(alice.logins) == 2
    stepped_up = parse_qs(urlsplit(alice.logins[1]).query)["scope"][0].split()
    assert set(stepped_up) == running.scopes("greetings:read", "greetings:many")
    assert logs
    assert steps == sorted(steps)
    assert len(steps) >= 2


@WIRES
async def test_tool_that_needs_more_is_not_listed_before_the_step_up(running: Laptop, mode: str) -> None:
    async with person(running).connected(running.endpoint, mode) as client:
        assert "multi-greet" not in {tool.name for tool in (await client.list_tools()).tools}


async def test_expired_token_is_refreshed_without_the_person() -> None:
    with laptop("--token-seconds", "4") as running:
        alice = person(running)
        async with alice.connected(running.endpoint, "2026-07-28") as client:
            await client.call_tool("greet", {"name": "Ada"})
            first = alice.storage.tokens
            assert first is not None
            await expired(first)
            await client.call_tool("greet", {"name": "Ada"})
            assert alice.storage.tokens is not None
            assert alice.storage.tokens.access_token != first.access_token
            assert alice.storage.tokens.refresh_token != first.refresh_token
        assert len(alice.logins) == 1


async def test_revoked_refresh_token_leads_to_a_new_login() -> None:
    with laptop("--token-seconds", "4") as running:
        alice = person(running)
        async with alice.connected(running.endpoint, "2026-07-28") as client:
            await client.call_tool("greet", {"name": "Ada"})
            tokens, registered = alice.storage.tokens, alice.storage.client
            assert tokens is not None
            assert registered is not None
            await revoke(running.issuer, tokens.refresh_token or "", registered.client_id or "")
            await expired(tokens)
            result = await client.call_tool("greet", {"name": "Ada"})
            assert not result.is_error
        assert len(alice.logins) == 2


async def expired(tokens: OAuthToken) -> None:
    """Wait until an access token is worth nothing, and the client knows: its clock starts when the answer arrives."""
    payload = tokens.access_token.split(".")[1]
    expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
    await asyncio.sleep(max(0.0, expires - time.time()) + 1.5)


async def revoke(issuer: str, refresh_token: str, client_id: str) -> None:
    """End a login at the issuer, as a person does who signs out elsewhere (RFC 7009)."""

    async with httpx.AsyncClient() as http:
        metadata = (await http.get(f"{issuer}/.well-known/oauth-authorization-server")).json()
        sent = {"token": refresh_token, "client_id": client_id}
        answer = await http.post(metadata["revocation_endpoint"], data=sent)
        assert answer.status_code == 200
