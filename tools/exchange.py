"""One HTTP exchange as ASGI has it: a body that is read and given again, and the refusal that answers it."""

from __future__ import annotations

import json

from starlette.types import Message, Receive, Send

PARSE_ERROR = -32700  # JSON-RPC 2.0 §5.1, as the next two
INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020  # MCP 2026-07-28, Streamable HTTP, Server Validation


class Refusal(Exception):
    """Why a request is not served: one sentence, with the status and the JSON-RPC error of the answer.

    `request_id` is None where it cannot be known; `allow` are the methods that a 405 owes the client; `data` is what
    the error says to programs.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        code: int = INVALID_REQUEST,
        request_id: int | str | None = None,
        allow: str = "",
        data: object = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.allow = allow
        self.data = data

    async def answer(self, send: Send) -> None:
        """Send the refusal."""
        named = {} if self.request_id is None else {"id": self.request_id}
        error = {"code": self.code, "message": str(self), **({} if self.data is None else {"data": self.data})}
        body = json.dumps({"jsonrpc": "2.0", **named, "error": error}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if self.allow:
            headers.append((b"allow", self.allow.encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def read(receive: Receive, limit: int) -> bytes | None:
    """The whole body of a request; None where the client went away before its end.

    Raises:
        Refusal: it has more than `limit` bytes.
    """
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise Refusal(413, f"Send no more than {limit} bytes at once.")
        more = message.get("more_body", False)
    return b"".join(chunks)


def again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already, and then what else comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message
