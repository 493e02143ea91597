"""What passes, in both directions: to the letter, as it comes, over connections that are kept."""

from __future__ import annotations

import asyncio

from tests.gateway.upstream.scripted import OK, STREAM, Talk, asked, before, proxy, saying, upstream

BIG = bytes(range(256)) * 4096  # 1 MiB


async def test_request_and_answer_pass_to_the_letter() -> None:
    async with upstream(saying(OK)) as behind:
        (answer,) = await asked(
            proxy(behind.url), {"body": b'{"a": 1}', "Mcp_Param_Foo": "=?base64?4pyT?=", "X_Own": "1"}
        )
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"{}", "application/json")
    head, _, body = behind.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert body == b'{"a": 1}'
    assert lines[0] == b"POST /mcp HTTP/1.1"
    assert sorted(lines[1:]) == [
        b"content-length: 8",
        b"host: 127.0.0.1:%d" % behind.port,
        b"mcp-param-foo: =?base64?4pyT?=",
        b"x-own: 1",
    ]


async def test_connection_serves_one_request_after_another() -> None:
    async with upstream(saying(OK)) as behind:
        answers = await asked(proxy(behind.url), *[{}] * 5)
    assert [answer.status for answer in answers] == [200] * 5
    assert len(behind.talks) == 1


async def test_connection_that_the_upstream_closed_while_unused_is_not_used() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(OK)

    async with upstream(script) as behind:
        answers = await asked(proxy(behind.url), *[{}] * 3)
    assert [answer.status for answer in answers] == [200] * 3
    assert len(behind.talks) == 3


async def test_large_bodies_stream_both_ways() -> None:
    async def echo(talk: Talk) -> None:
        body = (await talk.request()).partition(b"\r\n\r\n")[2]
        await talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with upstream(echo) as behind:
        (answer,) = await asked(proxy(behind.url), {"body": BIG})
    assert answer.body == BIG
    assert b"content-length: %d\r\n" % len(BIG) in behind.requests[0]


async def test_upload_is_passed_on_before_it_is_complete() -> None:
    got = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.head()
        assert await talk.reader.readexactly(5) == b"first"
        got.set()
        assert await talk.reader.readexactly(6) == b"second"
        await talk.say(OK)

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        client.writer.write(b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 11\r\n\r\nfirst")
        await asyncio.wait_for(got.wait(), 5)
        client.writer.write(b"second")
        assert (await client.answer()).status == 200


async def test_chunked_request_is_sent_with_its_length() -> None:
    async with upstream(saying(OK)) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        client.writer.write(b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        client.writer.write(b"1\r\n}\r\n0\r\n\r\n")
        assert (await client.answer()).status == 200
    assert b"content-length: 2\r\n" in behind.requests[0]
    assert behind.requests[0].endswith(b"\r\n\r\n{}")
    assert b"transfer-encoding" not in behind.requests[0]


async def test_answer_may_come_before_the_request_is_complete() -> None:
    async def script(talk: Talk) -> None:
        await talk.head()
        await talk.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await talk.closed()

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        client.writer.write(b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 100\r\n\r\nfirst")
        answer = await client.answer()
    assert (answer.status, answer.body) == (413, b"no")


async def test_each_event_passes_as_it_comes() -> None:
    seen = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(STREAM)
        for number in range(3):
            await talk.event(str(number))
            await seen.wait()
            seen.clear()
        await talk.say(b"0\r\n\r\n")

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        await client.send()
        head = await client.until(b"\r\n\r\n")
        assert b"x-accel-buffering: no\r\n" in head
        for number in range(3):
            assert await client.until(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
            seen.set()
        assert await client.until(b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_answer_that_ends_with_the_connection_is_complete() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall ")
        await talk.say(b"of it")

    async with upstream(script) as behind:
        (answer,) = await asked(proxy(behind.url))
    assert (answer.status, answer.body, answer.complete) == (200, b"all of it", True)


async def test_answers_without_a_body_end_with_their_head() -> None:
    answers = [
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ]
    async with upstream(saying(*answers)) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        for status in (202, 204, 204, 304):
            await client.send("DELETE", body=b"")
            assert f" {status} ".encode() in await client.until(b"\r\n\r\n")
    assert len(behind.talks) == 1


async def test_head_gets_the_head_and_no_more() -> None:
    async with (
        upstream(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as behind,
        before(proxy(behind.url)) as connect,
    ):
        client = await connect()
        for _ in range(2):
            await client.send("HEAD", body=b"")
            head = await client.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert b"content-length: 5" in head
    assert [request.split(b" ")[0] for request in behind.requests] == [b"HEAD"] * 2


async def test_interim_answers_are_skipped() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with upstream(saying(interim + OK)) as behind:
        answers = await asked(proxy(behind.url), {}, {})
    assert [(answer.status, "link" in answer.headers) for answer in answers] == [(200, False)] * 2
    assert len(behind.talks) == 1


async def test_many_requests_at_once_share_few_connections_and_all_are_answered() -> None:
    async with upstream(saying(OK)) as behind, before(proxy(behind.url)) as connect:
        clients = [await connect() for _ in range(200)]
        for client in clients:
            await client.send()
        answers = await asyncio.gather(*(client.answer() for client in clients))
    assert {answer.status for answer in answers} == {200}
    assert len(behind.requests) == 200
    assert len(behind.talks) <= 200


async def test_connection_unused_for_long_is_closed() -> None:
    async with upstream(saying(OK)) as behind, before(proxy(behind.url, keep_alive_seconds=0.05)) as connect:
        client = await connect()
        await client.send()
        await client.answer()
        await asyncio.wait_for(behind.talks[0].writer.wait_closed(), 5)
