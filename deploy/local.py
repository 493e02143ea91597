"""The gate on a laptop: an embedded issuer, the gate and its tools, in one process on loopback."""

from __future__ import annotations

import logging
import textwrap
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.issuer import Issuer, Lifetimes, User
from deploy.assembly import assemble
from deploy.output import log_to_stderr, show_decisions
from deploy.server import listen, run
from gateway.app import drain
from gateway.sources import parse

if TYPE_CHECKING:
    from gateway.settings import Settings

LOOPBACK = ("127.0.0.1", "::1")
USER = User("alice", "wonderland", groups=("admins",))
SCOPES = {"greetings:read": "Greet you", "greetings:many": "Greet you several times"}


def dev(port: int, issuer_port: int, token_seconds: int) -> None:
    """Serve the gate on `port` and the embedded issuer on `issuer_port`, until Ctrl-C.

    `token_seconds` is how long an access token lives.

    Raises:
        CannotListenError: one of the ports is taken.
        PluginError: an installed tool plugin cannot be used.
    """
    log_to_stderr(as_json=False, level=logging.WARNING)
    sockets = listen(LOOPBACK, port)
    issuer_sockets = listen(LOOPBACK, issuer_port)
    port, issuer_port = (opened[0].getsockname()[1] for opened in (sockets, issuer_sockets))
    settings = laptop_settings(port, issuer_port)
    resource = settings.url_of(settings.resources[0])
    issuer = Issuer.plain(
        settings.issuers[0].issuer,
        users=[USER],
        scopes=SCOPES,
        resources=[resource],
        lifetimes=Lifetimes(access=token_seconds),
    )
    gate = assemble(settings).gate(show_decisions)
    print(introduction(resource, issuer.url), flush=True)
    both = ByPort(gate, issuer.app, issuer_port)
    run(both, [*sockets, *issuer_sockets], drain=lambda: drain(gate), drain_seconds=5)


def laptop_settings(port: int, issuer_port: int) -> Settings:
    """Settings of the gate on a laptop; the issuer's clock is the gate's own, so no leeway is needed."""
    return parse(
        {
            "public_url": f"http://localhost:{port}",
            "issuers": [{"issuer": f"http://localhost:{issuer_port}", "token_type": "at+jwt"}],
            "resources": [{"name": "bearergate on this laptop", "scopes": ["greetings:read"]}],
            "leeway": 0,
        }
    )


class ByPort:
    """Two apps in one server: what comes in at the issuer's port is for the issuer."""

    def __init__(self, app: ASGIApp, other: ASGIApp, other_port: int) -> None:
        self.app = app
        self.other = other
        self.other_port = other_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by the port the connection came in at; the lifespan is the gate's."""
        server = scope.get("server")
        app = self.other if server is not None and server[1] == self.other_port else self.app
        await app(scope, receive, send)


def introduction(resource: str, issuer: str) -> str:
    """What a person needs to try it: the endpoint, the login, and what to paste into a client."""
    return textwrap.dedent(f"""\
        bearergate guards a demo MCP server on this laptop.

          MCP endpoint   {resource}
          Issuer         {issuer}
          Log in as      {USER.name} with the password {USER.password}

        Claude Code:  claude mcp add --transport http bearergate {resource}
        VS Code, in .vscode/mcp.json:

          {{"servers": {{"bearergate": {{"type": "http", "url": "{resource}"}}}}}}

        Cursor and others, in mcp.json:

          {{"mcpServers": {{"bearergate": {{"url": "{resource}"}}}}}}

        Every decision appears below. Ctrl-C stops it.
    """)
