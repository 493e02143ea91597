"""A gate as it is deployed: its function from the package, a front door, CloudFront before it, and an issuer beside it.

It has two resources: `/mcp` asks for the scopes of basic use, so that more is asked for by step-up; `/all` names every
scope that its tools need, so that the first login asks for them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from conformance.issuer import Client, Issuer, ResourceServer, User
from tests.aws.authorizers import Authorized, gateway_responses
from tests.aws.edge import ORIGIN, CloudFront, documented
from tests.aws.front_doors import FUNCTION_URL, HTTP_API, REST_API, FrontDoor
from tests.aws.function import AUTHORIZER, HANDLER, STREAMING, Function, function, task
from tests.ports import free_port
from tests.served import served

USER = User("ada", "a password")
WORDS = {"greetings:read": "Greet", "greetings:many": "Greet often", "bedrock:read": "Read how Bedrock is used"}
BASIC = ("greetings:read", "bedrock:read")


@dataclass(frozen=True)
class Way:
    """One way to deploy it; a REST API has a domain with root mapping, without which nobody finds its metadata."""

    kind: str
    remaps: bool = True
    streams: bool = False
    authorizer: bool = False

    @property
    def stage(self) -> str:
        return "prod" if self.kind == REST_API else "$default"


WAYS = {
    "HTTP API": Way(HTTP_API),
    "HTTP API that leaves the challenge": Way(HTTP_API, remaps=False),
    "HTTP API with authorizer": Way(HTTP_API, authorizer=True),
    "REST API": Way(REST_API),
    "REST API with authorizer": Way(REST_API, authorizer=True),
    "REST API that streams": Way(REST_API, streams=True),
    "function URL": Way(FUNCTION_URL),
    "function URL that streams": Way(FUNCTION_URL, streams=True),
}


@dataclass
class Deployed:
    """A gate that is reached at `origin`, by way of CloudFront where that is on."""

    origin: str
    issuer: Issuer
    function: Function
    door: FrontDoor
    front: CloudFront

    def scopes(self, path: str, *names: str) -> set[str]:
        """Scopes as the resource server of that path spells them."""
        return {f"{self.origin}{path}/{name}" for name in names}


def settings(origin: str, issuer: str) -> dict[str, Any]:
    """What is packaged; the keys are a snapshot, so a start fetches nothing."""
    resources = [
        {
            "path": path,
            "name": path,
            "scopes": [f"{origin}{path}/{name}" for name in names],
            "scope_prefix": f"{origin}{path}/",
            "tools": ["greetings", "bedrock"],
        }
        for path, names in {"/mcp": BASIC, "/all": tuple(WORDS)}.items()
    ]
    return {
        "public_url": origin,
        "allowed_hosts": [ORIGIN],
        "issuers": [{"issuer": issuer, "kind": "cognito", "resource_binding": True, "jwks_file": "keys.json"}],
        "resources": resources,
    }


def secret(**facade: str) -> dict[str, str]:
    """The settings that hold secrets, which no package does; so they are variables."""
    keys = [base64.b64encode(secrets.token_bytes(32)).decode()]
    return {"BEARERGATE_FACADE": json.dumps(facade), "BEARERGATE_SEAL_KEYS": json.dumps(keys)}


@asynccontextmanager
async def deployed(unpacked: Path, folder: Path, way: Way, **switches: Any) -> AsyncIterator[Deployed]:
    """The gate, deployed that way, until the end of the block; `switches` are of the front door."""
    issuer_port, port = free_port(), free_port()
    origin = f"http://localhost:{port}"
    issuer = Issuer.cognito(
        f"http://localhost:{issuer_port}",
        users=[USER],
        resource_servers=[ResourceServer(f"{origin}{path}", WORDS) for path in ("/mcp", "/all")],
        clients=[Client("gate", (f"{origin}/oauth/callback",), "a-secret")],
        refresh_rotation=True,
    )
    (folder / "keys.json").write_text(json.dumps(issuer.keys.document()))
    placed = task(unpacked, folder, settings(origin, issuer.url))
    variables = secret(client_id="gate", client_secret="a-secret", kind="cognito")
    with running(unpacked, placed, way, variables) as (gate, authorizer):
        opened = gate.open if way.streams else None
        options = {"domain": way.kind == REST_API, "remaps": way.remaps} | switches
        door = FrontDoor(way.kind, gate.invoke, way.stage, open=opened, **options)
        front = CloudFront(before(door, way, authorizer, origin), documented(), on=False)
        async with served(issuer.app, port=issuer_port), served(WithoutLifespan(front), port=port):
            yield Deployed(origin, issuer, gate, door, front)


@contextlib.contextmanager
def running(
    unpacked: Path, placed: Path, way: Way, variables: Mapping[str, str], most: int = 2
) -> Iterator[tuple[Function, Function | None]]:
    """The function, and that of the authorizer where there is one; instances are started by what is asked of them."""
    variables = {"BEARERGATE_BEDROCK_SAMPLE": "1"} | dict(variables)
    with contextlib.ExitStack() as stack:
        handler = STREAMING if way.streams else HANDLER
        gate = stack.enter_context(function(unpacked, placed, handler, variables, most))
        authorizer = stack.enter_context(function(unpacked, placed, AUTHORIZER)) if way.authorizer else None
        yield gate, authorizer


def before(door: FrontDoor, way: Way, authorizer: Function | None, origin: str) -> ASGIApp:
    """The door, behind the authorizer where there is one."""
    if authorizer is None:
        return door
    paths = frozenset({"/mcp", "/all"})
    responses = {path: gateway_responses(origin, path.removeprefix("/")) for path in paths}
    return Authorized(door, way.kind, authorizer.invoke, paths, way.stage, responses=responses)


class WithoutLifespan:
    """A door has no start and no end; the server that plays it has."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self.app(scope, receive, send)
            return
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
