"""An upstream of idle event streams: `python -m tests.deploy.silent_upstream PORT`.

A GET opens a stream on which nothing is said, until a POST says one event on every one of them.
"""

from __future__ import annotations

import asyncio
import sys

from deploy.open_files import allow_open_files

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b"b\r\ndata: now\n\n\r\n"


class Silent(asyncio.Protocol):
    """One connection."""

    listening: set[asyncio.Transport] = set()  # noqa: RUF012 - of all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET"):
            self.listening.add(self.transport)
            self.transport.write(HEAD)
        else:
            for transport in self.listening:
                transport.write(EVENT)
            told = b"%d" % len(self.listening)
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))

    def connection_lost(self, _: Exception | None) -> None:
        self.listening.discard(self.transport)


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    allow_open_files()
    asyncio.run(main())
