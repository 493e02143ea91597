"""What a call reports while it runs: log messages above, progress in one line that is drawn again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.output import Output

if TYPE_CHECKING:
    from mcp.types import LoggingMessageNotificationParams

BAR = 20  # characters


@dataclass(frozen=True)
class Progress:
    """Draws on a terminal, and writes lines elsewhere; always to standard error."""

    output: Output

    async def report(self, progress: float, total: float | None, message: str | None) -> None:
        """Progress of the call (MCP, Progress)."""
        text = f"{amount(progress, total)} {message or ''}".rstrip()
        if self.output.err.isatty():
            self.output.show_live(text)
        else:
            self.output.say(text)

    async def log(self, params: LoggingMessageNotificationParams) -> None:
        """A log message of the server (MCP, Logging)."""
        text = params.data if isinstance(params.data, str) else json.dumps(params.data, ensure_ascii=False)
        origin = f"{params.logger}: " if params.logger else ""
        self.output.say(f"[{params.level}] {origin}{text}")


def amount(done: float, total: float | None) -> str:
    """How far a call is, as a bar if it is known how far it goes."""
    if not total or total <= 0:
        return f"{done:g}"
    filled = round(BAR * min(max(done / total, 0), 1))
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {done:g}/{total:g}"
