"""Real gates: the one of `bearergate dev`, and one on Lambda behind each front door of AWS."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.issuer import Client, Issuer, ResourceServer, User
from deploy.aws_lambda import Instance, instance
from deploy.doctor.examination import examine
from deploy.doctor.streams import FIRST_SECONDS
from deploy.doctor.visit import Question, Visit
from tests.aws.front_doors import FUNCTION_URL, HTTP_API, REST_API, FrontDoor
from tests.aws.runtime import FunctionError
from tests.deploy.doctor.server import lifespan
from tests.deploy.doctor.test_findings import ids
from tests.deploy.laptop import Person, laptop
from tests.ports import free_port
from tests.served import served

USER = User("ada", "a password")


async def test_gate_on_a_laptop_leads_to_no_finding_with_and_without_a_token() -> None:
    with laptop() as gate:
        visit = await examine(Question(gate.endpoint))
        assert visit.findings.found == []
        alice = Person(gate.user, gate.password)
        async with alice.connected(gate.endpoint, "legacy") as client:
            await client.call_tool("multi-greet", {"name": "Ada"})
        tokens = alice.storage.tokens
        assert tokens is not None
        question = Question(gate.endpoint, token=tokens.access_token, tool="multi-greet", arguments={"name": "Ada"})
        visit = await examine(question)
        assert visit.findings.found == []
        assert visit.findings.untested == []
        assert visit.revisions == ("2025-06-18", "2025-11-25", "2026-07-28")
        assert any(well.startswith("Events of multi-greet arrive as they are made") for well in visit.findings.well)


@dataclass
class Named:
    """A front door with the header by which it shows."""

    app: ASGIApp
    header: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (self.header, b"one")]
            await send(message)

        await self.app(scope, receive, named)


def started(folder: Path, issuer: Issuer, origin: str) -> Instance:
    """The function with these settings, started."""
    keys = folder / "keys.json"
    keys.write_text(json.dumps(issuer.keys.document()))
    prefix = f"{origin}/mcp/"
    settings = {
        "public_url": origin,
        "audit_log": "off",
        "issuers": [{"issuer": issuer.url, "kind": "cognito", "resource_binding": True, "jwks_file": str(keys)}],
        "resources": [{"scopes": [f"{prefix}greetings:read"], "scope_prefix": prefix, "tools": ["greetings"]}],
        "facade": {"client_id": "gate", "client_secret": "a-secret", "kind": "cognito"},
        "seal_keys": [base64.b64encode(secrets.token_bytes(32)).decode()],
    }
    file = folder / "bearergate.yaml"
    file.write_text(yaml.safe_dump(settings))
    return instance({}, str(file))


@asynccontextmanager
async def deployed(folder: Path, kind: str, **options: Any) -> AsyncIterator[tuple[str, str]]:
    """The origin of a function behind a front door, and a token for it."""
    port, issuer_port = free_port(), free_port()
    origin = f"http://localhost:{port}"
    issuer = Issuer.cognito(
        f"http://localhost:{issuer_port}",
        users=[USER],
        resource_servers=[ResourceServer(f"{origin}/mcp", {"greetings:read": "Greet"})],
        clients=[Client("gate", (f"{origin}/oauth/callback",), "a-secret")],
    )
    thread = ThreadPoolExecutor(1)  # an instance has one, and one invocation at a time
    function = await asyncio.wrap_future(thread.submit(started, folder, issuer, origin))

    def invoke(event: Any) -> Any:
        if "subscriptions/listen" in (event["body"] or ""):  # it goes on until Lambda ends it
            time.sleep(FIRST_SECONDS + 0.5)
            raise FunctionError({"errorType": "Sandbox.Timedout"})
        return thread.submit(function, event, None).result()

    door = FrontDoor(kind, invoke, "prod" if kind == REST_API else "$default", **options)
    header = {HTTP_API: b"apigw-requestid", REST_API: b"x-amz-apigw-id", FUNCTION_URL: b"x-amzn-requestid"}[kind]
    token = issuer.token("ada", "gate", [f"{origin}/mcp/greetings:read"], f"{origin}/mcp")
    try:
        async with served(issuer.app, issuer_port), served(Named(door, header), port):
            yield origin, token
    finally:
        await asyncio.wrap_future(thread.submit(function.run, settled()))
        await asyncio.wrap_future(thread.submit(function.close))
        thread.shutdown()


async def settled() -> str:
    """Lets what was frozen after an answer come to its end."""
    for _ in range(100):
        await asyncio.sleep(0)
    return ""


def named(visit: Visit) -> str:
    return visit.front.name if visit.front else ""


@pytest.mark.parametrize(
    ("kind", "options", "found", "front"),
    [
        pytest.param(HTTP_API, {}, {"challenge-renamed", "buffered"}, "the HTTP API", id="HTTP API that renames"),
        pytest.param(HTTP_API, {"remaps": False}, {"buffered"}, "the HTTP API", id="HTTP API that does not"),
        pytest.param(FUNCTION_URL, {}, {"challenge-renamed", "buffered"}, "", id="function URL"),
        pytest.param(
            REST_API, {"domain": True}, {"challenge-renamed", "buffered"}, "the REST API", id="REST API with a domain"
        ),
    ],
)
async def test_gate_behind_a_front_door_of_aws_has_no_fault_but_the_front_doors(
    tmp_path: Path, kind: str, options: dict[str, Any], found: set[str], front: str
) -> None:
    async with deployed(tmp_path, kind, **options) as (origin, token):
        visit = await examine(Question(f"{origin}/mcp", token=token))
        assert ids(visit) == found
        assert named(visit).startswith(front)
        assert visit.revisions == ("2025-06-18", "2025-11-25", "2026-07-28")


async def test_stage_of_a_rest_api_keeps_everybody_from_the_metadata(tmp_path: Path) -> None:
    async with deployed(tmp_path, REST_API) as (origin, _):
        visit = await examine(Question(f"{origin}/prod/mcp"))
        assert ids(visit) == {"challenge-renamed", "stage-unreachable"}
        (finding,) = (each for each in visit.findings.found if each.id == "stage-unreachable")
        assert "DomainName" in finding.change
