"""Event streams that nobody says anything on: thousands are held, and none of them costs the others anything."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.upstream.scripted import STREAM, Admitted, Client, proxy
from tests.served import served

WANTED, LEAST = 10_000, 2_000
FILES = 4  # of one stream, where both sides of both connections are in one process
SPARE = 500
AT_ONCE = 100  # connections that wait to be taken
SECONDS = 55


@pytest.fixture
def streams() -> Iterator[int]:
    """How many streams may be open, with every file that this process is granted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    used = len(list(Path("/proc/self/fd").iterdir())) + SPARE
    granted = WANTED if hard == resource.RLIM_INFINITY else (hard - used) // FILES
    yield min(WANTED, granted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Silent(asyncio.Protocol):
    """An upstream that opens a stream at each GET and answers everything else; `open_` holds the streams."""

    open_: set[asyncio.Transport]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET"):
            self.open_.add(self.transport)
            self.transport.write(STREAM)
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


class Listener(asyncio.Protocol):
    """A client that listens; `began` and `came` are done with the head, and with an event."""

    def __init__(self) -> None:
        self.began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"GET /mcp HTTP/1.1\r\nHost: gw.example\r\nAccept: text/event-stream\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        self.read += data
        if b"\r\n\r\n" in self.read and not self.began.done():
            self.began.set_result(None)
        if b"data: now\n\n" in self.read and not self.came.done():
            self.came.set_result(None)


async def test_idle_streams_by_the_thousand_are_held_and_each_gets_its_event(streams: int) -> None:
    assert streams >= LEAST, "raise the hard limit on open files (ulimit -Hn) to at least 9,000"
    loop, turn = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)
    Silent.open_ = set()

    async def listen(port: int) -> Listener:
        async with turn:
            _, listener = await loop.create_connection(Listener, "127.0.0.1", port)
            await listener.began
            return listener

    behind = await loop.create_server(Silent, "127.0.0.1", 0, backlog=AT_ONCE)
    app = proxy(f"http://127.0.0.1:{behind.sockets[0].getsockname()[1]}/mcp", max_connections=WANTED)
    async with asyncio.timeout(SECONDS), served(Admitted(app)) as origin:
        port = int(origin.rpartition(":")[2])
        listeners = await asyncio.gather(*(listen(port) for _ in range(streams)))
        assert len(Silent.open_) == streams
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        await client.send()
        assert (await client.answer()).body == b"{}", "another request is served beside them"
        client.hang_up()
        for stream in Silent.open_:
            stream.write(b"b\r\ndata: now\n\n\r\n")
        await asyncio.gather(*(listener.came for listener in listeners))
        assert all(listener.read.startswith(b"HTTP/1.1 200 ") for listener in listeners)
        for listener in listeners:
            listener.transport.abort()
        for stream in Silent.open_:
            stream.abort()
    behind.close()
    await behind.wait_closed()
