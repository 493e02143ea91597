"""Connections that an upstream keeps for as long as it says are used no longer than that, less a margin."""

from __future__ import annotations

import socket

import pytest

from gateway.connection import DOUBTFUL_SECONDS, Connection
from gateway.pool import Pool
from gateway.response_head import FOR_EVER, response_head
from gateway.settings import UpstreamSettings
from tests.gateway.upstream.scripted import asked, proxy, saying, upstream


def answer(*fields: bytes) -> bytes:
    """A whole response with these header fields."""
    return b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"Content-Length: 2", b"", b"{}"])


async def answered(pool: Pool) -> Connection:
    """A connection whose exchange is over, given back to its pool."""
    connection = await pool.acquire()
    connection.start("GET", b"GET /mcp HTTP/1.1\r\n\r\n", 5, 5)
    while not connection.complete:
        await connection.changed()
    connection.take()
    pool.release(connection)
    return connection


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        pytest.param([], FOR_EVER, id="nothing is said"),
        pytest.param([b"Keep-Alive: timeout=5"], 4, id="as Node says it"),
        pytest.param([b"Keep-Alive: timeout=5, max=100"], 4, id="as Apache says it"),
        pytest.param([b"keep-alive: max=100 ,  Timeout = 30"], 29, id="in another order and spelling"),
        pytest.param([b'Keep-Alive: timeout="7"'], 6, id="quoted"),
        pytest.param([b"Keep-Alive: max=2", b"Keep-Alive: timeout=3"], 2, id="in two fields"),
        pytest.param([b"Keep-Alive: timeout=1"], 0, id="no longer than the margin"),
        pytest.param([b"Keep-Alive: timeout=0"], -1, id="not at all"),
        pytest.param([b"Keep-Alive: max=100"], FOR_EVER, id="only how often"),
        pytest.param([b"Keep-Alive: timeout=soon"], FOR_EVER, id="no number"),
        pytest.param([b"Keep-Alive: timeout=-5"], FOR_EVER, id="a negative number"),
        pytest.param([b"Keep-Alive: no-timeout=5"], FOR_EVER, id="another parameter"),
    ],
)
def test_upstream_says_for_how_long_it_keeps_a_connection(fields: list[bytes], seconds: float) -> None:
    pairs = [(name, value.strip()) for name, _, value in (field.partition(b":") for field in fields)]
    head = response_head(200, "1.1", [*pairs, (b"Content-Length", b"0")], bodiless=False)
    assert head.kept_seconds == seconds
    assert head.fields == [(b"content-length", b"0")], "it is said about the other connection"


async def test_connection_is_used_until_the_margin_and_not_from_then_on() -> None:
    async with upstream(saying(answer(b"Keep-Alive: timeout=5"))) as behind:
        pool = Pool("127.0.0.1", behind.port, None, UpstreamSettings(url=behind.url, keep_alive_seconds=60))
        connection = await answered(pool)
        connection.unused_since -= 3.9  # as if it had been given back so long ago
        assert not connection.is_stale()
        connection.unused_since -= 0.1
        assert pool.unused() is None
        assert connection.lost
        again = await answered(pool)
        again.unused_since -= 3.9
        assert pool.unused() is again
        pool.close()


async def test_connection_that_was_unused_for_long_is_looked_at() -> None:
    async with upstream(saying(answer())) as behind:
        pool = Pool("127.0.0.1", behind.port, None, UpstreamSettings(url=behind.url))
        connection = await answered(pool)
        assert connection.head is None, "nothing of the answer is kept"
        connection.transport.get_extra_info("socket").shutdown(socket.SHUT_RD)  # which the loop has not seen yet
        assert not connection.is_stale(), "a connection used a moment ago is not worth a system call"
        connection.unused_since -= DOUBTFUL_SECONDS
        assert connection.is_stale()
        pool.close()


async def test_last_answer_says_for_how_long() -> None:
    said = saying(answer(b"Keep-Alive: timeout=5"), answer(b"Keep-Alive: timeout=20"), answer())
    async with upstream(said) as behind:
        pool = Pool("127.0.0.1", behind.port, None, UpstreamSettings(url=behind.url))
        for seconds in (4, 19, FOR_EVER):
            connection = pool.unused() or await pool.acquire()
            connection.start("GET", b"GET /mcp HTTP/1.1\r\n\r\n", 5, 5)
            while not connection.complete:
                await connection.changed()
            assert connection.kept_seconds == seconds
            connection.take()
            pool.release(connection)
        assert len(behind.talks) == 1
        pool.close()


@pytest.mark.parametrize(
    ("said", "connections"),
    [
        pytest.param(b"Keep-Alive: timeout=2", 1, id="longer than the margin"),
        pytest.param(b"Keep-Alive: timeout=1", 2, id="no longer than the margin"),
        pytest.param(b"Keep-Alive: timeout=0", 2, id="not at all"),
    ],
)
async def test_connection_that_is_given_up_at_once_is_not_used_again(said: bytes, connections: int) -> None:
    async with upstream(saying(answer(said))) as behind:
        answers = await asked(proxy(behind.url), {}, {})
    assert [each.body for each in answers] == [b"{}", b"{}"]
    assert len(behind.talks) == connections
