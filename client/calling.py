"""A tool called: arguments completed, progress shown, the result shown, and a failure told apart."""

from __future__ import annotations

from typing import Any

from client.ask import Asker, completed
from client.errors import ToolFailed
from client.output import Output
from client.plain import check_text, line
from client.progress import Progress
from client.results import show_call
from client.server import Server


async def call(server: Server, name: str, arguments: dict[str, Any], output: Output, asker: Asker) -> None:
    """Call a tool and show what it says.

    Raises:
        ToolFailed: the result is an error.
        ClientError: there is no result.
    """
    check_text(name)
    tool = next((tool for tool in server.known_tools if tool.name == name), None)
    if tool:  # a tool that is not listed may still be one: it may need scopes that the login has not got yet
        arguments = await completed(tool.input_schema, arguments, asker)
    try:
        result = await server.call(name, arguments, Progress(output).report)
    finally:
        output.show_live("")
    show_call(result, name, output)
    if result.is_error:
        raise ToolFailed(f"The tool {line(name)} failed.")
