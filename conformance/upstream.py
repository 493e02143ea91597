"""The MCP server behind a gateway under judgement: it records what reaches it, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from .mcp_server import McpServer, Reply, Request

HEARTBEAT = 0.02  # seconds between two looks for a caller that has gone


@dataclass
class Upstream:
    """An ASGI app. `answer` is said in place of what a server would say, until it is None again."""

    server: McpServer = field(default_factory=McpServer)
    answer: Reply | None = None
    requests: list[Request] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)  # a caller left before its stream was over
    finished: threading.Event = field(default_factory=threading.Event)  # a stream was written to its end

    def forget(self) -> None:
        """Start to record anew."""
        self.requests.clear()
        self.gone.clear()
        self.finished.clear()

    def calls(self) -> list[Request]:
        """The messages that have come in."""
        return [request for request in self.requests if request.method == "POST"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        fields = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
        target = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        request = Request(scope["method"], target, fields, body)
        self.requests.append(request)
        reply = self.answer or self.server.reply(request)
        if not await respond(reply, receive, send):
            self.gone.set()
        elif reply.events is not None:
            self.finished.set()


async def respond(reply: Reply, receive: Receive, send: Send) -> bool:
    """Send a reply; False if the caller left before its end."""
    headers = dict(reply.headers)
    if reply.events is not None:
        headers |= {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no"}
    elif reply.status not in (202, 204):
        headers["content-length"] = str(len(reply.body))
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
    if reply.events is None:
        await send({"type": "http.response.body", "body": reply.body})
        return True
    leaving = asyncio.ensure_future(receive())
    try:
        for seconds, data in reply.events:
            done, _ = await asyncio.wait({leaving}, timeout=seconds or HEARTBEAT)
            if done:
                return False
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return True
    finally:
        leaving.cancel()
