"""What one task waits for, again and again: it goes on at once when it is woken, not in the loop's next turn.

A future wakes its task by way of the loop, after everything else that came in the meantime. Under load that is a
thousand connections later, when nothing of the exchange is left in the processor's caches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context


class Wakeup:
    """Something to await, for one task at a time; of `asyncio.Future`, as much as a task asks of what it awaits.

    Tasks know what is like a future by `_asyncio_future_blocking` (`asyncio.isfuture`), and hand it a callback.
    """

    __slots__ = ("_asyncio_future_blocking", "_callback", "_cancelled", "_context", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self._callback: Callable[[Wakeup], object] | None = None  # of the task that waits
        self._context: Context | None = None  # the task's
        self._cancelled = False

    def now(self) -> None:
        """Let the task that waits go on, before this returns; only the loop's own callbacks may do that."""
        callback, context = self._callback, self._context
        if callback is not None and context is not None:
            self._callback = self._context = None
            context.run(callback, self)

    def soon(self) -> None:
        """Let the task that waits go on in the loop's next turn."""
        callback, context = self._callback, self._context
        if callback is not None and context is not None:
            self._callback = self._context = None
            self._loop.call_soon(callback, self, context=context)

    # What a task asks for.

    def __await__(self) -> Generator[Wakeup, None, None]:
        """Wait until it is woken."""
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop whose tasks may wait."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Wakeup], object], *, context: Context) -> None:
        """Take how to wake the task."""
        self._callback, self._context, self._cancelled = callback, context, False

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - a task's signature
        """Wake the task with its cancellation; false where it goes on already."""
        if self._callback is None:
            return False
        self._cancelled = True
        self.soon()
        return True

    def result(self) -> None:
        """Nothing, or the cancellation.

        Raises:
            CancelledError: it was cancelled.
        """
        if self._cancelled:
            raise asyncio.CancelledError
