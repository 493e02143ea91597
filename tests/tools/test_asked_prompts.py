"""A prompt that is not there, or asked for without what it needs, is the caller's mistake, and no line in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, TextContent

from tests.tools.front import MODERN, connected, fronted, messages, modern, request
from tools.registry import Needs, Plugin
from tools.server import app


def greeting(name: str, tone: str = "kind") -> str:
    """A greeting."""
    return f"Greet {name}, be {tone}."


def broken() -> str:
    """A prompt that fails."""
    raise RuntimeError("disk full")


def register(server: MCPServer) -> None:
    server.prompt("greeting")(greeting)
    server.prompt("broken")(broken)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    plugin = Plugin("polite", register, [Needs("prompt", "greeting"), Needs("prompt", "broken")])
    async with fronted(app([plugin])) as client:
        yield client


@pytest.mark.parametrize("mode", ["legacy", MODERN])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param(("gone", {}), "This server has no prompt 'gone': prompts/list names those it has.", id="unknown"),
        pytest.param(("x" * 500, {}), f"has no prompt '{'x' * 100}': prompts/list names", id="a long name"),
        pytest.param(("\x1b[2J", {}), r"has no prompt '\x1b[2J': prompts/list names", id="a name for a terminal"),
        pytest.param(("greeting", {}), "The prompt needs the argument name.", id="nothing"),
        pytest.param(("greeting", {"tone": "dry"}), "The prompt needs the argument name.", id="another one"),
    ],
)
async def test_mistake_of_the_caller_is_said_as_one(
    http: httpx.AsyncClient, mode: str, asked: tuple[str, dict[str, str]], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(http, mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.get_prompt(*asked)
    assert refused.value.error.code == INVALID_PARAMS
    assert said in refused.value.error.message
    assert not caplog.records


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_prompt_that_has_all_it_needs_is_rendered(http: httpx.AsyncClient, mode: str) -> None:
    async with connected(http, mode) as client:
        result = await client.get_prompt("greeting", {"name": "Ada"})
    assert isinstance(result.messages[0].content, TextContent)
    assert result.messages[0].content.text == "Greet Ada, be kind."


@pytest.mark.parametrize("arguments", ["Ada", ["Ada"], 7], ids=["text", "a list", "a number"])
async def test_arguments_of_another_type_are_refused_by_the_sdk(http: httpx.AsyncClient, arguments: object) -> None:
    (answer,) = messages(await modern(http, request("prompts/get", name="greeting", arguments=arguments)))
    assert answer["error"]["code"] == INVALID_PARAMS


async def test_prompt_that_fails_is_a_fault_and_stands_in_the_log(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    (answer,) = messages(await modern(http, request("prompts/get", name="broken")))
    assert answer["error"]["code"] == INTERNAL_ERROR
    assert "disk full" in caplog.text
