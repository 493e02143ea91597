"""Without sessions every request of an older revision stands alone, and any replica can answer it."""

from __future__ import annotations

import httpx
import pytest

from tests.tools.front import MODERN, OLDER, Session, call, connected, initialize, messages, request, text

REVISIONS = pytest.mark.parametrize("revision", OLDER)


@REVISIONS
async def test_initialize_opens_no_session(stateless: httpx.AsyncClient, revision: str) -> None:
    answer = await stateless.post("/mcp", json=initialize(revision), headers={"mcp-session-id": "my-own"})
    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers
    assert messages(answer)[0]["result"]["protocolVersion"] == revision


@REVISIONS
@pytest.mark.parametrize("session_id", [None, "junk"])
async def test_request_needs_no_handshake_and_no_session(
    stateless: httpx.AsyncClient, revision: str, session_id: str | None
) -> None:
    client = Session(stateless, revision, "")
    answer = await client.post(call("greet", name="Ada"), mcp_session_id=session_id)
    assert messages(answer)[0]["result"]["content"][0]["text"] == "Hello, Ada!"
    assert "mcp-session-id" not in answer.headers


@REVISIONS
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD", "OPTIONS"])
async def test_there_is_post_and_nothing_else(stateless: httpx.AsyncClient, revision: str, method: str) -> None:
    client = Session(stateless, revision, "")
    for session_id in ("junk", None):
        answer = await client.send(method, mcp_session_id=session_id, last_event_id=session_id)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_callers_take_turns_on_one_connection(stateless: httpx.AsyncClient) -> None:
    client = Session(stateless, "2025-11-25", "")
    statuses = [
        (await client.post(request("tools/list"), x_who=who)).status_code
        for who in ("alice", "nobody", "bob", "nobody")
    ]
    assert statuses == [200, 503, 200, 503]


@pytest.mark.parametrize("mode", ["legacy", "auto", MODERN])
async def test_stock_client_needs_no_sessions(stateless: httpx.AsyncClient, mode: str) -> None:
    async with connected(stateless, mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"greet", "multi-greet"}
        assert text(await client.call_tool("greet", {"name": "Ada"})) == "Hello, Ada!"
