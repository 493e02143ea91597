"""One HTTP exchange as ASGI has it: a body that is read and given again, and the answer that says no."""

from __future__ import annotations

import json

from starlette.types import Message, Receive, Send

PARSE_ERROR = -32700  # JSON-RPC 2.0 §5.1, as the next two
INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020  # MCP 2026-07-28, Streamable HTTP, Server Validation


async def read(receive: Receive, limit: int) -> bytes | None:
    """The whole body of a request, or the beginning of one that exceeds `limit`; None where the client went away."""
    chunks, size, more = [], 0, True
    while more and size <= limit:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
    return b"".join(chunks)


def again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already, and then what else comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


async def refuse(
    send: Send,
    status: int,
    sentence: str,
    *,
    code: int = INVALID_REQUEST,
    request_id: int | str | None = None,
    allow: str | None = None,
) -> None:
    """Answer with a JSON-RPC error; `allow` are the methods that a 405 owes the client."""
    named = {} if request_id is None else {"id": request_id}
    body = json.dumps({"jsonrpc": "2.0", **named, "error": {"code": code, "message": sentence}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if allow is not None:
        headers.append((b"allow", allow.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
