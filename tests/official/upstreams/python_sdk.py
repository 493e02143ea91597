"""A small server on the Python SDK, by `http`, where it prints its endpoint, or by `stdio`."""

from __future__ import annotations

import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

from deploy.server import listen

server = MCPServer("small", version="1", log_level="WARNING")


@server.tool(description="Adds two numbers.")
def add(a: int, b: int) -> str:
    return str(a + b)


@server.tool(description="Reports three steps.")
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
    if sys.argv[1] == "stdio":
        server.run("stdio")
        return
    sockets = listen(["127.0.0.1"], 0)
    sys.stdout.write(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_config=None)).run(sockets)


if __name__ == "__main__":
    main()
