"""The loopback end of a login: one small page on a port of this machine, for one answer (RFC 8252 §7.3)."""

from __future__ import annotations

import asyncio
import contextlib
import html
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import parse_qs

from client.errors import BadInput
from discovery.location import Location

MAX_HEAD = 16 * 1024  # bytes of a request
READ_SECONDS = 10
PAGE_SECONDS = 30  # how long the browser waits to hear how it ended
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>bearergate</title><body style="font:1.1em/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em">
<h1>bearergate</h1><p>{text}</p></body></html>
"""


class Callback:
    """Waits for the browser that carries the right `state`; what others send changes nothing."""

    def __init__(self, path: str) -> None:
        self.uri = ""
        self._path = path or "/"
        self._state: str | None = None
        self._answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pages: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def listening(cls, redirect_uri: str) -> AsyncIterator[Callback]:
        """A callback at this URI; where it has no port, one that is free.

        Raises:
            BadInput: its port is taken.
        """
        location = Location.of(redirect_uri)
        callback = cls(location.path)
        try:
            server = await asyncio.start_server(callback._serve, location.host, location.port or 0, limit=MAX_HEAD)
        except OSError:
            raise BadInput(f"Nothing can listen at {redirect_uri}: is its port taken?") from None
        async with server:
            port = server.sockets[0].getsockname()[1]
            host = f"[{location.host}]" if ":" in location.host else location.host
            callback.uri = redirect_uri if location.port else f"http://{host}:{port}{location.path}"
            try:
                yield callback
            finally:
                await callback._close()

    async def answer(self, state: str) -> dict[str, str]:
        """The parameters that came back with this state."""
        self._state = state
        return await self._answer

    def finish(self, outcome: str) -> None:
        """Tell the waiting browser how the login ended."""
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    async def _close(self) -> None:
        self.finish("The login was not finished.")
        if self._pages:
            await asyncio.wait(self._pages, timeout=1)
        for writer in list(self._connections):  # browsers open some that they do not use
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            async with asyncio.timeout(READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            await self._answered(head, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a port scanner, or a browser that went away
        finally:
            self._connections.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answered(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer a request; the listener does not close before."""
        writing = asyncio.ensure_future(self._write_page(head, writer))
        self._pages.add(writing)
        try:
            await writing
        finally:
            self._pages.discard(writing)

    async def _write_page(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        status, text = await self._page(head)
        writer.write(_response(status, text))
        await writer.drain()

    async def _page(self, head: bytes) -> tuple[HTTPStatus, str]:
        method, _, rest = head.decode("latin-1").partition(" ")
        path, _, given = rest.partition(" ")[0].partition("?")
        if method != "GET" or path != self._path:
            return HTTPStatus.NOT_FOUND, "There is nothing here."
        query = parse_qs(given)
        state = query.get("state", [""])[0]
        if self._state is None or not secrets.compare_digest(state.encode(), self._state.encode()):
            return HTTPStatus.BAD_REQUEST, "This does not belong to a login that is going on. Go back to the terminal."
        if any(len(values) > 1 for values in query.values()):
            return HTTPStatus.BAD_REQUEST, "This answer says something twice. Go back to the terminal."
        if not self._answer.done():
            self._answer.set_result({name: values[0] for name, values in query.items()})
        with contextlib.suppress(TimeoutError):
            return HTTPStatus.OK, await asyncio.wait_for(asyncio.shield(self._outcome), PAGE_SECONDS)
        return HTTPStatus.OK, "Go back to the terminal."


def _response(status: HTTPStatus, text: str) -> bytes:
    body = PAGE.format(text=html.escape(text)).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Referrer-Policy: no-referrer\r\n"  # the address holds a code
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
