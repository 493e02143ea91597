"""The HTTP answer to a request: JSON where its response comes first, or else events as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from starlette.types import Receive, Send

from tools.exchange import Refusal
from tools.stdio.stream import Stream

PING = b": ping\n\n"  # a comment, which keeps what lies between from closing a silent connection
EVENTS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

NONE: Mapping[int, int] = {}

Headers = Sequence[tuple[bytes, bytes]]


class _Error(msgspec.Struct):
    code: int = 0


class _Response(msgspec.Struct):
    method: str = ""
    error: _Error | None = None


_response = msgspec.json.Decoder(_Response).decode


async def answer(
    stream: Stream, send: Send, silence_seconds: float, headers: Headers = (), statuses: Mapping[int, int] = NONE
) -> None:
    """Send what comes of a request until its response; `statuses` are those of errors that come first, by code."""
    first = await _next(stream, silence_seconds)
    if first is not None and (found := _last(first)) is not None:
        code = 0 if found.error is None else found.error.code
        length = (b"content-length", b"%d" % len(first))
        fields = [*headers, (b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": statuses.get(code, 200), "headers": fields})
        await send({"type": "http.response.body", "body": first, "more_body": False})
    else:
        await events(stream, send, silence_seconds, headers, first)


async def events(
    stream: Stream, send: Send, silence_seconds: float, headers: Headers = (), first: bytes | None = b""
) -> None:
    """Send messages as events until the stream ends, and comments while there are none; `first` is there already."""
    await send({"type": "http.response.start", "status": 200, "headers": [*EVENTS, *headers]})
    message = first
    while message is not None:
        body = b"event: message\ndata: " + message + b"\n\n" if message else PING
        await send({"type": "http.response.body", "body": body, "more_body": True})
        message = await _next(stream, silence_seconds)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _next(stream: Stream, silence_seconds: float) -> bytes | None:
    """The next message; b"" after a silence."""
    try:
        return await stream.next(silence_seconds)
    except TimeoutError:
        return b""


def _last(message: bytes) -> _Response | None:
    """A message that is a response; None for what comes before one."""
    if not message:
        return None
    try:
        response = _response(message)
    except msgspec.ValidationError:
        return _Response()  # an error of a shape of its own, which is a response all the same
    return None if response.method else response


@asynccontextmanager
async def watched(receive: Receive, stream: Stream) -> AsyncIterator[None]:
    """Ends a stream when the client goes away."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        stream.abandon()

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def check_accept(headers: Mapping[bytes, bytes], *wanted: bytes) -> None:
    """The client can read what it will get.

    Raises:
        Refusal: it says that it cannot.
    """
    taken = {part.partition(b";")[0].strip().lower() for part in headers.get(b"accept", b"*/*").split(b",")}
    for kind in wanted:
        if not taken & {kind, kind.partition(b"/")[0] + b"/*", b"*/*"}:
            raise Refusal(406, f"Accept {' and '.join(each.decode() for each in wanted)}.")
