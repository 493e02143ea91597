"""Which sessions have batches: those opened as 2025-03-26, whatever a header says, or does not say (TRN-BATCH-02)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from mcp.server.mcpserver import MCPServer

from tests.tools.front import call, fronted, open_session
from tools import revisions
from tools.registry import Needs, Plugin
from tools.server import app


class Counter:
    """A plugin whose tool counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def register(self, server: MCPServer) -> None:
        async def count() -> int:
            self.calls += 1
            return self.calls

        server.tool("count", description="Counts its calls.")(count)


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
async def http(counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
    async with fronted(app([Plugin("counter", counter.register, [Needs("tool", "count")])])) as client:
        yield client


async def test_session_of_2025_03_26_has_them(http: httpx.AsyncClient, counter: Counter) -> None:
    session = await open_session(http, "2025-03-26")
    answer = await session.post([call("count", 1), call("count", 2)])
    assert answer.status_code == 200
    assert counter.calls == 2


@pytest.mark.parametrize("header", [None, "2025-03-26"])
@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
async def test_session_of_a_later_revision_has_none(
    http: httpx.AsyncClient, counter: Counter, revision: str, header: str | None
) -> None:
    session = await open_session(http, revision)
    for batch in ([call("count")], []):
        assert (await session.post(batch, mcp_protocol_version=header)).status_code == 400
    assert counter.calls == 0


async def test_batch_for_the_session_of_somebody_else_finds_none(http: httpx.AsyncClient, counter: Counter) -> None:
    session = await open_session(http, "2025-03-26")
    for batch in ([call("count")], [call("count", 1), call("count", 2)]):
        assert (await session.post(batch, x_who="bob")).status_code == 404
    assert counter.calls == 0


async def test_sessions_that_are_remembered_are_bounded(
    http: httpx.AsyncClient, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "MAX_SESSIONS", 1)
    first, second = [await open_session(http, "2025-03-26") for _ in range(2)]
    assert (await second.post([call("count")])).status_code == 200
    assert (await first.post([call("count")])).status_code == 400  # fails closed
    assert (await first.post(call("count"))).status_code == 200
    assert counter.calls == 2
