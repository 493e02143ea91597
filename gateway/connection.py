"""One connection to an upstream: writes requests, reads responses as they come, and stops reading when nobody takes.

A connection serves one exchange at a time. Whoever drives it asks for what is there and waits for `changed`; the
protocol's callbacks never wait for anybody.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

import httptools

from gateway.errors import Refusal, UpstreamBroken, UpstreamTimeout
from gateway.response_head import FOR_EVER, ResponseHead, response_head
from gateway.wakeup import Wakeup

HELD_BYTES = 64 * 1024  # of a body waiting for the client, before reading stops
DOUBTFUL_SECONDS = 0.5  # unused for longer, a connection is looked at before it is used


class Connection:
    """A connection, and the exchange it serves; an `asyncio.Protocol` but in name, as compiled classes inherit none."""

    __slots__ = (
        "_chunks",
        "_drained",
        "_ended",
        "_fields",
        "_held",
        "_limits",
        "_loop",
        "_max_head",
        "_method",
        "_parser",
        "_paused",
        "_silent",
        "_transport",
        "_wakeup",
        "busy",
        "complete",
        "deadline",
        "failure",
        "head",
        "kept_seconds",
        "progressed",
        "reusable",
        "unused_since",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, max_head: int, ended: Callable[[Connection], None]) -> None:
        """`ended` is called once when the connection is lost."""
        self._loop = loop
        self._max_head = max_head
        self._ended = ended
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._wakeup = Wakeup(loop)
        self._drained: asyncio.Future[None] | None = None
        self._paused = False
        self.unused_since = 0.0
        self.kept_seconds = FOR_EVER
        self.reusable = True
        self._fields: list[tuple[bytes, bytes]] = []
        self._begin("")
        self.busy = False

    def _begin(self, method: str) -> None:
        self._method = method
        self._fields.clear()
        self._chunks: list[bytes] = []
        self._held = 0  # bytes in chunks
        self._silent = 0  # bytes that have completed nothing yet
        self._limits = (0.0, 0.0)
        self.busy = True
        self.head: ResponseHead | None = None
        self.complete = False
        self.failure: Refusal | None = None
        self.progressed = False
        self.deadline = FOR_EVER

    # The exchange, for whoever drives it.

    def start(self, method: str, data: bytes, first_byte: float, idle: float) -> None:
        """Send a request, or as much as there is of it. The times are seconds to wait for the first and next bytes."""
        self._begin(method)
        self._limits = (first_byte, idle)
        self.deadline = self._loop.time() + first_byte
        if self._transport is None or self._transport.is_closing():
            self.fail(UpstreamBroken("it hung up without being asked"))
        else:
            self._transport.write(data)

    def write(self, data: bytes) -> None:
        """Send more of the request."""
        if not self.lost:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the upstream takes more of the request, or the connection is lost."""
        if self._drained is not None:
            await self._drained

    def changed(self) -> Wakeup:
        """What to await for more to be there, a failure included."""
        return self._wakeup

    def wake(self) -> None:
        """Make whoever awaits `changed` look again."""
        self._wakeup.soon()

    def take(self) -> bytes:
        """What has come of the body since."""
        chunks = self._chunks
        if not chunks:
            return b""
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._held = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return body

    def detach(self, seconds: float) -> None:
        """The client has gone: what is left of the exchange has this long, whatever it does."""
        self._limits = (0.0, 0.0)
        self.deadline = self._loop.time() + seconds

    def check_time(self, now: float) -> None:
        """Fail an exchange that is late; called now and then."""
        first_byte, idle = self._limits
        if self.head is not None and self.head.is_stream and idle:
            self.deadline = FOR_EVER
        elif idle and (self.progressed or self._paused):
            self.progressed = False
            self.deadline = now + (first_byte if self.head is None else idle)
        elif now >= self.deadline:
            self.fail(UpstreamTimeout("no answer in time" if self.head is None else "the answer does not go on"))

    def fail(self, refusal: Refusal) -> None:
        """End the exchange, and the connection with it."""
        self.reusable = False
        if not self.complete and self.failure is None:
            self.failure = refusal
        self.abort()
        self.wake()

    # The connection, for the pool.

    @property
    def free(self) -> bool:
        """Whether another exchange may follow: all was read and sent, and nothing was odd."""
        return self.complete and self.reusable and not self._paused and self._drained is None and not self.lost

    @property
    def lost(self) -> bool:
        """Whether it is closed or closing."""
        return self._transport is None or self._transport.is_closing()

    def rest(self) -> None:
        """Serve nobody for now, and keep nothing of the exchange that is over."""
        self.head = None
        self.unused_since = self._loop.time()

    def is_stale(self) -> bool:
        """Whether the upstream has hung up on a connection that was unused, or is about to, or said something."""
        unused = self._loop.time() - self.unused_since
        if unused >= self.kept_seconds or self.lost:
            return True
        if unused < DOUBTFUL_SECONDS:
            return False
        waiting = select.poll()
        waiting.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    @property
    def transport(self) -> asyncio.Transport:
        """The open transport."""
        assert self._transport is not None, "the connection is open"  # noqa: S101 - asked only after `lost`
        return self._transport

    def abort(self) -> None:
        """Close at once; what is not sent yet stays so."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = transport  # type: ignore[assignment]  # asyncio names the base class

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; a response that ends with it is complete, any other is not."""
        self._transport = None
        self.reusable = False
        if self.busy and not self.complete:
            if exc is None and self.failure is None and self.head is not None and self.head.until_closed:
                self.complete = True
            elif self.failure is None:
                self.failure = UpstreamBroken("it hung up in the middle" if self.head else "it hung up without answer")
        self.resume_writing()
        self.wake()
        self._ended(self)

    def eof_received(self) -> None:
        """The upstream ends its side: the connection ends."""

    def pause_writing(self) -> None:
        """The upstream is slow to take the request."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """It takes more."""
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None

    def data_received(self, data: bytes) -> None:
        """Parse what came; more than can be passed on is not read for now."""
        if not self.busy or self.complete:  # nobody asked: it must not become the answer to the next request
            self.reusable = False
            self.abort()
            return
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._broken(error)
        if self.head is not None:  # what comes before, piece by piece or again and again, is no answer yet
            self.progressed = True
        if self._silent > self._max_head and not self.complete:
            self._broken("a head or trailers beyond max_header_bytes")
        if self._held > HELD_BYTES and not self._paused and not self.lost:
            self._paused = True
            self.transport.pause_reading()
        self._wakeup.now()

    def _broken(self, cause: object) -> None:
        context = getattr(cause, "__context__", None)
        self.fail(context if isinstance(context, UpstreamBroken) else UpstreamBroken(str(cause)))

    # What httptools calls.

    def on_message_begin(self) -> None:
        """A response begins; after the first one, it is one that nobody asked for."""
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; trailers are dropped, as nobody judged them (RFC 9110 §6.5.1)."""
        if self.head is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is complete."""
        status = self._parser.get_status_code()
        if self.head is not None:
            return
        if 100 <= status < 200:
            if status == 101:
                raise UpstreamBroken("it switches protocols unasked")
            self._fields.clear()
            return
        if self._silent > self._max_head and sum(map(_length, self._fields)) > self._max_head:
            raise UpstreamBroken("a head beyond max_header_bytes")
        self._silent = 0
        bodiless = self._method == "HEAD" or status in (204, 304)
        self.head = response_head(status, self._parser.get_http_version(), self._fields, bodiless=bodiless)
        self._fields.clear()
        self.kept_seconds = self.head.kept_seconds
        if self.kept_seconds <= 0 or not self._parser.should_keep_alive():
            self.reusable = False
        if self._method == "HEAD":  # the parser cannot be told that no body follows
            self.reusable = False
            self.complete = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._silent = 0
        if not self.complete:
            self._chunks.append(body)
            self._held += len(body)

    def on_message_complete(self) -> None:
        """The response is complete, unless it was an interim one (RFC 9110 §15.2)."""
        if self.head is not None:
            self.complete = True


def _length(field: tuple[bytes, bytes]) -> int:
    return len(field[0]) + len(field[1]) + 4
