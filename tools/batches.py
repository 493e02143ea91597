"""JSON-RPC batches of 2025-03-26 for a server that takes one message at a time (MCP 2025-03-26, Batching)."""

from __future__ import annotations

import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

REVISION = b"2025-03-26"  # the only one with batches; no header means it, outside a session
MAX_MESSAGES = 50
MAX_BODY = 4 * 1024 * 1024  # bytes


class Batches:
    """Answers the members of a batch one by one and joins what they answer; everything else passes through.

    A revision other than 2025-03-26 has no batches, and `initialize` is never part of one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        first = await receive()
        body = first.get("body", b"")
        if body.lstrip(b" \t\r\n")[:1] != b"[":
            await self.app(scope, _again([first], receive), send)
            return
        while first.get("more_body") and len(body) <= MAX_BODY:
            first = await receive()
            body += first.get("body", b"")
        messages, problem = _members(scope, body)
        if problem:
            await _answer(send, 400, {"jsonrpc": "2.0", "error": {"code": -32600, "message": problem}})
            return
        await self._serve(scope, messages, send)

    async def _serve(self, scope: Scope, messages: list[Any], send: Send) -> None:
        answers = []
        for message in messages:
            status, body = await self._one(scope, json.dumps(message).encode())
            if status >= 400 and not body.startswith(b"{"):
                await _answer(send, status, {"error": "This request cannot be served."})
                return
            answers += _responses(body)
        await _answer(send, 200 if answers else 202, answers or None)

    async def _one(self, scope: Scope, body: bytes) -> tuple[int, bytes]:
        """Status and body of one message, asked for as a request of its own."""
        status, chunks = 500, []

        async def keep(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                chunks.append(message.get("body", b""))

        headers = [field for field in scope["headers"] if field[0] != b"content-length"]
        alone = {**scope, "headers": [*headers, (b"content-length", b"%d" % len(body))]}
        await self.app(alone, _again([{"type": "http.request", "body": body, "more_body": False}], None), keep)
        return status, b"".join(chunks)


def _members(scope: Scope, body: bytes) -> tuple[list[Any], str]:
    """The messages of a batch, or what is wrong with it."""
    headers = dict(scope["headers"])
    version = headers.get(b"mcp-protocol-version")
    if version not in (None, REVISION):
        return [], "This protocol revision has no batches: send one message per request."
    if len(body) > MAX_BODY:
        return [], "The batch is too large: send less in one request."
    try:
        messages = json.loads(body)
    except (ValueError, RecursionError):
        return [], "The body is not valid JSON."
    if not 0 < len(messages) <= MAX_MESSAGES:
        return [], f"A batch holds 1 to {MAX_MESSAGES} messages."
    if not all(isinstance(message, dict) for message in messages):
        return [], "A batch holds messages, each a JSON object."
    if any(message.get("method") == "initialize" for message in messages):
        return [], "initialize is not part of a batch: send it by itself."
    return messages, ""


def _responses(body: bytes) -> list[Any]:
    """The JSON-RPC responses and notifications that an answer holds, as JSON or as events."""
    if body.startswith(b"{"):
        return [json.loads(body)]
    lines = (line[5:].strip() for line in body.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data:"))
    return [message for message in map(json.loads, filter(None, lines)) if "id" in message and "method" not in message]


async def _answer(send: Send, status: int, content: Any) -> None:
    body = b"" if content is None else json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _again(messages: list[Message], receive: Receive | None) -> Receive:
    """A `receive` that gives these messages, then what else comes, or waits until it is cancelled."""

    async def next_message() -> Message:
        if messages:
            return messages.pop(0)
        if receive is not None:
            return await receive()
        return {"type": "http.disconnect"}

    return next_message
