"""What comes after a plugin has registered is served only where a statement is about it: fail closed.

The gate knows names alone; a tool that nobody has said anything of would need no more than every request does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, CallToolResult, TextContent

from tools.registry import Kind, Plugin

ASKED: dict[str, tuple[Kind, str]] = {  # by method: what is asked for, and the parameter that names it
    "tools/call": ("tool", "name"),
    "prompts/get": ("prompt", "name"),
    "resources/read": ("resource", "uri"),
}
SHOWN = 100  # characters of a name that a caller chose


class Stated:
    """Middleware of a server: what no plugin has stated the needs of does not exist for its callers."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._needs = [needs for plugin in plugins for needs in plugin.needs]

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Pass a message on, unless it asks for what no statement is about; that is as what the SDK does not have.

        Raises:
            MCPError: it is a prompt or resource (-32602, MCP Prompts and Resources, Error Handling).
        """
        kind, parameter = ASKED.get(ctx.method, ("tool", ""))
        name = (ctx.params or {}).get(parameter)
        if isinstance(name, str) and not any(needs.covers(kind, name) for needs in self._needs):
            if kind == "tool":
                return CallToolResult(content=[TextContent(text=f"Unknown tool: {name[:SHOWN]}")], is_error=True)
            sentence = f"This server has no {kind} {name[:SHOWN]!r}: {kind}s/list names those it has."
            raise MCPError(INVALID_PARAMS, sentence, {"uri": name} if kind == "resource" else None)
        return await call_next(ctx)
