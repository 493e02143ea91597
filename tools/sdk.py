"""What the tool server needs of the MCP SDK at run time: its session manager, and the caller in the SDK's own terms."""

from __future__ import annotations

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import MCPServer
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.principal import Principal
from tools.event_store import BoundedEventStore

RETRY_MILLISECONDS = 1_000  # that a client waits before it resumes a stream
SESSION_SECONDS = 1_800  # that a session lives without a request
MAX_SESSIONS = 1_000


class SessionManager(StreamableHTTPSessionManager):
    """The SDK's manager, with an event store for each session: names of streams repeat between sessions."""

    @property
    def event_store(self) -> EventStore:
        """A new store; the manager reads this once for every session it opens."""
        return BoundedEventStore()

    @event_store.setter
    def event_store(self, _: EventStore | None) -> None:
        """What the constructor sets is not used."""


def session_manager(server: MCPServer, *, sessions: bool) -> StreamableHTTPSessionManager:
    """The manager that serves every revision of a server; it can be run once.

    Host and Origin are the gate's business, so the SDK's own check, meant for servers without one, is left out.
    """
    # The SDK's streams would end at SIGTERM in the middle of an answer; the gate ends those that only wait.
    AppStatus.enable_automatic_graceful_drain = False
    return SessionManager(
        server._lowlevel_server,  # noqa: SLF001 - the only way to a manager of one's own
        stateless=not sessions,
        retry_interval=RETRY_MILLISECONDS,
        session_idle_timeout=SESSION_SECONDS,
        max_sessions=MAX_SESSIONS,
    )


class AsUser:
    """Hands the gate's principal to the SDK the way its own bearer middleware does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as the user the SDK knows."""
        user = as_user(scope["state"]["principal"])
        token = auth_context_var.set(user)
        try:
            await self.app({**scope, "user": user}, receive, send)
        finally:
            auth_context_var.reset(token)


def as_user(principal: Principal) -> AuthenticatedUser:
    """A principal as the SDK's user. The token itself is withheld: no tool may pass it on to anybody.

    A machine has no subject here, so that it never owns the sessions of a person whose subject is its client id.
    """
    return AuthenticatedUser(
        AccessToken(
            token="",
            client_id=principal.client_id or principal.subject,
            scopes=sorted(principal.scopes),
            expires_at=int(principal.expires_at),
            subject=None if principal.is_client else principal.subject,
            claims={**dict(principal.claims), "iss": principal.issuer, "groups": sorted(principal.groups)},
        )
    )
