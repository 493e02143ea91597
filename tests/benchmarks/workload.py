"""A gate and the same app without it, driven in process: tokens, requests and the time they take."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.issuer import Issuer, User
from discovery.fetch import Fetch
from gateway.app import build
from gateway.sources import parse
from tests.gated import ISSUER, PUBLIC, RESOURCE, keys

BODY = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"greet","arguments":{"name":"Ada"}}}'
RULES = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The app behind the gate, and beside it: reads the request and answers two bytes."""
    if scope["type"] == "http":
        await receive()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


def issuer() -> Issuer:
    """The issuer whose tokens are measured."""
    return Issuer.plain(ISSUER, users=[User("alice", "wonderland")], resources=[RESOURCE], keys=keys().copy())


@asynccontextmanager
async def gate(
    issuer: Issuer, *, rules: Iterable[dict[str, Any]] = (), cache: int = 10_000
) -> AsyncIterator[Starlette]:
    """A running gate that writes its audit log to nowhere."""
    settings = parse(
        {
            "public_url": PUBLIC,
            "issuers": [{"issuer": issuer.url, "token_type": "at+jwt"}],
            "resources": [{"scopes": ["mcp:use"], "rules": list(rules)}],
            "token_cache_size": cache,
        }
    )
    fetch = Fetch(allow_hosts=frozenset({"issuer.example"}), transport=lambda: httpx.ASGITransport(issuer.app))
    made = build(settings, {"/mcp": app}, audit=lambda _: None, fetch=fetch)
    async with made.router.lifespan_context(made):
        await made.state.gates["/mcp"].verifier.issuers[issuer.url].keys.refresh()
        yield made


def request(token: str | None) -> Scope:
    """A request as uvicorn hands it over."""
    headers = [
        (b"host", b"gw.example"),
        (b"accept", b"application/json, text/event-stream"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"user-agent", b"a client of MCP"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
        (b"mcp-protocol-version", b"2025-11-25"),
        (b"mcp-session-id", b"0" * 32),
    ]
    if token is not None:
        headers.append((b"authorization", b"Bearer " + token.encode()))
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def _receive() -> Message:
    return {"type": "http.request", "body": BODY, "more_body": False}


async def _send(_: Message) -> None:
    return None


async def microseconds(served: ASGIApp, scopes: list[Scope], count: int) -> float:
    """CPU time per request, of `count` requests taken from `scopes` in turn."""
    started = time.process_time()
    for number in range(count):
        await served(dict(scopes[number % len(scopes)]), _receive, _send)
    return (time.process_time() - started) / count * 1e6


async def best_of(rounds: int, contenders: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The best round of each contender; they take turns."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, contender in contenders.items():
            best[name] = min(await contender(), best.get(name, float("inf")))
    return best
