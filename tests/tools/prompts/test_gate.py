"""The library behind the gate: what a token must hold to read it, and what more to edit it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from deploy.assembly import rule_of
from tests.gated import INITIALIZE, Gated, gated
from tests.tools.front import call, messages, request
from tests.tools.prompts.conftest import template
from tools.greetings import plugin as greetings
from tools.prompts import plugin
from tools.prompts.folder import FolderStore
from tools.prompts.library import Library
from tools.prompts.server import put
from tools.registry import Needs, Plugin
from tools.server import app

READ, WRITE = "prompts:read", "prompts:write"


@pytest.fixture
async def library(folder: FolderStore) -> AsyncIterator[Gated]:
    """A gate before a library with one prompt, and the greetings."""
    folder.write("weekly", template(), None)
    plugins = [greetings, Plugin("prompts", lambda server: put(Library(folder), server), plugin.needs)]
    stated: list[Needs] = [needs for one in plugins for needs in one.needs if needs.scopes]
    rules = [{"scopes": list(rule.scopes), **named(rule)} for rule in (rule_of(needs, "") for needs in stated)]
    async with gated(app=app(plugins, sessions=False), resource={"rules": rules}) as gate:
        yield gate


def named(rule: Any) -> dict[str, list[str]]:
    """What a rule is about."""
    return {kind: list(names) for kind in ("tools", "prompts", "resources") if (names := getattr(rule, kind))}


def listed(answer: httpx.Response, kind: str) -> list[str]:
    """The names in a list."""
    assert answer.status_code == 200, answer.text
    return sorted(one["name"] for one in messages(answer)[-1]["result"][kind])


async def test_lists_show_what_the_caller_may_do(library: Gated) -> None:
    reading = ["check_prompt_library", "list_prompt_versions", "read_prompt"]
    editing = ["create_prompt", "remove_prompt", "update_prompt"]
    for scopes, tools, prompts in (
        ((), [], []),
        ((WRITE,), [], []),
        ((READ,), reading, ["library.weekly"]),
        ((READ, WRITE), sorted(reading + editing), ["library.weekly"]),
    ):
        token = library.token("alice", ("mcp:use", *scopes))
        assert listed(await library.post(token, request("tools/list")), "tools") == tools
        assert listed(await library.post(token, request("prompts/list")), "prompts") == prompts


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        pytest.param(request("prompts/get", name="library.weekly"), {READ}, id="a prompt"),
        pytest.param(request("prompts/get", name="library.not-there-yet"), {READ}, id="a prompt that may come"),
        pytest.param(
            request(
                "completion/complete",
                ref={"type": "ref/prompt", "name": "library.weekly"},
                argument={"name": "name", "value": ""},
            ),
            {READ},
            id="a completion",
        ),
        pytest.param(request("resources/read", uri="prompt-library://weekly"), {READ}, id="a template"),
        pytest.param(call("read_prompt", name="weekly"), {READ}, id="reading"),
        pytest.param(call("create_prompt", name="a", template=""), {READ, WRITE}, id="creating"),
        pytest.param(call("update_prompt", name="a", template="", etag=""), {READ, WRITE}, id="updating"),
        pytest.param(call("remove_prompt", name="weekly", etag="abc"), {READ, WRITE}, id="removing"),
    ],
)
async def test_call_without_the_scope_never_reaches_the_library(
    library: Gated, folder: FolderStore, message: dict[str, Any], needed: set[str]
) -> None:
    for granted in ((), (WRITE,), (READ,)):
        if needed <= {*granted}:
            continue
        answer = await library.post(library.token("alice", ("mcp:use", *granted)), message)
        assert answer.status_code == 403
        challenge = answer.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert all(scope in challenge for scope in needed)
    assert list(folder.scan().etags) == ["weekly"]
    answer = await library.post(library.token("alice", ("mcp:use", *needed)), message)
    assert answer.status_code == 200


async def test_template_cannot_be_reached_by_another_spelling_of_its_name(library: Gated) -> None:
    token = library.token("alice")
    for uri in (
        "prompt-library:/weekly",
        "PROMPT-LIBRARY://weekly",
        "prompt-library://weekly",
        "prompt%2Dlibrary://weekly",
    ):
        answer = await library.post(token, request("resources/read", uri=uri))
        assert "Greet" not in answer.text
    for name in ("weekly", "Library.weekly", " library.weekly", "library\u2024weekly"):
        answer = await library.post(token, request("prompts/get", name=name, arguments={"name": "Ada"}))
        assert "Greet Ada" not in answer.text
    assert (await library.post(token, INITIALIZE)).status_code == 200
