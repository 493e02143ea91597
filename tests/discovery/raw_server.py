"""A server on a real socket that says what it is told, be it HTTP or not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable


def answer(body: bytes = b"{}", *headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


class Server:
    """One answer for every request, on a real socket; remembers the requests."""

    def __init__(self, send: Callable[[asyncio.StreamWriter], Awaitable[None]] | bytes) -> None:
        self.send = send
        self.port = 0
        self.requests: list[str] = []
        self.names: list[str | None] = []  # asked for in the TLS handshake
        self._under_way: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def listening(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        if tls:
            tls.sni_callback = lambda _socket, name, _context: self.names.append(name)
        server = await asyncio.start_server(self._accept, host, 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            await asyncio.gather(*self._under_way)  # ends only if the client hung up

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._under_way.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if isinstance(self.send, bytes):
                writer.write(self.send)
                await writer.drain()
            else:
                await self.send(writer)
                await reader.read()  # until the other side hangs up
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()
