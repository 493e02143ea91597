"""Messages on their way to an HTTP response, and the request that they answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tools.stdio.messages import PROGRESS_TOKEN, Members, found

FULL_MESSAGES = 256  # that wait for a client, until the process is not read any further
FULL_BYTES = 1024 * 1024  # of them, likewise


class Stream:
    """Messages on their way to one HTTP response."""

    def __init__(self) -> None:
        self.closed = False  # nobody reads any more, or the last message is there
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self.emptied: Callable[[], None] = _nothing

    @property
    def is_full(self) -> bool:
        """Whether more waits than should."""
        return len(self._messages) >= FULL_MESSAGES or self._bytes >= FULL_BYTES

    def put(self, message: bytes, *, last: bool = False) -> None:
        """Add a message; after the last one, and after the client has gone, nothing is added."""
        if not self.closed:
            self._messages.append(message)
            self._bytes += len(message)
            self.closed = last
            self._news.set()

    def close(self) -> None:
        """End it; what waits is still read."""
        self.closed = True
        self._news.set()

    def abandon(self) -> list[bytes]:
        """The client has gone: nothing is read any more. What it has not read."""
        left = list(self._messages)
        self._messages.clear()
        self._bytes = 0
        self.close()
        self.emptied()
        return left

    async def next(self, seconds: float | None = None) -> bytes | None:
        """The next message; None after the last one.

        Raises:
            TimeoutError: there is none within so many seconds.
        """
        while not self._messages:
            if self.closed:
                return None
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), seconds)
        message = self._messages.popleft()
        self._bytes -= len(message)
        if not self._messages:
            self.emptied()
        return message


class Exchange(Stream):
    """A request under way: where its answer goes, and what the client calls it."""

    def __init__(self, asked: Members, owner: object) -> None:
        super().__init__()
        self.asked = asked
        self.owner = owner  # who asked, where several share a process
        self.id = asked["id"]
        self.token = found(asked, *PROGRESS_TOKEN)
        self.number = 0  # its id towards the command


def _nothing() -> None:
    """What is done where nobody wants to know."""
