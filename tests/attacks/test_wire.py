"""The wire: framing that two readers read in two ways, and requests behind requests (RFC 9112 §11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.attacks.wire import CHUNKED, HEAD, HONEST, TOKEN, TWO, Wire, answers, fill, wired


def broken_rows() -> Iterator[Any]:
    """Messages that are no HTTP, or two kinds of it: 400, the connection ends, nothing reaches the app."""
    length = {
        "length and chunks": b"Content-Length: 2\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
        "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        "one length twice": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "a list of lengths": b"Content-Length: 2, 2\r\n\r\n{}",
        "length and a second request in a fold": b"Content-Length: 2\r\n 00\r\n\r\n{}",
    }
    for value in (b"+2", b"-2", b"0x2", b"2_0", b"2.0", b"2e0", b"", b"9" * 20, b"2\x0b", b"\xd9\xa2", b"2 2", b"two"):
        length[f"length {value!r}"] = b"Content-Length: " + value + b"\r\n\r\n{}"
    for value in (
        *(
            b"identity",
            b"chunked, identity",
            b"xchunked",
            b'"chunked"',
            b"chunked;q=1",
            b"\x0bchunked",
            b"",
            b"chunked\0",
        ),
        *(
            b"chunked\r\nTransfer-Encoding: identity",
            b"chunked\r\nTransfer-Encoding: chunked",
            b"gzip",
            b"chunked, gzip",
        ),
    ):
        length[f"coding {value!r}"] = b"Transfer-Encoding: " + value + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    fields = {
        "a folded field": b"X: a\r\n b\r\n" + TWO,
        "a folded token": b"Authorization: Bearer\r\n @\r\n" + TWO,
        "a fold in front": b" X: a\r\n" + TWO,
        "a blank before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "a tab before the colon": b"Content-Length\t: 2\r\n\r\n{}",
        "a blank in a name": b"X Y: a\r\n" + TWO,
        "no colon": b"XYZ\r\n" + TWO,
        "no name": b": a\r\n" + TWO,
        "a NUL in a value": b"X: a\0b\r\n" + TWO,
        "a NUL in a name": b"X\0: a\r\n" + TWO,
        "a newline alone": b"X: a\nY: b\r\n" + TWO,
        "a return alone": b"X: a\rY: b\r\n" + TWO,
        "newlines alone at the end": b"Content-Length: 2\n\n{}",
        "a name beyond ASCII": "X\u00e4: a\r\n".encode() + TWO,
    }
    chunks = {
        "no number": b"zz\r\n{}\r\n0\r\n\r\n",
        "a negative number": b"-2\r\n{}\r\n0\r\n\r\n",
        "0x in front": b"0x2\r\n{}\r\n0\r\n\r\n",
        "a number beyond measure": b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n",
        "more than it says": b"2\r\n{} \r\n0\r\n\r\n",
        "less than it says": b"4\r\n{}\r\n0\r\n\r\n",
        "newlines alone": b"2\n{}\n0\n\n",
        "a blank behind its number": b"2 \r\n{}\r\n0\r\n\r\n",
        "no number at all": b"\r\n{}\r\n0\r\n\r\n",
        "a length among its trailers": b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
    }
    for name, rest in (length | fields).items():
        yield pytest.param(HEAD + TOKEN + rest, id=name)
    for name, rest in chunks.items():
        yield pytest.param(HEAD + TOKEN + CHUNKED + rest, id=f"a chunk with {name}")
    lines = {
        "newlines alone throughout": HONEST.replace(b"\r\n", b"\n"),
        "a first line with tabs": HONEST.replace(b"POST /mcp ", b"POST\t/mcp\t"),
        "a blank in the target": HONEST.replace(b"/mcp", b"/mcp x"),
        "a target beyond ASCII": HONEST.replace(b"/mcp", b"/mcp\xff"),
        "a target without a slash": HONEST.replace(b"/mcp", b"mcp"),
        "a target with a backslash": HONEST.replace(b"/mcp", b"\\mcp"),
        "a target with a NUL": HONEST.replace(b"/mcp", b"/mcp\0"),
        "a method in lower case": HONEST.replace(b"POST", b"post"),
        "a method nobody knows": HONEST.replace(b"POST", b"EVIL"),
        "HTTP 1.2": HONEST.replace(b"HTTP/1.1", b"HTTP/1.2"),
        "HTTP 11": HONEST.replace(b"HTTP/1.1", b"HTTP/11"),
        "http in lower case": HONEST.replace(b"HTTP/1.1", b"http/1.1"),
        "another protocol": HONEST.replace(b"HTTP/1.1", b"ICY/1.1"),
        "HTTP 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "a tunnel": b"CONNECT gw.example:80 HTTP/1.1\r\nHost: gw.example\r\n\r\n",
        "bytes": bytes(range(128, 256)) * 4,
    }
    for name, data in lines.items():
        yield pytest.param(data, id=name)


@pytest.mark.parametrize("data", list(broken_rows()))
async def test_ambiguous_message_is_refused_and_ends_its_connection(data: bytes) -> None:
    async with wired() as wire:
        connection = await wire.connect()
        await connection.send(fill(wire, data) + fill(wire, HONEST))  # what is behind it goes with it
        assert await connection.status() == 400
        assert await connection.status() == 0
        assert wire.reached == 0
        await connection.close()
        assert await answers(wire, HONEST) == [200]


SMUGGLED = b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer @\r\nContent-Length: 2\r\n\r\n{}"
LONG = b"%d" % (5 * 1024 * 1024)

SEQUENCES: list[Any] = [
    pytest.param([HONEST], [200], 1, id="an honest request"),
    pytest.param([HEAD + TWO], [401], 0, id="no token"),
    pytest.param(
        [HEAD + b"Content-Length: #\r\n\r\n", SMUGGLED], [401], 0, id="a request as the body of a refused one"
    ),
    pytest.param(
        [HEAD + b"Authorization: Bearer a.b.c\r\nContent-Length: #\r\n\r\n", SMUGGLED],
        [401],
        0,
        id="a request as the body of one with a bad token",
    ),
    pytest.param(
        [HEAD + CHUNKED + b"@#\r\n", SMUGGLED, b"\r\n0\r\n\r\n"], [401], 0, id="a request as a chunk of a refused one"
    ),
    pytest.param(
        [b"GET /healthz HTTP/1.1\r\nHost: gw.example\r\nContent-Length: #\r\n\r\n", SMUGGLED],
        [200],
        0,
        id="a request as the body of a GET of something public",
    ),
    pytest.param(
        [HEAD + b"Content-Length: 0\r\n\r\n", HONEST], [401, 200], 1, id="a refused request, then an honest one"
    ),
    pytest.param([HONEST, HEAD + TWO], [200, 401], 1, id="an honest request, then one without a token"),
    pytest.param(
        [HONEST, HEAD + TWO, HONEST, HEAD + TWO] * 10, [200, 401] * 20, 20, id="honest ones and others in turn"
    ),
    pytest.param(
        [HONEST, HEAD + b"Authorization: Bearer @x\r\n" + TWO, HONEST], [200, 401, 200], 2, id="a forged one between"
    ),
    pytest.param(
        [HEAD + CHUNKED + b"2\r\n{}\r\n0\r\n" + TOKEN + b"\r\n"], [401], 0, id="a token in the trailers of a request"
    ),
    pytest.param(
        [HEAD + b"Trailer: authorization\r\n" + CHUNKED + b"0\r\n" + TOKEN + b"\r\n"],
        [401],
        0,
        id="an announced trailer",
    ),
    pytest.param(
        [HEAD + TOKEN + CHUNKED + b"2\r\n{}\r\n0\r\n" + TOKEN + b"\r\n"], [200], 1, id="a second token in the trailers"
    ),
    pytest.param([HEAD + b"Host: evil.test\r\n" + TOKEN + TWO], [421], 0, id="a second host"),
    pytest.param([HEAD.replace(b"Host:", b"Host: evil.test\r\nHost:") + TOKEN + TWO], [400], 0, id="two hosts"),
    pytest.param([HONEST.replace(b"Host: gw.example\r\n", b"")], [421], 0, id="no host"),
    pytest.param([HEAD.replace(b"/mcp", b"http://evil.test/mcp") + TWO], [401], 0, id="an absolute target"),
    pytest.param([HEAD.replace(b"/mcp", b"http://gw.example/mcp/../x") + TOKEN + TWO], [404], 0, id="dots in one"),
    pytest.param([HEAD.replace(b"/mcp", b"/%6dcp") + TWO], [401], 0, id="an escaped target"),
    pytest.param([HEAD.replace(b"/mcp", b"/mcp#/healthz") + TWO], [401], 0, id="a fragment"),
    pytest.param([b"OPTIONS * HTTP/1.1\r\nHost: gw.example\r\n\r\n"], [404], 0, id="a star"),
    pytest.param([b"\r\n\r\n" + HONEST], [200], 1, id="empty lines in front"),
    pytest.param([HEAD + b"Authorization: Bearer @ \t \r\n" + TWO], [200], 1, id="white space behind the token"),
    pytest.param([HEAD + b"Authorization:Bearer @\r\n" + TWO], [200], 1, id="no blank behind the colon"),
    pytest.param([HEAD + b"authorization: bearer @\r\n" + TWO], [200], 1, id="everything in lower case"),
    pytest.param([HEAD + b"Authorization: Bearer @, Bearer @\r\n" + TWO], [400], 0, id="two tokens in a field"),
    pytest.param([HEAD + TOKEN + TOKEN + TWO], [400], 0, id="two fields"),
    pytest.param([HEAD + b"Authorization_: Bearer @\r\n" + TWO], [401], 0, id="an underscore behind the name"),
    pytest.param([HEAD + TOKEN + b"X-Forwarded-Host: evil.test\r\n" + TWO], [200], 1, id="a forwarding field"),
    pytest.param([HEAD + TOKEN + CHUNKED + b"2;a=b\r\n{}\r\n0\r\n\r\n"], [200], 1, id="a chunk with an extension"),
    pytest.param([HEAD + TOKEN + b"Transfer-Encoding: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n"], [200], 1, id="CHUNKED"),
]
ENDING: list[Any] = [
    pytest.param([HEAD + TOKEN + b"Connection: close\r\n" + TWO, HONEST], [200], 1, id="a request behind the last one"),
    pytest.param([HEAD + b"Connection: close\r\n" + TWO, HONEST], [401], 0, id="one behind a refused last one"),
    pytest.param([HONEST.replace(b"HTTP/1.1", b"HTTP/1.0"), HONEST], [200], 1, id="one behind HTTP 1.0"),
    pytest.param([HEAD + TOKEN + b"Content-Length: " + LONG + b"\r\n\r\n", SMUGGLED], [413], 0, id="a body too large"),
    pytest.param([b"GET /mcp\r\n\r\n"], [421], 0, id="HTTP 0.9"),
    *(
        pytest.param(
            [b"GET /mcp HTTP/1.1\r\nHost: gw.example\r\n" + token + upgrade + b"\r\n\r\n", HONEST],
            [status],
            reached,
            id=f"upgrade to {upgrade.rpartition(b' ')[2].decode()}, answered with {status}",
        )
        for upgrade in (b"Connection: Upgrade\r\nUpgrade: websocket", b"Connection: Upgrade\r\nUpgrade: h2c")
        for token, status, reached in ((b"", 401, 0), (TOKEN, 200, 1))
    ),
]


def measured(requests: list[bytes], wire: Wire) -> list[bytes]:
    """The requests, with the length of the smuggled one where `#` stands: in decimal, or in hexadecimal after `@`."""
    length = len(fill(wire, SMUGGLED))
    return [r.replace(b"@#", b"%x" % length).replace(b"#\r", b"%d\r" % length) for r in requests]


@pytest.mark.parametrize(("requests", "statuses", "reached"), SEQUENCES)
async def test_every_request_of_a_connection_is_judged_by_itself(
    requests: list[bytes], statuses: list[int], reached: int
) -> None:
    async with wired() as wire:
        assert await answers(wire, *measured(requests, wire)) == statuses
        assert wire.reached == reached
        assert all(b"authorization" not in dict(scope["headers"]) for scope in wire.door.app.scopes)


@pytest.mark.parametrize(("requests", "statuses", "reached"), ENDING)
async def test_nothing_behind_the_last_request_is_answered(
    requests: list[bytes], statuses: list[int], reached: int
) -> None:
    async with wired() as wire:
        assert await answers(wire, *measured(requests, wire), ends=True) == statuses
        assert wire.reached == reached


async def test_trailers_reach_neither_gate_nor_app() -> None:
    async with wired() as wire:
        trailers = b"X-Forwarded-User: root\r\nMcp-Name: admin\r\nHost: evil.test\r\n\r\n"
        assert await answers(wire, HEAD + TOKEN + CHUNKED + b"2\r\n{}\r\n0\r\n" + trailers) == [200]
        assert {name for name, _ in wire.door.app.scopes[-1]["headers"]} == {b"host", b"transfer-encoding"}
        # The same, when they come after the request was handed on.
        connection = await wire.connect()
        await connection.send(fill(wire, HEAD + TOKEN + CHUNKED) + b"2\r\n{}\r\n")
        await connection.send(b"0\r\n" + trailers)
        assert await connection.status() == 200
        assert await connection.is_open()
        assert {name for name, _ in wire.door.app.scopes[-1]["headers"]} == {b"host", b"transfer-encoding"}
        await connection.close()
