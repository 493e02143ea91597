"""What the SDK leaves open about prompts: one that is not there, and one asked for without all it needs.

Both are the caller's mistake (-32602, MCP Prompts, Error Handling); the SDK takes them for faults of the server, and
puts a traceback into its log for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

SHOWN = 100  # characters of a name that a caller chose


class AskedPrompts:
    """Middleware of a server: a prompt is only asked for if it can be answered."""

    def __init__(self, server: MCPServer) -> None:
        self._server = server

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Pass a message on, unless it asks for a prompt that nobody has, or without what it needs.

        Raises:
            MCPError: it does.
        """
        params = ctx.params or {}
        name, given = params.get("name"), params.get("arguments") or {}
        if ctx.method == "prompts/get" and isinstance(name, str) and isinstance(given, Mapping):
            await self._check(name, given)  # what is of another type, the SDK refuses by itself
        return await call_next(ctx)

    async def _check(self, name: str, given: Mapping[str, Any]) -> None:
        prompt = next((prompt for prompt in await self._server.list_prompts() if prompt.name == name), None)
        if prompt is None:
            raise MCPError(
                INVALID_PARAMS, f"This server has no prompt {name[:SHOWN]!r}: prompts/list names those it has."
            )
        needed = [argument.name for argument in prompt.arguments or () if argument.required]
        missing = [argument for argument in needed if argument not in given]
        if missing:
            raise MCPError(
                INVALID_PARAMS, f"The prompt needs the argument{'s' * (len(missing) > 1)} {', '.join(missing)}."
            )
