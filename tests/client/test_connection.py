"""A connection that is lost is made again, and only what is safe is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client
from starlette.types import Receive, Scope, Send

from client.connection import Callbacks, Connection
from client.errors import Misbehaved, ToolFailed, Unreachable
from client.server import Server
from client.settings import Settings
from client.vault import Memory, Vault
from tests.client.mcp_server import app
from tests.client.stock import Stock, stock_server
from tests.served import served

MODES = ("auto", "legacy")


@pytest.fixture
def stock() -> Iterator[Stock]:
    with stock_server() as started:
        yield started


@asynccontextmanager
async def connected(url: str, mode: str, said: list[str]) -> AsyncIterator[Server]:
    vault = Vault([Memory()], said.append)
    server = Server(Settings(url=url, folder=Path("/dev/null")), vault, None, Callbacks(reconnecting=said.append))
    server.connection.mode = mode
    try:
        yield server
    finally:
        await server.connection.close()


@pytest.mark.parametrize("mode", MODES)
async def test_restarted_server_is_connected_to_again_and_that_is_said(stock: Stock, mode: str) -> None:
    said: list[str] = []
    async with connected(stock.url, mode, said) as server:
        await server.tools()
        stock.stop()
        await asyncio.to_thread(stock.start)
        assert (await server.call("rows", {})).structured_content is not None
        assert len(said) == (mode == "legacy" or len(said))


async def test_lost_session_is_opened_again_even_for_what_may_not_be_repeated(stock: Stock) -> None:
    """The server said that it does not know the session, so it did nothing."""
    said: list[str] = []
    async with connected(stock.url, "legacy", said) as server:
        await server.connection.open()
        stock.stop()
        await asyncio.to_thread(stock.start)
        result = await server.call("pay", {"amount": 7})
        assert result.structured_content == {"result": "paid 7"}
        assert said


@pytest.mark.parametrize("mode", MODES)
async def test_call_that_may_have_been_done_is_not_repeated(mode: str) -> None:
    said: list[str] = []
    with stock_server(DIE_WHEN_PAID="1") as dying:
        async with connected(dying.url, mode, said) as server:
            await server.tools()
            with pytest.raises(Unreachable, match="may have been done"):
                await server.call("pay", {"amount": 7})


@pytest.mark.parametrize("mode", MODES)
async def test_server_that_is_gone_is_said_to_be_unreachable(stock: Stock, mode: str) -> None:
    said: list[str] = []
    async with connected(stock.url, mode, said) as server:
        await server.tools()
        stock.stop()
        with pytest.raises(Unreachable):
            await server.call("rows", {})
        with pytest.raises(Unreachable):
            await server.tools()
        await asyncio.to_thread(stock.start)
        assert await server.tools()


@pytest.mark.parametrize("mode", MODES)
async def test_cancelled_call_leaves_the_connection_as_it_was(mode: str) -> None:
    begun, gate = anyio.Event(), anyio.Event()
    async with served(app(begun, gate)) as origin, connected(f"{origin}/mcp", mode, []) as server:
        await server.connection.open()
        call = asyncio.create_task(server.call("slow", {}))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await server.call("rows", {})).is_error is False
        assert server.connection.client is not None
        gate.set()


async def test_session_ends_at_the_server_when_it_is_told_to() -> None:
    async with served(app()) as origin, connected(f"{origin}/mcp", "legacy", []) as server:
        assert await server.connection.end_session() is False
        await server.connection.open()
        assert server.connection.session is not None
        assert await server.connection.end_session() is True
        assert server.connection.client is None


async def test_what_the_server_refuses_is_no_lost_connection() -> None:
    async with served(app()) as origin, connected(f"{origin}/mcp", "auto", []) as server:
        with pytest.raises(ToolFailed):
            await server.read("no://such/thing")


async def test_page_that_is_no_mcp_server_is_told_apart() -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<p>hello"})

    async with served(page) as origin, connected(origin, "auto", []) as server:
        with pytest.raises(Misbehaved):
            await server.tools()


async def test_long_answer_comes_whole() -> None:
    async with served(app()) as origin, connected(f"{origin}/mcp", "auto", []) as server:
        result = await server.call("long", {"megabytes": 20})
        (text,) = result.content
        assert getattr(text, "text").count("\n") == 199_999  # noqa: B009 - a union of contents


async def test_closing_twice_or_before_opening_is_nothing() -> None:
    connection = Connection("http://127.0.0.1:9/mcp", None)
    await connection.close()
    with pytest.raises(Unreachable):
        await connection.open()
    await connection.close()
    with pytest.raises(Unreachable):
        await connection.run(Client.list_tools, repeatable=True)


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Something that takes requests and says nothing."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"


async def test_connecting_can_be_given_up() -> None:
    async with silent() as url:
        connection = Connection(url, None)
        opening = asyncio.create_task(connection.open())
        await asyncio.sleep(0.1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert connection.client is None


async def test_server_that_says_nothing_is_not_waited_for_for_ever() -> None:
    async with silent() as url:
        with pytest.raises(Unreachable):
            await Connection(url, None, opening_seconds=0.1).open()


async def test_answer_that_breaks_its_own_schema_is_refused() -> None:
    async with served(app()) as origin, connected(f"{origin}/mcp", "auto", []) as server:
        with pytest.raises(Misbehaved, match=r"\\x1b"):
            await server.connection.run(unreadable, repeatable=False)


async def unreadable(_client: Client) -> None:
    """What the SDK does with a result that it cannot read."""
    raise ValueError("7 is no list \x1b")


async def test_session_that_cannot_be_ended_for_want_of_a_server() -> None:
    async with served(app()) as origin:
        server = Connection(f"{origin}/mcp", None, mode="legacy")
        await server.open()
    with pytest.raises(Unreachable):
        await server.end_session()
    await server.close()
