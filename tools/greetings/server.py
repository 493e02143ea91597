"""Greetings on an MCP server, with the SDK's own decorators."""

from __future__ import annotations

import warnings
from typing import Annotated

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import ToolAnnotations
from pydantic import Field

GREETINGS = 3  # of multi-greet
PAUSE = 0.5  # seconds between two of them

Name = Annotated[str, Field(min_length=1, max_length=100, description="Whom to greet.")]
HARMLESS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def register(server: MCPServer) -> None:
    """Put the greetings on a server."""
    server.tool("greet", title="Greet", description="Say hello once.", annotations=HARMLESS)(greet)
    server.tool(
        "multi-greet",
        title="Greet several times",
        description="Say hello several times with pauses, reporting each with a log message and progress.",
        annotations=HARMLESS,
    )(multi_greet)
    server.prompt("greeting-template", title="Greeting", description="Ask for a greeting in a style.")(
        greeting_template
    )
    server.resource(
        "greeting://resource", name="greeting-resource", title="A greeting", description="A greeting to read."
    )(greeting_resource)


def greet(name: Name = "World") -> str:
    """One greeting."""
    return f"Hello, {name}!"


async def multi_greet(ctx: Context, name: Name = "World") -> str:
    """Several greetings; the client hears of each as it is made."""
    for count in range(1, GREETINGS + 1):
        await say(ctx, f"Greeting {count} of {GREETINGS}: hello, {name}!")
        await ctx.report_progress(count, GREETINGS)
        if count < GREETINGS:
            await anyio.sleep(PAUSE)
    return "\n".join(f"Hello, {name}! ({count})" for count in range(1, GREETINGS + 1))


async def say(ctx: Context, text: str) -> None:
    """A log message to the client; deprecated from 2026-07-28 on, and what clients of every revision still show."""
    with warnings.catch_warnings(category=MCPDeprecationWarning, action="ignore"):  # never across an await
        said = ctx.session.send_log_message("info", text, related_request_id=ctx.request_id)
    await said


def greeting_template(name: str = "World", style: str = "friendly") -> str:
    """The words that ask a model for a greeting."""
    return f"Write a {style} greeting for {name}, in one sentence."


def greeting_resource() -> str:
    """The greeting that can be read."""
    return "Hello from behind the gate!"
