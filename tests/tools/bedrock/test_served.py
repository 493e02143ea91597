"""The tools as a server has them, over HTTP, with clients of old and new revisions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import pytest

from tests.tools.bedrock.cloud import LOG_GROUP, Cloud
from tests.tools.bedrock.records import Log
from tests.tools.front import MODERN, call, connected, fronted, modern
from tools.bedrock import plugin
from tools.server import app

WIRES = pytest.mark.parametrize("mode", ["legacy", MODERN])
USAGE = "get_bedrock_usage_report"


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no settings file


@WIRES
async def test_report_and_progress_reach_the_client(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEARERGATE_BEDROCK_SAMPLE", "1")
    steps: list[str | None] = []

    async def step(progress: float, total: float | None, message: str | None) -> None:
        assert (progress, total) == (1, None)
        steps.append(message)

    async with fronted(app([plugin])) as http, connected(http, mode) as client:
        result = await client.call_tool(USAGE, {"days": 5}, progress_callback=step)
    assert not result.is_error
    assert result.structured_content is not None
    assert result.structured_content["totals"]["requests"] > 10
    assert len(steps) == 1


@WIRES
async def test_query_is_stopped_when_the_call_is_cancelled(mode: str, cloud: Cloud) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.statuses = ("Running",)
    async with fronted(app([plugin])) as http, connected(http, mode) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, USAGE, {})
            assert await asyncio.to_thread(cloud.waited.wait, 20)
            tasks.cancel_scope.cancel()
        assert await asyncio.to_thread(cloud.stopped.wait, 20)


async def test_query_is_stopped_when_the_connection_ends(cloud: Cloud) -> None:
    cloud.logs[LOG_GROUP] = Log()
    cloud.statuses = ("Running",)
    async with fronted(app([plugin])) as http:
        asking = asyncio.create_task(modern(http, call(USAGE)))
        assert await asyncio.to_thread(cloud.waited.wait, 20)
        asking.cancel()
        assert await asyncio.to_thread(cloud.stopped.wait, 20)
