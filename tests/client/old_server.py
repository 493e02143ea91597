"""A server of revision 2025-06-18 with sessions, as the examples of the TypeScript SDK have them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from client.exchange import SESSION
from tests.client.world import PRM, rpc
from tests.served import served

Act = Callable[[], Response | None]  # a tool; what it gives is the answer, None is an answer as well


@dataclass
class Old:
    """The server. Its tools are known to nobody, but for the one that its list has: what the session is for."""

    origin: str = ""
    issuer: str = ""  # of the tokens that it wants, if it wants some
    unknown: int = 400  # status of an answer to a session that it does not know
    sessions: dict[str, str] = field(default_factory=dict)  # by id, the token that began it
    forgets: bool = False  # every one of them, at once
    ran: list[str] = field(default_factory=list)  # the tools that were called
    ended: list[Headers] = field(default_factory=list)  # of requests that end a session
    tools: dict[str, Act] = field(default_factory=dict)
    away: int = 0  # the status of every answer, if there is one
    more: dict[str, str] = field(default_factory=dict)  # members of a page of the list
    held: str = ""  # the method that waits for the gate, of HTTP or of MCP
    waiting: anyio.Event = field(default_factory=anyio.Event)  # one does
    gate: anyio.Event = field(default_factory=anyio.Event)
    count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(f"{PRM}/mcp", self.metadata),
                Route("/mcp", self.end, methods=["DELETE"]),
                Route("/mcp", self.answer, methods=["POST"]),
            ]
        )

    async def metadata(self, _request: Request) -> Response:
        return JSONResponse({"resource": self.url, "authorization_servers": [self.issuer]})

    async def end(self, request: Request) -> Response:
        self.ended.append(request.headers)
        await self.wait("DELETE")
        return Response()

    async def wait(self, method: str) -> None:
        if method == self.held:
            self.waiting.set()
            await self.gate.wait()

    async def answer(self, request: Request) -> Response:
        token, session = request.headers.get("authorization", ""), request.headers.get(SESSION, "")
        asked = await request.json()
        await self.wait(asked["method"])
        if self.issuer and not token:
            said = f'Bearer resource_metadata="{self.origin}{PRM}/mcp"'
            return Response(status_code=401, headers={"WWW-Authenticate": said})
        if self.away:
            return Response(status_code=self.away)
        if asked["method"] == "initialize":
            session = f"session-{next(self.count)}"
            self.sessions[session] = token.removeprefix("Bearer ")
            return began(asked["id"], session)
        if session not in self.sessions or self.forgets:
            return failed(None, -32000, "Bad Request: No valid session ID provided", self.unknown)
        return self.said(asked, session)

    def said(self, asked: dict[str, Any], session: str) -> Response:
        if "id" not in asked:
            return Response(status_code=202)
        if asked["method"] == "tools/list":
            listed = {"name": f"for-{self.sessions[session]}", "inputSchema": {"type": "object"}}
            return rpc(asked["id"], {"tools": [listed], **self.more})
        name = asked["params"]["name"]
        self.ran.append(name)
        done = self.tools.get(name, lambda: None)()
        return done or rpc(asked["id"], {"content": [{"type": "text", "text": "done"}]})


def began(request_id: object, session: str) -> Response:
    """The answer to `initialize`."""
    about = {"name": "old", "version": "1"}
    answer = rpc(request_id, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about})
    answer.headers[SESSION] = session
    return answer


def failed(request_id: object, code: int, message: str, status: int = 200) -> Response:
    """A JSON-RPC error."""
    return JSONResponse({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}, status)


@asynccontextmanager
async def old_server() -> AsyncIterator[Old]:
    """One, running; what waits goes on at the end."""
    old = Old()
    async with served(old.app()) as old.origin:
        yield old
        old.gate.set()
