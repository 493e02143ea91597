"""Stock clients on a journey: they find the issuer, log in, call, refresh, step up, and read the Bedrock report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import fastmcp
import httpx2
from fastmcp.client.auth import OAuth
from mcp import Client, MCPError
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client

from tests.aws.deployed import USER
from tests.deploy.laptop import Person, log_in
from tests.official.node import HERE, node

REPORT = "get_bedrock_usage_report"
SECONDS = 90  # of the TypeScript client; it takes three


@dataclass
class Journey:
    """What a client saw on its way."""

    greeting: str = ""
    requests: int = 0  # in the Bedrock report
    many: str = ""  # of the tool that needs one scope more; "" where it could not be called
    refusal: str = ""  # what the client was told then
    refreshed: bool = False
    logins: list[set[str]] = field(default_factory=list)  # the scopes of each


async def python_sdk(endpoint: str, mode: str) -> Journey:
    """The Python SDK's client; `mode` is its own."""
    ada = Person(USER.name, USER.password)
    provider = ada.provider(endpoint)

    @asynccontextmanager
    async def connected() -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(auth=provider, timeout=60) as http,
            Client(streamable_http_client(endpoint, http_client=http), mode=mode) as client,
        ):
            yield client

    seen = await travelled(connected, provider)
    seen.logins = [asked(url) for url in ada.logins]
    return seen


class Headless(OAuth):
    """FastMCP's own OAuth client, whose browser is a person who knows the password."""

    async def redirect_handler(self, authorization_url: str) -> None:
        self.logins = [*getattr(self, "logins", []), authorization_url]
        self.back = await log_in(authorization_url, USER.name, USER.password)

    async def callback_handler(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=self.back["code"], state=self.back["state"], iss=self.back.get("iss"))


async def fastmcp_client(endpoint: str) -> Journey:
    """FastMCP's client."""
    provider = Headless(endpoint)

    @asynccontextmanager
    async def connected() -> AsyncIterator[Any]:
        async with fastmcp.Client(endpoint, auth=provider) as client:
            yield client

    seen = await travelled(connected, provider)
    seen.logins = [asked(url) for url in provider.logins]
    return seen


async def travelled(connected: Any, provider: OAuthClientProvider) -> Journey:
    """What both Python clients do."""
    seen = Journey()
    async with connected() as client:
        seen.greeting = text(await client.call_tool("greet", {"name": "Ada"}))
        report = await client.call_tool(REPORT, {"days": 5})
        assert report.structured_content is not None
        seen.requests = report.structured_content["totals"]["requests"]
        assert provider.context.current_tokens is not None
        before = provider.context.current_tokens.access_token
        provider.context.token_expiry_time = 1.0  # long ago, as it is an hour later
        await client.call_tool("greet", {"name": "Ada"})
        seen.refreshed = provider.context.current_tokens.access_token != before
    try:
        async with connected() as client:
            await client.list_tools()  # the SDK steps up where it had a token before
            seen.many = text(await client.call_tool("multi-greet", {"name": "Ada"}))
    except* MCPError as refused:
        seen.refusal = repr(refused)
    return seen


def text(result: Any) -> str:
    """The first words of a result."""
    words: str = result.content[0].text
    return words


def asked(url: str) -> set[str]:
    """The scopes of an authorization request."""
    return set(parse_qs(urlsplit(url).query)["scope"][0].split())


async def typescript_sdk(endpoint: str, generation: int, revision: str) -> dict[str, Any]:
    """What the client on the official TypeScript SDK saw, which takes the same way."""
    told = {"generation": generation, "revision": revision, "endpoint": endpoint}
    told |= {"user": USER.name, "password": USER.password}
    script = HERE / "typescript_client.mjs"
    ended = await asyncio.to_thread(node, json.dumps(told), script=script, seconds=SECONDS)
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen
