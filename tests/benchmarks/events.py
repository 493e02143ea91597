"""An upstream of event streams: `python -m tests.benchmarks.events PORT`.

A POST gets events 2 ms apart, each with the time at which it was sent; a GET gets one event, and waits for ever.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import uvloop

EVENTS = 500
APART = 0.002  # seconds
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Stream(asyncio.Protocol):
    """One connection."""

    transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith((b"GET", b"POST")):
            self.transport.write(HEAD)
            self._send(EVENTS if data.startswith(b"POST") else 1, wait=data.startswith(b"GET"))

    def _send(self, left: int, *, wait: bool) -> None:
        if left:
            event = b"data: %d\n\n" % time.monotonic_ns()
            self.transport.write(b"%x\r\n%b\r\n" % (len(event), event))
            asyncio.get_running_loop().call_later(APART, lambda: self._send(left - 1, wait=wait))
        elif not wait and not self.transport.is_closing():
            self.transport.write(b"0\r\n\r\n")


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Stream, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
