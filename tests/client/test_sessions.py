"""Servers of older revisions: sessions that get lost, answers that look like it, and what goes on after a Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx2
import pytest
from mcp import Client

from client.connection import Callbacks, Connection
from client.errors import BadInput, Misbehaved, NotAuthorized, NotLoggedIn, ToolFailed, Unreachable
from client.exchange import SESSION, VERSION, exchange, to_its_end, while_wanted
from client.server import MAX_PAGES, Server
from client.settings import Settings
from client.vault import Memory, Vault
from tests.client.conftest import Home
from tests.client.old_server import Old, failed, old_server
from tests.client.world import Prompt, World


@pytest.fixture
async def old() -> AsyncIterator[Old]:
    async with old_server() as running:
        yield running


@asynccontextmanager
async def connected(old: Old, said: list[str], person: Prompt | None = None) -> AsyncIterator[Server]:
    settings = Settings(url=old.url, folder=Path("/dev/null"))
    server = Server(settings, Vault([Memory()], said.append), person, Callbacks(reconnecting=said.append))
    try:
        yield server
    finally:
        await server.connection.close()


@pytest.mark.parametrize("unknown", [404, 400], ids=["as specified", "as examples have it"])
async def test_server_that_forgot_the_session_is_called_once_more(old: Old, unknown: int) -> None:
    said: list[str] = []
    old.unknown = unknown
    async with connected(old, said) as server:
        await server.tools()
        old.sessions.clear()
        await server.call("pay", {})
    assert old.ran == ["pay"]
    assert said == ["The server does not know the session any more"]


async def test_refusal_that_has_nothing_to_do_with_the_session_is_one(old: Old) -> None:
    said: list[str] = []
    old.tools["pay"] = lambda: failed(None, -32602, "no amount", 400)
    async with connected(old, said) as server:
        with pytest.raises(ToolFailed, match="no amount"):
            await server.call("pay", {})
    assert (old.ran, said) == (["pay"], [])


async def test_server_that_forgets_every_session_is_given_up(old: Old) -> None:
    said: list[str] = []
    old.forgets = True
    async with connected(old, said) as server:
        with pytest.raises(Unreachable):
            await server.tools()
    assert said == ["The server does not know the session any more"]


async def test_call_ends_with_the_connection_that_it_was_made_on(old: Old) -> None:
    old.held = "tools/call"
    async with connected(old, []) as server:
        call = asyncio.create_task(server.call("pay", {}))
        await old.waiting.wait()
        await server.connection.close()
        old.gate.set()
        with pytest.raises(Unreachable, match="may have been done"):
            await call
    assert len(old.ran) <= 1


async def test_what_nothing_was_sent_of_is_done_on_the_next_connection(old: Old) -> None:
    begun = anyio.Event()

    async def operation(_client: Client) -> str:
        if not begun.is_set():
            begun.set()
            await anyio.sleep_forever()
        return "done"

    async with connected(old, []) as server:
        running = asyncio.create_task(server.connection.run(operation, repeatable=False))
        await begun.wait()
        await server.connection.close()
        assert await running == "done"


async def test_revision_that_the_sdk_does_not_know_ends_in_a_sentence(old: Old) -> None:
    with pytest.raises(Misbehaved, match=r"does not speak MCP as it should \("):
        await Connection(old.url, None, mode="1999-01-01").open()


async def test_session_that_is_lost_after_the_tool_ran_does_not_run_it_again(old: Old) -> None:
    """The SDK asks for the list when the answer of a tool comes that it does not know."""

    def forget() -> None:
        old.sessions.clear()

    old.tools["forget"] = forget
    async with connected(old, []) as server:
        with pytest.raises(Unreachable, match="may have been done"):
            await server.call("forget", {})
    assert old.ran == ["forget"]


async def test_errors_of_a_server_with_the_number_of_a_lost_connection_are_errors(old: Old) -> None:
    said: list[str] = []
    old.tools["busy"] = lambda: failed(None, -32000, "Too many of these", 400)
    async with connected(old, said) as server:
        with pytest.raises(ToolFailed, match="Too many of these"):
            await server.call("busy", {})
    assert (old.ran, said) == (["busy"], [])


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_server_that_is_away_is_said_to_be_when_it_is_connected_to_and_when_it_is_called(
    old: Old, status: int
) -> None:
    async with connected(old, []) as server:
        old.away = status
        with pytest.raises(Unreachable, match=f"status {status}"):
            await server.tools()
        old.away = 0
        await server.tools()
        old.away = status
        with pytest.raises(Unreachable, match=f"status {status}"):
            await server.call("pay", {})
    assert old.ran == []


async def test_server_that_has_enough_for_now_is_quoted(old: Old) -> None:
    old.tools["pay"] = lambda: failed(None, -32000, "Again in 30 seconds", 429)
    async with connected(old, []) as server:
        with pytest.raises(Unreachable, match=r"status 429, try again later: Again in 30 seconds"):
            await server.call("pay", {})


async def test_end_of_a_session_that_is_never_answered_is_not_waited_for(old: Old) -> None:
    connection = Connection(old.url, None, closing_seconds=0.05)
    await connection.open()
    old.held = "DELETE"
    async with asyncio.timeout(10):
        await connection.close()
    assert connection.client is None
    assert len(old.ended) == 1


async def test_session_is_ended_in_the_revision_that_it_was_begun_in(old: Old) -> None:
    connection = Connection(old.url, None)
    await connection.open()
    assert await connection.end_session()
    assert (old.ended[0][SESSION], old.ended[0][VERSION]) == ("session-1", "2025-06-18")


async def test_list_that_does_not_end_is_said_not_to(old: Old) -> None:
    old.more = {"nextCursor": "more"}
    async with connected(old, []) as server:
        with pytest.raises(Misbehaved, match=f"more than {MAX_PAGES} pages"):
            await server.tools()


async def test_next_person_does_not_see_what_the_one_before_did(old: Old, here: World) -> None:
    old.issuer = here.authority.origin
    async with connected(old, [], here.person) as server:
        first, *_ = await server.tools()
        await server.log_out()
        assert (server.known_tools, server.connection.client) == ([], None)
        await server.log_in()
        second, *_ = await server.tools()
        await server.log_in()
        third, *_ = await server.tools()
    assert [each.name for each in (first, second, third)] == ["for-access-1", "for-access-2", "for-access-3"]


@pytest.mark.parametrize(("proxy", "said"), [("gopher://127.0.0.1:9", "gopher"), ("socks5://127.0.0.1:9", "socksio")])
async def test_proxy_that_cannot_be_used_is_named(
    old: Old, monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(BadInput, match=f"^The proxy of the environment cannot be used: .*{said}"):
        await Connection(old.url, None).open()


async def test_log_of_the_sdk_is_not_on_the_terminal(old: Old, home: Home) -> None:
    """It warns of a tool that no list has, by its name."""
    done = await asyncio.to_thread(home.run, "call", old.url, "\x1b[2J")
    assert (done.stdout, done.stderr) == ("done\n", "")


async def test_login_that_nobody_waits_for_any_more_is_given_up(here: World) -> None:
    """As after a Ctrl-C: in older revisions the SDK goes on with the request."""
    leaving = anyio.Event()

    class Slow(Prompt):
        async def go(self, url: str) -> dict[str, str]:
            del url
            leaving.set()
            never: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
            return await never

    here.person = Slow()
    auth = here.auth()
    with exchange() as happened:
        going_on = asyncio.create_task(get(here, auth))
        await leaving.wait()
    async with asyncio.timeout(10):
        assert await going_on == 401
    assert isinstance(happened.refusal, NotAuthorized)
    assert not auth.context.lock.locked()


async def test_stream_that_is_kept_open_has_nobody_log_in(here: World) -> None:
    """The SDK opens it again whenever it ends, long after the command that it was opened for."""
    with exchange() as happened:
        later = asyncio.create_task(get(here, here.auth()))
    assert await later == 401
    assert isinstance(happened.refusal, NotLoggedIn)
    assert here.person is not None
    assert here.person.urls == []


async def get(here: World, auth: httpx2.Auth) -> int:
    """The status that a request ends with which belongs to the exchange that it is made in."""
    async with httpx2.AsyncClient(auth=auth) as http:
        return (await http.get(here.server.url)).status_code


async def test_login_ends_with_its_exchange() -> None:
    begun = anyio.Event()

    async def log_in() -> None:
        begun.set()
        await anyio.sleep_forever()

    with exchange() as happened:
        logging_in = asyncio.create_task(while_wanted(log_in(), happened))
        await begun.wait()
    with pytest.raises(NotAuthorized, match="given up"):
        await logging_in


async def test_what_went_wrong_with_a_login_that_is_waited_for_is_told() -> None:
    async def fail() -> None:
        raise Misbehaved("so")

    with exchange() as happened, pytest.raises(Misbehaved, match="so"):
        await while_wanted(fail(), happened)


@pytest.mark.parametrize("within", [True, False], ids=["scope of the SDK", "task"])
async def test_what_cannot_be_done_twice_is_done_to_its_end(within: bool) -> None:
    begun, gate, done = anyio.Event(), anyio.Event(), anyio.Event()
    scope = anyio.CancelScope()

    async def once() -> None:
        begun.set()
        await gate.wait()
        done.set()

    async def run() -> None:
        with scope:
            await to_its_end(once())

    running = asyncio.create_task(run())
    await begun.wait()
    if within:
        scope.cancel()
    else:
        running.cancel()
    for _ in range(9):
        await anyio.lowlevel.checkpoint()
    assert not running.done()
    gate.set()
    await asyncio.wait([running])
    assert done.is_set()
    assert running.cancelled() is not within
