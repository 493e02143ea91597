"""Batches of 2025-03-26: every message is served, all answers come as one, and what is no batch is not begun."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from mcp.server.mcpserver import Context, ListRoots, MCPServer, Resolve
from mcp.types import ListRootsResult

from tests.tools.front import (
    INITIALIZED,
    call,
    events,
    fronted,
    initialize,
    messages,
    next_event,
    open_session,
    request,
)
from tools.batches import MAX_MESSAGES
from tools.registry import Needs, Plugin
from tools.server import app

BATCHING = "2025-03-26"


def roots() -> ListRoots:
    """What the client is asked for."""
    return ListRoots()


class Counter:
    """A plugin that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.let_go = asyncio.Event()
        self.all_done = asyncio.Event()

    async def count(self, ctx: Context, name: str) -> str:
        """Count this call."""
        await ctx.report_progress(len(self.calls), message=name)
        self.calls.append(name)
        return name

    async def wait(self, name: str) -> str:
        """Count this call when the test says so."""
        await self.let_go.wait()
        self.calls.append(name)
        if len(self.calls) == 3:
            self.all_done.set()
        return name

    def register(self, server: MCPServer) -> None:
        server.add_tool(self.count)
        server.add_tool(self.wait)
        server.add_tool(ask)


def ask(found: Annotated[ListRootsResult, Resolve(roots)]) -> str:
    """Ask the client for its roots."""
    return f"{len(found.roots)} roots"


@pytest.fixture(scope="module", params=[True, False], ids=["with sessions", "stateless"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[tuple[httpx.AsyncClient, Counter, bool]]:
    """A server whose calls are counted, and whether it has sessions."""
    counter = Counter()
    plugin = Plugin("counter", counter.register, [Needs("tool", "*")])
    async with fronted(app([plugin], sessions=request.param)) as http:
        yield http, counter, request.param


@pytest.fixture
def counter(served: tuple[httpx.AsyncClient, Counter, bool]) -> Counter:
    served[1].calls.clear()
    return served[1]


@pytest.fixture
async def counting(served: tuple[httpx.AsyncClient, Counter, bool]) -> httpx.AsyncClient:
    """A client of that server, in a session if there are any."""
    http, _, sessions = served
    if sessions:
        http.headers["mcp-session-id"] = (await open_session(http, BATCHING)).id
    return http


def counts(*names: str) -> list[dict[str, Any]]:
    """Calls that ask for progress."""
    calls = [call("count", number, name=name) for number, name in enumerate(names)]
    for number, message in enumerate(calls):
        message["params"]["_meta"] = {"progressToken": number}
    return calls


@pytest.mark.parametrize("headers", [{}, {"mcp-protocol-version": BATCHING}], ids=["no header", "header"])
async def test_answers_come_in_one_stream_with_what_was_said_on_the_way(
    counting: httpx.AsyncClient, counter: Counter, headers: dict[str, str]
) -> None:
    first, second = counts("a", "b")
    answer = await counting.post("/mcp", json=[first, INITIALIZED, second, request("ping", "p")], headers=headers)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert counter.calls == ["a", "b"]
    said = [
        f"progress {message['params']['message']}" if "method" in message else message["id"]
        for message in messages(answer)
    ]
    assert said == ["progress a", 0, "progress b", 1, "p"]


async def test_answer_to_what_asks_for_nothing_is_202(counting: httpx.AsyncClient) -> None:
    answer = await counting.post("/mcp", json=[INITIALIZED, {"jsonrpc": "2.0", "id": 9, "result": {}}, INITIALIZED])
    assert (answer.status_code, answer.content) == (202, b"")


async def test_failure_of_one_tool_is_its_own(counting: httpx.AsyncClient) -> None:
    answer = await counting.post("/mcp", json=[call("nope", 1), request("no/such", 2), *counts("a")])
    unknown, no_method, _, counted = messages(answer)
    assert unknown["result"]["isError"]
    assert no_method["error"]["code"] == -32601
    assert counted["id"] == 0


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        pytest.param([], -32600, id="nothing"),
        pytest.param(counts("a") * (MAX_MESSAGES + 1), -32600, id="too many"),
        pytest.param([*counts("a"), counts("b")], -32600, id="a batch in a batch"),
        pytest.param([*counts("a"), initialize(BATCHING)], -32600, id="initialize"),
        pytest.param([*counts("a"), "ping"], -32600, id="a text"),
        pytest.param([*counts("a"), None], -32600, id="null"),
        pytest.param([*counts("a"), {"id": 2, "method": "ping"}], -32600, id="another protocol"),
        pytest.param([*counts("a"), {"jsonrpc": "2.0", "id": 2}], -32600, id="neither question nor answer"),
        pytest.param([*counts("a"), {"jsonrpc": "2.0", "result": {}}], -32600, id="an answer to nothing"),
        pytest.param([*counts("a"), {"jsonrpc": "2.0", "id": None, "method": "ping"}], -32600, id="an id of null"),
        pytest.param([*counts("a"), {"jsonrpc": "2.0", "method": 2}], -32600, id="a method that is a number"),
        pytest.param([*counts("a"), {"jsonrpc": "2.0", "method": "x", "params": []}], -32600, id="nameless parameters"),
    ],
)
async def test_what_is_no_batch_is_refused_and_nothing_of_it_is_done(
    counting: httpx.AsyncClient, counter: Counter, batch: list[Any], code: int
) -> None:
    answer = await counting.post("/mcp", json=batch)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert counter.calls == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps(counts("a")).encode()[:-1], id="not closed"),
        pytest.param(json.dumps(counts("a")).encode() + b"]", id="closed twice"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(b'[{"jsonrpc":"2.0","id":1,"method":"\xff"}]', id="not UTF-8"),
    ],
)
async def test_batch_that_is_not_json_is_refused(counting: httpx.AsyncClient, counter: Counter, body: bytes) -> None:
    answer = await counting.post("/mcp", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32700)
    assert counter.calls == []


@pytest.mark.parametrize("escaped", [b'"init\\u0069alize"', b'"initialize"'])
async def test_initialize_is_found_however_it_is_written(counting: httpx.AsyncClient, escaped: bytes) -> None:
    body = b' \r\n[{"jsonrpc":"2.0","id":1,"\\u006dethod":%s,"params":{}}]' % escaped
    answer = await counting.post("/mcp", content=body)
    assert (answer.status_code, answer.json()["error"]["message"][:10]) == (400, "initialize")


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28", "tomorrow"])
@pytest.mark.parametrize("batch", [counts("a"), counts("a", "b"), []], ids=["of one", "of two", "of none"])
async def test_revision_without_batches_refuses_them(
    counting: httpx.AsyncClient, counter: Counter, revision: str, batch: list[Any]
) -> None:
    answer = await counting.post("/mcp", json=batch, headers={"mcp-protocol-version": revision})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)
    assert "no batches" in answer.json()["error"]["message"]
    assert counter.calls == []


async def test_body_may_come_in_pieces(counting: httpx.AsyncClient, counter: Counter) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        body = json.dumps(counts("a", "b")).encode()
        for start in range(0, len(body), 50):
            yield body[start : start + 50]

    assert (await counting.post("/mcp", content=pieces())).status_code == 200
    assert counter.calls == ["a", "b"]


class TestWithSessions:
    @pytest.fixture
    def counter(self) -> Counter:
        return Counter()

    @pytest.fixture
    async def http(self, counter: Counter) -> AsyncIterator[httpx.AsyncClient]:
        async with fronted(app([Plugin("counter", counter.register, [Needs("tool", "*")])])) as client:
            yield client

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            pytest.param({"mcp_session_id": None}, 400, id="no session"),
            pytest.param({"mcp_session_id": "0" * 32}, 404, id="an unknown session"),
            pytest.param({"x_who": "bob"}, 404, id="a session of somebody else"),
            pytest.param({"accept": "application/json"}, 406, id="no stream accepted"),
        ],
    )
    async def test_refusal_of_a_message_is_that_of_the_batch(
        self, http: httpx.AsyncClient, counter: Counter, changes: dict[str, str | None], status: int
    ) -> None:
        session = await open_session(http, BATCHING)
        answer = await session.post(counts("a", "b"), **changes)
        assert answer.status_code == status
        assert "error" in answer.json()
        assert counter.calls == []

    async def test_session_that_ends_in_the_middle_ends_the_batch_with_an_error(
        self, http: httpx.AsyncClient, counter: Counter
    ) -> None:
        session = await open_session(http, BATCHING)
        batch = [*counts("a"), call("wait", 7, name="b"), *counts("c")]
        async with session.stream("POST", batch) as response:
            lines = response.aiter_lines()
            while "result" not in (await next_event(lines)).message:
                pass
            assert (await session.send("DELETE")).status_code == 200
            (last,) = events("\n".join([line async for line in lines]))
        assert last.message["error"]["message"] == "Session not found"
        assert counter.calls == ["a"]

    async def test_tool_may_ask_the_client_in_the_middle(self, http: httpx.AsyncClient) -> None:
        session = await open_session(http, BATCHING, roots={})
        async with session.stream("POST", [call("ask", 1), *counts("a")]) as response:
            lines = response.aiter_lines()
            asked = (await next_event(lines)).message
            assert asked["method"] == "roots/list"
            roots = [{"uri": "file:///a"}, {"uri": "file:///b"}]
            answered = await session.post({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": roots}})
            assert answered.status_code == 202
            answer = (await next_event(lines)).message
        assert answer["result"]["content"][0]["text"] == "2 roots"

    async def test_client_that_goes_away_cancels_nothing(self, http: httpx.AsyncClient, counter: Counter) -> None:
        session = await open_session(http, BATCHING)
        async with session.stream(
            "POST", [*counts("first"), call("wait", 7, name="a"), call("wait", 8, name="b")]
        ) as r:
            await next_event(r.aiter_lines())
        counter.let_go.set()
        await asyncio.wait_for(counter.all_done.wait(), 10)
        assert counter.calls == ["first", "a", "b"]
