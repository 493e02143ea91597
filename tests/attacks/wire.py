"""A gate on a socket, and a client in front of it that speaks no HTTP library's HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from deploy.http1 import Http1
from deploy.server import configuration
from tests.attacks.battery import honest, standing
from tests.gated import Gated

PATIENCE = 20  # seconds after which a test that waits in vain fails
HEAD = b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\n"
TOKEN = b"Authorization: Bearer @\r\n"  # @ is where a token comes
TWO = b"Content-Length: 2\r\n\r\n{}"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HONEST = HEAD + TOKEN + TWO
LAST = b"DELETE /healthz HTTP/1.1\r\nHost: gw.example\r\n\r\n"  # 405, as nothing else here
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: gw.example\r\n\r\n"


@dataclass
class Wire:
    """A gate on a socket."""

    door: Gated
    port: int
    state: ServerState

    @property
    def connections(self) -> set[Http1]:
        """Those that are open, on the server's side."""
        return cast("set[Http1]", self.state.connections)

    @property
    def reached(self) -> int:
        """How many requests the app has seen since the gate got its keys."""
        return len(self.door.app.scopes) - 1

    async def left(self) -> None:
        """Wait until the server has seen the last connection go."""
        async with asyncio.timeout(PATIENCE):
            while self.state.connections:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)

    async def connect(self) -> Connection:
        """A new connection to it."""
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port))


@dataclass
class Connection:
    """What a client has that speaks no HTTP library's HTTP."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write all of it; a server that has hung up is no reason to complain."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def status(self) -> int:
        """The status of the next response, its body read to the end; 0 where the connection ends instead."""
        try:
            async with asyncio.timeout(PATIENCE):
                head = await self.reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                await self.reader.readexactly(int(fields.get(b"content-length", b"0")))
                return int(head.split(b" ")[1])
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0

    async def is_open(self) -> bool:
        """Whether the next thing heard is the answer to one more request."""
        await self.send(HEALTH)
        return await self.status() == 200

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def wired(
    app: ASGIApp | None = None, protocol: Callable[..., Http1] = Http1, **settings: Any
) -> AsyncIterator[Wire]:
    """A standing gate, served on a socket as `serve` does it."""
    async with standing(**settings) as door:
        config = configuration(app or door.gate, 1)
        config.lifespan = "off"  # its start-up has run
        config.load()
        assert cast("object", config.http_protocol_class) is Http1
        state, loop = ServerState(), asyncio.get_running_loop()
        server = await loop.create_server(lambda: cast("asyncio.Protocol", protocol(config, state, {})), "127.0.0.1", 0)
        try:
            yield Wire(door, server.sockets[0].getsockname()[1], state)
        finally:
            server.close()
            for connection in list(state.connections):
                connection.transport.abort()
            await asyncio.gather(*state.tasks, return_exceptions=True)


def fill(wire: Wire, data: bytes) -> bytes:
    return data.replace(b"@", honest(wire.door.issuer).encode())


async def answers(wire: Wire, *requests: bytes, ends: bool = False) -> list[int]:
    """The statuses of everything that is answered to these bytes on one connection."""
    connection = await wire.connect()
    await connection.send(b"".join(fill(wire, request) for request in requests))
    if not ends:
        await connection.send(LAST)
    statuses = [await connection.status()]
    while statuses[-1] not in (0, 405):
        statuses.append(await connection.status())
    assert statuses.pop() == (0 if ends else 405)
    await connection.close()
    return statuses
