"""HTTP/1.1 on a connection, within limits: httptools parses, an app answers, one request after the other.

It stands where uvicorn's own protocol would. That one waits for the rest of a request for ever, takes a head of any
size and keeps all requests that are sent before an answer, so that a stranger with a few thousand connections could
hold all there are, or all memory with one; and it takes a third longer. A request that arrives whole costs no timer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from enum import Enum, auto
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from deploy.cycle import Cycle

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn.config import Config
    from uvicorn.server import ServerState

HEAD_BYTES = 64 * 1024  # of request line and fields; also of trailers and of chunks' extensions
HEAD_FIELDS = 256
HEAD_SECONDS = 10.0  # from the first byte of a head to its last
BODY_SECONDS = 30.0  # between two pieces of a body
HELD_BYTES = 64 * 1024  # of a body that waits for the app, before reading stops
PIPELINED = 64  # requests that may wait behind one that is being answered (RFC 9112 §9.3.2)
KNOWN_BYTES = 256  # of a target that is remembered
MAX_KNOWN = 512  # names of headers that are


def refusal(status: HTTPStatus, sentence: str) -> bytes:
    """A response that ends the connection; no app is asked."""
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
    return f"{head}content-length: {len(sentence)}\r\nconnection: close\r\n\r\n{sentence}".encode("ascii")


NOT_HTTP = refusal(
    HTTPStatus.BAD_REQUEST,
    "This is no request of HTTP/1.1: send one without TLS, or put what speaks TLS and HTTP/2 in front of this port.",
)
TOO_LARGE = refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,  # RFC 6585 §5
    f"The head of a request may have {HEAD_FIELDS} header fields and {HEAD_BYTES} bytes: send less.",
)


_names: dict[bytes, bytes] = {}  # in lower case, by how they are spelled: one object for all that wait for an answer


def lower(name: bytes) -> bytes:
    """The name of a header in lower case; each spelling is looked at once."""
    name, spelled = name.lower(), name
    if len(_names) < MAX_KNOWN and len(spelled) < 64:
        _names[spelled] = name
    return name


class Part(Enum):
    """What of a request a connection waits for."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class HeadTooLarge(Exception):
    """Stops the parser; httptools needs an exception for that."""


class TooManyPipelined(Exception):
    """Stops the parser, too."""


class Http1:
    """A connection that a client opened; an `asyncio.Protocol` in all but name, for compiled classes inherit none."""

    __deletable__ = ("_parser",)  # how mypyc is told of a `del`
    __slots__ = (
        "_app",
        "_app_state",
        "_body_seconds",
        "_check",
        "_chunk",
        "_client",
        "_fields",
        "_head_seconds",
        "_idle_since",
        "_idle_timer",
        "_last",
        "_parser",
        "_part",
        "_progress",
        "_served",
        "_server",
        "_since",
        "_state",
        "_too_large",
        "_unfinished",
        "_url",
        "_waiting",
        "full",
        "idle_seconds",
        "loop",
        "paused",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        head_seconds: float = HEAD_SECONDS,
        body_seconds: float = BODY_SECONDS,
        idle_seconds: float | None = None,
    ) -> None:
        """As uvicorn makes its protocols: `app_state` is what the app's start-up yielded."""
        self.loop = asyncio.get_running_loop()
        self.idle_seconds = float(config.timeout_keep_alive) if idle_seconds is None else idle_seconds
        self._head_seconds, self._body_seconds = head_seconds, body_seconds
        self.full: asyncio.Event | None = None  # set when the client takes more again
        self._app = config.loaded_app
        self._app_state = app_state
        self._state = server_state
        self._parser = httptools.HttpRequestParser(self)
        # What follows a request that was to be the last is not read, rather than an error in the middle of its answer.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] | None = []  # of a head; None once it is complete
        self._served: Cycle | None = None  # the request that is being answered, or was at last
        self._last: Cycle | None = None  # the one that came last
        self._waiting: list[Cycle] = []  # a deque takes half a kilobyte, and mostly nobody waits
        self.paused = False
        self._part = Part.NOTHING
        self._since = 0.0  # when the head began, or the last piece of the body came; the loop's time
        self._chunk = 0  # bytes of what is being parsed
        self._unfinished = 0  # bytes before it that have completed nothing yet
        self._progress = False  # whether it has completed anything
        self._too_large = False
        self._check: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None  # when the last answer was complete, or the connection began
        self._idle_timer: asyncio.TimerHandle | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection that stays silent ends like one that is idle between two requests."""
        self.transport = transport  # type: ignore[assignment]  # asyncio names the base class
        self._server, self._client = get_local_addr(self.transport), get_remote_addr(self.transport)
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own
        self._be_idle()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Nothing is waited for any more; whoever is answering hears of it, and nobody begins to."""
        self._state.connections.discard(self)
        for timer in (self._check, self._idle_timer):
            if timer is not None:
                timer.cancel()
        if self._served is not None and not self._served.complete:
            self._served.hang_up()
        self._waiting.clear()
        self._served = self._last = None
        del self._parser  # which holds this connection, as did the requests: they all go without garbage collection
        self.resume_writing()

    def eof_received(self) -> None:
        """A client that ends its side has left: nothing waits for an answer that nobody reads."""

    def pause_writing(self) -> None:
        """The client is slow to take the response."""
        self.full = asyncio.Event()

    def resume_writing(self) -> None:
        """It takes more."""
        if self.full is not None:
            self.full.set()
            self.full = None

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is then still open has to go on in time and within bounds."""
        self._idle_since = None
        self._chunk, self._progress = len(data), False
        begins = self._part is Part.NOTHING
        if begins:
            self._part = Part.HEAD
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # which is not done; and the parser hears nothing that comes after it
            pass
        except httptools.HttpParserError:
            self._refuse(TOO_LARGE if self._too_large else NOT_HTTP)
        if self.transport.is_closing():
            return
        if self._part is not Part.NOTHING:
            self._wait_for_more(begins=begins)
        cycle = self._served
        if cycle is not None and cycle.task is None:
            self._keep(cycle, at_once(self.loop, cycle.run(self._app)))

    # Limits of what has not come yet.

    def _wait_for_more(self, *, begins: bool) -> None:
        self._unfinished = 0 if self._progress else self._unfinished + self._chunk
        if self._unfinished > HEAD_BYTES:
            self._refuse(TOO_LARGE)
            return
        if begins or self._progress or self._part is Part.BODY:
            self._since = self.loop.time()
        if self._check is None:
            self._check = self.loop.call_later(self._head_seconds, self._end_if_late)

    def _end_if_late(self) -> None:
        self._check = None
        if self._part is Part.NOTHING or self.transport.is_closing():
            return
        now = self.loop.time()
        if self.paused:
            self._since = now  # it is the app that is slow
        left = self._since + (self._head_seconds if self._part is Part.HEAD else self._body_seconds) - now
        if left > 0:
            self._check = self.loop.call_later(min(left, self._head_seconds), self._end_if_late)
        else:
            self.transport.abort()

    def _be_idle(self) -> None:
        """One timer looks after a connection; to set and cancel one for each request would cost more than it."""
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.idle_seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._idle_timer = None
        if self._idle_since is None:
            return  # it is set again after the answer
        left = self._idle_since + self.idle_seconds - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._end_if_idle)
        else:
            self.transport.close()

    def _refuse(self, answer: bytes) -> None:
        """Say what was wrong with a request that cannot be parsed, and close."""
        if self.transport.is_closing():
            return
        if self._served is not None:
            self._served.flush()  # an answer that has begun was first
        self.transport.write(answer)
        self.transport.close()

    # What httptools calls.

    def on_message_begin(self) -> None:
        """A head begins."""
        self._part = Part.HEAD
        self._url = b""
        self._fields = []

    def on_url(self, url: bytes) -> None:
        """The target of the request, or a piece of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; trailers are dropped, as it was judged without them (RFC 9110 §6.5.1)."""
        if self._fields is not None:
            self._fields.append((_names.get(name) or lower(name), value))

    def on_headers_complete(self) -> None:
        """A head is complete: the app gets the request, unless the head is too large."""
        self._part, self._progress = Part.BODY, True
        fields, parser = self._fields or [], self._parser
        if len(self._waiting) >= PIPELINED:
            self.transport.abort()
            raise TooManyPipelined
        if len(fields) > HEAD_FIELDS or (
            self._unfinished + self._chunk > HEAD_BYTES and self._head_bytes(fields) > HEAD_BYTES
        ):
            self._too_large = True
            raise HeadTooLarge
        self._unfinished = 0
        self._fields = None
        version = parser.get_http_version()
        path, raw_path, query = known_target(self._url) if len(self._url) <= KNOWN_BYTES else target(self._url)
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "root_path": "",
            "method": parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": fields,
            "state": self._app_state.copy(),
        }
        lasting = version == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()
        self._last = cycle = Cycle(self, scope, keep_alive=lasting)
        if self._served is None or self._served.complete:
            self._served = cycle  # as soon as all that came is parsed
        else:
            self._waiting.append(cycle)
            self.pause_reading()

    def on_body(self, body: bytes) -> None:
        """A piece of the body came."""
        self._unfinished, self._progress = 0, True
        cycle = self._last
        if cycle is not None and not cycle.complete and cycle.feed(body) > HELD_BYTES:
            self.pause_reading()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._part, self._unfinished, self._progress = Part.NOTHING, 0, True
        if self._last is not None and not self._last.complete:
            self._last.end()

    def _head_bytes(self, fields: list[tuple[bytes, bytes]]) -> int:
        return len(self._url) + sum([len(name) + len(value) + 4 for name, value in fields])

    # What the requests on it call.

    def _keep(self, cycle: Cycle, task: asyncio.Task[None]) -> None:
        """Keep the task in which the app answers, unless it has."""
        cycle.task = task
        if not task.done():
            self._state.tasks.add(task)

    def ended(self, cycle: Cycle) -> None:
        """The app is done with a request."""
        if cycle.task is not None:
            self._state.tasks.discard(cycle.task)

    def answered(self, cycle: Cycle) -> None:
        """The response is complete: the next request that waits is served, or the connection is idle."""
        self._state.total_requests += 1
        if not cycle.keep_alive or self.transport.is_closing():  # nobody would hear of what still waits
            self.transport.close()
        elif self._waiting:  # and nothing more is read before all that wait are served
            self._served = cycle = self._waiting.pop(0)
            self._keep(cycle, self.loop.create_task(cycle.run(self._app)))
        else:
            self._served = self._last = None  # nothing of it is kept while nobody asks
            self.resume_reading()
            self._be_idle()

    @property
    def own_lines(self) -> list[bytes]:
        """The lines of every head that are the server's to say."""
        return [b"%b: %b" % (name, value) for name, value in self._state.default_headers]

    def write(self, data: bytes) -> None:
        """Write to the client."""
        self.transport.write(data)

    def close(self) -> None:
        """Close, after what is written."""
        self.transport.close()

    def pause_reading(self) -> None:
        """Read no more until somebody takes what is there."""
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self.paused and not self.transport.is_closing():
            self.paused = False
            self.transport.resume_reading()

    # What the server calls.

    def shutdown(self) -> None:
        """End when everything that was asked is answered (uvicorn's graceful shutdown)."""
        if self._last is None or self._last.complete:
            self.transport.close()
        else:
            self._last.keep_alive = False


def at_once(loop: asyncio.AbstractEventLoop, answering: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that has begun, where Python can do that: what came is still in the processor's caches."""
    if sys.version_info >= (3, 12):
        task = asyncio.Task(answering, loop=loop, eager_start=True)
    else:
        task = loop.create_task(answering)
    return task


def target(url: bytes) -> tuple[str, bytes, bytes]:
    """The path of a request's target, the same as it was sent, and the query (RFC 9112 §3.2).

    Raises:
        HttpParserError: it is no target.
        UnicodeDecodeError: it holds what is not ASCII.
    """
    parsed: Any = httptools.parse_url(url)  # its types know no target without a query
    raw_path: bytes = parsed.path
    path = raw_path.decode("ascii")
    return unquote(path) if "%" in path else path, raw_path, parsed.query or b""


known_target = lru_cache(maxsize=64)(target)  # clients ask for the same again and again
