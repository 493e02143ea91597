"""A caller whose arguments do not fit a tool reads one sentence; the tool's own words stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

from tests.tools.front import call, fronted, messages, modern
from tools.registry import Needs, Plugin
from tools.server import app


class Filter(BaseModel):
    limit: int


def look(days: int, names: list[str], where: Filter | None = None) -> str:
    """Look something up."""
    if days < 0:
        raise ToolError("days must be positive:\nsay 1")
    if days > 100:
        Filter.model_validate({"limit": "no"})
    return f"{days} {len(names)} {where}"


def register(server: MCPServer) -> None:
    server.add_tool(look)


ROWS: list[Any] = [
    pytest.param(
        {"days": "many", "names": []},
        "The arguments do not fit: days: Input should be a valid integer, unable to parse string as an integer. "
        "Correct them and call the tool again.",
        id="of another type",
    ),
    pytest.param(
        {},
        "The arguments do not fit: days: Field required; names: Field required. Correct them and call the tool again.",
        id="missing",
    ),
    pytest.param(
        {"days": 1, "names": [], "where": {"limit": "x"}},
        "The arguments do not fit: where.limit: Input should be a valid integer, unable to parse string as an integer. "
        "Correct them and call the tool again.",
        id="within another",
    ),
    pytest.param(
        {"days": 1, "names": [1] * 9},
        f"The arguments do not fit: {'; '.join(f'names.{i}: Input should be a valid string' for i in range(5))} "
        "(and 4 more). Correct them and call the tool again.",
        id="many",
    ),
    pytest.param({"days": -1, "names": []}, "days must be positive:\nsay 1", id="the tool's own words"),
    pytest.param({"days": 101, "names": []}, "Error executing tool look", id="a fault within the tool"),
]


@pytest.mark.parametrize(("arguments", "said"), ROWS)
async def test_arguments_that_do_not_fit_are_one_sentence(arguments: dict[str, Any], said: str) -> None:
    async with fronted(app([Plugin("look", register, [Needs("tool", "look")])])) as http:
        (answer,) = messages(await modern(http, call("look", **arguments)))
    assert answer["result"]["isError"] is True
    assert answer["result"]["content"][0]["text"].removeprefix("Error executing tool look: ") == said
