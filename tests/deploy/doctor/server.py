"""A small protected MCP server in which every single thing can be made wrong, on a socket and behind front doors."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from tests.ports import free_port
from tests.served import served

Headers = dict[str, str]
RESOURCE = "/.well-known/oauth-protected-resource"
ISSUER = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
SCOPE = "mcp:use"
PAGES = {"access-control-allow-origin": "*"}
TYPES = "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, last-event-id, mcp-method, mcp-name"
FAR = 4_000_000_000  # seconds since the epoch


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    headers: Headers
    body: Any

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def rpc(self) -> str:
        return str(self.body.get("method", "")) if isinstance(self.body, dict) else ""


@dataclass
class Reply:
    """What is answered; `pieces` are sent one after the other, with a pause of that many seconds before each."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    body: bytes = b""
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    silent: bool = False  # never answered at all


def said(document: Any, status: int = 200, **headers: str) -> Reply:
    fields = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Reply(status, fields, json.dumps(document).encode())


def stream(*pieces: tuple[float, Any]) -> Reply:
    made = [(pause, f"event: message\ndata: {json.dumps(piece)}\n\n".encode()) for pause, piece in pieces]
    return Reply(200, {"content-type": "text/event-stream"}, pieces=made)


def jwt(**claims: Any) -> str:
    """A JWT that nobody signed; the doctor verifies none, and this server takes what it is told to."""
    header = claims.pop("header", {"alg": "RS256", "kid": "one"})
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, claims)]
    return ".".join([*parts, "c2lnbmF0dXJl"])


Handler = Callable[[Request], Reply]


@dataclass
class Server:
    """Healthy as it stands; a test changes one thing. `over` answers a path, or a method and path, instead."""

    origin: str = ""
    path: str = "/mcp"
    issuer_path: str = ""
    challenge: str | None = None  # None: the right one
    challenge_name: str = "www-authenticate"
    bad_token: Reply | None = None
    metadata: dict[str, Any] = field(default_factory=dict)  # laid over the right ones; None leaves a member out
    issuer: dict[str, Any] = field(default_factory=dict)
    more: Headers = field(default_factory=dict)  # headers of every answer
    over: dict[str, Handler] = field(default_factory=dict)
    tokens: dict[str, Reply | None] = field(default_factory=dict)  # None: taken
    spoken: tuple[str, ...] = ("2025-06-18", "2025-11-25", "2026-07-28")
    asked: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.origin + self.path

    @property
    def issuer_url(self) -> str:
        return self.origin + self.issuer_path

    def token(self, reply: Reply | None = None, **claims: Any) -> str:
        """A token, taken unless there is a reply to it."""
        usual = {"iss": self.issuer_url, "aud": self.url, "exp": FAR, "iat": 1, "scope": SCOPE, "client_id": "c"}
        made = jwt(**{name: value for name, value in {**usual, **claims}.items() if value is not None})
        self.tokens[made] = reply
        return made

    def refused(self, error: str = "", status: int = 401, scope: str = SCOPE) -> Reply:
        """The challenge, as the gate writes it."""
        right = f'Bearer {error}scope="{scope}", resource_metadata="{self.origin}{RESOURCE}{self.path}"'
        value = right
        if self.challenge is not None:
            value = self.challenge.format(origin=self.origin).replace("Bearer ", f"Bearer {error}", 1)
        headers = {self.challenge_name: value} if value else {}
        return said({"jsonrpc": "2.0", "error": {"code": -32010, "message": "No."}}, status, **headers)

    def invalid(self, status: int = 401, **challenge: str) -> Reply:
        """What is answered to a token that is no good."""
        return self.refused('error="invalid_token", ', status, **challenge)

    def reply(self, request: Request) -> Reply:
        self.asked.append(request)
        made = self._reply(request)
        if "origin" in request.headers and request.path == self.path:
            made.headers = self.cors(request) | made.headers
        return Reply(made.status, made.headers | self.more, made.body, made.pieces, made.silent)

    def cors(self, request: Request) -> Headers:
        return {
            "access-control-allow-origin": request.headers["origin"],
            "access-control-expose-headers": "WWW-Authenticate, Mcp-Session-Id",
            "vary": "Origin",
        }

    def _reply(self, request: Request) -> Reply:
        if f"{request.method} {request.path}" in self.over:
            return self.over[f"{request.method} {request.path}"](request)
        if request.method == "OPTIONS":
            allowed = {"access-control-allow-headers": TYPES, "access-control-allow-methods": "GET, POST, DELETE"}
            return Reply(204, PAGES | allowed)
        if request.path in self.over:
            return self.over[request.path](request)
        if request.path == self.path:
            return self.endpoint(request)
        found = self.documents().get(request.path)
        return said({"error": "nothing here"}, 404) if found is None else Reply(200, found[0], found[1])

    def documents(self) -> dict[str, tuple[Headers, bytes]]:
        kind = {"content-type": "application/json"} | PAGES
        resource = self.resource_document()
        places = {RESOURCE + self.path: resource, RESOURCE: resource, ISSUER + self.issuer_path: self.issuer_document()}
        return {path: (kind, json.dumps(document).encode()) for path, document in places.items()}

    def resource_document(self) -> dict[str, Any]:
        right = {"resource": self.url, "authorization_servers": [self.issuer_url], "scopes_supported": [SCOPE]}
        return {name: value for name, value in {**right, **self.metadata}.items() if value is not None}

    def issuer_document(self) -> dict[str, Any]:
        right = {
            "issuer": self.issuer_url,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "registration_endpoint": f"{self.origin}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in {**right, **self.issuer}.items() if value is not None}

    def endpoint(self, request: Request) -> Reply:
        if not request.token:
            return self.refused()
        if request.token not in self.tokens:
            return self.bad_token or self.invalid()
        reply = self.tokens[request.token]
        return reply or self.served(request)

    def served(self, request: Request) -> Reply:
        """What is behind the token."""
        if request.method == "GET":
            return Reply(200, {"content-type": "text/event-stream"}, pieces=[(30, b": still there\n\n")])
        if request.method == "DELETE":
            return Reply(204)
        if request.rpc == "initialize":
            asked = request.body["params"]["protocolVersion"]
            version = asked if asked in self.spoken else self.spoken[0]
            result = {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
            return said({"jsonrpc": "2.0", "id": request.body["id"], "result": result}, mcp_session_id="a-session")
        if request.rpc == "server/discover":
            result = {"supportedVersions": list(self.spoken)}
            return said({"jsonrpc": "2.0", "id": request.body["id"], "result": result})
        if request.rpc == "subscriptions/listen":
            return stream((0, {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged"}), (30, {}))
        return Reply(202)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        made = self.reply(await request_of(scope, receive))
        if made.silent:
            await receive()  # until the caller has gone
            return
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in made.headers.items()]
        await send({"type": "http.response.start", "status": made.status, "headers": headers})
        for pause, piece in made.pieces:
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            if await gone(receive, pause):
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": made.body})


async def lifespan(receive: Receive, send: Send) -> None:
    for answer in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{answer}.complete"})


async def request_of(scope: Scope, receive: Receive) -> Request:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], headers, json.loads(body) if body else None)


async def gone(receive: Receive, pause: float) -> bool:
    """Whether the caller leaves within a pause."""
    try:
        message: Message = await asyncio.wait_for(receive(), pause)
    except TimeoutError:
        return False
    return str(message["type"]) == "http.disconnect"


@asynccontextmanager
async def running(server: Server | None = None) -> AsyncIterator[Server]:
    """The server on a socket, knowing its own origin."""
    made, port = server or Server(), free_port()
    made.origin = made.origin or f"http://127.0.0.1:{port}"
    async with served(made, port):
        yield made
