"""A gate with an issuer under control in front of an app that records what reaches it: all in process, one clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.issuer import Issuer, Keys, ResourceServer, User
from discovery.fetch import Fetch
from gateway.app import build
from gateway.principal import Principal
from gateway.settings import Settings
from gateway.sources import parse

PUBLIC = "https://gw.example"
RESOURCE = f"{PUBLIC}/mcp"
ISSUER = "https://issuer.example"
POOL = "us-east-1_Example1"
COGNITO = f"{ISSUER}/{POOL}"
CLIENT = "client-one"
SCOPES = ("mcp:use",)

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
TOOLS_LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def tools_call(name: str, **arguments: Any) -> dict[str, Any]:
    """A call of a tool, as every revision before 2026-07-28 writes it."""
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


@cache
def keys() -> Keys:
    """Keys that all tests share: making them is what costs time. Take a `copy` of them to rotate."""
    return Keys()


def plain_issuer() -> Issuer:
    """A spec-complete issuer with two users."""
    return Issuer.plain(
        ISSUER,
        users=[User("alice", "wonderland", groups=("admins",)), User("bob", "builder")],
        resources=[RESOURCE],
        keys=keys().copy(),
    )


def cognito_issuer() -> Issuer:
    """A Cognito user pool whose resource server is the gate's resource."""
    return Issuer.cognito(
        ISSUER,
        pool=POOL,
        users=[User("alice", "wonderland", groups=("admins",)), User("bob", "builder")],
        resource_servers=[ResourceServer(RESOURCE, {"use": "Use it", "admin": "Run it"})],
        keys=keys().copy(),
    )


@dataclass
class Recorder:
    """An MCP server that says yes: it records every request that reaches it and answers with what it was told."""

    answer: bytes = b'{"jsonrpc":"2.0","id":1,"result":{}}'
    content_type: bytes = b"application/json"
    status: int = 200
    scopes: list[Scope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def principals(self) -> list[Principal]:
        """The principals of the requests that came through, in order."""
        return [scope["state"]["principal"] for scope in self.scopes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the recorder knows no other scope"
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.scopes.append(scope)
        self.bodies.append(body)
        headers = [(b"content-type", self.content_type), (b"content-length", b"%d" % len(self.answer))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.answer})


@dataclass
class Gated:
    """Issuer, gate, app and a client in front of them. `client` sends no token unless told to."""

    issuer: Issuer
    settings: Settings
    gate: Starlette
    app: Any
    client: httpx.AsyncClient
    log: list[dict[str, Any]]  # the audit log, decoded

    def token(self, user: str | None = "alice", scopes: Iterable[str] = SCOPES, **changes: Any) -> str:
        """A valid token of a user; `changes` are claims."""
        return self.issuer.token(user, CLIENT, scopes, RESOURCE, claims=changes)

    async def post(
        self,
        token: str | None = None,
        message: Any = TOOLS_LIST,
        *,
        path: str = "/mcp",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        content: bytes | None = None,
    ) -> httpx.Response:
        """POST a message as an MCP client of an older revision does."""
        fields = [("accept", "application/json, text/event-stream"), ("content-type", "application/json")]
        given = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        names = {name.lower() for name, _ in given}
        fields = [(name, value) for name, value in fields if name not in names] + given
        if token is not None:
            fields.append(("authorization", f"Bearer {token}"))
        body = content if content is not None else json.dumps(message).encode()
        return await self.client.post(path, headers=fields, content=body)

    @property
    def reason(self) -> str:
        """Why the last request was refused, by the audit log; "" if it was allowed."""
        for state in self.gate.state.gates.values():
            state.audit.flush()
        return str(self.log[-1].get("reason", "")) if self.log else ""


@asynccontextmanager
async def gated(
    issuer: Issuer | None = None,
    app: ASGIApp | None = None,
    *,
    issuer_settings: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
    network: ASGIApp | None = None,
    monotonic: Callable[[], float] | None = None,
    **settings: Any,
) -> AsyncIterator[Gated]:
    """A running gate for one resource at https://gw.example/mcp that needs the scope `mcp:use`.

    `issuer_settings`, `resource` and `settings` are laid over the usual ones. The issuer's clock is the gate's.
    `network` answers what the gate fetches, in place of the issuer. `monotonic` is a clock of its own for what must
    not go back when the issuer's does.
    """
    issuer = issuer or plain_issuer()
    app = app or Recorder()
    trusted: dict[str, Any] = {"issuer": issuer.url, "token_type": "at+jwt"}
    if issuer.url == COGNITO:
        trusted = {"issuer": issuer.url, "kind": "cognito", "client_ids": [CLIENT]}
    protected = {"path": "/mcp", "scopes": list(SCOPES)} | dict(resource or {})
    values = {"public_url": PUBLIC, "issuers": [trusted | dict(issuer_settings or {})], "resources": [protected]}
    made = parse(values | settings)
    log: list[dict[str, Any]] = []
    fetch = Fetch(
        allow_hosts=frozenset({"issuer.example"}), transport=lambda: httpx.ASGITransport(network or issuer.app)
    )
    gate = build(
        made,
        {one.path: app for one in made.resources},
        audit=lambda lines: log.extend(json.loads(line) for line in lines.splitlines()),
        fetch=fetch,
        now=issuer.clock.now,
        monotonic=monotonic or issuer.clock.now,
    )
    transport = httpx.ASGITransport(gate, raise_app_exceptions=True)
    async with (
        gate.router.lifespan_context(gate),
        httpx.AsyncClient(transport=transport, base_url=PUBLIC) as client,
    ):
        yield Gated(issuer, made, gate, app, client, log)
