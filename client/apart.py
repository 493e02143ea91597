"""Work that may block for as long as it likes: a line that is awaited, a browser that is open."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def apart(work: Callable[[], T]) -> asyncio.Future[T]:
    """What a function gives, in a thread that neither a Ctrl-C nor the end of the program waits for."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[Any], None], value: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if found.done() else settle(value))

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            tell(found.set_exception, error)
        else:
            tell(found.set_result, value)

    threading.Thread(target=run, daemon=True).start()
    return found
