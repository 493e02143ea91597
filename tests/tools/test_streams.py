"""Streams of the revisions with sessions: what a client missed it can have again, and nobody else can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from mcp.server.mcpserver import Context, MCPServer

from tests.tools.front import OLDER, Event, Session, call, events, fronted, next_event, open_session, request
from tools.event_store import MAX_MESSAGE
from tools.registry import Needs, Plugin
from tools.server import app

REVISIONS = pytest.mark.parametrize("revision", OLDER)


@dataclass
class Post:
    """A plugin whose tools answer when the test says so."""

    begun: dict[str, asyncio.Event] = field(default_factory=dict)
    let_go: dict[str, asyncio.Event] = field(default_factory=dict)
    done: dict[str, asyncio.Event] = field(default_factory=dict)

    def expect(self, name: str) -> None:
        self.begun[name], self.let_go[name], self.done[name] = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deliver(self, ctx: Context, name: str) -> str:
        """Say something, wait, and say something else."""
        await ctx.report_progress(1, 2, f"half for {name}")
        self.begun[name].set()
        await self.let_go[name].wait()
        await ctx.report_progress(2, 2, f"all for {name}")
        self.done[name].set()
        return f"for {name}"

    async def announce(self, ctx: Context) -> str:
        """Say to the whole session that the tools are others now."""
        await ctx.session.send_tool_list_changed()
        return "announced"

    async def hang_up(self, ctx: Context) -> str:
        """End the stream of this very call, so that the client comes back for the answer."""
        await ctx.close_sse_stream()
        return "after the end"

    def fill(self, size: int) -> str:
        """A long answer."""
        return "x" * size

    def register(self, server: MCPServer) -> None:
        for tool in (self.deliver, self.announce, self.hang_up, self.fill):
            server.add_tool(tool)


@pytest.fixture(scope="module")
def post() -> Post:
    return Post()


@pytest.fixture(scope="module")
async def http(post: Post) -> AsyncIterator[httpx.AsyncClient]:
    async with fronted(app([Plugin("post", post.register, [Needs("tool", "*")])])) as client:
        yield client


def deliver(name: str) -> dict[str, object]:
    """A call that wants to hear of progress; every one has the same id."""
    message = call("deliver", 5, name=name)
    message["params"]["_meta"] = {"progressToken": "p"}
    return message


async def interrupted(session: Session, post: Post, name: str) -> list[Event]:
    """The events of a call up to where it waits; then the client goes away."""
    post.expect(name)
    seen: list[Event] = []
    async with session.stream("POST", deliver(name)) as response:
        lines = response.aiter_lines()
        while not seen or not seen[-1].data:
            seen.append(await next_event(lines))
        await post.begun[name].wait()
    return seen


async def resumed(session: Session, event: Event, **changes: str | None) -> list[Event]:
    """What a client gets that comes back after an event, up to the answer."""
    seen: list[Event] = []
    async with session.stream("GET", last_event_id=event.id, **changes) as response:
        assert response.status_code == 200
        lines = response.aiter_lines()
        while not seen or not seen[-1].data or "method" in seen[-1].message:
            seen.append(await next_event(lines))
    return [event for event in seen if event.data]


def told(seen: list[Event]) -> list[str]:
    """What events say of progress and answers."""
    said = []
    for event in seen:
        message = event.message
        said.append(message["params"]["message"] if "method" in message else message["result"]["content"][0]["text"])
    return said


@REVISIONS
async def test_client_that_comes_back_gets_what_it_missed_and_nothing_of_another_session(
    http: httpx.AsyncClient, post: Post, revision: str
) -> None:
    sessions = {name: await open_session(http, revision) for name in (f"one of {revision}", f"two of {revision}")}
    seen = {name: await interrupted(session, post, name) for name, session in sessions.items()}
    for name in sessions:
        post.let_go[name].set()  # the client's going away is no cancellation
        await post.done[name].wait()
    for name, session in sessions.items():
        assert told(seen[name][-1:]) == [f"half for {name}"]
        assert told(await resumed(session, seen[name][-1])) == [f"all for {name}", f"for {name}"]


@REVISIONS
async def test_client_that_comes_back_early_gets_the_rest_as_it_comes(
    http: httpx.AsyncClient, post: Post, revision: str
) -> None:
    session, name = await open_session(http, revision), f"early of {revision}"
    seen = await interrupted(session, post, name)
    async with session.stream("GET", last_event_id=seen[-1].id) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        if revision == "2025-11-25":
            assert (await next_event(lines)).data == ""  # the stream is there again
        post.let_go[name].set()
        assert told([await next_event(lines), await next_event(lines)]) == [f"all for {name}", f"for {name}"]


async def test_replay_is_of_one_stream_of_the_session(http: httpx.AsyncClient) -> None:
    session = await open_session(http, "2025-11-25")
    streams = [list(events((await session.post(call("fill", number, size=number))).text)) for number in range(3)]
    for first, answer in streams:
        assert [event.data for event in await resumed(session, first)] == [answer.data]


@REVISIONS
@pytest.mark.parametrize("thief", ["bob", "machine called alice"])
async def test_stream_of_somebody_else_cannot_be_resumed(http: httpx.AsyncClient, revision: str, thief: str) -> None:
    session = await open_session(http, revision)
    own = await open_session(http, revision, thief)
    event = next(events((await session.post(call("fill", 1, size=1))).text))
    assert (await session.send("GET", x_who=thief, last_event_id=event.id)).status_code == 404
    in_another = await own.send("GET", last_event_id=event.id)
    assert (in_another.status_code, in_another.text) == (200, "")


@REVISIONS
async def test_event_ids_are_unique_and_their_neighbours_are_nothing(http: httpx.AsyncClient, revision: str) -> None:
    session = await open_session(http, revision)
    answers = [await session.post(call("fill", number, size=1)) for number in range(5)]
    ids = [event.id for answer in answers for event in events(answer.text)]
    assert len(set(ids)) == len(ids)
    for guess in ("1", ids[-1][:-1] + ("A" if ids[-1][-1] != "A" else "B"), "5", "_GET_stream"):
        assert (await session.send("GET", last_event_id=guess)).text == ""


async def test_stream_begins_with_an_event_to_come_back_to_and_when() -> None:
    async with fronted(app([Plugin("post", Post().register, [Needs("tool", "*")])])) as http:
        session = await open_session(http, "2025-11-25")
        for answer in (session.initialized, await session.post(call("fill", size=1))):
            assert answer is not None
            first, second = events(answer.text)
            assert (first.data, first.retry) == ("", "1000")
            assert first.id
            assert second.data


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-06-18"])
async def test_older_client_is_spared_an_event_without_data(http: httpx.AsyncClient, revision: str) -> None:
    session = await open_session(http, revision)
    (event,) = events((await session.post(call("fill", size=1))).text)
    assert event.data


async def test_server_may_hang_up_and_the_client_comes_back_for_the_answer(http: httpx.AsyncClient) -> None:
    session = await open_session(http, "2025-11-25")
    (first,) = events((await session.post(call("hang_up", 4))).text)
    assert told(await resumed(session, first)) == ["after the end"]


@REVISIONS
async def test_messages_to_the_session_come_on_its_own_stream_of_which_there_is_one(
    http: httpx.AsyncClient, revision: str
) -> None:
    session = await open_session(http, revision)
    async with session.stream("GET") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert (await session.send("GET")).status_code == 409
        answer = await session.post(call("announce"))
        event = await next_event(response.aiter_lines())
    assert event.message["method"] == "notifications/tools/list_changed"
    assert "list_changed" not in answer.text


async def test_answer_too_large_to_keep_is_said_to_be_so_to_who_comes_back_for_it(http: httpx.AsyncClient) -> None:
    session = await open_session(http, "2025-11-25")
    first, answer = events((await session.post(call("fill", 8, size=MAX_MESSAGE))).text)
    assert len(answer.data) > MAX_MESSAGE
    (again,) = await resumed(session, first)
    assert (again.message["id"], again.message["error"]["code"]) == (8, -32603)
    assert again.message["error"]["message"].endswith("ask once more.")


async def test_forgotten_event_gives_an_empty_stream(http: httpx.AsyncClient) -> None:
    session = await open_session(http, "2025-11-25")
    first, _ = events((await session.post(request("ping"))).text)
    for _ in range(5):
        await session.post(call("fill", size=MAX_MESSAGE // 2 - 1024))  # which is in there twice
    assert (await session.send("GET", last_event_id=first.id)).text == ""
