"""A request before anybody asks what it means: headers that are there once, and a body of no more than it may have."""

from __future__ import annotations

from starlette.types import Message, Receive

from gateway.errors import BodyTooLarge, InvalidMessage, RepeatedHeader

SINGLE = frozenset(  # each says one thing, so what it says must not depend on who reads it (RFC 9110 §5.3)
    b"mcp-protocol-version mcp-method mcp-name mcp-session-id host origin content-type content-length".split()
)


def check_single(headers: list[tuple[bytes, bytes]]) -> None:
    """Headers that say one thing are there once; called only where some header is there twice."""
    names = [name for name, _ in headers if name in SINGLE]
    for name in names:
        if names.count(name) > 1:
            raise RepeatedHeader(f"{name.decode()} was sent {names.count(name)} times")


def check_length(headers: dict[bytes, bytes], limit: int) -> None:
    """A body that says it is too large is not even begun."""
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 18:
        raise InvalidMessage("Content-Length is no length")
    if int(length) > limit:
        raise BodyTooLarge(f"{length.decode()} bytes")


def has_body(headers: dict[bytes, bytes]) -> bool:
    """Whether a request of any method carries a body: an app may read it even where the method gives it no meaning."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body of a request, or None where the client went away before its end.

    Raises:
        BodyTooLarge: it has more than `limit` bytes; nothing beyond them is kept.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body = bytes(message.get("body", b""))
        if len(body) > limit:
            raise BodyTooLarge(f"{len(body)} bytes")
        return body
    chunks, size = [], 0
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise BodyTooLarge(f"more than {limit} bytes")
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()
    return None


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already, then whatever else comes (a disconnect)."""
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_again() -> Message:
        nonlocal message
        if message is None:
            return await receive()
        first, message = message, None
        return first

    return receive_again
