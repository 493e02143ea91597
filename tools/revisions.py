"""What the SDK leaves open between the revisions of MCP: batches, and an envelope that contradicts its header.

2025-03-26 lets a client put several messages into one body, and no other revision does. A message of 2026-07-28
names its revision inside as well; where the header says otherwise, or nothing, it is refused rather than read by the
rules of another revision.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BATCHING = b"2025-03-26"  # the only revision with batches, and what a missing header means
HANDSHAKE = (None, b"2024-11-05", b"2025-03-26", b"2025-06-18", b"2025-11-25")
ENVELOPE = "io.modelcontextprotocol/protocolVersion"  # in `_meta` from 2026-07-28 on
MAX_MESSAGES = 50  # in one batch
MAX_BODY = 4 * 1024 * 1024  # bytes; what is larger is the SDK's to refuse

INVALID_REQUEST = -32600
HEADER_MISMATCH = -32020


class Revisions:
    """An app that takes one message at a time, as a server of every revision."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not headers.get(b"content-type", b"").lower().startswith(b"application/json"):
            await _refuse(send, 415, INVALID_REQUEST, "Send the message as application/json.")
            return
        body, read = await _read(receive)
        version = headers.get(b"mcp-protocol-version")
        if body.lstrip(b" \t\r\n")[:1] == b"[":
            await self._batch(scope, body, version, receive, send)
        elif version in HANDSHAKE and ENVELOPE.encode() in body and (request_id := _modern(body)) is not None:
            sentence = "MCP-Protocol-Version must say what _meta says: the message is of another revision."
            await _refuse(send, 400, HEADER_MISMATCH, sentence, request_id)
        else:
            await self.app(scope, _again(read, receive), send)

    async def _batch(self, scope: Scope, body: bytes, version: bytes | None, receive: Receive, send: Send) -> None:
        """Answer the members one by one, and join what they answer (MCP 2025-03-26, Batching)."""
        if version not in (None, BATCHING):
            await _refuse(send, 400, INVALID_REQUEST, "This protocol revision has no batches: send one message a time.")
            return
        messages, problem = _members(body)
        if problem:
            await _refuse(send, 400, INVALID_REQUEST, problem)
            return
        answers: list[Any] = []
        for message in messages:
            status, answer = await self._alone(scope, json.dumps(message).encode(), receive)
            if status >= 400:
                await _answer(send, status, answer)
                return
            answers += _responses(answer)
        await _answer(send, 200 if answers else 202, json.dumps(answers).encode() if answers else b"")

    async def _alone(self, scope: Scope, body: bytes, receive: Receive) -> tuple[int, bytes]:
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
        await self.app(alone, _again([{"type": "http.request", "body": body, "more_body": False}], receive), keep)
        return status, b"".join(chunks)


async def _read(receive: Receive) -> tuple[bytes, list[Message]]:
    """The body, or as much of it as is allowed, and the messages it came in."""
    messages = [await receive()]
    body: bytes = messages[0].get("body", b"")
    while messages[-1].get("more_body") and len(body) <= MAX_BODY:
        messages.append(await receive())
        body += messages[-1].get("body", b"")
    return body, messages


def _modern(body: bytes) -> int | str | None:
    """The id of a request that names its revision inside; None for anything else."""
    try:
        message = json.loads(body)
        request_id = message["id"]
        return request_id if ENVELOPE in message["params"]["_meta"] else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _members(body: bytes) -> tuple[list[dict[str, Any]], str]:
    """The messages of a batch, or what is wrong with it."""
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
    """The JSON-RPC responses that an answer holds, as JSON or among its events."""
    if body.startswith(b"{"):
        return [json.loads(body)]
    data = (line[5:].strip() for line in body.splitlines() if line.startswith(b"data:"))
    messages = [json.loads(text) for text in data if text]
    return [message for message in messages if "method" not in message]


async def _refuse(send: Send, status: int, code: int, sentence: str, request_id: int | str | None = None) -> None:
    error = {"code": code, "message": sentence}
    named = {} if request_id is None else {"id": request_id}
    await _answer(send, status, json.dumps({"jsonrpc": "2.0", **named, "error": error}).encode())


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _again(messages: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives these messages once more, and then what else comes."""

    async def next_message() -> Message:
        return messages.pop(0) if messages else await receive()

    return next_message
