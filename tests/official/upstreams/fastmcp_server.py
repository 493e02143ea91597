"""The same small server on FastMCP; it prints its endpoint and serves there."""

from __future__ import annotations

import sys

import uvicorn
from fastmcp import Context, FastMCP

from deploy.server import listen

server = FastMCP("small", version="1")


@server.tool(description="Adds two numbers.", output_schema=None)
def add(a: int, b: int) -> str:
    return str(a + b)


@server.tool(description="Reports three steps.", output_schema=None)
async def report(ctx: Context) -> str:
    for step in (1, 2, 3):
        await ctx.report_progress(step, 3)
    return "reported"


@server.resource("note://one", mime_type="text/plain", description="A note.")
def note() -> str:
    return "a note"


@server.prompt(description="Greets.")
def hello(name: str) -> str:
    return f"Say hello to {name}."


def main() -> None:
    sockets = listen(["127.0.0.1"], 0)
    sys.stdout.write(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(server.http_app(path="/mcp"), log_config=None)).run(sockets)


if __name__ == "__main__":
    main()
