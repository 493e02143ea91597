"""One request on a connection and the response to it, as an ASGI app meets them (ASGI HTTP connection scope).

Head and first piece of a body leave in one write, which is half the system calls and half the packets. What an app
says is checked before it is written: a header that holds a line break would be two.
"""

from __future__ import annotations

import asyncio
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Scope

if TYPE_CHECKING:
    from deploy.http1 import Http1

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
CONTROLS = bytes({*range(32), 127} - {9})  # none of them is of a value but the tab (RFC 9110 §5.5)
MAX_KNOWN = 512  # names remembered
LENGTH, CODING, CONNECTION = b"content-length: ", b"transfer-encoding: ", b"connection: "
FRAMING = frozenset({LENGTH, CODING, CONNECTION})
CLOSE = CONNECTION + b"close"
CHUNKED = CODING + b"chunked"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}
FAILED = b"This request cannot be answered; the server's log says why."

log = logging.getLogger("bearergate")


# How the line of a header begins, by name; those that are compared with are the same objects.
_beginnings = {begin[:-2]: begin for begin in FRAMING}


def beginning(name: bytes) -> bytes:
    """How the line of a header of this name begins; each name is looked at once."""
    if TOKEN.fullmatch(name) is None:
        raise RuntimeError(f"the app sent a header of the name {name[:100]!a}")
    begin = name.lower() + b": "
    if len(_beginnings) < MAX_KNOWN and len(name) < 64:
        _beginnings[name] = begin
    return begin


class Cycle:
    """A request and its response; `receive` and `send` are what the app is given."""

    __slots__ = (
        "_body",
        "_chunked",
        "_connection",
        "_head",
        "_headers",
        "_left",
        "_news",
        "_said",
        "_started",
        "complete",
        "gone",
        "keep_alive",
        "more_body",
        "scope",
        "task",
    )

    def __init__(self, connection: Http1, scope: Scope, *, keep_alive: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive  # whether another request may follow
        self.more_body = True  # of the request
        self.complete = False  # the response
        self.gone = False  # the client
        self.task: asyncio.Task[None] | None = None  # in which the app answers, from then on
        self._connection = connection
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]  # as they came
        self._body: bytes | bytearray = b""  # what came of it since the app asked
        self._said = False  # something to tell the app
        self._news: asyncio.Event | None = None  # of it, where somebody waits
        self._started = False  # the response
        self._chunked = False
        self._left: int | None = 0  # bytes of the response that are to come; None where nobody counts them
        self._head = b""  # of the response, held back for a body that may follow at once

    # What comes from the client.

    def feed(self, data: bytes) -> int:
        """Take a piece of the body; returns how many bytes now wait for the app."""
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data
        self._tell()
        return len(self._body)

    def end(self) -> None:
        """The request is complete."""
        self.more_body = False
        self._headers = []  # nobody is told to send a body any more
        self._tell()

    def hang_up(self) -> None:
        """The client has gone."""
        self.gone = True
        self._tell()

    def _tell(self) -> None:
        self._said = True
        if self._news is not None:
            self._news.set()

    # What the app does.

    async def run(self, app: ASGIApp) -> None:
        """Let the app answer; one that fails, or stops in the middle, ends the connection."""
        try:
            if not await self._succeeds(app):
                await self._fail()
        finally:
            self._connection.ended(self)

    async def _succeeds(self, app: ASGIApp) -> bool:
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            log.exception("a request failed with an error that nobody caught")
            return False
        except BaseException:  # the server's patience at its end is over
            self._connection.close()
            raise
        if self.complete or self.gone:
            return True
        log.error("an app ended without %s", "the rest of its response" if self._started else "a response")
        return False

    async def _fail(self) -> None:
        if self._started:  # nobody must take half of a response for the whole
            self.flush()
            self._connection.close()
            return
        fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(FAILED)), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": fields})
        await self.send({"type": "http.response.body", "body": FAILED})

    async def receive(self) -> Message:
        """The next piece of the request's body, or that the client has gone or was told everything."""
        if self._connection.paused:
            self._connection.resume_reading()
        if not (self._said or self.complete or self.gone):
            await self._wait()
        self._said = False
        if self.gone or self.complete:
            return {"type": "http.disconnect"}
        body, self._body = self._body, b""
        return {"type": "http.request", "body": bytes(body), "more_body": self.more_body}

    async def _wait(self) -> None:
        if self.more_body and not self._started and self._expects():
            self._connection.write(CONTINUE)
            self._headers = []
        if self._news is None:
            self._news = asyncio.Event()
        self._news.clear()
        await self._news.wait()

    def _expects(self) -> bool:
        """Whether the client waits to be told that it should send the body (RFC 9110 §10.1.1)."""
        return any(name == b"expect" and value.lower() == b"100-continue" for name, value in self._headers)

    async def send(self, message: Message) -> None:
        """Write the head of the response, or a piece of its body.

        Raises:
            RuntimeError: it is not the time for that, or not what the head has said.
        """
        if self._connection.full is not None and not self.gone:
            await self._connection.full.wait()
        if self.gone:
            return
        kind = message["type"]
        if not self._started and kind == "http.response.start":
            self._start(message)
        elif self._started and not self.complete and kind == "http.response.body":
            self._go_on(bytes(message.get("body", b"")), more=bool(message.get("more_body")))
        else:
            raise RuntimeError(f"the app sent {kind!a} out of its turn")

    def _start(self, message: Message) -> None:
        status, headers = message["status"], message.get("headers", ())
        lines = [STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status, *self._connection.own_lines]
        framing: dict[bytes, bytes] = {}
        for name, value in headers:
            begin = _beginnings.get(name) or beginning(name)
            lines.append(begin + value)
            if begin in FRAMING:
                framing[begin] = value
        lines += self._framed(status, framing)
        head = b"\r\n".join(lines)
        if len(head.translate(None, CONTROLS)) != len(head) - 2 * (len(lines) - 1):
            raise RuntimeError("the app sent a header with a control character in it")
        self._started = True
        self._head = head + b"\r\n\r\n"
        self._connection.loop.call_soon(self.flush)

    def _framed(self, status: int, said: dict[bytes, bytes]) -> list[bytes]:
        """How the response ends, and whether another may follow: what the app leaves open (RFC 9112 §6.3)."""
        lines = []
        self._left, self._chunked = 0, False
        if CONNECTION in said and b"close" in said[CONNECTION].lower():
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(CLOSE)
        if CODING in said and (LENGTH in said or said[CODING].lower() != b"chunked"):
            raise RuntimeError("the app sent a transfer coding beside a length, or another than chunked")
        if self.scope["method"] == "HEAD" or status in (204, 304):
            return lines
        if LENGTH in said:
            self._left = int(said[LENGTH])
        elif CODING in said:
            self._chunked = True
        elif self.scope["http_version"] == "1.0":
            self._left = None
        else:
            self._chunked = True
            lines.append(CHUNKED)
        return lines

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self._chunked:
            end = b"" if more else b"0\r\n\r\n"
            data = b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end
        else:
            data = b"" if self.scope["method"] == "HEAD" else body
            if self._left is not None:
                self._left = left = self._left - len(data)
                if left < 0 or (left > 0 and not more):
                    raise RuntimeError(f"the app's response has {'more' if left < 0 else 'less'} than Content-Length")
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._connection.write(data)
        if not more:
            self.complete = True
            self._tell()
            self._connection.answered(self)

    def flush(self) -> None:
        """Write a head that was held back and has no body yet."""
        if self._head:
            head, self._head = self._head, b""
            self._connection.write(head)
