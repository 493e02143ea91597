"""FastMCP's client as its documentation shows it: `python fastmcp_client.py URL WAY`, WAY being how it registers.

The browser that it opens is the one that the variable BROWSER names.
"""

from __future__ import annotations

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.auth import OAuth
from mcp.types import TextContent


async def main(url: str, way: str) -> None:
    if way == "registers":
        auth = OAuth(url)
    elif way.startswith("https://"):
        auth = OAuth(url, client_metadata_url=way)
    else:
        auth = OAuth(url, client_id=way)
    async with Client(url, auth=auth) as client:
        tools = sorted(tool.name for tool in await client.list_tools())
        result = await client.call_tool("greet", {"name": "Ada"})
        assert isinstance(result.content[0], TextContent)
        sys.stdout.write(json.dumps({"tools": tools, "greeting": result.content[0].text}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
