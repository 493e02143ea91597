"""Local commands that are MCP servers on standard input and output, as ASGI apps that stand behind the gate."""

from __future__ import annotations

from starlette.types import ASGIApp

from tools.stdio.command import CannotStart, Command
from tools.stdio.server import StdioServer

__all__ = ["CannotStart", "Command", "app"]


def app(command: Command) -> ASGIApp:
    """The command as an app like any other: started when it is first used, and stopped with the lifespan."""
    return StdioServer(command)
