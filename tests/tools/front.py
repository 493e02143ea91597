"""A tool server behind something that stands where the gate does, and callers who speak to it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.principal import Principal
from tests.served import served

OLDER = ("2025-03-26", "2025-06-18", "2025-11-25")  # revisions with sessions
MODERN = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
JSON = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


def principal(subject: str, *scopes: str, **changes: Any) -> Principal:
    """A principal as the gate makes one."""
    facts: dict[str, Any] = {
        "issuer": "https://issuer.example",
        "subject": subject,
        "client_id": "an-app",
        "scopes": frozenset(scopes),
        "groups": frozenset(),
        "expires_at": time.time() + 600,
    }
    return Principal(**facts | changes)


# Who a request may speak for, by the name in its x-who header.
PRINCIPALS = {
    "alice": principal("alice", "b:second", "a:first", groups=frozenset({"readers", "admins"})),
    "alice with a new token": principal("alice", "c:third", expires_at=time.time() + 1200.5),
    "bob": principal("bob", "a:first"),
    "alice of another issuer": principal("alice", "a:first", issuer="https://other.example"),
    "machine called alice": principal("alice", "a:first", client_id="alice", is_client=True),
    "machine called an-app": principal("an-app", "a:first", client_id="an-app", is_client=True),
}


class Front:
    """Hands requests on with the principal that their x-who header names: alice where there is none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            who = dict(scope["headers"]).get(b"x-who", b"alice").decode()
            scope = {**scope, "state": {} if who == "nobody" else {"principal": PRINCIPALS[who]}}
        await self.app(scope, receive, send)


@asynccontextmanager
async def fronted(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app on a real socket."""
    async with served(Front(app)) as origin, httpx.AsyncClient(base_url=origin, headers=JSON) as http:
        yield http


@asynccontextmanager
async def connected(http: httpx.AsyncClient, mode: str, who: str = "alice", **options: Any) -> AsyncIterator[Client]:
    """The SDK's own client; `mode` is `legacy` or a revision without a handshake."""
    async with (
        httpx2.AsyncClient(headers={"x-who": who}, timeout=30) as own,
        Client(streamable_http_client(f"{http.base_url}/mcp", http_client=own), mode=mode, **options) as made,
    ):
        yield made


def text(result: CallToolResult) -> str:
    """What a tool answered."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def request(method: str, request_id: int | str = 1, **params: Any) -> dict[str, Any]:
    """A request of any revision."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def call(tool: str, request_id: int | str = 1, **arguments: Any) -> dict[str, Any]:
    """A call of a tool."""
    return request("tools/call", request_id, name=tool, arguments=arguments)


def initialize(revision: str, **capabilities: Any) -> dict[str, Any]:
    """The request that opens a session."""
    client = {"name": "test", "version": "1"}
    return request("initialize", protocolVersion=revision, capabilities=capabilities, clientInfo=client)


INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    id: str
    data: str
    retry: str

    @property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message that it carries."""
        decoded: dict[str, Any] = json.loads(self.data)
        return decoded


def events(stream: str) -> Iterator[Event]:
    """The events of a stream, without comments."""
    for block in stream.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            yield Event(fields.get("id", ""), fields.get("data", ""), fields.get("retry", ""))


def messages(response: httpx.Response) -> list[dict[str, Any]]:
    """The JSON-RPC messages of a response, be it JSON or a stream."""
    if response.headers["content-type"].startswith("application/json"):
        return [response.json()]
    return [event.message for event in events(response.text) if event.data]


async def next_event(lines: AsyncIterator[str]) -> Event:
    """The next event of a stream that is being read."""
    block: list[str] = []
    while not block or block[-1] or not any(line and not line.startswith(":") for line in block):
        block.append(await anext(lines))
    (event,) = events("\n".join(block).strip("\n"))
    return event


@dataclass
class Session:
    """A session of an older revision, used over plain HTTP."""

    http: httpx.AsyncClient
    revision: str
    id: str
    who: str = "alice"
    initialized: httpx.Response | None = field(default=None, repr=False)

    def headers(self, **changes: str | None) -> dict[str, str]:
        """What a client of that revision sends; None leaves a field out."""
        fields = {"mcp_session_id": self.id, "mcp_protocol_version": self.revision, "x_who": self.who} | changes
        if self.revision == "2025-03-26":  # it has no such header
            del fields["mcp_protocol_version"]
        return {name.replace("_", "-"): value for name, value in fields.items() if value is not None}

    async def post(self, message: Any, **changes: str | None) -> httpx.Response:
        return await self.http.post("/mcp", json=message, headers=self.headers(**changes))

    async def send(self, method: str, **changes: str | None) -> httpx.Response:
        """A request without a body: GET, DELETE or another."""
        return await self.http.request(method, "/mcp", headers=self.headers(**changes))

    def stream(self, method: str, message: Any = None, **changes: str | None) -> Any:
        """A request whose answer is read as it comes."""
        return self.http.stream(method, "/mcp", json=message, headers=self.headers(**changes), timeout=10)


async def open_session(http: httpx.AsyncClient, revision: str, who: str = "alice", **capabilities: Any) -> Session:
    """A session whose handshake is done."""
    answer = await http.post("/mcp", json=initialize(revision, **capabilities), headers={"x-who": who})
    assert answer.status_code == 200, answer.text
    session = Session(http, revision, answer.headers["mcp-session-id"], who, answer)
    assert (await session.post(INITIALIZED)).status_code == 202
    return session


async def modern(
    http: httpx.AsyncClient,
    message: dict[str, Any],
    headers: Mapping[str, str | None] | None = None,
    meta: Mapping[str, Any] | None = META,
) -> httpx.Response:
    """POST a request of 2026-07-28 as it should be, but for what is given; None leaves a field out."""
    if meta is not None:
        message = {**message, "params": {**message.get("params", {}), "_meta": meta}}
    params = message.get("params", {})
    fields = {"mcp-protocol-version": MODERN, "mcp-method": message.get("method")} | {
        "mcp-name": params.get("name", params.get("uri"))
    }
    fields |= dict(headers or {})
    given = {name: value for name, value in fields.items() if value is not None}
    return await http.post("/mcp", json=message, headers=given)
