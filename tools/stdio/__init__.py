"""Local commands that are MCP servers on standard input and output, as ASGI apps that stand behind the gate."""

from __future__ import annotations

from starlette.types import ASGIApp

from tools.stdio.command import CannotStart, Command
from tools.stdio.server import Refused, StdioServer

__all__ = ["CannotStart", "Command", "Refused", "app"]


def app(command: Command, refused: Refused | None = None) -> ASGIApp:
    """The command as an app like any other: started when it is first used, and stopped with the lifespan.

    `refused` is told of every request for a session that the principal does not have, and gives the id of that
    decision, which the answer then carries.
    """
    return StdioServer(command, refused)
