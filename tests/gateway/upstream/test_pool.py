"""Connections that are waited for: each goes to the next who waits, and none is lost with somebody who gave up."""

from __future__ import annotations

import asyncio

import pytest

from gateway import pool as pools
from gateway.errors import UpstreamBusy, UpstreamTimeout
from gateway.pool import Pool
from gateway.settings import UpstreamSettings
from tests.gateway.upstream.scripted import OK, Talk, proxy, saying, upstream


def pool_of(port: int, **settings: float) -> Pool:
    """A pool that is opening all the connections it opens at once."""
    made = Pool("127.0.0.1", port, None, UpstreamSettings(url="http://127.0.0.1/", **settings))  # type: ignore[arg-type]
    made._opening = pools.OPENING
    return made


async def test_connection_that_gets_free_goes_to_the_first_who_waits() -> None:
    async with upstream(saying(OK)) as behind:
        pool = pool_of(behind.port)
        connection = await pool._connect()
        first, second = (asyncio.create_task(pool.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        for waiting in (first, second):
            connection.start("GET", b"GET / HTTP/1.1\r\n\r\n", 5, 5)
            while not connection.complete:
                await connection.changed()
            connection.take()
            pool.release(connection)
            assert await waiting is connection
        pool.close()


async def test_whoever_gave_up_passes_on_what_it_was_given() -> None:
    async with upstream(saying(OK)) as behind:
        pool = pool_of(behind.port)
        connection = await pool._connect()
        gone, next_one = (asyncio.create_task(pool.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        connection.complete = True
        pool.release(connection)  # to the first, who is gone before it knows
        gone.cancel()
        assert await next_one is connection
        with pytest.raises(asyncio.CancelledError):
            await gone
        leaving = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert not pool._waiting
        told = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        pool._next(None)
        told.cancel()
        await asyncio.gather(told, return_exceptions=True)
        pool.close()


async def test_waiting_has_an_end_and_a_bound() -> None:
    pool = pool_of(1, connect_seconds=0.05, max_connections=1)
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    with pytest.raises(UpstreamBusy):
        await pool.acquire()
    with pytest.raises(UpstreamTimeout):
        await waiting


async def test_connection_lost_before_it_is_used_fails_at_once() -> None:
    async def script(talk: Talk) -> None:
        talk.writer.close()

    async with upstream(script) as behind:
        connection = await proxy(behind.url)._pool.acquire()
        connection.busy = True
        await connection.changed()
        connection.start("GET", b"x", 5, 5)
        assert connection.failure is not None


async def test_answer_that_nobody_asked_for_closes_the_connection_and_answers_nobody() -> None:
    async with upstream(saying(OK)) as behind:
        pool = pool_of(behind.port)
        connection = await pool._connect()
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        assert (connection.reusable, connection.lost) == (False, True)
        assert connection.head is None
        assert pool.unused() is None
        pool.close()


async def test_request_that_the_upstream_takes_again_after_a_pause_is_not_waited_for_twice() -> None:
    async with upstream(saying(OK)) as behind:
        pool = pool_of(behind.port)
        connection = await pool._connect()
        connection.pause_writing()
        waiting = asyncio.create_task(connection.drain())
        await asyncio.sleep(0)
        waiting.cancel()  # whoever waited has gone, and the future with it
        await asyncio.gather(waiting, return_exceptions=True)
        connection.resume_writing()
        await connection.drain()
        pool.close()
