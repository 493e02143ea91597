"""The tools as the gate would serve them, to whoever comes: what the suite says of them without a gate."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.principal import Principal


class Ungated:
    """Every request comes from one principal who may do everything, and nobody asks for a token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.principal = Principal(
            issuer="http://localhost",
            subject="alice",
            client_id="suite",
            scopes=frozenset({"greetings:read", "greetings:many"}),
            groups=frozenset(),
            expires_at=time.time() + 3600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"] = {**scope.get("state", {}), "principal": self.principal}
        await self.app(scope, receive, send)
