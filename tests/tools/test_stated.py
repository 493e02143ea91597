"""What a plugin adds after it has registered is served only where a statement is about it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from tests.tools.front import MODERN, connected, fronted, text
from tools.registry import Needs, Plugin
from tools.server import app


def secret() -> str:
    """What nobody has said anything of."""
    return "a secret"


def elsewhere(place: str) -> str:
    """The same, wherever it is."""
    return f"{secret()} {place}"


def register(server: MCPServer) -> None:
    @server.tool()
    def add() -> str:
        """Add what nobody has spoken of, and what somebody has."""
        for name in ("secret", "later-on"):
            server.tool(name)(secret)
            server.prompt(name)(secret)
            server.resource(f"{name}://here")(secret)
            server.resource(f"{name}://{{place}}/x")(elsewhere)
        return "added"


LATER = [
    Needs("tool", "later-*", dynamic=True),
    Needs("prompt", "later-*", dynamic=True),
    Needs("resource", "later-*", dynamic=True),
]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with fronted(app([Plugin("growing", register, [Needs("tool", "add"), *LATER])])) as client:
        yield client


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_what_no_statement_is_about_is_not_there(http: httpx.AsyncClient, mode: str) -> None:
    async with connected(http, mode) as client:
        assert text(await client.call_tool("add")) == "added"
        refused = await client.call_tool("secret")
        assert (refused.is_error, text(refused)) == (True, "Unknown tool: secret")
        with pytest.raises(MCPError, match="This server has no prompt 'secret': prompts/list names") as prompt:
            await client.get_prompt("secret")
        for uri in ("secret://here", "secret://over/x", "SECRET://here"):
            with pytest.raises(MCPError, match="This server has no resource '") as resource:
                await client.read_resource(uri)
            assert resource.value.error.code == prompt.value.error.code == INVALID_PARAMS
            assert resource.value.error.data == {"uri": uri}


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_what_a_statement_is_about_is_served_whenever_it_comes(http: httpx.AsyncClient, mode: str) -> None:
    async with connected(http, mode) as client:
        assert text(await client.call_tool("add")) == "added"
        assert text(await client.call_tool("later-on")) == "a secret"
        assert "a secret" in str((await client.get_prompt("later-on")).messages[0].content)
        for uri in ("later-on://here", "later-on://over/x"):
            assert "a secret" in str((await client.read_resource(uri)).contents[0])
