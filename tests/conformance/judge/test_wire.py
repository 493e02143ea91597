"""What the judge reads off the wire, whatever the bytes are."""

from __future__ import annotations

import html
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.redaction import Redaction
from conformance.wire import SILENCES, Answer, TargetGone, Wire, _parsed, events, written
from tests.ports import free_port

BLANK = Answer("GET", "http://127.0.0.1/", (), b"")
STREAM = (("Content-Type", "text/event-stream"),)


@contextmanager
def saying(data: bytes) -> Iterator[str]:
    """The URL of a server that says these bytes to one connection and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        thread.join()


@pytest.mark.parametrize(
    ("said", "status", "note"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", 204, "", id="an answer"),
        pytest.param(b"HTTP/1.1 200\r\n\r\nbody", 200, "", id="no reason phrase"),
        pytest.param(b"HTTP/1.1 " + b"9" * 5000 + b" X\r\n\r\n", 0, "the connection was closed", id="a long number"),
        pytest.param(b"SSH-2.0-x\r\n", 0, "the connection was closed", id="another protocol"),
        pytest.param(b"", 0, "the connection was closed", id="nothing"),
    ],
)
def test_answer_to_raw_bytes_is_read(said: bytes, status: int, note: str) -> None:
    wire = Wire(5)
    with saying(said) as url:
        answer = wire.raw(url, written("GET", url, [("A", "b")]))
    wire.close()
    assert (answer.status, answer.note) == (status, note)


def test_raw_request_that_nobody_takes_is_said() -> None:
    wire = Wire(1)
    assert "no answer: " in wire.raw(f"http://127.0.0.1:{free_port()}/", b"GET / HTTP/1.1\r\n\r\n").note
    wire.close()


def test_target_that_is_gone_ends_it() -> None:
    wire = Wire(1)
    wire.home = f"http://127.0.0.1:{free_port()}"
    for _ in range(SILENCES - 1):
        assert wire.send("GET", f"{wire.home}/").status == 0
    with pytest.raises(TargetGone, match="3 times in a row"):
        wire.send("GET", f"{wire.home}/")
    wire.close()


def test_events_are_read_with_their_ids_and_comments_left_out() -> None:
    text = ": hello\r\n\r\nid: 1\r\nevent: message\r\ndata: a\r\ndata: b\r\n\r\nretry\n\n"
    assert events(text) == [{"id": "1", "event": "message", "data": "a\nb"}, {"retry": ""}]


def test_messages_are_those_of_a_body_or_of_a_stream() -> None:
    error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001}}
    batch = replace(BLANK, status=400, body=json.dumps([error, 5]).encode())
    assert (batch.messages(), batch.code(), batch.result()) == ([error], -32001, None)
    stream = replace(BLANK, status=200, headers=STREAM, body=b'data: {"result": {"a": 1}}\n\ndata: nonsense\n\n')
    assert stream.result() == {"a": 1}
    assert batch.said() == "400, JSON-RPC error -32001"
    assert BLANK.said() == "no answer"


@given(st.binary(max_size=200))
def test_strangers_bytes_are_never_an_exception(body: bytes) -> None:
    _parsed(BLANK, body, 0, "")
    for headers in ((), STREAM):
        answer = replace(BLANK, status=200, headers=headers, body=body)
        assert isinstance(answer.messages(), list)
        answer.said()
        answer.json()
        answer.result()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), st.booleans())
def test_strangers_json_is_never_an_exception(said: object, inside: bool) -> None:
    body = json.dumps({"error": said, "result": said} if inside else said).encode()
    answer = replace(BLANK, status=200, body=body)
    assert answer.error() == {}
    assert answer.result() is None


def test_json_that_is_too_deep_or_too_long_is_none() -> None:
    assert replace(BLANK, body=b"[" * 100_000).json() is None
    assert replace(BLANK, body=b"9" * 5000).json() is None
    assert replace(BLANK, status=200, headers=STREAM, body=b"data: " + b"[" * 100_000).messages() == []


SECRET = st.text('qwxyz%+&"<\\ ', min_size=6, max_size=30).filter(lambda text: len(text.strip()) > 5)


@given(SECRET, st.text("abc \n", max_size=20), st.sampled_from([str, quote, quote_plus, html.escape, json.dumps]))
def test_secret_is_in_no_text_whatever_was_done_to_it(secret: str, around: str, done: Callable[[str], str]) -> None:
    redaction = Redaction()
    redaction.hide(secret)
    told = redaction.text(f"{around}={done(secret)}={around}")
    assert secret not in told
    assert done(secret).strip('"') not in told
