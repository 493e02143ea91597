"""Our own runtime: answers go out as they are made, and each comes to an end, whatever happens."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.types import Receive, Scope, Send

from deploy import aws_streaming
from deploy.aws_lambda import Instance
from gateway.app import build
from gateway.sources import parse
from tests.aws.runtime import Invocation, RuntimeApi, runtime_api
from tests.deploy.laptop import ROOT
from tests.gated import CLIENT, PUBLIC, RESOURCE, plain_issuer

LARGE = 32 * 1024 * 1024  # bytes, more than sockets hold
SETTINGS = {"public_url": PUBLIC, "resources": [{"path": "/mcp", "scopes": ["mcp:use"], "subpaths": True}]}


class Server:
    """A server behind the gate that does what the path asks for."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.disconnected = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: C901 - one line for each
        if scope["type"] == "lifespan":
            raise RuntimeError
        what = scope["path"].rpartition("/")[2]
        await receive()
        if what == "silent":
            return
        if what == "broken":
            raise ValueError("a secret of the server")
        if what == "slow":
            await asyncio.Event().wait()
        headers = [(b"content-type", b"text/event-stream"), (b"x-a", b"1"), (b"x-a", b"2"), (b"set-cookie", b"a=1")]
        if what == "wide":
            headers.append((b"x-wide", b"w" * 20_000))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        if what == "large":
            await send({"type": "http.response.body", "body": bytes(LARGE), "more_body": True})
        if what == "half":
            raise ValueError("a secret of the server")
        if what == "endless":
            await asyncio.Event().wait()
        if what == "empty":
            await send({"type": "http.response.body", "body": b""})
            return
        if what == "gone":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.disconnected.set()
        await asyncio.to_thread(self.go_on.wait, 20)
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})


class Running:
    def __init__(self, api: RuntimeApi, server: Server, token: str, audit: list[bytes]) -> None:
        self.api, self.server, self.token, self.audit = api, server, token, audit

    def ask(self, what: str, *, rest: bool = False, method: str = "GET", **options: Any) -> Invocation:
        """Invoke with a request for a path of the server."""
        headers = {"host": "gw.example", "authorization": f"Bearer {self.token}"}
        path = f"/mcp/{what}"
        http = {"method": method, "path": path, "sourceIp": "192.0.2.1"}
        event: dict[str, Any] = {
            "version": "2.0",
            "rawPath": path,
            "headers": headers,
            "requestContext": {"http": http},
        }
        if rest:
            event = {"resource": "/{proxy+}", "path": path, "httpMethod": "GET", "headers": headers}
            event["requestContext"] = {"stage": "prod"}
        return self.api.open(event, **options)


@contextmanager
def running() -> Iterator[Running]:
    issuer = plain_issuer()
    server, audit = Server(), list[bytes]()
    settings = parse(SETTINGS | {"issuers": [{"issuer": issuer.url, "token_type": "at+jwt"}]})
    gate = build(settings, {"/mcp": server}, audit=audit.append, now=issuer.clock.now)
    gate.state.gates["/mcp"].verifier.issuers[issuer.url].keys.begin_with(json.dumps(issuer.keys.document()).encode())
    token = issuer.token("alice", CLIENT, ["mcp:use"], RESOURCE)
    with runtime_api() as api:
        ended: list[str] = []

        def work() -> None:
            made = Instance(gate, frozenset({"/mcp"}))
            ended.append(made.run(aws_streaming.serve(made, f"127.0.0.1:{api.server_port}")))
            made.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield Running(api, server, token, audit)
        finally:
            server.go_on.set()
            api.waiting.put(None)
            thread.join(20)
        assert ended == ["the Runtime API answers 410"]


@pytest.mark.parametrize("rest", [False, True])
def test_event_arrives_before_the_next_one_is_made(rest: bool) -> None:
    with running() as it:
        made = it.ask("events", rest=rest)
        prelude = made.chunk()
        assert prelude is not None
        head, _, rest_of_it = prelude.partition(bytes(8))
        assert json.loads(head)["statusCode"] == 200
        assert json.loads(head)["headers"]["x-a"] == "1, 2"
        assert json.loads(head)["cookies"] == ["a=1"]
        assert (rest_of_it or made.chunk()) == b"data: 1\n\n"
        it.server.go_on.set()
        assert [made.chunk(), made.chunk()] == [b"data: 2\n\n", None]
        assert made.trailers == {}
        assert made.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert made.headers["transfer-encoding"] == "chunked"
        assert made.headers["content-type"] == "application/vnd.awslambda.http-integration-response"


def test_refusal_keeps_its_challenge_and_every_decision_is_written() -> None:
    with running() as it:
        allowed = it.ask("events")
        it.server.go_on.set()
        allowed.whole()
        it.token = "no-token"
        prelude, body = it.ask("events").whole()
        assert prelude["statusCode"] == 401
        assert prelude["headers"]["www-authenticate"].startswith("Bearer ")
        assert json.loads(body)["error"]
    decisions = [json.loads(line)["decision"] for lines in it.audit for line in lines.splitlines()]
    assert decisions == ["allowed", "refused"]


@pytest.mark.parametrize(
    ("what", "seconds", "status"),
    [
        pytest.param("broken", 20, 500, id="the server fails"),
        pytest.param("silent", 20, 500, id="the server says nothing"),
        pytest.param("slow", 0.7, 504, id="the time is over"),
        pytest.param("wide", 20, 502, id="the headers are too long"),
    ],
)
def test_answer_that_cannot_be_had_is_an_error_of_the_function(what: str, seconds: float, status: int) -> None:
    with running() as it:
        it.server.go_on.set()
        prelude, body = it.ask(what, seconds=seconds).whole()
        assert prelude["statusCode"] == status
        assert b"secret" not in body
        assert it.ask("events").whole()[0]["statusCode"] == 200, "the instance goes on"


@pytest.mark.parametrize(
    ("what", "seconds", "kind"), [("half", 20, "ValueError"), ("endless", 1.0, "Function.Timeout")]
)
def test_answer_that_breaks_off_says_so_in_trailers(what: str, seconds: float, kind: str) -> None:
    with running() as it:
        made = it.ask(what, seconds=seconds, method="POST")
        assert made.whole()[1] == b"data: 1\n\n"
        assert made.trailers["lambda-runtime-function-error-type"] == kind
        error = json.loads(base64.b64decode(made.trailers["lambda-runtime-function-error-body"]))
        assert error["errorType"] == kind
        assert "secret" not in error["errorMessage"]


def test_stream_that_only_waits_ends_well_when_the_time_is_over() -> None:
    with running() as it:
        made = it.ask("endless", seconds=1.0)
        assert made.whole()[1] == b"data: 1\n\n"
        assert made.trailers == {}


def test_empty_last_message_ends_the_answer() -> None:
    with running() as it:
        assert it.ask("empty").whole()[1] == b"data: 1\n\n"


def test_answer_that_nobody_takes_ends_no_instance() -> None:
    issuer = plain_issuer()
    settings = parse(SETTINGS | {"issuers": [{"issuer": issuer.url}]})
    made = Instance(build(settings, {"/mcp": Server()}), frozenset())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        http = {"method": "GET", "path": "/", "sourceIp": "192.0.2.1"}
        event = json.dumps({"version": "2.0", "headers": {}, "requestContext": {"http": http}})
        head = "Lambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: 9\r\nConnection: close"

        def once() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(10_000)
                listening.close()
                connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: {len(event)}\r\n\r\n{event}".encode())

        thread = threading.Thread(target=once)
        thread.start()
        assert made.run(aws_streaming.serve(made, f"127.0.0.1:{port}")).startswith("the Runtime API cannot be reached")
        thread.join()
    made.close()


@pytest.mark.parametrize(
    ("what", "method", "broken_off"),
    [
        pytest.param("large", "GET", True, id="while it is written"),
        pytest.param("events", "GET", False, id="when it is written"),
        pytest.param("endless", "POST", False, id="when it is broken off, and says so"),
    ],
)
def test_answer_that_is_taken_slowly_keeps_no_instance_beyond_its_time(
    what: str, method: str, broken_off: bool
) -> None:
    with running() as it:
        it.server.go_on.set()
        slowly = threading.Event()
        made = it.ask(what, method=method, seconds=1.0, taken_when=slowly)
        assert it.ask("events").whole()[0]["statusCode"] == 200, "the instance goes on"
        slowly.set()
        assert made.everything().startswith(b'{"statusCode": 200')
        assert made.broken_off is broken_off


def test_server_hears_that_the_client_has_gone() -> None:
    with running() as it:
        it.server.go_on.set()
        made = it.ask("gone", gone_after=2)
        assert made.whole()[1] == b"data: 1\n\n"
        assert it.server.disconnected.wait(20)
        assert it.ask("events").whole()[0]["statusCode"] == 200


@pytest.mark.parametrize("event", [{}, [], {"version": "2.0", "requestContext": {}}, "text"])
def test_event_that_is_no_request_is_one_sentence(event: Any) -> None:
    with running() as it:
        made = it.api.open(event)
        assert made.chunk() is None
        assert made.error["errorMessage"].startswith("This event is no request")


def test_message_without_a_body_is_no_end_of_the_answer() -> None:
    assert json.loads(aws_streaming.prelude({"type": "http.response.start", "status": 204})) == {
        "statusCode": 204,
        "headers": {},
        "cookies": [],
    }


@pytest.mark.parametrize(("public_url", "status"), [(PUBLIC, 401), ("http://mcp.example.com", None)])
def test_module_runs_as_the_runtime(tmp_path: Path, public_url: str, status: int | None) -> None:
    settings = {"public_url": public_url, "issuers": [{"issuer": "https://issuer.example"}], "audit_log": "off"}
    (tmp_path / "bearergate.yaml").write_text(yaml.safe_dump(settings))
    with runtime_api() as api:
        http = {"method": "POST", "path": "/mcp", "sourceIp": "192.0.2.1"}
        made = api.open({"version": "2.0", "headers": {"host": "gw.example"}, "requestContext": {"http": http}})
        api.waiting.put(None)
        variables = os.environ | {"PYTHONPATH": str(ROOT), "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}"}
        command = [sys.executable, "-m", "deploy.aws_streaming"]
        ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        if status is not None:
            assert made.whole()[0]["statusCode"] == status
        else:
            assert api.failed_start["errorMessage"].startswith("bearergate: public_url: the URL must use https")
            assert "\n" not in api.failed_start["errorMessage"]


@pytest.fixture
def plain_logs() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("plain_logs")
def test_main_ends_with_a_sentence(tmp_path: Path) -> None:
    assert "AWS_LAMBDA_RUNTIME_API is not set" in aws_streaming.main({})
    file = tmp_path / "bearergate.yaml"
    file.write_text(yaml.safe_dump(SETTINGS | {"issuers": [{"issuer": "https://issuer.example"}], "audit_log": "off"}))
    with runtime_api() as api:
        variables = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}", "BEARERGATE_FILE": str(file)}
        api.waiting.put(None)
        assert aws_streaming.main(variables) == "bearergate: the Runtime API answers 410"
        assert "no_such" in aws_streaming.main(variables | {"BEARERGATE_NO_SUCH": "1"}).lower()
        assert api.failed_start["errorType"] == "Runtime.SettingsError"
        nowhere = {"BEARERGATE_AUDIT_LOG": "/nowhere/audit.jsonl"}
        assert "audit_log: /nowhere/audit.jsonl cannot be opened" in aws_streaming.main(variables | nowhere)
        assert api.failed_start["errorType"] == "Runtime.CannotWrite"
    with pytest.raises(aws_streaming.ApiGone, match="cannot be reached"):
        aws_streaming.next_invocation(f"127.0.0.1:{api.server_port}")
