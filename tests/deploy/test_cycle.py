"""What an app may send as a response, how it leaves, and what an app is told of its request."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from deploy.cycle import CHUNKED, CONTINUE, MAX_KNOWN, Cycle, _beginnings, beginning
from deploy.http1 import HELD_BYTES, NOT_HTTP, Http1, _names
from deploy.http1 import MAX_KNOWN as MAX_NAMES
from deploy.server import configuration

GET = b"GET /a%20b?q=1 HTTP/1.1\r\nHost: gw.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 4\r\n\r\n"
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY: Message = {"type": "http.response.body", "body": b"{}"}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
TWICE = 2


class Sink(asyncio.Transport):
    """A client's side: keeps what is written to it, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.steps: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "what is written after the end is lost"
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.steps.append("pause")

    def resume_reading(self) -> None:
        self.steps.append("resume")


class State(dict[str, Any]):
    """What an app's start-up yields, watched."""


class Served:
    """A connection and an app that sends what a test says."""

    def __init__(self, *messages: Message | str) -> None:
        self.messages = messages
        self.scopes: list[Scope] = []
        self.heard: list[Message] = []
        self.sink = Sink()
        self.state = ServerState()
        self.config = configuration(self, 1)
        self.config.load()
        assert self.config.loaded_app is self
        self.http = Http1(self.config, self.state, {"of": "start-up"})
        self.http.connection_made(self.sink)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        for message in self.messages:
            if message == "receive":
                self.heard.append(await receive())
            elif message == "turn":
                await asyncio.sleep(0)
            else:
                assert not isinstance(message, str)
                await send(message)

    async def ask(self, *pieces: bytes) -> bytes:
        """What is written to the client by the time the app is done."""
        for piece in pieces:
            self.http.data_received(piece)
            await asyncio.sleep(0)
        await asyncio.gather(*self.state.tasks)
        await asyncio.sleep(0)
        return b"".join(self.sink.written)

    def end(self) -> None:
        self.http.connection_lost(None)


def start(*fields: str, status: int = 200) -> Message:
    headers = [
        (name.encode(), value.strip(" ").encode()) for name, _, value in (each.partition(": ") for each in fields)
    ]
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_head_and_body_leave_in_one_write() -> None:
    served = Served(START, body(b"{", more=True), body(b"}"))
    await served.ask(GET)
    assert served.sink.written == [HEAD + b"{", b"}"]
    served.end()


async def test_head_without_body_leaves_with_the_turn() -> None:
    served = Served(START, "turn", "turn", BODY)
    await served.ask(GET)
    assert served.sink.written == [HEAD, b"{}"]
    served.end()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_body_may_be_any_bytes(kind: Callable[[bytes], Any]) -> None:
    served = Served(start(), {"type": "http.response.body", "body": kind(b"ab"), "more_body": 1}, body(b""))
    assert await served.ask(GET) == b"HTTP/1.1 200 OK\r\n%b\r\n\r\n2\r\nab\r\n0\r\n\r\n" % CHUNKED
    served.end()


async def test_app_is_told_of_the_request_as_asgi_has_it() -> None:
    served = Served(START, BODY)
    await served.ask(GET)
    assert served.scopes == [
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": None,
            "client": None,
            "scheme": "http",
            "root_path": "",
            "method": "GET",
            "path": "/a b",
            "raw_path": b"/a%20b",
            "query_string": b"q=1",
            "headers": [(b"host", b"gw.example")],
            "state": {"of": "start-up"},
        }
    ]
    assert served.state.total_requests == 1
    served.end()


RESPONSES: list[Any] = [
    pytest.param([start(), body(b"ab")], b"HTTP/1.1 200 OK\r\n%b\r\n\r\n2\r\nab\r\n0\r\n\r\n" % CHUNKED, id="chunked"),
    pytest.param(
        [start("transfer-encoding: Chunked"), body(b"a", more=True), body(b"")],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        id="chunked, as the app says",
    ),
    pytest.param([start(status=204), body(b"")], b"HTTP/1.1 204 No Content\r\n\r\n", id="no content"),
    pytest.param([start(status=304), body(b"")], b"HTTP/1.1 304 Not Modified\r\n\r\n", id="not modified"),
    pytest.param([start("X-A: b", status=299), body(b"")], b"HTTP/1.1 299 \r\nx-a: b\r\n", id="a status of no name"),
    pytest.param([START, body(b"", more=True), BODY], HEAD + b"{}", id="an empty piece"),
    pytest.param([START, "turn", "turn", body(b"", more=True), BODY], HEAD + b"{}", id="an empty piece, later"),
    pytest.param(
        [start("connection: close", "content-length: 0"), body(b"")],
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        id="the last, as the app says",
    ),
]


@pytest.mark.parametrize(("messages", "written"), RESPONSES)
async def test_response_is_framed(messages: list[Message | str], written: bytes) -> None:
    served = Served(*messages)
    assert (await served.ask(GET)).startswith(written)
    assert served.sink.closed == (b"close" in written)
    served.end()


async def test_head_has_no_body_whatever_its_length() -> None:
    served = Served(START, BODY)
    assert await served.ask(b"HEAD / HTTP/1.1\r\nHost: gw.example\r\n\r\n") == HEAD
    assert not served.sink.closed
    served.end()


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("field", [b"", b"Connection: keep-alive\r\n"])
async def test_client_of_http_1_0_gets_no_chunks_and_the_end_of_the_connection(length: bool, field: bytes) -> None:
    served = Served(START if length else start(), body(b"{", more=True), body(b"}"))
    written = await served.ask(b"GET / HTTP/1.0\r\nHost: gw.example\r\n%b\r\n" % field)
    assert written.endswith(b"\r\nconnection: close\r\n\r\n{}")
    assert b"chunked" not in written
    assert served.sink.closed
    served.end()


async def test_last_request_of_a_connection_is_told_so_and_what_follows_is_not_served() -> None:
    served = Served(START, BODY)
    written = await served.ask(GET[:-2] + b"Connection: close\r\n\r\n" + GET)
    assert written == HEAD[:-2] + b"connection: close\r\n\r\n{}"
    assert served.sink.closed
    assert len(served.scopes) == 1
    served.end()


async def test_own_lines_of_the_server_come_first() -> None:
    served = Served(START, BODY)
    served.state.default_headers = [(b"date", b"Sat, 21 Nov 2026 22:00:00 GMT")]
    assert (await served.ask(GET)).startswith(b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 22:00:00 GMT\r\ncontent")
    served.end()


FAULTS: list[Any] = [
    pytest.param([BODY], id="a body without a head"),
    pytest.param([start("a: b\r\nc: d")], id="a line break in a header"),
    pytest.param([start("a: b\nc")], id="half of one"),
    pytest.param([start("a: b\0")], id="NUL in a header"),
    pytest.param([start("a b: c")], id="a name that is none"),
    pytest.param([start("a:b: c")], id="a name with a colon"),
    pytest.param([start("transfer-encoding: gzip")], id="another transfer coding"),
    pytest.param([start("transfer-encoding: chunked", "content-length: 2")], id="chunked, and a length"),
    pytest.param([start("content-length: two")], id="a length that is none"),
    pytest.param([], id="nothing"),
    pytest.param(["turn", {"type": "websocket.accept"}], id="something else"),
]


@pytest.mark.parametrize("messages", FAULTS)
async def test_app_that_sends_no_response_gets_500_in_its_place(
    messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(*messages)
    written = await served.ask(GET)
    assert written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert written.endswith(b"connection: close\r\n\r\nThis request cannot be answered; the server's log says why.")
    assert served.sink.closed
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    served.end()


HALVES: list[Any] = [
    pytest.param([START, body(b"{", more=True)], HEAD + b"{", id="it stops"),
    pytest.param([START, body(b"{")], HEAD, id="less than its length"),
    pytest.param([START, body(b"{}}", more=True)], HEAD, id="more than its length"),
    pytest.param([START, START], HEAD, id="a second head"),
]


@pytest.mark.parametrize(("messages", "written"), HALVES)
async def test_half_of_a_response_is_not_taken_for_the_whole(
    messages: list[Message], written: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(*messages)
    assert await served.ask(GET) == written
    assert served.sink.closed
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    served.end()


async def test_response_is_over_once(caplog: pytest.LogCaptureFixture) -> None:
    served = Served(START, BODY, BODY)
    assert await served.ask(GET) == HEAD + b"{}"
    assert "out of its turn" in caplog.text
    served.end()


async def test_body_comes_in_pieces() -> None:
    served = Served("receive", "receive", "receive", START, BODY, "receive")
    await served.ask(POST, b"a", b"b", b"cd")
    assert served.heard == [
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "body": b"b", "more_body": True},
        {"type": "http.request", "body": b"cd", "more_body": False},
        {"type": "http.disconnect"},
    ]
    served.end()


async def test_body_that_nobody_asked_for_yet_is_put_together() -> None:
    served = Served(*["turn"] * 5, "receive", START, BODY)
    await served.ask(POST, b"a", b"b", b"cd")
    assert served.heard == [{"type": "http.request", "body": b"abcd", "more_body": False}]
    served.end()


async def test_rest_of_a_body_after_the_answer_is_dropped_and_the_next_request_served() -> None:
    served = Served(START, BODY)
    await served.ask(POST, b"abcd", GET)
    assert [scope["method"] for scope in served.scopes] == ["POST", "GET"]
    served.end()


@pytest.mark.parametrize("expect", [b"100-continue", b"100-Continue"])
async def test_client_that_waits_for_it_is_told_to_go_on_once(expect: bytes) -> None:
    served = Served("receive", "receive", START, BODY)
    head = POST[:-2] + b"Expect: %b\r\n\r\n" % expect
    assert await served.ask(head, b"ab", b"cd") == CONTINUE + HEAD + b"{}"
    served.end()


@pytest.mark.parametrize(
    ("messages", "pieces"),
    [
        pytest.param(["receive", START, BODY], [b"abcd"], id="with its head"),
        pytest.param(["receive", START, BODY, "receive"], [b"abcd"], id="and the app listens on"),
        pytest.param([START, "receive", BODY], [b"", b"abcd"], id="after the answer has begun"),
    ],
)
async def test_client_is_not_told_to_go_on_once_it_has(messages: list[Message | str], pieces: list[bytes]) -> None:
    served = Served(*messages)
    first, *others = pieces
    assert await served.ask(POST[:-2] + b"Expect: 100-continue\r\n\r\n" + first, *others) == HEAD + b"{}"
    served.end()


async def test_app_hears_as_often_as_it_asks_that_the_client_has_gone() -> None:
    served = Served("receive", "receive", "receive")
    served.http.data_received(GET)
    await asyncio.sleep(0)
    served.end()
    await served.ask()
    assert [message["type"] for message in served.heard] == ["http.request", "http.disconnect", "http.disconnect"]


async def test_no_more_is_read_than_an_app_takes() -> None:
    served = Served("turn", "turn", "receive", START, BODY)
    served.http.data_received(POST.replace(b" 4", b" %d" % (HELD_BYTES + 1)) + b"a" * HELD_BYTES)
    assert served.sink.steps == []
    served.http.data_received(b"a")
    assert served.sink.steps == ["pause"]
    await served.ask()
    assert served.sink.steps == ["pause", "resume"]
    assert len(served.heard[0]["body"]) == HELD_BYTES + 1
    served.end()


async def test_body_that_no_app_takes_is_read_after_the_answer() -> None:
    served = Served(START, BODY)
    served.http.data_received(POST.replace(b" 4", b" %d" % (2 * HELD_BYTES)) + b"a" * (HELD_BYTES + 1))
    await served.ask()
    assert served.sink.steps == ["pause", "resume"]
    served.end()


async def test_nothing_is_read_while_a_request_waits() -> None:
    served = Served(START, BODY)
    served.http.data_received(GET + GET)
    assert served.sink.steps == ["pause"]
    while served.state.tasks:  # as one ends, the next begins
        await asyncio.wait(served.state.tasks)
    assert await served.ask() == (HEAD + b"{}") * 2
    assert served.sink.steps == ["pause", "resume"]
    served.end()


async def test_answer_that_has_begun_comes_before_what_is_said_of_noise() -> None:
    served = Served(START, "turn", "turn", BODY)
    served.http.data_received(GET)
    await asyncio.sleep(0)
    served.http.data_received(b"\0")
    assert b"".join(served.sink.written) == HEAD + NOT_HTTP
    assert served.sink.closed
    for task in list(served.state.tasks):
        task.cancel()
    await asyncio.gather(*served.state.tasks, return_exceptions=True)
    served.end()


class Deaf(Sink):
    """One that loses what is written after the end, as a socket does."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            super().write(data)


@pytest.mark.parametrize(
    ("pieces", "requests"),
    [
        pytest.param([GET, GET + b"\0"], 1, id="in the middle of the first"),
        pytest.param([GET + GET + b"\0"], 0, id="before the first begins"),
    ],
)
async def test_request_that_waits_is_not_served_once_the_connection_closes(pieces: list[bytes], requests: int) -> None:
    served = Served("turn", START, BODY)
    served.http.transport = Deaf()
    for piece in pieces:
        served.http.data_received(piece)
    while served.state.tasks:  # as one ends, the next would begin
        await asyncio.wait(served.state.tasks)
    assert len(served.scopes) == requests
    served.end()


async def test_nothing_of_a_request_is_kept_while_the_connection_is_idle() -> None:
    gc.collect()  # what other tests have left
    served = Served("receive", START, BODY)
    assert await served.ask(GET) == HEAD + b"{}"
    await asyncio.sleep(0)
    assert [one for one in gc.get_objects() if isinstance(one, Cycle)] == []
    assert await served.ask(GET) == (HEAD + b"{}") * 2
    served.end()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before Python 3.12, a task begins in the loop's next turn")
async def test_app_begins_with_what_has_come() -> None:
    served = Served("receive", START, BODY)
    served.http.data_received(POST + b"body")
    assert b"".join(served.sink.written) == HEAD + b"{}"
    assert served.heard == [{"type": "http.request", "body": b"body", "more_body": False}]
    assert not served.state.tasks
    served.end()


async def test_names_of_headers_are_remembered_within_bounds() -> None:
    served = Served(START, BODY)
    for number in range(0, MAX_NAMES + 100, 100):
        fields = b"".join(b"X-%d: y\r\n" % each for each in range(number, number + 100))
        served.http.data_received(b"GET / HTTP/1.1\r\n%b\r\n" % fields)
        await served.ask()
        assert served.scopes[-1]["headers"] == [(b"x-%d" % each, b"y") for each in range(number, number + 100)]
    served.http.data_received(b"GET / HTTP/1.1\r\n%b: y\r\n\r\n" % (b"X" * 64))
    await served.ask()
    assert served.scopes[-1]["headers"] == [(b"x" * 64, b"y")]
    assert len(_names) <= MAX_NAMES
    assert b"X" * 64 not in _names
    served.end()


async def test_request_under_way_is_not_idle() -> None:
    served = Served("turn", START, BODY)
    served.http.idle_seconds = 0
    served.http.data_received(GET)
    served.http._end_if_idle()
    closed = served.sink.closed
    await served.ask()
    served.http._end_if_idle()
    assert (closed, served.sink.closed) == (False, True)
    served.end()


async def test_two_who_listen_both_hear_that_the_client_has_gone() -> None:
    heard: list[Message] = []

    async def both(_: Scope, receive: Receive, __: Send) -> None:
        await receive()

        async def listen() -> None:
            heard.append(await receive())

        await asyncio.gather(listen(), listen())

    served = Served()
    served.http._app = both
    served.http.data_received(GET)
    for _ in range(5):
        await asyncio.sleep(0)
    served.end()
    await asyncio.gather(*served.state.tasks)
    assert heard == [{"type": "http.disconnect"}] * TWICE


async def test_nothing_is_sent_to_a_client_that_has_gone() -> None:
    served = Served("receive", "receive", START, BODY)
    served.http.data_received(GET)
    await asyncio.sleep(0)
    served.end()
    assert await served.ask() == b""


async def test_response_waits_for_a_client_that_is_slow() -> None:
    served = Served(START, body(b"{", more=True), body(b"}"))
    served.http.pause_writing()
    served.http.data_received(GET)
    await asyncio.sleep(0)
    assert not served.sink.written
    served.http.resume_writing()
    assert await served.ask() == HEAD + b"{}"
    served.end()


async def test_client_that_was_slow_and_has_gone_is_waited_for_no_more() -> None:
    served = Served(START, BODY)
    served.http.pause_writing()
    served.http.data_received(GET)
    await asyncio.sleep(0)
    served.end()
    assert await served.ask() == b""


async def test_app_that_is_told_to_stop_ends_its_connection() -> None:
    served = Served("receive", "receive")
    served.http.data_received(GET)
    await asyncio.sleep(0)
    (task,) = served.state.tasks
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert served.sink.closed
    assert not served.state.tasks
    served.end()


async def test_server_that_stops_lets_the_request_under_way_finish_and_closes_who_is_idle() -> None:
    served, idle = Served("turn", START, BODY), Served()
    served.http.data_received(GET)
    for each in (served, idle):
        each.http.shutdown()
    assert (idle.sink.closed, served.sink.closed) == (True, False)
    assert await served.ask() == HEAD[:-2] + b"connection: close\r\n\r\n{}"
    assert served.sink.closed
    served.end()
    idle.end()


def test_names_remembered_are_bounded() -> None:
    before = _beginnings.copy()
    for number in range(2 * MAX_KNOWN):
        assert beginning(b"X-%d" % number) == b"x-%d: " % number
    assert len(_beginnings) == MAX_KNOWN
    _beginnings.clear()
    assert beginning(b"x" * 100) == b"x" * 100 + b": "
    assert not _beginnings
    _beginnings.update(before)


async def test_connection_that_is_over_is_no_garbage() -> None:
    served = Served(START, BODY)
    held = State()
    served.http = Http1(served.config, served.state, held)
    served.http.connection_made(served.sink)
    await served.ask(GET)
    served.end()
    left = weakref.ref(held)  # nobody but the connection holds it; a compiled one has no weak references of its own
    del served.http, held
    assert left() is None
