"""The gate on Lambda: what an instance does with events, at its start, in its log, and when its time is over."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.issuer import Issuer
from deploy import aws_lambda
from deploy.authorizer import authorizer
from deploy.aws_lambda import MAX_ANSWER, Instance, instance, seconds_left
from discovery.fetch import Fetch
from gateway.app import build
from gateway.sources import parse
from tests.aws.function import function, task
from tests.aws.local import local
from tests.gated import CLIENT, PUBLIC, RESOURCE, TOOLS_LIST, Recorder, plain_issuer, tools_call

LISTEN = {"jsonrpc": "2.0", "id": "s", "method": "subscriptions/listen", "params": {}}


def event(token: str = "", method: str = "POST", message: Any = TOOLS_LIST, **fields: str) -> dict[str, Any]:
    """An HTTP API's, of a request for the resource."""
    http = {"method": method, "path": "/mcp", "sourceIp": "192.0.2.1"}
    headers = {"host": "gw.example", "content-type": "application/json"} | fields
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    body = json.dumps(message) if message else ""
    context = {"stage": "$default", "http": http}
    return {"version": "2.0", "rawPath": "/mcp", "headers": headers, "requestContext": context, "body": body}


class Slow:
    """A server that begins an event stream and says no more, or says nothing at all."""

    def __init__(self, begins: bool, raises: bool = False) -> None:
        self.begins, self.raises = begins, raises

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "it knows no other scope"
        await receive()
        if self.raises:
            raise ValueError("a secret of the server")
        if self.begins:
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b": waiting\n\n", "more_body": True})
        await asyncio.Event().wait()


async def silent(scope: Scope, _receive: Receive, _send: Send) -> None:
    assert scope["type"] == "http", "it knows no other scope"


@pytest.mark.parametrize("begins", [True, False])
def test_answer_that_takes_too_long_is_a_sentence_and_the_instance_goes_on(begins: bool) -> None:
    with local(Slow(begins), seconds=0.6) as gate:
        for _ in range(2):
            answer = gate.invoke(event(gate.token()))
            assert answer["statusCode"] == 504
            assert "time was over" in json.loads(answer["body"])["message"]
        assert gate.invoke(event())["statusCode"] == 401


@pytest.mark.parametrize(
    ("method", "message", "fields"),
    [("GET", None, {}), ("POST", LISTEN, {"mcp-method": "subscriptions/listen"})],
    ids=["before 2026-07-28", "since then"],
)
def test_stream_that_only_waits_is_answered_with_what_there_was(
    method: str, message: Any, fields: dict[str, str]
) -> None:
    with local(Slow(begins=True), seconds=0.6) as gate:
        answer = gate.invoke(event(gate.token(), method, message, **fields))
    assert answer["statusCode"] == 200
    assert answer["body"].startswith(": waiting\n\n")


@pytest.mark.parametrize(
    "app", [pytest.param(Slow(begins=False, raises=True), id="fails"), pytest.param(silent, id="says nothing")]
)
def test_server_that_does_not_answer_is_an_error_without_its_words(app: ASGIApp) -> None:
    with local(app) as gate:
        answer = gate.invoke(event(gate.token()))
    assert answer["statusCode"] == 500
    assert "cannot be completed" in answer["body"]
    assert "secret" not in answer["body"]


def test_fetch_of_keys_is_not_frozen_with_the_instance() -> None:
    """Its time would run out before the next invocation, and tokens be answered with 503 for half a minute."""
    with local() as gate:
        keys = next(iter(gate.gate.state.gates["/mcp"].verifier.issuers.values())).keys
        answer = gate.invoke(event(gate.token()))
        assert answer["statusCode"] == 200
        assert keys._flight is None
        assert keys.failure, "the issuer is nowhere, and that is known now"


def test_first_answers_wait_for_no_issuer_where_its_keys_are_packaged(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # and never answering
        listening.setblocking(False)
        issuer = Issuer.plain(f"http://127.0.0.1:{listening.getsockname()[1]}", users=[], resources=[RESOURCE])
        (tmp_path / "keys.json").write_text(json.dumps(issuer.keys.document()))
        settings = {
            "public_url": PUBLIC,
            "issuers": [{"issuer": issuer.url, "token_type": "at+jwt", "jwks_file": str(tmp_path / "keys.json")}],
            "resources": [{"tools": ["greetings"], "scopes": ["mcp:use"]}],
            "audit_log": "off",
        }
        (tmp_path / "bearergate.yaml").write_text(yaml.safe_dump(settings))
        made = instance({}, str(tmp_path / "bearergate.yaml"))
        looking = authorizer({}, str(tmp_path / "bearergate.yaml"))
        for _ in range(2):
            asked = event(
                issuer.token(None, CLIENT, ["mcp:use"], RESOURCE), accept="application/json, text/event-stream"
            )
            assert made(asked, None)["statusCode"] == 200
            assert looking(asked, None)["isAuthorized"]
        with pytest.raises(BlockingIOError):
            listening.accept()
        made.close()
        looking.close()


def test_fetch_of_keys_is_not_waited_for_when_the_time_is_over() -> None:
    """The function would be ended with it, and the answer with the function."""

    async def network(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    hosts = frozenset({"issuer.example"})
    with local(seconds=1.0, fetch=Fetch(allow_hosts=hosts, transport=lambda: httpx.ASGITransport(network))) as gate:
        assert gate.invoke(event(gate.token()))["statusCode"] == 200
        keys = next(iter(gate.gate.state.gates["/mcp"].verifier.issuers.values())).keys
        assert keys._flight is not None


def test_event_of_no_front_door_is_an_error_of_the_function() -> None:
    with local() as gate, pytest.raises(RuntimeError):
        gate.invoke({"source": "aws.events"})


def test_call_without_a_context_has_no_limit() -> None:
    assert seconds_left(None) is None


@pytest.mark.parametrize(
    ("answer", "carried"),
    [
        pytest.param(b"x" * (MAX_ANSWER - 100_000), True, id="as large as may be"),
        pytest.param(b"x" * MAX_ANSWER, False, id="larger"),
        pytest.param(b'"' * (MAX_ANSWER // 2), False, id="larger as JSON"),
        pytest.param(b"\xff" * (MAX_ANSWER * 4 // 5), False, id="larger as base64"),
        pytest.param(b"\xff" * (MAX_ANSWER // 2), True, id="small enough as base64"),
    ],
)
def test_answer_that_lambda_cannot_carry_is_a_sentence(answer: bytes, carried: bool) -> None:
    with local(Recorder(answer)) as gate:
        made = gate.invoke(event(gate.token(), message=tools_call("any")))
    assert made["statusCode"] == (200 if carried else 502)
    assert carried or "6 MB" in json.loads(made["body"])["message"]
    assert len(json.dumps(made)) <= MAX_ANSWER


def test_every_decision_is_written_before_the_instance_is_frozen(unpacked: Path, tmp_path: Path) -> None:
    settings = {"public_url": PUBLIC, "issuers": [{"issuer": "https://issuer.example"}]}
    with function(unpacked, task(unpacked, tmp_path, settings)) as gate:
        assert gate.invoke(event())["statusCode"] == 401
        (line,) = [json.loads(line) for line in gate.log.read_text().splitlines() if '"decision"' in line]
    assert (line["decision"], line["reason"]) == ("refused", "missing_token")


def test_busy_instances_are_joined_by_another_and_all_leave(unpacked: Path, tmp_path: Path) -> None:
    settings = {"public_url": PUBLIC, "issuers": [{"issuer": "https://issuer.example"}]}
    with function(unpacked, task(unpacked, tmp_path, settings), most=2) as gate:
        opened = [gate.open(event()) for _ in range(3)]
        assert [json.loads(one.everything())["statusCode"] for one in opened] == [401, 401, 401]
        instances = gate.instances[:]
    assert [instance.poll() is not None for instance in instances] == [True, True]
    assert "Traceback" not in gate.log.read_text()


ENDING = """
import json, sys
import deploy.aws_lambda
asked = json.loads(sys.argv[1])
answer = deploy.aws_lambda.handler(asked, None)
assert answer["statusCode"] == 200, answer
"""


def test_process_that_ends_leaves_nothing_under_way(unpacked: Path, tmp_path: Path) -> None:
    """Python takes itself apart with what is left: a task of the gate that still waited ended it by SIGSEGV."""
    issuer = plain_issuer()
    (tmp_path / "keys.json").write_text(json.dumps(issuer.keys.document()))
    settings = {
        "public_url": PUBLIC,
        "issuers": [{"issuer": issuer.url, "token_type": "at+jwt", "jwks_file": "keys.json"}],
        "resources": [{"tools": ["greetings"]}],
        "audit_log": "off",
    }
    placed = task(unpacked, tmp_path, settings)
    asked = json.dumps(event(issuer.token("alice", CLIENT, ["mcp:use"], RESOURCE), accept="text/event-stream, */*"))
    variables = {"PYTHONPATH": str(placed), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-S", "-c", ENDING, asked]
    ended = subprocess.run(command, cwd=placed, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "pending" not in ended.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param("public_url: http://mcp.example.com", "public_url: the URL must use https", id="wrong"),
        pytest.param("seal_keys_file: 'aws:x'", "aws:x: a secret at AWS is named", id="no name of a secret"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start_with_sentences(
    unpacked: Path, tmp_path: Path, settings: str, said: str
) -> None:
    whole = {"public_url": "https://mcp.example.com", "issuers": [{"issuer": "https://issuer.example.com"}]}
    with function(unpacked, task(unpacked, tmp_path, whole | yaml.safe_load(settings))) as gate:
        gate.open(event())
        assert gate.instances[0].wait(20) == 1
    log = gate.log.read_text()
    assert f"bearergate: {said}" in log, log
    assert "Traceback" not in log


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Instance]:
    """An instance in this very process, with settings whose issuer nobody asks."""
    settings = {
        "public_url": "https://mcp.example.com",
        "issuers": [{"issuer": "https://issuer.example.com"}],
        "resources": [{"tools": ["greetings"], "path": "/prod/mcp"}, {"tools": ["greetings"]}],
        "audit_log": str(tmp_path / "audit.jsonl"),
    }
    (tmp_path / "bearergate.yaml").write_text(yaml.safe_dump(settings))
    made = instance({}, str(tmp_path / "bearergate.yaml"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("stage", "path", "status"),
    [
        ("$default", "/mcp", 401),
        ("prod", "/prod/mcp", 401),
        ("prod", "/prod/healthz", 200),
        ("prod", "/prod", 404),
        ("prod", "/production/healthz", 404),
    ],
)
def test_instance_answers_events_as_often_as_they_come(started: Instance, stage: str, path: str, status: int) -> None:
    http = {"method": "GET", "path": path, "sourceIp": "192.0.2.1"}
    headers = {"host": "mcp.example.com"}
    event = {"version": "2.0", "rawPath": path, "headers": headers, "requestContext": {"stage": stage, "http": http}}
    for _ in range(3):
        assert started(event, None)["statusCode"] == status


def test_handler_is_made_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bearergate.yaml"
    file.write_text(yaml.safe_dump({"public_url": "https://mcp.example.com", "issuers": []}))
    monkeypatch.setenv("BEARERGATE_FILE", str(file))
    with pytest.raises(SystemExit, match="bearergate: issuers: name at least one issuer"):
        _ = aws_lambda.handler
    with pytest.raises(AttributeError):
        _ = aws_lambda.no_handler
    settings = {"public_url": "https://mcp.example.com", "issuers": [{"issuer": "https://issuer.example.com"}]}
    file.write_text(yaml.safe_dump(settings | {"audit_log": "/nowhere/audit.jsonl"}))
    with pytest.raises(SystemExit, match=r"bearergate: audit_log: /nowhere/audit\.jsonl cannot be opened"):
        _ = aws_lambda.handler
    file.write_text(yaml.safe_dump(settings | {"audit_log": "off"}))
    made = aws_lambda.handler
    assert aws_lambda.handler is made
    made.close()
    made.close()  # as at the end of the process
    monkeypatch.delattr(aws_lambda, "handler")


def test_gate_that_cannot_start_says_why() -> None:
    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no disk"})

    settings = parse({"public_url": "https://mcp.example.com", "issuers": [{"issuer": "https://issuer.example.com"}]})
    with pytest.raises(RuntimeError, match="no disk"):
        Instance(build(settings, {"/mcp": broken}), frozenset())
