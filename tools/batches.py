"""Batches of JSON-RPC messages (MCP 2025-03-26, Batching), for a server that takes one message at a time."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tools.exchange import PARSE_ERROR, Refusal, again

MAX_MESSAGES = 50  # in one batch


class _Member(msgspec.Struct):
    jsonrpc: Literal["2.0"]
    method: str | None = None
    id: int | str | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, msgspec.Raw] | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()

    @property
    def is_message(self) -> bool:
        """Whether it is a request, a notification or a response."""
        return self.method is not None or (
            self.id is not msgspec.UNSET and bytes(self.result) + bytes(self.error) != b""
        )


_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_member = msgspec.json.Decoder(_Member).decode


def members(body: bytes) -> list[bytes]:
    """The messages of a batch, each as it was written.

    Raises:
        Refusal: one of them is no message, or must not be in a batch, so that none is served.
    """
    try:
        parts = [bytes(part) for part in _array(body)]
        if not 0 < len(parts) <= MAX_MESSAGES:
            raise Refusal(400, f"A batch holds 1 to {MAX_MESSAGES} messages.")
        messages = [_member(part) for part in parts]
    except msgspec.ValidationError:
        raise Refusal(400, "A batch holds messages, each a JSON-RPC object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "The body is not valid JSON.", code=PARSE_ERROR) from None
    if not all(message.is_message for message in messages):
        raise Refusal(400, "A batch holds requests, notifications and responses, and nothing else.")
    if any(message.method == "initialize" for message in messages):
        raise Refusal(400, "initialize is not part of a batch: send it by itself.")
    return parts


async def serve_batch(app: ASGIApp, messages: list[bytes], scope: Scope, receive: Receive, send: Send) -> None:
    """Serve messages one by one, as requests of their own, and answer with all their events as one stream.

    What a tool says or asks on the way gets through as with a single message. Where nobody is owed a response, the
    answer is 202; where a message is refused, nothing after it is served.
    """
    joined = _Joined(send)
    for message in messages:
        headers = [field for field in scope["headers"] if field[0] not in (b"content-length", b"transfer-encoding")]
        alone = {**scope, "headers": [*headers, (b"content-length", b"%d" % len(message))]}
        await app(alone, again(message, receive), joined)
        if joined.refused:
            break
    await joined.end()


class _Joined:
    """A `send` for several responses in a row, which makes one of them: their events, or what there is instead."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False  # the stream of all events
        self._start: Message = {"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]}
        self._body = b""  # of a response that is no stream: a refusal, or nothing

    @property
    def refused(self) -> bool:
        """Whether the last response was a refusal."""
        return bool(self._start["status"] >= 400)

    async def __call__(self, message: Message) -> None:
        """Take the next message of a response."""
        if message["type"] == "http.response.start":
            self._start = message
            if _is_event_stream(message) and not self._begun:
                self._begun = True
                await self._send(message)
        elif _is_event_stream(self._start):
            await self._send({**message, "more_body": True})
        else:
            self._body += message.get("body", b"")

    async def end(self) -> None:
        """Complete the response; a refusal in the middle of the stream is an event of it."""
        last = b"event: message\r\ndata: %s\r\n\r\n" % self._body if self.refused else b""
        if not self._begun:
            await self._send(self._start)
            last = self._body
        await self._send({"type": "http.response.body", "body": last, "more_body": False})


def _is_event_stream(start: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in start["headers"])
