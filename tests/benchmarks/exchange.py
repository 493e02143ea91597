"""What one code for tokens costs the gate: CPU of its own, and requests to the issuer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlencode

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.types import Message, Scope

from discovery.fetch import Fetch
from discovery.issuer import IssuerMetadata
from gateway.facade.callback import sealable
from gateway.facade.issuer import Issuer
from gateway.facade.routes import Facade
from gateway.facade.sealed import CLIENT, CODE, REFRESH, Flow, Refresh, Registration, Wish, fingerprint, s256
from gateway.settings import FacadeSettings
from gateway.sources import parse
from tests.benchmarks.workload import best_of
from tests.gated import ISSUER, PUBLIC, RESOURCE

ROUNDS = 7
MANY = 300
KEY = "QSBrZXkgb2YgdGhpcnR5LXR3byByYW5kb20gYnl0ZXM"
VERIFIER = "v" * 43
ANSWER = b'{"access_token":"%s","expires_in":3600,"token_type":"Bearer","refresh_token":"%s"}' % (
    b"a" * 1000,
    b"r" * 1000,
)


class Answering(httpx.AsyncBaseTransport):
    """An issuer that costs nothing and counts what it is asked: what is left is the gate's own work."""

    def __init__(self) -> None:
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        assert request.content
        return httpx.Response(200, stream=httpx.ByteStream(ANSWER))


async def metadata() -> IssuerMetadata:
    """What the issuer publishes, at no cost."""
    return IssuerMetadata(issuer=ISSUER, token_endpoint=f"{ISSUER}/token")


@asynccontextmanager
async def facade(issuer: Answering) -> AsyncIterator[tuple[Starlette, Facade]]:
    """A facade before this issuer."""
    settings = parse(
        {
            "public_url": PUBLIC,
            "issuers": [{"issuer": ISSUER}],
            "resources": [{"scopes": ["mcp:use"]}],
            "facade": {"client_id": "gate", "client_secret": "a-secret"},
            "seal_keys": [KEY],
        }
    )
    assert isinstance(settings.facade, FacadeSettings)
    made = Facade(settings, settings.facade, fetch=Fetch, write=lambda _: None)
    asking = Issuer("gate", "a-secret", metadata, transport=lambda: issuer)
    made.front = msgspec.structs.replace(made.front, issuer=asking)
    yield Starlette(routes=made.routes()), made
    await made.close()


def forms(made: Facade) -> dict[str, bytes]:
    """A grant of each kind, as a client sends it."""
    seal = made.front.seal
    client_id = seal.seal(CLIENT, Registration(redirect_uris=("http://127.0.0.1/callback",), name="A client"))
    wish = Wish(
        client=fingerprint(client_id),
        redirect_uri="http://127.0.0.1/callback",
        challenge=s256(VERIFIER),
        resource=RESOURCE,
        scopes=("mcp:use",),
        state="s" * 43,
        browser=fingerprint("b" * 32),
    )
    code = seal.seal(CODE, sealable("c" * 36, Flow(wish, VERIFIER)), 600)
    refresh = seal.seal(REFRESH, Refresh("r" * 1000, wish.client, RESOURCE, wish.scopes))
    grant = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER, "client_id": client_id}
    again = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": client_id}
    return {"code": urlencode(grant).encode(), "refresh": urlencode(again).encode()}


async def microseconds(app: Starlette, body: bytes) -> float:
    """CPU of this process for one exchange."""
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/oauth/token",
        "raw_path": b"/oauth/token",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"gw.example"), (b"content-type", b"application/x-www-form-urlencoded")],
        "client": ("203.0.113.7", 1),
        "server": ("gw.example", 443),
    }
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    started = time.process_time()
    for _ in range(MANY):
        await app(dict(scope), receive, send)
    spent = time.process_time() - started
    assert statuses == [200] * MANY
    return spent / MANY * 1e6


async def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, µs, budget."""
    issuer = Answering()
    async with facade(issuer) as (app, made):
        grants = forms(made)
        for body in grants.values():
            await microseconds(app, body)
        issuer.asked = 0
        best = await best_of(ROUNDS, {name: partial(microseconds, app, body) for name, body in grants.items()})
        asked = issuer.asked / (ROUNDS * MANY * len(grants))
    return [
        ("code exchanged for tokens", f"{best['code']:.0f} µs", "must 1,000"),
        ("refresh token exchanged", f"{best['refresh']:.0f} µs", "must 1,000"),
        ("requests to the issuer per exchange", f"{asked:g}", "must 1"),
    ]
