"""However the bytes of requests are cut into pieces, the app gets the same requests and the client the same answers."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from deploy.http1 import NOT_HTTP, Http1
from deploy.server import configuration
from tests.deploy.test_cycle import Sink

Seen = tuple[str, str, bytes]

REQUESTS: dict[bytes, Seen] = {
    b"GET /a?b=c HTTP/1.1\r\nHost: gw.example\r\n\r\n": ("GET", "/a", b""),
    b"HEAD / HTTP/1.1\r\nHost: gw.example\r\nX-A: \t b \t\r\n\r\n": ("HEAD", "/", b""),
    b"POST /%20 HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /": ("POST", "/ ", b"GET /"),
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: r\r\n\r\n": (
        "PUT",
        "/c",
        b"abcde",
    ),
    b"POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n!": ("POST", "/e", b"!"),
}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it saw."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    seen = (scope["method"], scope["path"], body)
    scope["state"]["seen"].append(seen)
    said = repr(seen).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


async def served(pieces: list[bytes]) -> tuple[list[Seen], bytes]:
    """What the app saw and what the client got."""
    seen: list[Seen] = []
    config = configuration(echo, 1)
    config.load()
    state, sink = ServerState(), Sink()
    http = Http1(config, state, {"seen": seen})
    http.connection_made(sink)
    for piece in pieces:
        http.data_received(piece)
        await asyncio.sleep(0)
    while state.tasks:  # as one ends, the next begins
        await asyncio.wait(state.tasks)
    http.connection_lost(None)
    return seen, b"".join(sink.written).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % len(data) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


@given(st.lists(st.sampled_from(list(REQUESTS)), min_size=1, max_size=6), st.lists(st.integers(0, 10_000), max_size=60))
def test_cuts_change_nothing(requests: list[bytes], places: list[int]) -> None:
    seen, written = asyncio.run(served(cut(b"".join(requests), places)))
    assert seen == [REQUESTS[request] for request in requests]
    answers = [repr(REQUESTS[request]).encode() for request in requests]
    heads = [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer) for answer in answers]
    bodies = [b"" if request.startswith(b"HEAD") else answer for request, answer in zip(requests, answers, strict=True)]
    assert written == b"".join(head + body for head, body in zip(heads, bodies, strict=True))


@given(st.binary(max_size=300), st.lists(st.integers(0, 10_000), max_size=20))
def test_bytes_of_no_http_end_the_connection_and_reach_nobody(noise: bytes, places: list[int]) -> None:
    seen, written = asyncio.run(served(cut(b"\x00" + noise, places)))
    assert not seen
    assert written == NOT_HTTP
    head, _, sentence = written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-length: %d\r\nconnection: close" % len(sentence) in head
