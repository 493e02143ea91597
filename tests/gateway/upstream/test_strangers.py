"""Whatever bytes an upstream says: the client gets a whole answer, a refusal or an aborted one, and never a second."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from deploy.cycle import FAILED
from gateway.upstream import Upstream
from tests.gateway.upstream.scripted import OK, Admitted, Answer, Client, Talk, before, proxy, upstream
from tests.served import served

NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"

SHARED = [HealthCheck.function_scoped_fixture]  # one server for all examples is what is wanted

LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 304 No",
        b"HTTP/1.1 100 Go",
        b"HTTP/1.1 500 X",
    ]
)
FIELDS = st.sampled_from(
    [
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length : 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"Content-Type: text/event-stream",
        b"Connection: close",
        b"Connection: content-length, x-note",
        b"Keep-Alive: timeout=5",
        b"X-Note: a\rb",
        b"X-Note: a\0b",
        b"X-Note: \xff",
        b" folded: yes",
        b"X Note: 1",
        b"",
    ]
)
BODIES = st.sampled_from(
    [b"", b"12345", b"1234", b"123456", b"5\r\n12345\r\n0\r\n\r\n", b"5\r\n12345\r\n", b"data: 1\n\n", OK]
)


@st.composite
def nearly_http(draw: st.DrawFn) -> bytes:
    """What a broken or hostile server might say, a few bytes of it perhaps changed."""
    head = b"\r\n".join([draw(LINES), *draw(st.lists(FIELDS, max_size=4)), b"", b""])
    said = bytearray(head + draw(BODIES) + draw(BODIES))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, len(said) - 1), st.integers(0, 255)), max_size=2)):
        said[place] = byte
    return bytes(said)


@contextmanager
def no_fault() -> Iterator[None]:
    """Nothing in the block makes the server report an exception."""
    faults: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                faults.append(record)

    keep, logger = Keep(), logging.getLogger("bearergate")
    logger.addHandler(keep)
    try:
        yield
    finally:
        logger.removeHandler(keep)
    assert faults == []


class Door:
    """A server that stays while the app behind it changes: to start one takes longer than all it is asked."""

    app: Upstream
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await Admitted(self.app)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    door.app = proxy("http://127.0.0.1:1/mcp")
    async with served(door) as origin:
        door.port = int(origin.rpartition(":")[2])
        yield door


async def answers(door: Door, said: bytes, *, stays: bool) -> tuple[Answer, Answer | None]:
    """The answer to a request for which the upstream says this, and that to the next one on the same connection."""

    async def script(talk: Talk) -> None:
        await talk.request()
        if len(talk.upstream.requests) == 1:
            await talk.say(said)
            if not stays:
                return
            await talk.request()
        await talk.say(NEXT)
        await talk.closed()

    with no_fault():
        async with upstream(script) as behind:
            door.app = proxy(behind.url)
            client = Client(*await asyncio.open_connection("127.0.0.1", door.port))
            try:
                return await both(client)
            finally:
                client.hang_up()
                door.app._pool.close()


async def both(client: Client) -> tuple[Answer, Answer | None]:
    await client.send()
    first = await client.answer()
    if not first.complete:
        assert await client.reader.read() == b"", "an answer that is aborted ends the connection"
        return first, None
    if client.reader.at_eof() or first.headers.get("connection") == "close":
        return first, None
    await client.send()
    return first, await client.answer()


def is_refusal(answer: Answer) -> bool:
    """Whether the proxy answers itself, as it does everything: with an id for the log."""
    return answer.status in (502, 504) and "refusal" in json.loads(answer.body)["error"]["data"]


@settings(max_examples=150, deadline=None, suppress_health_check=SHARED)
@given(st.binary(max_size=200) | nearly_http())
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456")
@example(b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n12345")
@example(b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\n12345")
@example(b"HTTP/1.0 200 OK\r\n\r\n" + OK)
async def test_whatever_is_said_ends_as_an_answer_a_refusal_or_an_abort(door: Door, said: bytes) -> None:
    first, following = await answers(door, said, stays=False)
    assert first.body != FAILED
    assert 200 <= first.status <= 599
    assert is_refusal(first) or said.find(b"%d" % first.status) >= 0
    assert first.body in said or is_refusal(first) or b"chunked" in said.lower()
    if following is not None:
        assert (following.status, following.body, following.complete) == (200, b"next", True)


@settings(max_examples=100, deadline=None, suppress_health_check=SHARED)
@given(st.binary(min_size=1, max_size=100) | nearly_http() | st.just(OK))
async def test_what_is_said_beyond_an_answer_never_becomes_the_next_one(door: Door, tail: bytes) -> None:
    first, following = await answers(door, OK + tail, stays=True)
    assert (first.status, first.body, first.complete) == (200, b"{}", True)
    assert following is not None
    assert (following.status, following.body, following.complete) == (200, b"next", True) or is_refusal(following)


async def test_tail_that_comes_late_is_not_the_next_answer_either() -> None:
    said = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        if len(talk.upstream.requests) == 1:
            await talk.say(OK)
            await asyncio.sleep(0)
            await talk.say(OK.replace(b"{}", b"[]"))
            said.set()
            await talk.closed()
        await talk.say(NEXT)

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        await client.send()
        assert (await client.answer()).body == b"{}"
        await said.wait()
        await client.send()
        following = await client.answer()
        assert following.body == b"next" or is_refusal(following)
