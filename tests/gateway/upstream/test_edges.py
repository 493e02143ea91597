"""What happens seldom at an upstream: clients that stop in a body, limits of this process, resumed streams."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from joserfc.jwk import ECKey
from starlette.types import Message

from gateway import identity, response_head
from gateway import pool as pools
from gateway.connection import Connection
from gateway.errors import UpstreamBusy
from gateway.exchange import Exchange
from gateway.pool import Pool
from gateway.settings import IdentitySettings, UpstreamSettings
from gateway.sources import parse
from gateway.upstream import Upstream
from tests.gateway.upstream.scripted import ALICE, OK, SECONDS, Talk, before, proxy, saying, upstream

LEGACY: dict[str, Any] = {"MCP_Protocol_Version": "2025-11-25", "Mcp_Session_Id": "one"}
NOWHERE = "http://127.0.0.1:1/mcp"  # where nobody listens
GONE: Message = {"type": "http.disconnect"}


async def until(true: Callable[[], bool]) -> None:
    """Wait until this is so."""
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110 - it is true inside the proxy, which tells nobody
            await asyncio.sleep(0.01)


def piece(body: object, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def called(app: Upstream, messages: Iterable[Message], *headers: tuple[bytes, bytes]) -> list[Message]:
    """What the app sends to a client that sends these."""
    coming, sent = iter(messages), list[Message]()

    async def receive() -> Message:
        message = next(coming, None)
        if message is None:
            await asyncio.Event().wait()
            raise AssertionError
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "headers": [*headers],
        "client": ("203.0.113.7", 1),
        "scheme": "https",
        "state": {"principal": ALICE},
    }
    async with asyncio.timeout(SECONDS):
        await app(scope, receive, send)
    return sent


CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    ("messages", "framing"),
    [
        pytest.param([GONE], (b"content-length", b"9"), id="before its body"),
        pytest.param([piece(b"1", more=True), GONE], CHUNKED, id="between chunks"),
    ],
)
async def test_client_that_goes_in_its_body_gets_nothing_and_the_upstream_neither(
    messages: list[Message], framing: tuple[bytes, bytes]
) -> None:
    assert await called(proxy(NOWHERE), messages, framing) == []


@pytest.mark.parametrize(
    ("messages", "framing"),
    [
        pytest.param([piece(b"x" * 1025, more=False)], (b"content-length", b"1025"), id="in one piece"),
        pytest.param([piece(b"x" * 1000, more=True), piece(b"x" * 25, more=False)], CHUNKED, id="in chunks"),
    ],
)
async def test_body_beyond_the_limit_is_refused(messages: list[Message], framing: tuple[bytes, bytes]) -> None:
    sent = await called(proxy(NOWHERE, max_body_bytes=1024), messages, framing)
    assert sent[0]["status"] == 413


async def test_chunks_that_come_whole_are_passed_on() -> None:
    async with upstream(saying(OK)) as behind:
        messages = [piece(b"12", more=True), piece(b"3", more=True), piece(b"", more=False)]
        sent = await called(proxy(behind.url), messages, CHUNKED)
        assert sent[0]["status"] == 200
        assert behind.requests[0].endswith(b"\r\n\r\n123")


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param([piece(b"4", more=True), piece(b"", more=False), GONE], id="after more than it announced"),
        pytest.param([piece(b"", more=False), GONE], id="after a last piece of nothing"),
    ],
)
async def test_client_that_goes_after_its_upload_takes_a_stateless_request_with_it(rest: list[Message]) -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.closed()

    fields = [(b"content-length", b"3"), (b"mcp-protocol-version", b"2026-07-28")]
    async with upstream(script) as behind:
        messages = [piece(b"1", more=True), piece(b"23", more=True), *rest]
        assert await called(proxy(behind.url), messages, *fields) == []


def test_resource_without_an_upstream_has_nothing_to_pass_on_to() -> None:
    issuers = [{"issuer": "https://issuer.example"}]
    settings = parse({"public_url": "https://gw.example", "issuers": issuers, "resources": [{"path": "/mcp"}]})
    with pytest.raises(ValueError, match="has no upstream"):
        Upstream(settings, settings.resources[0])


async def test_upstream_that_reads_slowly_holds_the_upload_up() -> None:
    read, size = asyncio.Event(), 16 << 20

    async def script(talk: Talk) -> None:
        await talk.head()
        await read.wait()
        await talk.reader.readexactly(size)
        await talk.say(OK)

    async with upstream(script) as behind, before(app := proxy(behind.url, max_body_bytes=size)) as connect:
        client = await connect()
        sending = asyncio.create_task(client.send(body=b"x" * size))
        await until(
            lambda: bool(any(exchange.connection._drained for exchange in app._exchanges if exchange.connection))
        )
        assert not sending.done()
        read.set()
        await sending
        assert (await client.answer()).status == 200


async def test_of_answers_read_on_for_a_session_only_streams_end_when_it_resumes() -> None:
    release = asyncio.Event()

    async def script(talk: Talk) -> None:
        while asked := await talk.request():
            if asked.startswith(b"POST"):
                await release.wait()
            await talk.say(OK)

    async with upstream(script) as behind, before(app := proxy(behind.url)) as connect:
        for count in (1, 2):
            client = await connect()
            await client.send(**LEGACY)
            await behind.arrived(count)
            client.hang_up()
        await until(lambda: len(app._detached.get(b"one", ())) == 2)
        for more in ({}, {"Last_Event_Id": "7"}):
            client = await connect()
            await client.send("GET", body=b"", **LEGACY, **more)
            assert (await client.answer()).status == 200
        assert len(app._detached[b"one"]) == 2, "neither has begun to be a stream"
        release.set()
        await until(lambda: not app._detached)


def pool_of(port: int, **settings: Any) -> Pool:
    return Pool("127.0.0.1", port, None, UpstreamSettings(url="http://127.0.0.1/", **settings))


async def test_process_that_may_open_no_more_files_says_so() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with upstream(saying(OK)) as behind:
        with socket.socket() as probe:
            free = probe.fileno()  # the next file would get this number
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            with pytest.raises(UpstreamBusy, match="no more files"):
                await pool_of(behind.port).acquire()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_connection_that_is_lost_as_it_is_given_out_is_a_refusal() -> None:
    app = proxy(NOWHERE)
    loop = asyncio.get_running_loop()
    lost = Connection(loop, 65_536, lambda _: None)
    closing = iter([False])  # when it is chosen; and then

    class Fickle(asyncio.Transport):
        def is_closing(self) -> bool:
            return next(closing, True)

        def abort(self) -> None:
            assert next(closing, None) is None  # it was chosen

    lost.connection_made(Fickle())
    lost.unused_since = loop.time()
    app._pool._unused.append(lost)
    start, _ = await called(app, [])
    assert start["status"] == 502


async def test_exchange_without_a_connection_has_nothing_to_look_at_and_nobody_to_wake() -> None:
    async def gone() -> Message:
        return GONE

    exchange = Exchange({}, gone, [].append)  # type: ignore[arg-type]  # nothing is sent
    assert exchange.look(0.0)
    await exchange._watch()
    assert exchange.gone


async def test_connections_unused_for_long_are_closed_one_after_another() -> None:
    async with upstream(saying(OK)) as behind:
        pool = pool_of(behind.port, keep_alive_seconds=0.2)
        connections = [await pool.acquire(), await pool.acquire()]
        for connection in connections:
            connection.start("GET", b"GET / HTTP/1.1\r\n\r\n", 5, 5)
            while not connection.complete:
                await connection.changed()
            connection.take()
            pool.release(connection)
            await asyncio.sleep(0.1)  # so that they are due at different times
        await until(lambda: not len(pool))
        assert all(connection.lost for connection in connections)


async def test_who_gives_up_in_the_moment_a_connection_gets_free_leaves_it_to_the_next() -> None:
    async with upstream(saying(OK)) as behind:
        pool = pool_of(behind.port)
        connection = await pool.acquire()
        pool._opening = pools.OPENING
        first, second = (asyncio.create_task(pool.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        connection.start("GET", b"GET / HTTP/1.1\r\n\r\n", 5, 5)
        while not connection.complete:
            await connection.changed()
        connection.take()
        first.cancel()
        pool.release(connection)
        assert await second is connection
        with pytest.raises(asyncio.CancelledError):
            await first
        pool.close()


async def test_names_beyond_those_remembered_are_read_alike() -> None:
    said = b"HTTP/1.1 200 OK\r\nX-%b: 1\r\nContent-Length: 2\r\n\r\n{}" % (b"Long" * 30)
    async with upstream(saying(said)) as behind:
        sent = await called(proxy(behind.url), [])
        assert (b"x-" + b"long" * 30, b"1") in sent[0]["headers"]
        assert b"X-" + b"Long" * 30 not in response_head._names


def test_identities_remembered_are_bounded() -> None:
    keys = identity.IdentityKeys([ECKey.generate_key("P-256")])
    made = identity.Identity(keys, IdentitySettings(), issuer="https://gw.example", audience="x", now=lambda: 1.0)
    made._signed = dict.fromkeys(range(identity.REMEMBERED), (0.0, b""))
    made.line(ALICE)
    assert len(made._signed) == identity.REMEMBERED
    assert 0 not in made._signed


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_body_crosses_in_whatever_bytes_a_server_hands_it_over(kind: Callable[[bytes], Any]) -> None:
    whole = [piece(kind(b"{}"), more=False)]
    parts = [piece(kind(b"{"), more=True), piece(kind(b"}"), more=False)]
    async with upstream(saying(OK)) as behind:
        for messages in (whole, parts):
            start, *_ = await called(proxy(behind.url), messages, (b"content-length", b"2"))
            assert start["status"] == 200
        assert [request.rpartition(b"\r\n")[2] for request in behind.requests] == [b"{}", b"{}"]
