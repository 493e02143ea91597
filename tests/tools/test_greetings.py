"""The greetings, as the SDK's own client sees them on both wires."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from mcp.types import LoggingMessageNotificationParams, TextContent, TextResourceContents

from tests.tools.front import MODERN, connected, text
from tools.greetings import plugin
from tools.greetings.server import GREETINGS

WIRES = pytest.mark.parametrize("mode", ["legacy", MODERN])


@WIRES
async def test_greet(greetings: httpx.AsyncClient, mode: str) -> None:
    async with connected(greetings, mode) as client:
        assert text(await client.call_tool("greet", {"name": "Ada"})) == "Hello, Ada!"
        assert text(await client.call_tool("greet")) == "Hello, World!"


@WIRES
@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("x" * 101, "at most 100 characters", id="too long"),
        pytest.param("", "at least 1 character", id="empty"),
        pytest.param(7, "valid string", id="a number"),
    ],
)
async def test_name_that_is_none_is_an_error_of_the_tool_that_says_why(
    greetings: httpx.AsyncClient, mode: str, name: object, said: str
) -> None:
    async with connected(greetings, mode) as client:
        result = await client.call_tool("greet", {"name": name})
    assert result.is_error
    assert said in text(result)
    assert "Traceback" not in text(result)


async def heard(greetings: httpx.AsyncClient, mode: str, name: str) -> tuple[str, list[str], list[float]]:
    """What multi-greet answers, logs and reports as progress."""
    logs: list[str] = []
    steps: list[float] = []

    async def log(params: LoggingMessageNotificationParams) -> None:
        assert params.level == "info"
        logs.append(str(params.data))

    async def step(progress: float, total: float | None, message: str | None) -> None:
        assert (total, message) == (GREETINGS, None)
        steps.append(progress)

    options: dict[str, Any] = {} if mode == "legacy" else {"log_level": "info"}  # which has to be asked for
    async with connected(greetings, mode, logging_callback=log, **options) as client:
        result = await client.call_tool("multi-greet", {"name": name}, progress_callback=step)
    return text(result), logs, steps


async def test_multi_greet_logs_and_reports_each_greeting_to_its_own_caller(greetings: httpx.AsyncClient) -> None:
    names = ("Ada", "Bea")
    told = await asyncio.gather(*(heard(greetings, mode, name) for mode in ("legacy", MODERN) for name in names))
    for name, (result, logs, steps) in zip(names * 2, told, strict=True):
        assert result.splitlines() == [f"Hello, {name}! ({count})" for count in (1, 2, 3)]
        assert logs == [f"Greeting {count} of 3: hello, {name}!" for count in (1, 2, 3)]
        assert steps == [1, 2, 3]


@WIRES
async def test_prompt(greetings: httpx.AsyncClient, mode: str) -> None:
    async with connected(greetings, mode) as client:
        plain = await client.get_prompt("greeting-template")
        formal = await client.get_prompt("greeting-template", {"name": "Ada", "style": "formal"})
    assert isinstance(plain.messages[0].content, TextContent)
    assert plain.messages[0].content.text == "Write a friendly greeting for World, in one sentence."
    assert isinstance(formal.messages[0].content, TextContent)
    assert formal.messages[0].content.text == "Write a formal greeting for Ada, in one sentence."


@WIRES
async def test_resource(greetings: httpx.AsyncClient, mode: str) -> None:
    async with connected(greetings, mode) as client:
        (content,) = (await client.read_resource("greeting://resource")).contents
    assert isinstance(content, TextResourceContents)
    assert content.text == "Hello from behind the gate!"


@WIRES
async def test_everything_has_a_title_and_a_description_and_does_no_harm(
    greetings: httpx.AsyncClient, mode: str
) -> None:
    async with connected(greetings, mode) as client:
        tools = (await client.list_tools()).tools
        prompts = (await client.list_prompts()).prompts
        resources = (await client.list_resources()).resources
    assert {needs.name for needs in plugin.needs} == {
        *(tool.name for tool in tools),
        *(prompt.name for prompt in prompts),
        *(str(resource.uri) for resource in resources),
    }
    assert all(tool.title and tool.description for tool in tools)
    assert all(prompt.title and prompt.description for prompt in prompts)
    assert all(resource.title and resource.description for resource in resources)
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
