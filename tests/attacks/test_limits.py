"""Requests without end: heads beyond all measure, heads and bodies that stop in the middle, and those that may not."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from deploy.http1 import BODY_SECONDS, HEAD_BYTES, HEAD_FIELDS, HEAD_SECONDS, PIPELINED, Http1
from tests.attacks.wire import CHUNKED, HEAD, HEALTH, HONEST, TOKEN, TWO, answers, fill, wired

# The deadlines of a production server, from which tests that wait for them depart.
assert (HEAD_SECONDS, BODY_SECONDS) == (10, 30)


hasty = partial(Http1, head_seconds=0.2, body_seconds=0.4)  # the same limits, soon reached

FIELD = b"X: " + b"a" * (HEAD_BYTES + 1) + b"\r\n"
TOO_LARGE: list[Any] = [
    pytest.param([HEAD + TOKEN + FIELD + TWO], id="a field of 64 KiB"),
    pytest.param([HEAD + TOKEN + b"X: " + b"a" * 1_000_000 + b"\r\n" + TWO], id="a field of 1 MB"),
    pytest.param([HEAD + TOKEN + b"X: "] + [b"a" * 10_000] * 100, id="a field of 1 MB in pieces, without an end"),
    pytest.param([HEAD + TOKEN + b"a" * 1_000_000], id="a name of 1 MB"),
    pytest.param(
        [HEAD + TOKEN + b"X: " + b"a" * 600 + b"\r\n"] + [b"X: " + b"a" * 600 + b"\r\n"] * 120, id="fields of 70 KiB"
    ),
    pytest.param([HEAD + TOKEN + b"".join(b"X%d: a\r\n" % i for i in range(10_000)) + TWO], id="10,000 fields"),
    pytest.param([HEAD + TOKEN + b"X: a\r\n" * (HEAD_FIELDS - 2) + TWO], id="a field too many"),
    pytest.param([HEAD.replace(b"/mcp", b"/mcp?" + b"a" * HEAD_BYTES) + TOKEN + TWO], id="a target of 64 KiB"),
    pytest.param([HEAD.replace(b"/mcp", b"/" + b"a" * 1_000_000)], id="a target of 1 MB, without an end"),
    pytest.param([HONEST, HEAD + TOKEN + FIELD + TWO], id="a field of 64 KiB behind an honest request"),
]


@pytest.mark.parametrize("pieces", TOO_LARGE)
async def test_head_beyond_measure_is_refused_and_not_kept(pieces: list[bytes]) -> None:
    async with wired() as wire:
        connection = await wire.connect()
        for piece in pieces:
            await connection.send(fill(wire, piece))
        while status := await connection.status():  # none, where the rest of the head met a closed socket
            assert status in (200, 431)
        assert wire.reached <= len(pieces) - 1
        await connection.close()
        assert await answers(wire, HONEST) == [200]


async def test_small_head_beyond_measure_is_told_so() -> None:
    async with wired() as wire:
        assert await answers(wire, HEAD + b"X: a\r\n" * HEAD_FIELDS + b"\r\n", ends=True) == [431]
        assert wire.reached == 0


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nX: ", id="a trailer"),
        pytest.param(CHUNKED + b"2;", id="an extension of a chunk"),
    ],
)
async def test_what_follows_a_head_is_bounded_as_well(data: bytes) -> None:
    async with wired() as wire:
        connection = await wire.connect()
        await connection.send(fill(wire, HEAD + TOKEN) + data + b"a" * 400_000)
        statuses = [await connection.status(), await connection.status()]
        assert statuses in ([431, 0], [0, 0])
        assert wire.reached == 0
        await connection.close()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(HEAD + TOKEN + b"X: " + b"a" * 60_000 + b"\r\n" + TWO, id="a field of 60,000 bytes"),
        pytest.param(HEAD + TOKEN + b"X: a\r\n" * (HEAD_FIELDS - 3) + TWO, id="256 fields"),
        pytest.param(HEAD + TOKEN + b"Content-Length: 3000000\r\n\r\n" + b" " * 2_999_998 + b"{}", id="a body of 3 MB"),
        pytest.param(
            HEAD + TOKEN + CHUNKED + b"186a0\r\n" + b" " * 100_000 + b"\r\n2\r\n{}\r\n0\r\n\r\n", id="a chunk of 100 KB"
        ),
        pytest.param(
            HEAD + TOKEN + CHUNKED + b"1\r\n{\r\n" + b"1\r\n \r\n" * 20_000 + b"1\r\n}\r\n0\r\n\r\n", id="20,000 chunks"
        ),
    ],
)
async def test_large_request_within_the_limits_passes(request_: bytes) -> None:
    async with wired() as wire:
        assert await answers(wire, request_, request_) == [200, 200]
        assert wire.reached == 2


SLOW: list[Any] = [
    pytest.param([b"P"], id="one byte"),
    pytest.param([b"\r\n"], id="an empty line"),
    pytest.param([HEAD], id="half a head"),
    pytest.param([HEAD + b"X: a"], id="half a field"),
    pytest.param([HEAD + b"Content-Length: 5\r\n\r\n{"], id="half a body that nobody reads"),
    pytest.param([HEAD + TOKEN + b"Content-Length: 5\r\n\r\n{"], id="half a body"),
    pytest.param([HEAD + TOKEN + CHUNKED + b"2\r\n{}\r\n"], id="no last chunk"),
    pytest.param([HEAD + TOKEN + CHUNKED + b"2\r\n{}\r\n0\r\nX: a"], id="half a trailer"),
    pytest.param([HONEST, HEAD], id="half a head behind an honest request"),
    pytest.param([HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"], id="a body that was announced"),
]


@pytest.mark.parametrize("pieces", SLOW)
async def test_request_that_stops_in_the_middle_loses_its_connection(pieces: list[bytes]) -> None:
    async with wired(protocol=hasty) as wire:
        connection = await wire.connect()
        for piece in pieces:
            await connection.send(fill(wire, piece))
        while await connection.status():
            pass
        assert wire.reached <= 1
        await connection.close()


async def test_request_that_comes_in_pieces_but_in_time_loses_nothing() -> None:
    async with wired(protocol=hasty) as wire:
        slow = await wire.connect()
        await slow.send(HEAD)
        other = await wire.connect()
        await other.send(HEAD)  # later, so that its end shows that the other's time is over as well
        await slow.send(fill(wire, TOKEN + TWO))
        assert await slow.status() == 200
        assert await other.status() == 0
        assert await slow.is_open()
        for connection in (slow, other):
            await connection.close()


async def test_connection_that_says_nothing_is_closed_like_an_idle_one() -> None:
    async with wired(protocol=partial(Http1, idle_seconds=0.0)) as wire:
        connection = await wire.connect()
        assert await connection.status() == 0
        await connection.close()


async def test_drip_does_not_prolong_a_head_but_does_prolong_a_body() -> None:
    async with wired(protocol=hasty) as wire:
        head, body = await wire.connect(), await wire.connect()
        await head.send(HEAD)
        await body.send(fill(wire, HEAD + TOKEN) + b"Content-Length: 1000\r\n\r\n")
        dead = asyncio.ensure_future(head.status())
        dripped = 0
        while not dead.done():
            await head.send(b"X: a\r\n")
            await body.send(b" ")
            dripped += 1
            await asyncio.wait([dead], timeout=0.02)
        assert dead.result() == 0
        await body.send(b"{}".rjust(1000 - dripped))
        assert await body.status() == 200
        for connection in (head, body):
            await connection.close()


async def test_client_is_not_blamed_for_an_app_that_is_slow() -> None:
    release = asyncio.Event()

    async def slow(_: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with wired(slow, protocol=hasty) as wire:
        patient, waiting = await wire.connect(), await wire.connect()
        await patient.send(HEAD + TWO)
        large = asyncio.ensure_future(waiting.send(HEAD + b"Content-Length: 3000000\r\n\r\n" + b"a" * 3_000_000))
        for _ in range(3):  # as long as it takes three others to lose theirs
            other = await wire.connect()
            await other.send(HEAD + b"Content-Length: 2\r\n\r\n")
            assert await other.status() == 0
            await other.close()
        release.set()
        assert await patient.status() == 200
        assert await waiting.status() == 200
        await large
        for connection in (patient, waiting):
            await connection.close()


class Holding:
    """An app that answers nobody before it is released."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["path"])
        self.arrived.set()
        await self.release.wait()
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def test_requests_sent_before_an_answer_are_answered_in_their_order() -> None:
    app = Holding()
    async with wired(app) as wire:
        connection = await wire.connect()
        sent = [HEALTH.replace(b"/healthz", b"/%d" % number) for number in range(PIPELINED + 1)]
        await connection.send(b"".join(sent))
        await app.arrived.wait()
        assert app.begun == ["/0"]
        app.release.set()
        assert [await connection.status() for _ in sent] == [200] * len(sent)
        assert app.begun == [f"/{number}" for number in range(len(sent))]
        assert await connection.is_open()
        await connection.close()


async def test_requests_without_end_before_an_answer_are_not_kept() -> None:
    app = Holding()
    async with wired(app) as wire:
        connection = await wire.connect()
        await connection.send(HEALTH)
        await app.arrived.wait()
        await connection.send(HEALTH * 20_000)
        assert await connection.status() == 0
        app.release.set()
        await connection.close()
        assert len(app.begun) == 1


async def test_client_that_hangs_up_takes_all_its_requests_with_it() -> None:
    """The one that is being answered hears of it, which from 2026-07-28 on is how it is cancelled."""
    heard = asyncio.Event()

    async def listening(scope: Scope, receive: Receive, _: Send) -> None:
        begun.append(scope["path"])
        arrived.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.set()

    begun: list[str] = []
    arrived = asyncio.Event()
    async with wired(listening) as wire:
        connection = await wire.connect()
        await connection.send(HEALTH.replace(b"/healthz", b"/first") + HEALTH)
        await arrived.wait()
        await connection.close()
        await asyncio.wait_for(heard.wait(), 5)
    assert begun == ["/first"]
