"""When a command that has failed is started again: later each time, so that one that cannot run costs little."""

from __future__ import annotations

import asyncio
import math
import time

from tools.exchange import Refusal

BACK_OFF_SECONDS = 0.25  # before the second start after a failure; twice as long before each that follows
MAX_BACK_OFF_SECONDS = 30.0
PATIENCE_SECONDS = 2.0  # that a request waits for the next start; beyond, it is refused
GOOD_RUN_SECONDS = 60.0  # a process that has run for so long did not fail to start


class BackOff:
    """How long to wait before a command is started again."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self._said = ""

    def failed(self, ran: float, said: str) -> None:
        """A process has ended by itself, after so many seconds."""
        self._failures = 1 if ran > GOOD_RUN_SECONDS else self._failures + 1
        self._said = said
        seconds = min(MAX_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2.0 ** (self._failures - 1)) if self._failures > 1 else 0
        self._until = time.monotonic() + seconds

    async def wait(self) -> None:
        """Until it may be started.

        Raises:
            Refusal: that is too long for somebody who waits.
        """
        seconds = self._until - time.monotonic()
        if seconds > PATIENCE_SECONDS:
            raise Refusal(503, f"{self._said} It is started again in {math.ceil(seconds)} seconds: try again then.")
        await asyncio.sleep(max(0.0, seconds))
