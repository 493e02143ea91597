"""The gate before the same tools as an upstream: reached by HTTP, its sessions sealed, and it knows no principals."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.issuer import Issuer
from deploy.assembly import rule_of
from gateway.principal import Principal
from gateway.sessions import SealedSessions
from gateway.sources import parse
from gateway.upstream import Upstream
from tests.gated import ISSUER, PUBLIC, Gated, gated
from tests.requirements.workshop import Workshop
from tests.served import served
from tools.greetings import plugin as greetings
from tools.server import app as tool_server

KEY = b"k" * 32


class Everybody:
    """An app for which every request is the same principal's, as for a server that has no authorization."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.seen: list[list[tuple[bytes, bytes]]] = []  # the headers of every request
        nobody = frozenset[str]()
        self.principal = Principal("https://upstream.example", "all", "all", nobody, nobody, time.time() + 9e9)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append(scope["headers"])
            scope = {**scope, "state": {"principal": self.principal}}
        await self.app(scope, receive, send)


@asynccontextmanager
async def behind(
    workshop: Workshop | None = None,
    issuer: Issuer | None = None,
    *,
    sessions: bool = True,
    resource: Mapping[str, Any] | None = None,
    upstream: Everybody | None = None,
    **settings: Any,
) -> AsyncIterator[Gated]:
    """The gate before the greetings and the workshop, as `guarded` has it, but with HTTP in between."""
    plugins = [greetings, (workshop or Workshop()).plugin()]
    rules = [msgspec.to_builtins(rule_of(needs, "")) for plugin in plugins for needs in plugin.needs if needs.scopes]
    app = tool_server(plugins, sessions=sessions)
    app._wanted.set()  # the tools are loaded at once: no test waits for that
    async with served(upstream or Everybody(app)) as origin:
        told = {"path": "/mcp", "upstream": {"url": f"{origin}/mcp"}}
        known = parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [told]})
        proxy = SealedSessions(Upstream(known, known.resources[0]), [KEY], known, known.resources[0])
        async with gated(issuer, proxy, resource={"rules": rules, **(resource or {})}, **settings) as door:
            yield door
