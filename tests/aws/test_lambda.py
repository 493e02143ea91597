"""The gate on Lambda: through every front door a stock client finds its way, logs in and calls."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from starlette.types import Receive, Scope, Send

from conformance.issuer import Client, Issuer, ResourceServer, User
from deploy import aws_lambda
from deploy.aws_lambda import Instance, instance
from gateway.app import build
from gateway.sources import parse
from tests.aws.front_doors import FUNCTION_URL, HTTP_API, REMAPPED, REST_API, FrontDoor
from tests.aws.runtime import function
from tests.deploy.laptop import Person
from tests.ports import free_port
from tests.served import served

USER = User("ada", "a password")
DOORS = [
    pytest.param(HTTP_API, "$default", True, id="HTTP API that renames the challenge"),
    pytest.param(HTTP_API, "$default", False, id="HTTP API that does not"),
    pytest.param(FUNCTION_URL, "$default", True, id="function URL"),
]


@asynccontextmanager
async def deployed(folder: Path, kind: str, stage: str = "$default", *, remaps: bool = True) -> AsyncIterator[str]:
    """The function behind a front door, with an issuer beside it; yields the public origin."""
    issuer_port, port = free_port(), free_port()
    origin = f"http://localhost:{port}"
    prefix = f"{origin}/mcp/"
    issuer = Issuer.cognito(
        f"http://localhost:{issuer_port}",
        users=[USER],
        resource_servers=[ResourceServer(f"{origin}/mcp", {"greetings:read": "Greet", "greetings:many": "More"})],
        clients=[Client("gate", (f"{origin}/oauth/callback",), "a-secret")],
        refresh_rotation=True,
    )
    (folder / "keys.json").write_text(json.dumps(issuer.keys.document()))
    settings = {
        "public_url": origin,
        "issuers": [{"issuer": issuer.url, "kind": "cognito", "resource_binding": True, "jwks_file": "keys.json"}],
        "resources": [{"scopes": [f"{prefix}greetings:read"], "scope_prefix": prefix, "tools": ["greetings"]}],
        "facade": {"client_id": "gate", "client_secret": "a-secret", "kind": "cognito"},
        "seal_keys": [base64.b64encode(secrets.token_bytes(32)).decode()],
    }
    (folder / "bearergate.yaml").write_text(yaml.safe_dump(settings))
    with function(folder, {}) as api:
        door = FrontDoor(kind, api.invoke, stage, remaps)
        async with served(issuer.app, port=issuer_port), served(door, port=port):
            yield origin


@pytest.mark.parametrize(("kind", "stage", "remaps"), DOORS)
async def test_stock_client_logs_in_calls_and_steps_up(tmp_path: Path, kind: str, stage: str, remaps: bool) -> None:
    async with deployed(tmp_path, kind, stage, remaps=remaps) as origin:
        for mode in ("legacy", "2026-07-28"):
            ada = Person(USER.name, USER.password)
            async with ada.connected(f"{origin}/mcp", mode) as client:
                assert {tool.name for tool in (await client.list_tools()).tools} == {"greet"}
                assert not (await client.call_tool("greet", {"name": "Ada"})).is_error
                if not remaps:  # the challenge says which scopes are missing; renamed, it says so to nobody
                    assert not (await client.call_tool("multi-greet", {"name": "Ada"})).is_error
                    assert len(ada.logins) == 2


@pytest.mark.parametrize(("kind", "stage", "remaps"), DOORS)
async def test_challenge_arrives_or_is_renamed_and_metadata_is_where_clients_look(
    tmp_path: Path, kind: str, stage: str, remaps: bool
) -> None:
    async with deployed(tmp_path, kind, stage, remaps=remaps) as origin, httpx.AsyncClient(base_url=origin) as http:
        refused = await http.post("/mcp", json={})
        assert refused.status_code == 401
        assert (REMAPPED.lower() in refused.headers, "www-authenticate" in refused.headers) == (remaps, not remaps)
        found = await http.get("/.well-known/oauth-protected-resource/mcp")
        assert found.json()["authorization_servers"] == [origin]


async def test_stage_before_the_path_of_an_http_api_is_taken_off(tmp_path: Path) -> None:
    async with deployed(tmp_path, HTTP_API, "prod") as origin, httpx.AsyncClient(base_url=origin) as http:
        assert (await http.get("/prod/healthz")).json() == {"status": "ok"}
        assert (await http.post("/prod/mcp", json={})).status_code == 401
        assert (await http.get("/production/healthz")).status_code == 404


async def test_rest_api_takes_its_stage_off_itself(tmp_path: Path) -> None:
    async with deployed(tmp_path, REST_API, "prod") as origin, httpx.AsyncClient(base_url=origin) as http:
        assert (await http.post("/prod/mcp", json={})).status_code == 401
        assert (await http.get("/.well-known/oauth-protected-resource/prod/mcp")).status_code == 403  # never ours


async def test_every_decision_is_written_before_the_instance_is_frozen(tmp_path: Path) -> None:
    async with deployed(tmp_path, HTTP_API) as origin:
        ada = Person(USER.name, USER.password)
        async with ada.connected(f"{origin}/mcp", "2026-07-28") as client:
            await client.call_tool("greet", {"name": "Ada"})
        lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert [line["client"] for line in lines if line.get("decision") == "allowed" and line.get("subject")]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param("public_url: http://mcp.example.com", ["public_url: the URL must use https"], id="wrong"),
        pytest.param("seal_keys_file: aws:ssm", ["aws:ssm: a secret at AWS is named"], id="no name of a secret"),
        pytest.param("leeway: 7000", ["leeway: must be"], id="out of bounds"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start_with_sentences(
    tmp_path: Path, settings: str, said: list[str]
) -> None:
    whole = {"public_url": "https://mcp.example.com", "issuers": [{"issuer": "https://issuer.example.com"}]}
    (tmp_path / "bearergate.yaml").write_text(yaml.safe_dump(whole | yaml.safe_load(settings)))
    with function(tmp_path, {}) as api:
        assert api.process.wait(20) == 1
    log = (tmp_path / "log").read_text()
    assert all(f"bearergate: {sentence}" in log for sentence in said), log
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
    file.write_text(yaml.safe_dump(settings | {"audit_log": "off"}))
    made = aws_lambda.handler
    assert aws_lambda.handler is made
    made.close()
    monkeypatch.delattr(aws_lambda, "handler")


def test_gate_that_cannot_start_says_why() -> None:
    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no disk"})

    settings = parse({"public_url": "https://mcp.example.com", "issuers": [{"issuer": "https://issuer.example.com"}]})
    with pytest.raises(RuntimeError, match="no disk"):
        Instance(build(settings, {"/mcp": broken}), frozenset())
