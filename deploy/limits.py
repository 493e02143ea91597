"""An end to requests that have none: heads beyond all measure, heads and bodies that stop, queues without end.

uvicorn waits for the rest of a request for ever, takes a head of any size, and keeps all requests that are sent before
an answer; a stranger with a few thousand connections could hold all there are, or all memory with one. A request that
arrives whole costs nothing here: no timer is set for it.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

HEAD_BYTES = 64 * 1024  # of request line and fields; also of trailers and of chunks' extensions
HEAD_FIELDS = 256
HEAD_SECONDS = 10.0  # from the first byte of a head to its last
BODY_SECONDS = 30.0  # between two pieces of a body
PIPELINED = 64  # requests that may wait behind one that is being answered (RFC 9112 §9.3.2)

HEAD = b"HTTP/1."  # how a head begins
CONTINUE = b"HTTP/1.1 100"  # one that nothing follows
TOO_LARGE = (  # RFC 6585 §5
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class Part(Enum):
    """What of a request a connection waits for."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class HeadTooLarge(Exception):
    """Stops the parser; httptools needs an exception for that."""


class TooManyPipelined(Exception):
    """Stops the parser, too."""


class Trailers(list[tuple[bytes, bytes]]):
    """Where trailers go: nowhere. The fields were judged before them and must not change (RFC 9110 §6.5.1)."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Keep nothing."""


class JoinedWrites:
    """A transport, as far as uvicorn's cycle uses it, that writes a head together with what is there of its body.

    One write per answer is half the system calls and half the packets.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write, with the head that was held back; a head alone goes with the end of this turn of the loop."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        elif data.startswith(HEAD) and not data.startswith(CONTINUE):
            self._held = data
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write what is held back."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Close, after what is held back."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport.is_closing()


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it on httptools, within limits."""

    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS

    _waiting = Part.NOTHING
    _since = 0.0  # when the head began, or the last piece of the body came; the loop's time
    _chunk = 0  # bytes of what is being parsed
    _unfinished = 0  # bytes before it that have completed nothing yet
    _progress = False  # whether it has completed anything
    _too_large = False
    _check: asyncio.TimerHandle | None = None
    _joined: JoinedWrites
    _idle_since: float | None = None  # when the last answer was complete, or the connection began
    _served: RequestResponseCycle | None = None  # the request that is being answered; `cycle` is the one that came last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A connection that stays silent ends like one that is idle between two requests."""
        super().connection_made(transport)
        self._joined = JoinedWrites(transport, self.loop)
        self._be_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        if self._check is not None:
            self._check.cancel()
        super().connection_lost(exc)
        for cycle in (self._served, *(waiting for waiting, _ in self.pipeline)):  # uvicorn tells only the last one
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        if self.timeout_keep_alive_task is not None:  # uvicorn forgets it where the connection broke
            self.timeout_keep_alive_task.cancel()

    def on_response_complete(self) -> None:
        """The next request that waits is served, or the connection is idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:  # and nothing more is read before all that wait are served
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.flow.resume_reading()
            self._be_idle()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """This request is the one that is being answered."""
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def _be_idle(self) -> None:
        """One timer looks after a connection; to set and cancel one for each request would cost more than it."""
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _unset_keepalive_if_required(self) -> None:
        """The connection is not idle any more."""
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has been idle for long enough."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # it is set again after the answer
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is then still open has to go on in time and within bounds."""
        self._chunk, self._progress = len(data), False
        if self._waiting is Part.NOTHING:
            self._waiting, self._since = Part.HEAD, self.loop.time()
        super().data_received(data)
        if self._waiting is not Part.NOTHING and not self.transport.is_closing():
            self._wait_for_more()

    def _wait_for_more(self) -> None:
        self._unfinished = 0 if self._progress else self._unfinished + self._chunk
        if self._unfinished > HEAD_BYTES:
            self._too_large = True
            self.send_400_response("")
            return
        if self._progress or self._waiting is Part.BODY:
            self._since = self.loop.time()
        if self._check is None:
            self._check = self.loop.call_later(self.head_seconds, self._end_if_late)

    def _end_if_late(self) -> None:
        self._check = None
        if self._waiting is Part.NOTHING or self.transport.is_closing():
            return
        now = self.loop.time()
        if self.flow.read_paused:
            self._since = now  # it is the app that is slow
        left = self._since + (self.head_seconds if self._waiting is Part.HEAD else self.body_seconds) - now
        if left > 0:
            self._check = self.loop.call_later(min(left, self.head_seconds), self._end_if_late)
        else:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._waiting = Part.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is complete: the app gets the request, unless the head is too large."""
        self._waiting, self._progress = Part.BODY, True
        if len(self.pipeline) >= PIPELINED:
            self.transport.abort()
            raise TooManyPipelined
        if len(self.headers) > HEAD_FIELDS or (
            self._unfinished + self._chunk > HEAD_BYTES and self._head_bytes() > HEAD_BYTES
        ):
            self._too_large = True
            raise HeadTooLarge
        self._unfinished = 0
        super().on_headers_complete()
        self.headers = Trailers()
        self.cycle.transport = self._joined  # type: ignore[assignment]  # it has what the cycle uses
        if self.parser.should_upgrade():  # which is not done; and the parser hears nothing that comes after it
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body came."""
        self._unfinished, self._progress = 0, True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._waiting, self._unfinished, self._progress = Part.NOTHING, 0, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say what was wrong with a request that cannot be parsed, and close."""
        if self.transport.is_closing():
            return
        self._joined.flush()  # an answer that has begun was first
        if not self._too_large:
            super().send_400_response(msg)
            return
        self.transport.write(TOO_LARGE)
        self.transport.close()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
