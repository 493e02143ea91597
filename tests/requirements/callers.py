"""A gate before the real tool server, and callers that speak each revision of MCP to it over HTTP."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import msgspec
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.issuer import Issuer
from deploy.assembly import rule_of
from tests.gated import CLIENT, PUBLIC, RESOURCE, Gated, gated
from tests.requirements.workshop import ADMIN, Workshop
from tests.served import served
from tools.greetings import plugin as greetings
from tools.server import app as tool_server

METADATA = f"{PUBLIC}/.well-known/oauth-protected-resource/mcp"
HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
VERSIONS = (*HANDSHAKE, MODERN)
META = "io.modelcontextprotocol"

LOW = ("mcp:use", "greetings:read")
EVERY_SCOPE = (*LOW, "greetings:many", *ADMIN)

EACH_VERSION = pytest.mark.parametrize("version", VERSIONS)
EACH_HANDSHAKE = pytest.mark.parametrize("version", HANDSHAKE)


@asynccontextmanager
async def guarded(
    workshop: Workshop | None = None,
    issuer: Issuer | None = None,
    *,
    sessions: bool = True,
    resource: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Gated]:
    """The gate before the greetings and the workshop, each tool with the needs its plugin states."""
    plugins = [greetings, (workshop or Workshop()).plugin()]
    rules = [msgspec.to_builtins(rule_of(needs, "")) for plugin in plugins for needs in plugin.needs if needs.scopes]
    app = tool_server(plugins, sessions=sessions)
    app._wanted.set()  # the tools are loaded at once: no test waits for that
    async with gated(issuer, app, resource={"rules": rules, **(resource or {})}, **settings) as door:
        yield door


def token_of(door: Gated, user: str | None = "alice", scopes: Iterable[str] = EVERY_SCOPE, **claims: Any) -> str:
    """A valid token with every scope, unless told otherwise."""
    return door.issuer.token(user, CLIENT, scopes, RESOURCE, claims=claims)


def meta(version: str = MODERN, **capabilities: Any) -> dict[str, Any]:
    """The envelope of a 2026-07-28 request."""
    return {
        f"{META}/protocolVersion": version,
        f"{META}/clientInfo": {"name": "test", "version": "1"},
        f"{META}/clientCapabilities": capabilities,
    }


def message(version: str, method: str, params: Mapping[str, Any] | None = None, number: int = 1) -> dict[str, Any]:
    """A request as the revision writes it."""
    given = dict(params or {})
    if version == MODERN:
        given = {"_meta": meta(), **given}
    elif method == "initialize":
        given = {
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
            **given,
        }
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": given}


def usual_headers(version: str, sent: Any) -> dict[str, str]:
    """The headers that go with a message of a revision."""
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    method = str(sent.get("method", "")) if isinstance(sent, dict) else ""
    if version == MODERN:
        headers |= {"MCP-Protocol-Version": version, "Mcp-Method": method}
        if method in ("tools/call", "prompts/get", "resources/read"):
            named = str(sent.get("params", {}).get("uri" if method == "resources/read" else "name", ""))
            headers["Mcp-Name"] = named if named.isascii() and not named.startswith("=?") else encoded(named)
    elif version != "2025-03-26" and method != "initialize":
        headers["MCP-Protocol-Version"] = version
    return headers


def encoded(text: str) -> str:
    """A text as 2026-07-28 puts it into a header that cannot hold it."""
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def opening(version: str) -> dict[str, Any]:
    """The smallest request of a revision that can be sent first."""
    return message(version, "server/discover" if version == MODERN else "initialize")


class Caller:
    """One client of one revision. `headers` replace the usual ones; a value of None leaves one out."""

    def __init__(self, http: httpx.AsyncClient, version: str, token: str | None) -> None:
        self.http = http
        self.version = version
        self.token = token
        self.session = ""
        self._numbers = itertools.count(2)

    async def post(
        self,
        sent: Any,
        headers: Mapping[str, str | None] | None = None,
        *,
        content: bytes | None = None,
        query: str = "",
    ) -> httpx.Response:
        """The answer to a message."""
        fields = self.fields(usual_headers(self.version, sent), headers)
        return await self.http.post(f"/mcp{query}", content=content or json.dumps(sent).encode(), headers=fields)

    async def send(self, verb: str, headers: Mapping[str, str | None] | None = None) -> httpx.Response:
        """The answer to a request without a body."""
        version = {} if self.version == "2025-03-26" else {"MCP-Protocol-Version": self.version}
        return await self.http.request(
            verb, "/mcp", headers=self.fields({"Accept": "text/event-stream", **version}, headers)
        )

    def fields(self, usual: Mapping[str, str], headers: Mapping[str, str | None] | None) -> dict[str, str]:
        """The header fields of a request: the usual ones, token and session, and what replaces them."""
        fields: dict[str, str | None] = dict(usual)
        if self.token is not None:
            fields["Authorization"] = f"Bearer {self.token}"
        if self.session:
            fields["Mcp-Session-Id"] = self.session
        fields |= headers or {}
        return {name: value for name, value in fields.items() if value is not None}

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, **more: Any) -> httpx.Response:
        """The answer to a request of a method."""
        return await self.post(message(self.version, method, params, next(self._numbers)), **more)

    async def call(self, tool: str, **arguments: Any) -> httpx.Response:
        """The answer to a call of a tool."""
        return await self.ask("tools/call", {"name": tool, "arguments": arguments})

    async def open(self) -> Caller:
        """This caller, with a session where its revision has them."""
        if self.version != MODERN:
            answer = await self.post(opening(self.version))
            assert answer.status_code == 200, answer.text
            self.session = answer.headers["mcp-session-id"]
            ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            assert (await self.post(ready)).status_code == 202
        return self

    def with_token(self, token: str | None) -> Caller:
        """The same client and session with another token, or none."""
        other = Caller(self.http, self.version, token)
        other.session, other._numbers = self.session, self._numbers
        return other


def caller(door: Gated, version: str, user: str = "alice", **claims: Any) -> Caller:
    """A client of a user with every scope, in process."""
    return Caller(door.client, version, token_of(door, user, **claims))


def messages(answer: httpx.Response) -> list[dict[str, Any]]:
    """The JSON-RPC messages of an answer, as JSON or as events."""
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        told = answer.json()
        return told if isinstance(told, list) else [told]
    return [json.loads(event["data"]) for event in events(answer.text) if event.get("data")]


def events(text: str) -> list[dict[str, str]]:
    """The fields of each event of a stream; comments are left out."""
    blocks = re.split(r"\r?\n\r?\n", text)
    parsed = [dict(line.split(": ", 1) for line in block.splitlines() if ": " in line[1:]) for block in blocks]
    return [event for event in parsed if event]


def result(answer: httpx.Response) -> dict[str, Any]:
    """The result of a request that was answered well."""
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    found: dict[str, Any] = messages(answer)[-1]["result"]
    return found


def text_of(answer: httpx.Response) -> str:
    """What a tool answered."""
    said: str = result(answer)["content"][0]["text"]
    return said


def error(answer: httpx.Response) -> dict[str, Any]:
    """The JSON-RPC error of an answer."""
    found: dict[str, Any] = messages(answer)[-1]["error"]
    return found


def names(answer: httpx.Response, member: str = "tools") -> set[str]:
    """The names that a list holds."""
    return {entry["uri" if member == "resources" else "name"] for entry in result(answer)[member]}


class WithoutLifespan:
    """An app whose start and stop are somebody else's business."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})


@asynccontextmanager
async def on_socket(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that runs already, over a real socket and under its public name."""
    async with (
        served(WithoutLifespan(app)) as origin,
        httpx.AsyncClient(base_url=origin, headers={"Host": "gw.example"}, timeout=10) as http,
    ):
        yield http


async def exchange(http: httpx.AsyncClient, sent: bytes) -> bytes:
    """All that a server says to these bytes before it closes the connection."""
    answer = b""
    with anyio.fail_after(5):
        async with await anyio.connect_tcp(http.base_url.host, http.base_url.port or 80) as connection:
            await connection.send(sent)
            async for part in connection:
                answer += part
    return answer
