"""Real servers behind the gate, used by real clients: what they see is what they see without it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent, TextResourceContents

from tests.official.gate import Door, gate_before, upstream
from tests.official.node import HERE, NODE, ROOT, node, packages

SECONDS = 60  # a client takes one
SMALL = {
    "tools": ["add", "report"],
    "sum": "5",
    "reported": "reported",
    "progress": [1, 2, 3],
    "note": "a note",
    "hello": "Say hello to Ada.",
}
PYTHON_SERVER = [sys.executable, "-m", "tests.official.upstreams.python_sdk"]
FASTMCP_SERVER = [sys.executable, "-m", "tests.official.upstreams.fastmcp_server"]
CLIENTS = [
    pytest.param("python", "legacy", id="Python SDK, with a handshake"),
    pytest.param("python", "auto", id="Python SDK, which finds the newest out"),
    pytest.param("typescript 1", "2025-11-25", id="TypeScript SDK, first generation"),
    pytest.param("typescript 2", "2025-06-18", id="TypeScript SDK, second generation, with a handshake"),
    pytest.param("typescript 2", "auto", id="TypeScript SDK, second generation, which finds the newest out"),
]


@contextmanager
def typescript(generation: int) -> Iterator[str]:
    """The small server on the TypeScript SDK."""
    script = HERE / "upstreams" / "typescript.mjs"
    with upstream([NODE, "--input-type=module", "-", str(generation)], folder=packages(), script=script) as url:
        yield url


SERVERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "Python SDK": lambda: upstream([*PYTHON_SERVER, "http"]),
    "FastMCP": lambda: upstream(FASTMCP_SERVER),
    "TypeScript SDK, first generation": lambda: typescript(1),
    "TypeScript SDK, second generation": lambda: typescript(2),
    "Python SDK by stdio": lambda: nullcontext(""),
}


@pytest.fixture(scope="module", params=SERVERS)
async def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Door, str]]:
    """A gate, and the endpoint of the server behind it, where that has one."""
    with SERVERS[request.param]() as url:
        command = {"run": [*PYTHON_SERVER, "stdio"], "directory": str(ROOT)}
        resource = {"upstream": {"url": url}} if url else {"command": command}
        async with gate_before(resource, tmp_path_factory.mktemp("gate")) as door:
            yield door, url


@pytest.mark.parametrize(("client", "mode"), CLIENTS)
async def test_client_sees_through_the_gate_what_it_sees_direct(
    served: tuple[Door, str], client: str, mode: str
) -> None:
    door, url = served
    seen = await used(client, mode, door.endpoint, door.token())
    revision = seen.pop("revision")
    assert seen == SMALL
    if url:
        assert await used(client, mode, url, None) == {**seen, "revision": revision}
    if mode == "legacy" or client == "typescript 1":
        assert revision == "2025-11-25"


async def used(client: str, mode: str, endpoint: str, token: str | None) -> dict[str, Any]:
    """What a client sees of the small server."""
    if client == "python":
        return await used_by_python(mode, endpoint, token)
    asked = {"generation": int(client[-1]), "revision": mode, "endpoint": endpoint, "token": token}
    script = HERE / "typescript_caller.mjs"
    ended = await asyncio.to_thread(node, json.dumps(asked), script=script, seconds=SECONDS)
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen


async def used_by_python(mode: str, endpoint: str, token: str | None) -> dict[str, Any]:
    steps: list[float] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
        steps.append(progress)

    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=SECONDS) as http,
        Client(streamable_http_client(endpoint, http_client=http), mode=mode) as client,
    ):
        return {
            "revision": client.protocol_version,
            "tools": sorted(tool.name for tool in (await client.list_tools()).tools),
            "sum": text((await client.call_tool("add", {"a": 2, "b": 3})).content[0]),
            "reported": text((await client.call_tool("report", {}, progress_callback=step)).content[0]),
            "progress": steps,
            "note": text((await client.read_resource("note://one")).contents[0]),
            "hello": text((await client.get_prompt("hello", {"name": "Ada"})).messages[0].content),
        }


def text(said: object) -> str:
    assert isinstance(said, TextContent | TextResourceContents)
    return said.text
