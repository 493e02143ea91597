"""Arguments that do not fit a tool are told in one sentence, with what to change.

The SDK passes on Pydantic's report instead: several lines for each of them, with links to Pydantic's pages.
"""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import ValidationError

TOLD = 5  # arguments that do not fit, and are named
SHOWN = 60  # characters of a name that a caller chose


class PlainServer(MCPServer):
    """An MCP server of the SDK that says what is wrong with arguments in plain words."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """What the tool answers.

        Raises:
            ToolError: it refuses, or its arguments do not fit its schema.
        """
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if type(error) is ToolError and isinstance(error.__cause__, ValidationError):  # not a fault within the tool
                raise ToolError(sentence(error.__cause__)) from error.__cause__
            raise


def sentence(error: ValidationError) -> str:
    """What is wrong with which argument; values are not repeated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    wrong = [f"{'.'.join(str(part)[:SHOWN] for part in each['loc'])}: {each['msg']}" for each in found[:TOLD]]
    more = f" (and {len(found) - TOLD} more)" if len(found) > TOLD else ""
    return f"The arguments do not fit: {'; '.join(wrong)}{more}. Correct them and call the tool again."
