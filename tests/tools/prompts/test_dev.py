"""`bearergate dev` shows the library without any AWS account, and lets the demo person edit it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.types import TextContent

from tests.deploy.laptop import Person, laptop
from tests.tools.front import text
from tests.tools.prompts.conftest import template


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_samples_are_shown_and_a_prompt_can_be_added(tmp_path: Path, mode: str) -> None:
    with laptop(variables={"BEARERGATE_PROMPTS_FOLDER": str(tmp_path / "prompts")}) as dev:
        person = Person(dev.user, dev.password)
        async with person.connected(dev.endpoint, mode) as client:
            await client.list_tools()  # the first login; what follows asks for more, scope by scope
            await client.call_tool("create_prompt", {"name": "mine", "template": template().decode()})
            names = [prompt.name for prompt in (await client.list_prompts()).prompts]
            shown = await client.get_prompt("library.mine", {"name": "Ada"})
            refused = await client.call_tool("create_prompt", {"name": "../mine", "template": template().decode()})
    assert [name for name in names if name.startswith("library.")] == [
        "library.explain-refusal",
        "library.mine",
        "library.usage-review",
    ]
    assert isinstance(shown.messages[0].content, TextContent)
    assert shown.messages[0].content.text == "Greet Ada."
    assert "is no name of a prompt" in text(refused)
    assert sorted(path.name for path in (tmp_path / "prompts").iterdir()) == [
        "explain-refusal.md",
        "mine.md",
        "usage-review.md",
    ]
