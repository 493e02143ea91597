"""A target that is dead or hostile ends the judgement in bounded time, with a sentence."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance import junit, page, sarif, terminal
from conformance.command import main
from conformance.judge import judge
from conformance.mcp_server import PRIVILEGED, STATE
from conformance.options import Login, Options
from conformance.serving import serving
from conformance.target import CannotJudge
from conformance.wire import LESS_BODY, MAX_BODIES, Wire
from tests.conformance.judge.correct import BASE, Protected
from tests.conformance.judge.judged import quiet
from tests.conformance.judge.login_server import NAME, PASSWORD, SECOND, LoginServer
from tests.conformance.judge.reported import run
from tests.ports import free_port

Answer = Callable[[socket.socket, str], None]
HEAD = "HTTP/1.1 {} X\r\nConnection: close\r\n{}\r\n"


@contextmanager
def raw_server(answer: Answer) -> Iterator[str]:
    """The URL of a server that does as `answer` says with every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(20)
                try:
                    answer(connection, url)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield url
        listening.shutdown(socket.SHUT_RDWR)


def asked_for(connection: socket.socket) -> str:
    """The path of a request, once its head is there."""
    head = b""
    while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
        head += part
    return head.split(b" ")[1].decode() if head.count(b" ") > 1 else ""


def never(connection: socket.socket, _: str) -> None:
    while connection.recv(65536):
        pass


def drip(connection: socket.socket, _: str) -> None:
    connection.sendall(b"HTTP/1.1 200 X\r\n")
    while True:
        connection.sendall(b"X-Drip: 1\r\n")
        time.sleep(0.05)


def stream(connection: socket.socket, _: str) -> None:
    asked_for(connection)
    connection.sendall(HEAD.format(401, "Content-Type: text/event-stream\r\nWWW-Authenticate: Bearer a=b\r\n").encode())
    while True:
        connection.sendall(b": still here\n\n" * 100)
        time.sleep(0.01)


def circle(connection: socket.socket, _: str) -> None:
    path = asked_for(connection)
    connection.sendall(HEAD.format(302, f"Location: {path}\r\nContent-Length: 0\r\n").encode())


def huge_metadata(connection: socket.socket, url: str) -> None:
    path = asked_for(connection)
    where = f'WWW-Authenticate: Bearer resource_metadata="{url}/metadata"\r\n'
    if path == "/mcp":
        connection.sendall(HEAD.format(401, f"{where}Content-Length: 0\r\n").encode())
        return
    connection.sendall(HEAD.format(200, "Content-Type: application/json\r\nContent-Length: 1000000000\r\n").encode())
    while True:
        connection.sendall(b" " * 1_000_000)


def garbage(connection: socket.socket, _: str) -> None:
    asked_for(connection)
    connection.sendall(b"\x00\xff not HTTP at all\r\n\r\n")


def odd_documents(connection: socket.socket, url: str) -> None:
    asked_for(connection)
    body = json.dumps({"resource": [1], "authorization_servers": [{"a": 1}, 5, None], "scopes_supported": {"a": []}})
    head = f'Content-Type: application/json\r\nWWW-Authenticate: Bearer resource_metadata="{url}"\r\n'
    connection.sendall((HEAD.format(200, f"{head}Content-Length: {len(body)}\r\n") + body).encode())


def odd_addresses(connection: socket.socket, _: str) -> None:
    asked_for(connection)
    odd = "http://[broken"
    body = json.dumps({"resource": odd, "authorization_servers": [odd], "issuer": odd, "token_endpoint": odd})
    head = (
        f'Content-Type: application/json\r\nLocation: {odd}\r\nWWW-Authenticate: Bearer resource_metadata="{odd}"\r\n'
    )
    connection.sendall((HEAD.format(200, f"{head}Content-Length: {len(body)}\r\n") + body).encode())


def continues(connection: socket.socket, _: str) -> None:
    asked_for(connection)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def chunk_extensions(connection: socket.socket, _: str) -> None:
    asked_for(connection)
    fields = "Transfer-Encoding: chunked\r\nWWW-Authenticate: Bearer a=b\r\n"
    connection.sendall(HEAD.format(401, fields).encode())
    while True:
        connection.sendall((b"1;" + b"x" * 50_000 + b"\r\na\r\n") * 10)


@pytest.mark.parametrize("hostile", [never, drip, garbage, continues], ids=lambda each: each.__name__)
def test_target_that_never_answers_ends_it_with_a_sentence(hostile: Answer) -> None:
    started = time.monotonic()
    with raw_server(hostile) as url, pytest.raises(CannotJudge, match="cannot be judged"):
        judge(Options(url, patience=0.5))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "hostile",
    [stream, circle, huge_metadata, odd_documents, odd_addresses, chunk_extensions],
    ids=lambda each: each.__name__,
)
def test_target_that_answers_badly_is_judged_in_bounded_time(hostile: Answer) -> None:
    started = time.monotonic()
    with raw_server(hostile) as url:
        report = judge(Options(url, patience=0.3, seconds=6))
    assert time.monotonic() - started < 30
    assert report.exit_code == 1
    assert [check.reason for check in report.checks if check.outcome == "error"] == []


def test_dead_target_is_a_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"http://127.0.0.1:{free_port()}/mcp", "--timeout", "1"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "Connection refused" in said.err


def test_bodies_that_are_kept_are_bounded_all_together() -> None:
    def full(connection: socket.socket, _: str) -> None:
        asked_for(connection)
        connection.sendall(HEAD.format(200, "Content-Length: 40000\r\n").encode() + b" " * 40_000)

    with raw_server(full) as url:
        wire = Wire(5)
        wire.read_in_all = MAX_BODIES
        answer = wire.send("GET", url)
        wire.close()
    assert (len(answer.body), answer.note) == (LESS_BODY, f"cut off after {LESS_BODY} bytes")


# Steers a terminal, closes tags and attributes, turns the direction of writing, and is no character of XML.
STEERING = "\x1b[2J\x1b]0;owned\x07\x9b31m<script>alert(1)</script>\"'&\x08\u202e]]>"
ODD = ("\x1b", "\x9b", "\x07", "\x08", "\u202e", "\ud800")


def steering(connection: socket.socket, url: str) -> None:
    path = asked_for(connection)
    said = STEERING.encode()
    told = {"resource": STEERING, "scopes_supported": ["*\ud800"], "authorization_servers": [f"{url}/\x1b[31m<b>"]}
    body = json.dumps(told if "well-known" in path else {"error": {"code": 1, "message": STEERING}}).encode()
    body = body.replace(b"\\u001b", b"\x1b")
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nX-Odd: ".encode() + said
    challenge = b'\r\nWWW-Authenticate: Bearer error="' + said.replace(b'"', b"") + b'"\r\n'
    head = HEAD.format(200 if "well-known" in path else 401, "@").encode()
    connection.sendall(head.replace(b"@", fields + challenge) + body)


def test_text_of_a_target_steers_nobody_who_reads_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    with raw_server(steering) as url:
        status, said = run(url, tmp_path)
    printed = capsys.readouterr().out
    assert status == 1
    for text in (printed, *said.values()):
        assert "PRM-04" in text
        assert [each for each in ODD if each in text] == []
    assert "\\x1b[2J" in printed
    assert [each for each in ("<script", "31m<b>") if each in said["html"] + said["junit"]] == []
    assert ET.fromstring(said["junit"]).get("errors") == "0"  # noqa: S314 - our own
    words = [line for line in printed.splitlines() if max(map(len, line.split()), default=0) < 50]
    assert max(map(len, words)) <= 72


def test_sentence_that_ends_it_holds_no_secret_and_steers_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    token = "opaque-and-secret-0123456789"

    def repeats(connection: socket.socket, _: str) -> None:
        asked_for(connection)
        challenge = f'WWW-Authenticate: Bearer error="\x1b[2J{token}"\r\nContent-Length: 0\r\n'
        connection.sendall(HEAD.format(401, challenge).encode())

    with raw_server(repeats) as url:
        assert main([url, "--token", token]) == 2
    said = capsys.readouterr().err
    assert "does not answer a request with the token" in said
    assert [each for each in (token, "\x1b") if each in said] == []


class Fuzzed:
    """An app in whose JSON answers something is of another type now and then."""

    ODD: ClassVar[tuple[Any, ...]] = (
        None,
        5,
        -1,
        1e308,
        True,
        [],
        {},
        "",
        "\ud800",
        [[]],
        [None],
        "http://[x",
        ["\ud800"],
        "x" * 3000,
    )

    def __init__(self, app: ASGIApp, seed: int, often: float) -> None:
        self.app, self.chance, self.often = app, random.Random(seed), often
        self.spared = 50  # answers, so that there is something to judge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started: list[Message] = []

        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
                return
            if started:
                start = started.pop()
                body = self.fuzzed(message["body"]) if message.get("body") else b""
                headers = [each for each in start["headers"] if each[0].lower() != b"content-length"]
                await send({**start, "headers": headers})
                message = {**message, "body": body}
            await send(message)

        await self.app(scope, receive, send if scope["type"] == "lifespan" else changed)

    def fuzzed(self, body: bytes) -> bytes:
        """The body, if it is JSON with something else in one place."""
        self.spared -= 1
        if self.spared >= 0 or self.chance.random() > self.often:
            return body
        try:
            said = json.loads(body)
        except ValueError:
            return body
        return json.dumps(self.put(said, self.chance.choice(list(places(said))))).encode()

    def put(self, said: Any, place: tuple[Any, ...]) -> Any:
        """The value with something odd at a place."""
        if not place:
            return self.chance.choice(self.ODD)
        copy = dict(said) if isinstance(said, dict) else list(said)
        copy[place[0]] = self.put(copy[place[0]], place[1:])
        return copy


def places(said: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield at
    members = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for name, value in members:
        yield from places(value, (*at, name))


@pytest.mark.parametrize(("seed", "often"), [(1, 0.05), (2, 0.3), (3, 0.9)])
def test_answers_of_other_types_are_no_failure_of_the_suite(seed: int, often: float) -> None:
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    app = Protected(f"{own}/mcp", own, servers=(own,))
    app.beside = LoginServer(own, app.url)
    login = Options(
        app.url,
        login=Login(NAME, PASSWORD),
        second_login=Login(SECOND, PASSWORD),
        low_scopes=(BASE,),
        privileged_tool=PRIVILEGED,
        state_tool=STATE,
        patience=2,
        grace=0.1,
    )
    with quiet(), serving(Fuzzed(app, seed, often), port, lifespan=True):
        report = judge(login)
    assert [check.reason for check in report.checks if check.outcome == "error"] == []
    for write in (terminal.write, page.write, junit.write, sarif.write):
        assert write(report).encode()
