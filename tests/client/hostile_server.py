"""A server with harm for a terminal wherever it can put text: `python -m tests.client.hostile_server PORT`."""

from __future__ import annotations

import sys
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve

from tests.client.mcp_server import HOSTILE, Name

server = MCPServer(f"hostile {HOSTILE}", version=f"1 {HOSTILE}", instructions=HOSTILE)


def who() -> Elicit[Name]:
    return Elicit(f"Who {HOSTILE}", Name)


@server.tool(title=HOSTILE, description=f"Says {HOSTILE}")
def say() -> str:
    return HOSTILE


@server.tool()
def fail() -> str:
    raise ValueError(f"failed {HOSTILE}")


@server.tool()
def ask(answer: Annotated[Name, Resolve(who)]) -> str:
    return f"{HOSTILE} answered {answer}"


@server.tool()
async def report(ctx: Context) -> str:
    await ctx.report_progress(1, 2, HOSTILE)
    await ctx.log("warning", HOSTILE, logger_name=HOSTILE)
    return "reported"


@server.resource("hostile://one", name=f"one {HOSTILE}", description=HOSTILE)
def resource() -> str:
    return HOSTILE


@server.prompt(name="demand", title=HOSTILE, description=HOSTILE)
def prompt(of: str) -> str:
    return f"{of} {HOSTILE}"


if __name__ == "__main__":
    uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
