"""The issuer's clock: the system's time until a test moves or stops it."""

from __future__ import annotations

import time


class Clock:
    """Seconds since the epoch, as this issuer sees them."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stopped_at: float | None = None

    def now(self) -> float:
        """The issuer's present, in seconds since the epoch."""
        base = time.time() if self._stopped_at is None else self._stopped_at
        return base + self._ahead

    def move(self, seconds: float) -> None:
        """Let `seconds` pass at once; negative ones go back."""
        self._ahead += seconds

    def set(self, epoch: float) -> None:
        """Stop the clock at `epoch` seconds; only `move` and `set` change it from then on."""
        self._stopped_at, self._ahead = epoch, 0.0
