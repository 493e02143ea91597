"""Local commands behind the gate: the official server with everything in it, and the suite's own server by stdio."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

from tests.official.gate import Door, gate_before
from tests.official.node import HERE, NODE, ROOT, node, packages
from tests.official.suite import check_server

# As through HTTP, but for scenarios about event ids, which a command has none of.
PASSED = {"2025-11-25": 80, "2026-07-28": 152}


@pytest.fixture(scope="module")
async def everything(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    program = packages() / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    resource = {"command": {"run": [str(NODE), str(program), "stdio"], "env": {"GREETING": "hello"}}}
    async with gate_before(resource, tmp_path_factory.mktemp("gate")) as door:
        yield door


@asynccontextmanager
async def connected(door: Door, user: str = "alice", **options: Any) -> AsyncIterator[Client]:
    """The SDK's client of the official server, which speaks no revision without a handshake."""
    headers = {"authorization": f"Bearer {door.token(user)}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(door.endpoint, http_client=http), mode="auto", **options) as client,
    ):
        yield client


def text(result: types.CallToolResult) -> str:
    said = result.content[0]
    assert isinstance(said, types.TextContent)
    return said.text


async def test_official_server_is_used_by_stdio_as_by_any_other_way(everything: Door) -> None:
    async with connected(everything) as client:
        assert client.protocol_version == "2025-11-25"
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"echo", "get-sum", "trigger-long-running-operation"} <= tools
        assert text(await client.call_tool("echo", {"message": "é\n\u2028"})) == "Echo: é\n\u2028"
        assert "5" in text(await client.call_tool("get-sum", {"a": 2, "b": 3}))
        assert isinstance((await client.call_tool("get-tiny-image", {})).content[1], types.ImageContent)
        assert (await client.list_resources()).resources
        assert (await client.list_prompts()).prompts
        assert (await client.get_prompt("simple-prompt", {})).messages


async def test_progress_comes_while_the_call_goes_on(everything: Door) -> None:
    seen: list[float] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
        seen.append(progress)

    async with connected(everything) as client:
        await client.call_tool("trigger-long-running-operation", {"duration": 0.3, "steps": 3}, progress_callback=step)
    assert seen == [1, 2, 3]


async def test_official_server_asks_the_model_and_the_person_before_the_client(everything: Door) -> None:
    asked: list[str] = []

    async def sample(_: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        asked.append(type(params).__name__)
        said = types.TextContent(type="text", text="a reply of the model")
        return types.CreateMessageResult(role="assistant", content=said, model="test")

    async def elicit(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(type(params).__name__)
        return types.ElicitResult(action="decline")

    async with connected(everything, sampling_callback=sample, elicitation_callback=elicit) as client:
        said = await client.call_tool("trigger-sampling-request", {"prompt": "hello", "maxTokens": 10})
        assert "a reply of the model" in str(said)
        assert "declined" in str(await client.call_tool("trigger-elicitation-request", {}))
    assert len(asked) == 2


async def test_log_comes_to_the_client_that_is_listening(everything: Door) -> None:
    heard = anyio.Event()

    async def listen(_: types.LoggingMessageNotificationParams) -> None:
        heard.set()

    async with connected(everything, logging_callback=listen) as client:
        await client.call_tool("toggle-simulated-logging", {})
        with anyio.fail_after(20):
            await heard.wait()


@pytest.mark.parametrize(
    ("generation", "revision"),
    [
        pytest.param(1, "2025-11-25", id="first generation"),
        pytest.param(2, "2025-06-18", id="second generation, an older revision"),
        pytest.param(2, "auto", id="second generation, which finds out what is spoken"),
    ],
)
async def test_official_server_is_used_by_typescript_clients(everything: Door, generation: int, revision: str) -> None:
    asked = {
        "generation": generation,
        "revision": revision,
        "endpoint": everything.endpoint,
        "token": everything.token(),
        "server": "everything",
    }
    script = HERE / "typescript_caller.mjs"
    ended = await asyncio.to_thread(node, json.dumps(asked), script=script, seconds=60)
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert seen["revision"] == ("2025-11-25" if revision == "auto" else revision)
    assert {"echo", "get-sum", "trigger-sampling-request", "trigger-elicitation-request"} <= set(seen["tools"])
    assert seen["echo"] == "Echo: é\n\u2028"
    assert "5" in seen["sum"]
    assert (seen["image"], seen["progress"]) == ("image/png", [1, 2, 3])
    assert seen["long"].startswith("Long running operation completed")
    assert "a reply of the model" in seen["sampled"]
    assert "declined" in seen["elicited"]
    assert "file:///work" in seen["roots"]
    assert seen["read"]
    assert seen["prompt"]


async def test_command_is_not_told_what_the_gate_knows(everything: Door) -> None:
    async with connected(everything) as client:
        said = text(await client.call_tool("get-env", {}))
    assert '"GREETING": "hello"' in said
    assert "PYTHONPATH" not in said  # which the gate itself has


async def test_principals_use_it_side_by_side(everything: Door) -> None:
    async with connected(everything, "alice") as alice, connected(everything, "bob") as bob:
        assert text(await alice.call_tool("echo", {"message": "alice"})) == "Echo: alice"
        assert text(await bob.call_tool("echo", {"message": "bob"})) == "Echo: bob"


@pytest.fixture(scope="module")
async def fixture(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    run = [sys.executable, "-m", "tests.official.upstreams.fixture", "stdio"]
    resource = {"command": {"run": run, "directory": str(ROOT), "max_processes_each": 8}}
    async with gate_before(resource, tmp_path_factory.mktemp("gate")) as door:
        yield door


@pytest.mark.parametrize("revision", PASSED)
async def test_suite_finds_nothing_wrong_with_its_own_server_by_stdio(
    fixture: Door, revision: str, tmp_path: Path
) -> None:
    found = await asyncio.to_thread(check_server, fixture.endpoint, revision, tmp_path, fixture.token())
    bad = [
        (name, check) for name, checks in found.items() for check in checks if check.status in ("FAILURE", "WARNING")
    ]
    assert bad == []
    assert Counter(check.status for checks in found.values() for check in checks)["SUCCESS"] == PASSED[revision]
