"""A stock MCP server of the SDK, open to all, with answers that try a client: long, slow, hostile, pictorial."""

from __future__ import annotations

import base64
import os
from typing import Annotated

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.types import ToolAnnotations
from pydantic import BaseModel
from starlette.applications import Starlette

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\u202egnitide\x9b1A\r over"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
READS = ToolAnnotations(read_only_hint=True)


class Row(BaseModel):
    name: str
    count: int


class Answer(BaseModel):
    rows: list[Row]


class Name(BaseModel):
    name: str


def who() -> Elicit[Name]:
    return Elicit("Who are you?", Name)


def stock(begun: anyio.Event, gate: anyio.Event) -> MCPServer:
    """The server; its tool `slow` says that it has begun, and waits for the gate."""
    server = MCPServer("stock\x1b[31m", instructions=HOSTILE)

    @server.tool(description=f"Says hostile things {HOSTILE}", annotations=READS)
    def hostile() -> str:
        return HOSTILE

    @server.tool(description="A long answer")
    def long(megabytes: int) -> str:
        return "\n".join(f"{number:09} " + "x" * 89 for number in range(megabytes * 10_000))

    @server.tool(description="Rows")
    def rows() -> Answer:
        return Answer(rows=[Row(name="a", count=1), Row(name=HOSTILE, count=2)])

    @server.tool(description="A picture")
    def picture() -> Image:
        return Image(data=PIXEL, format="png")

    @server.tool(description="Fails")
    def broken() -> str:
        raise ValueError("it broke \x1b[2J")

    @server.tool(description="Does something once")
    def pay(amount: int) -> str:
        if os.environ.get("DIE_WHEN_PAID"):
            os._exit(1)
        return f"paid {amount}"

    @server.tool(description="Only reads", annotations=READS)
    async def slow(ctx: Context) -> str:
        await ctx.report_progress(1, message="slow has begun")
        begun.set()
        await gate.wait()
        return "done"

    @server.tool(description="Asks in the middle")
    def asks(answer: Annotated[Name, Resolve(who)]) -> str:
        return f"accept {answer}"

    return server


def app(begun: anyio.Event | None = None, gate: anyio.Event | None = None) -> Starlette:
    """The server as an app that serves every revision."""
    return stock(begun or anyio.Event(), gate or anyio.Event()).streamable_http_app()


if __name__ == "__main__":
    import sys

    import uvicorn

    uvicorn.run(app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
