"""One GET on one connection: what is an answer, what is none, and that httpx, where it has to serve, says the same."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.exchange import (
    HEAD_BYTES,
    Answer,
    Broken,
    Head,
    NotConnected,
    Reading,
    Target,
    exchange,
    network,
    through_httpx,
)
from discovery.location import Location
from tests.discovery.raw_server import Server, answer

Carrier = Callable[[Target], AbstractAsyncContextManager[Answer]]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def ours(target: Target) -> AbstractAsyncContextManager[Answer]:
    return exchange(target, None)


def httpx(target: Target) -> AbstractAsyncContextManager[Answer]:
    return through_httpx(target, network(None))


def target(port: int, seconds: float = 5) -> Target:
    return Target(Location.of(f"http://127.0.0.1:{port}/keys?a=b"), "127.0.0.1", seconds, 5)


async def got(carrier: Carrier, port: int) -> tuple[Head, bytes]:
    async with carrier(target(port)) as (head, chunks):
        return head, b"".join([chunk async for chunk in chunks])


async def read(reading: Reading) -> tuple[Head, bytes]:
    return await reading.head(), b"".join([chunk async for chunk in reading.body()])


both = pytest.mark.parametrize("carrier", [pytest.param(ours, id="ours"), pytest.param(httpx, id="httpx")])


@both
@pytest.mark.parametrize(
    ("sent", "body"),
    [
        pytest.param(answer(b"{}"), b"{}", id="of a length"),
        pytest.param(answer(b""), b"", id="empty"),
        pytest.param(CHUNKED + b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n", b"{}", id="in chunks"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n", b"{}", id="with trailers"),
        pytest.param(OK + b"\r\n{}", b"{}", id="until the connection ends"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n{}", b"{}", id="of HTTP/1.0"),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nX-Late: 1\r\n\r\n" + answer(b"{}"), b"{}", id="after an interim one"
        ),
        pytest.param(answer(b"{}") + answer(b"{[]}"), b"{}", id="before one nobody asked for"),
        pytest.param(answer(b"{}") + b"\0\0", b"{}", id="before what is nothing"),
        pytest.param(answer(b"x" * 300_000), b"x" * 300_000, id="long"),
    ],
)
async def test_answer_is_read(carrier: Carrier, sent: bytes, body: bytes) -> None:
    async with Server(sent).listening() as server:
        head, read = await got(carrier, server.port)
    assert (head.status, read) == (200, body)
    assert "x-late" not in head.headers


@both
async def test_request_and_head_are_the_same_whoever_carries_them(carrier: Carrier) -> None:
    async with Server(answer(b"{}", "X-Two:  a ", "x-two: b")).listening() as server:
        head, _ = await got(carrier, server.port)
    assert head.headers == {"content-type": "application/json", "content-length": "2", "x-two": "a, b"}
    (request,) = server.requests
    assert request == (
        f"GET /keys?a=b HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUser-Agent: bearergate\r\n"
        "Accept: application/json\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )


@both
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", id="half a head"),
        pytest.param(answer(b"{}")[:-1], id="half a body"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n", id="no last chunk"),
        pytest.param(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", id="a chunk of no length"),
        pytest.param(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", id="two lengths"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n{}", id="no length"),
        pytest.param(OK + b"X: a\0b\r\n\r\n{}", id="a byte that no head has"),
        pytest.param(
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", id="a coding nobody asked for"
        ),
        pytest.param(OK + b"X: " + b"x" * 200_000, id="a head without end"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nX: " + b"x" * 200_000, id="trailers without end"),
    ],
)
async def test_what_is_no_answer_is_broken(carrier: Carrier, sent: bytes) -> None:
    async with Server(sent).listening() as server:
        with pytest.raises(Broken):
            await got(carrier, server.port)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="an upgrade"),
        pytest.param(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", id="both lengths"),
    ],
)
async def test_what_httpx_would_take_is_broken(sent: bytes) -> None:
    async with Server(sent).listening() as server:
        with pytest.raises(Broken):
            await got(ours, server.port)


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(OK + b"X: ", id="a field"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nX: ", id="a trailer"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n1;", id="the extension of a chunk"),
    ],
)
async def test_what_has_no_end_is_given_up(beginning: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(beginning + b"x" * 2 * HEAD_BYTES)
    reading = Reading(reader)
    with pytest.raises(Broken, match="beyond all measure"):  # and not a time-out, while it waits for more
        await asyncio.wait_for(read(reading), 10)


@both
async def test_nobody_listens(carrier: Carrier) -> None:
    async with Server(b"").listening() as server:
        port = server.port
    with pytest.raises(NotConnected):
        await got(carrier, port)


async def test_connection_that_takes_too_long_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        asked = target(listening.getsockname()[1], seconds=0)
        with pytest.raises(NotConnected, match="no answer in time"):
            await ours(asked).__aenter__()


async def test_connection_ends_with_whoever_reads_no_further() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with Server(endless).listening() as server, ours(target(server.port)) as (head, _):
        assert head.status == 200  # and the server waits until the other side hangs up


async def test_connection_that_is_torn_down_is_broken() -> None:
    async def tear(writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with Server(tear).listening() as server:
        with pytest.raises(Broken):
            await got(ours, server.port)


@given(sent=st.binary(max_size=200) | st.binary(max_size=50).map(lambda data: CHUNKED + data))
async def test_no_bytes_break_it(sent: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(sent)
    reader.feed_eof()
    try:
        head, _ = await read(Reading(reader))
    except Broken:
        return
    assert 200 <= head.status <= 999
