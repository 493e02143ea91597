"""What a gate under test finds when it fetches: several hosts, each an app, with a list of who was asked."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Network:
    """Answers for several hosts; `asked` holds each host once for every request to it."""

    def __init__(self, hosts: Mapping[str, ASGIApp]) -> None:
        self.hosts = hosts
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"])[b"host"].decode()
        self.asked.append(host)
        await self.hosts[host](scope, receive, send)


class Hits:
    """A host that nobody should ask: it counts who does, and says nothing."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.count += 1
        await Response(status_code=404)(scope, receive, send)
