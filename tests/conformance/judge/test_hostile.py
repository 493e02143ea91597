"""A target that is dead or hostile ends the judgement in bounded time, with a sentence."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from conformance.command import main
from conformance.judge import judge
from conformance.options import Options
from conformance.target import CannotJudge
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


@pytest.mark.parametrize("hostile", [never, drip, garbage], ids=lambda each: each.__name__)
def test_target_that_never_answers_ends_it_with_a_sentence(hostile: Answer) -> None:
    started = time.monotonic()
    with raw_server(hostile) as url, pytest.raises(CannotJudge, match="cannot be judged"):
        judge(Options(url, patience=0.5))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "hostile", [stream, circle, huge_metadata, odd_documents, odd_addresses], ids=lambda each: each.__name__
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
