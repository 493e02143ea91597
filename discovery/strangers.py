"""Resolves names that strangers chose in threads of its own, so that slow ones keep nobody else's name waiting.

A look-up cannot be given up: its thread lives until the system has an answer. An event loop has a handful of threads
for all names, those of upstreams and issuers among them; a few made-up hosts with a slow name server would hold them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

AT_ONCE = 16  # look-ups under way, given up or not


class StrangersNames:
    """A resolver for `Fetch`, with threads of its own."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    async def __call__(self, host: str, port: int) -> list[str]:
        """The addresses of a name, as the system resolves it.

        Raises:
            OSError: there are none, or too many others are being looked up.
        """
        if not self._free.acquire(blocking=False):
            raise OSError("too many names are being looked up")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()
        threading.Thread(target=self._look_up, args=(loop, found, host, port), daemon=True).start()
        return await found

    def _look_up(self, loop: asyncio.AbstractEventLoop, found: asyncio.Future[list[str]], host: str, port: int) -> None:
        addresses: list[str] = []
        with contextlib.suppress(OSError, UnicodeError):
            addresses = [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        self._free.release()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(_tell, found, addresses)


def _tell(found: asyncio.Future[list[str]], addresses: list[str]) -> None:
    if not found.done():
        found.set_result(addresses)
