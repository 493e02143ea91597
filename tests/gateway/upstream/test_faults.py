"""Upstreams that refuse, hang, break off or talk nonsense, and clients that go: every fault has its clear end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any

import pytest

from tests.gateway.upstream.scripted import (
    OK,
    SECONDS,
    STREAM,
    Client,
    Script,
    Talk,
    asked,
    before,
    proxy,
    saying,
    then_closing,
    upstream,
)

MODERN: dict[str, Any] = {"MCP_Protocol_Version": "2026-07-28"}
LEGACY: dict[str, Any] = {"MCP_Protocol_Version": "2025-11-25"}


async def refused(script: Script, status: int, reason: str, **settings: Any) -> None:
    """An upstream of this script makes the proxy answer so."""
    log: list[bytes] = []
    async with upstream(script) as behind:
        (answer,) = await asked(proxy(behind.url, log=log, **settings))
    assert answer.status == status
    error = json.loads(answer.body)["error"]
    assert error["message"].endswith(".")
    line = json.loads(log[0])
    assert (line["reason"], line["id"], line["subject"]) == (reason, error["data"]["refusal"], "alice")
    assert "www-authenticate" not in answer.headers


async def hangs(talk: Talk) -> None:
    """An upstream that takes a request and says nothing."""
    await talk.request()
    await talk.closed()


async def test_upstream_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
    (answer,) = await asked(proxy(f"http://127.0.0.1:{port}/mcp"))
    assert answer.status == 502


async def test_upstream_without_an_address() -> None:
    (answer,) = await asked(proxy("http://nowhere.invalid/mcp"))
    assert answer.status == 502


async def test_upstream_that_takes_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        (answer,) = await asked(proxy(f"http://127.0.0.1:{full.getsockname()[1]}/mcp", connect_seconds=0.2))
        for filler in fillers:
            filler.close()
    assert answer.status == 504


async def test_upstream_that_never_answers() -> None:
    await refused(hangs, 504, "upstream_timeout", first_byte_seconds=0.2)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n", id="interim answers alone"),
        pytest.param(b"", id="a head, byte by byte"),
    ],
)
async def test_answer_that_never_begins_however_much_comes_before_it(piece: bytes) -> None:
    async def drips(talk: Talk) -> None:
        await talk.request()
        if not piece:
            await talk.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            await talk.say(piece or b"x")
            await asyncio.sleep(0.05)

    await refused(drips, 504, "upstream_timeout", first_byte_seconds=0.5)


async def test_answer_that_stops_in_the_middle_is_cut_short() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await talk.closed()

    async with upstream(script) as behind:
        (answer,) = await asked(proxy(behind.url, idle_seconds=0.2))
    assert (answer.status, answer.complete, answer.body) == (200, False, b"half")


async def test_event_stream_may_be_silent_for_longer_than_any_time_out() -> None:
    quiet = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(STREAM)
        await quiet.wait()
        await talk.event("late")
        await talk.say(b"0\r\n\r\n")

    quick: dict[str, Any] = {"idle_seconds": 0.1, "first_byte_seconds": 0.2}
    async with upstream(script) as behind, before(proxy(behind.url, **quick)) as connect:
        client = await connect()
        await client.send()
        await client.until(b"\r\n\r\n")
        asyncio.get_running_loop().call_later(0.6, quiet.set)
        assert await client.until(b"\n\n\r\n0\r\n\r\n") == b"c\r\ndata: late\n\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", id="half a head"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="an interim answer alone"),
    ],
)
async def test_upstream_that_hangs_up_before_its_head_is_complete(said: bytes) -> None:
    await refused(then_closing(said), 502, "upstream_broken")


@pytest.mark.parametrize(
    ("said", "came"),
    [
        pytest.param(b"Content-Length: 10\r\n\r\n12345", b"12345", id="of known length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", b"12345", id="between chunks"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\na\r\n12345", b"12345", id="in a chunk"),
        pytest.param(
            b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: x\n\r\n",
            b"data: x\n",
            id="in an event",
        ),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n\0\1\2", b"12345", id="noise between chunks"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345HTTP", b"12345", id="noise after a chunk"),
    ],
)
async def test_answer_that_breaks_off_is_not_taken_for_a_whole_one(said: bytes, came: bytes) -> None:
    async with upstream(then_closing(b"HTTP/1.1 200 OK\r\n" + said)) as behind:
        (answer,) = await asked(proxy(behind.url))
    assert (answer.status, answer.body, answer.complete) == (200, came, False)


LINE = b"HTTP/1.1 200 OK\r\n"
SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="another protocol"),
        pytest.param(b"\0\1\2\3" * 100, id="noise"),
        pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", id="a status beyond all classes"),
        pytest.param(b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n", id="status zero"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="switching protocols"),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", id="switching protocols without a name"),
        pytest.param(
            LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and chunks"
        ),
        pytest.param(
            LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", id="chunks and length"
        ),
        pytest.param(LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", id="two lengths"),
        pytest.param(LINE + b"Content-Length: 2, 3\r\n\r\n{}", id="a list of lengths"),
        pytest.param(LINE + b"Content-Length: +2\r\n\r\n{}", id="a signed length"),
        pytest.param(LINE + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}", id="folded line"),
        pytest.param(LINE + b"X-A: b\rc\r\nContent-Length: 2\r\n\r\n{}", id="bare CR"),
        pytest.param(LINE + b"X-A: b\nX-B: c\r\nContent-Length: 2\r\n\r\n{}", id="bare LF"),
        pytest.param(LINE + b"X-A: b\0c\r\nContent-Length: 2\r\n\r\n{}", id="NUL"),
        pytest.param(LINE + b"X A: b\r\nContent-Length: 2\r\n\r\n{}", id="blank in a name"),
        pytest.param(LINE + b"X-A : b\r\nContent-Length: 2\r\n\r\n{}", id="blank before the colon"),
        pytest.param(LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="a further coding"),
        pytest.param(LINE + b"Transfer-Encoding: gzip\r\n\r\nx", id="an unknown coding"),
        pytest.param(
            LINE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="twice chunked"
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks in HTTP/1.0"),
        pytest.param(LINE + b"X-A: b\r\n" * 300 + b"\r\n", id="too many fields"),
        pytest.param(LINE + b"X-A: " + b"b" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n", id="a head too large"),
        pytest.param(LINE + b"X-A: " + b"b" * 200_000, id="a head without end"),
        pytest.param(b"HTTP/1.1 103 Hints\r\nX: y\r\n\r\n" * 20_000, id="interim answers without end"),
    ],
)
async def test_garbage_is_refused(said: bytes) -> None:
    await refused(then_closing(said), 502, "upstream_broken")


async def test_second_answer_that_nobody_asked_for_answers_no_other_request() -> None:
    async with upstream(saying(OK + SMUGGLED)) as behind:
        answers = await asked(proxy(behind.url), {}, {})
    assert [answer.body for answer in answers] == [b"{}", b"{}"]
    assert len(behind.talks) == 2  # the first connection was not used again


async def test_what_an_upstream_says_unasked_answers_no_request() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(OK)
        await talk.say(SMUGGLED)
        await talk.closed()

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        for _ in range(2):
            client = await connect()
            await client.send()
            assert (await client.answer()).body == b"{}"
            await asyncio.wait_for(behind.talks[-1].writer.wait_closed(), 5)


async def test_trailers_are_dropped_and_have_a_bound() -> None:
    chunked = LINE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    async with upstream(saying(chunked + b"Set-Cookie: a=b\r\n\r\n")) as behind:
        (answer,) = await asked(proxy(behind.url))
    assert (answer.body, answer.complete, "set-cookie" in answer.headers) == (b"{}", True, False)
    async with upstream(then_closing(chunked + b"X: y\r\n" * 50_000)) as behind:
        (answer,) = await asked(proxy(behind.url))
    assert not answer.complete


async def test_no_more_connections_than_allowed() -> None:
    async with upstream(hangs) as behind, before(proxy(behind.url, max_connections=2)) as connect:
        clients = [await connect() for _ in range(3)]
        for client in clients[:2]:
            await client.send()
        await behind.arrived(2)
        await clients[2].send()
        assert (await clients[2].answer()).status == 503


async def test_head_beyond_the_limit_is_refused_before_the_upstream_hears_of_it() -> None:
    async with upstream(saying(OK)) as behind:
        (answer,) = await asked(proxy(behind.url, max_header_bytes=2048), {"X_A": "b" * 3000})
    assert (answer.status, behind.requests) == (431, [])


@pytest.mark.parametrize("head", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
async def test_body_beyond_the_limit_is_refused_before_the_upstream_hears_of_it(head: str) -> None:
    async with upstream(saying(OK)) as behind, before(proxy(behind.url, max_body_bytes=1024)) as connect:
        client = await connect()
        body = b"x" * 2000 if "Length" in head else b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n"
        client.writer.write(f"POST /mcp HTTP/1.1\r\nHost: gw.example\r\n{head}\r\n\r\n".encode() + body)
        assert (await client.answer()).status == 413
    assert behind.requests == []


async def test_endless_answer_is_read_no_faster_than_the_client_takes_it() -> None:
    sent = 0

    async def script(talk: Talk) -> None:
        nonlocal sent
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        while True:
            await talk.say(bytes(65536))
            sent += 65536

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send()
        last = -1
        async with asyncio.timeout(SECONDS):
            while sent != last or sent == 0:  # until nobody takes any more
                last = sent
                await asyncio.sleep(0.3)
        assert sent < 32 << 20  # what the sockets of three processes hold; the proxy itself holds some 64 KiB


async def test_100_gigabytes_that_come_slowly_pass_piece_by_piece() -> None:
    asked = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        while await asked.wait():
            asked.clear()
            await talk.say(b"a piece\n")

    async with upstream(script) as behind:
        app = proxy(behind.url, first_byte_seconds=0.3, idle_seconds=0.3)
        async with before(app) as connect:
            client = await connect()
            await client.send(**MODERN)
            assert b"content-length: 100000000000\r\n" in await client.until(b"\r\n\r\n")
            for _ in range(10):  # longer than any time-out, all in all
                await asyncio.sleep(0.1)
                asked.set()
                assert await client.until(b"\n") == b"a piece\n"
            (connection,) = app._pool._open
            assert connection._held == 0
            client.hang_up()
            await behind.talks[0].closed()


async def test_slow_reader_holds_nobody_up_and_misses_nothing() -> None:
    count, size = 4_000, 8_000  # more than all sockets on the way hold
    sent = 0

    async def script(talk: Talk) -> None:
        nonlocal sent
        while asked := await talk.request():
            if asked.startswith(b"GET"):
                await talk.say(STREAM)
                for sent in range(count):
                    await talk.event(f"{sent:>{size}}")
                await talk.say(b"0\r\n\r\n")
            else:
                await talk.say(OK)

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        slow, quick = await connect(), await connect()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await slow.send("GET", body=b"")
        last = -1
        async with asyncio.timeout(SECONDS):
            while sent != last or sent == 0:  # until nobody takes any more
                last = sent
                await asyncio.sleep(0.3)
        assert sent < count - 1
        await quick.send()
        assert (await quick.answer()).body == b"{}"
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        answer = await slow.answer()
    assert answer.complete
    assert [int(event[6:]) for event in answer.body.split(b"\n\n")[:-1]] == list(range(count))


async def test_slow_upstream_stops_the_client_not_the_memory() -> None:
    async def script(talk: Talk) -> None:
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with upstream(script) as behind:
        app = proxy(behind.url, max_body_bytes=1 << 30, first_byte_seconds=1)
        async with before(app) as connect:
            client = await connect()
            client.writer.write(b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 1000000000\r\n\r\n")
            taken = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.7):
                    while taken < 64 << 20:
                        client.writer.write(bytes(1 << 20))
                        await client.writer.drain()
                        taken += 1 << 20
            assert taken < 64 << 20
            assert (await client.answer()).status == 504


async def stays_until_closed(talk: Talk) -> None:
    """An upstream that streams an event, and waits."""
    await talk.request()
    await talk.say(STREAM)
    await talk.event("first")
    await talk.closed()


@pytest.mark.parametrize(
    ("method", "headers", "script"),
    [
        pytest.param("POST", MODERN, hangs, id="before the answer, 2026-07-28"),
        pytest.param("POST", MODERN, stays_until_closed, id="in a stream, 2026-07-28"),
        pytest.param("GET", LEGACY, hangs, id="listening, before the answer"),
        pytest.param("GET", LEGACY, stays_until_closed, id="listening"),
    ],
)
async def test_client_that_goes_takes_its_request_with_it(method: str, headers: dict[str, Any], script: Script) -> None:
    gone = asyncio.Event()

    async def noting(talk: Talk) -> None:
        await script(talk)
        gone.set()

    async with upstream(noting) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        await client.send(method, body=b"{}" if method == "POST" else b"", **headers)
        if script is stays_until_closed:
            await client.until(b"first")
        else:
            await behind.arrived()
        client.hang_up()
        await asyncio.wait_for(gone.wait(), 5)


async def test_client_that_goes_in_the_middle_of_its_request_leaves_none() -> None:
    gone = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.head()
        talk.upstream.requests.append(b"begun")
        await talk.closed()
        gone.set()

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        client.writer.write(b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 100\r\n\r\nhalf")
        await behind.arrived()
        client.hang_up()
        await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.parametrize("streaming", [False, True])
async def test_older_request_whose_client_goes_is_answered_to_the_end(streaming: bool) -> None:
    release, done = asyncio.Event(), asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        if streaming:
            await talk.say(STREAM)
            await talk.event("first")
        await release.wait()
        await talk.say(b"0\r\n\r\n" if streaming else OK)
        await talk.request()  # the connection is kept: it was not broken off
        done.set()

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        await client.send(**LEGACY)
        await (client.until(b"first") if streaming else behind.arrived())
        client.hang_up()
        await asyncio.sleep(0.3)  # longer than the proxy takes to find out
        release.set()
        other = await connect()
        await asyncio.sleep(0.1)
        await other.send()
        await asyncio.wait_for(done.wait(), 5)
        other.hang_up()
    assert len(behind.talks) == 1


async def test_answer_nobody_waits_for_is_read_for_a_bounded_time() -> None:
    gone = asyncio.Event()

    async def script(talk: Talk) -> None:
        await hangs(talk)
        gone.set()

    async with upstream(script) as behind, before(proxy(behind.url, detached_seconds=0.2)) as connect:
        client = await connect()
        await client.send(**LEGACY)
        await behind.arrived()
        client.hang_up()
        await asyncio.wait_for(gone.wait(), 5)


async def test_client_that_resumes_its_stream_is_the_only_reader() -> None:
    gone = asyncio.Event()

    async def script(talk: Talk) -> None:
        if (await talk.request()).startswith(b"GET"):
            await talk.say(OK)
            return
        await talk.say(STREAM)
        await talk.event("first")
        await talk.closed()
        gone.set()

    session = {**LEGACY, "Mcp_Session_Id": "one"}
    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client: Client = await connect()
        await client.send(**session)
        await client.until(b"first")
        client.hang_up()
        await asyncio.sleep(0.3)
        assert not gone.is_set()
        again = await connect()
        await again.send("GET", body=b"", Last_Event_ID="1", **session)
        assert (await again.answer()).status == 200
        await asyncio.wait_for(gone.wait(), 5)
