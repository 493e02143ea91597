"""What every attack is measured by: the exact refusal, an honest caller unharmed, nothing leaked, no fetch caused."""

from __future__ import annotations

import json
import re
import select
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, RSAKey

from conformance.issuer import Issuer, rsa_key
from tests.gated import CLIENT, PUBLIC, RESOURCE, SCOPES, Gated, cognito_issuer, gated, plain_issuer

NOW = 1_800_000_000.0  # the clock of issuer and gate stands here until a test moves it
COOLDOWN = 30.0  # seconds between two fetches of a key set
METADATA = f"{PUBLIC}/.well-known/oauth-protected-resource/mcp"
COGNITO_SCOPE = f"{RESOURCE}/use"

Forge = Callable[[Issuer], "str | bytes"]


class Verdict(NamedTuple):
    """How a request is refused: the audit log's reason, the status, and `error` in the challenge."""

    reason: str
    status: int = 401
    error: str | None = "invalid_token"
    challenged: bool = True


MISSING = Verdict("missing_token", error=None)
MALFORMED_REQUEST = Verdict("malformed_request", 400, "invalid_request")


def verdict(reason: str | Verdict) -> Verdict:
    """A reason alone is one of an invalid token."""
    return Verdict(reason) if isinstance(reason, str) else reason


@cache
def stranger() -> RSAKey:
    """A good key that no issuer publishes."""
    return rsa_key()


@cache
def spare() -> RSAKey:
    """A good key to publish besides, or to rotate to."""
    return rsa_key()


@cache
def weak() -> RSAKey:
    """A key below 2048 bits (RFC 7518 §3.3)."""
    return rsa_key(1024)


@cache
def low_exponent() -> RSAKey:
    """A key whose signatures can be forged where padding is not checked to its end (RFC 8017 §8.2.2)."""
    private = rsa.generate_private_key(public_exponent=3, key_size=2048)
    return RSAKey(private, private, {"alg": "RS256", "use": "sig", "kid": "low-exponent"})


@cache
def curve_key(curve: str) -> ECKey:
    """A key on a curve, named by it."""
    return ECKey.generate_key(curve, {"kid": curve})


def honest(issuer: Issuer, **damage: Any) -> str:
    """A valid token of alice, but for the damage; a Cognito one has no `aud` unless it is among the claims."""
    if "us-east-1" in issuer.url:
        return issuer.token("alice", CLIENT, [COGNITO_SCOPE], **damage)
    return issuer.token("alice", CLIENT, SCOPES, RESOURCE, **damage)


def claims(**changes: Any) -> Forge:
    """An honest token but for these claims."""
    return lambda issuer: honest(issuer, claims=changes)


def header(**changes: Any) -> Forge:
    """An honest token but for these members of its header; signed with RS256 whatever they say."""
    return lambda issuer: (
        honest(issuer, header=changes, alg="RS256") if "alg" in changes else honest(issuer, header=changes)
    )


def payload(text: bytes) -> Forge:
    """An honest header and signature around these bytes."""
    return lambda issuer: honest(issuer, claims=text)


def edited(issuer: Issuer, old: str, new: str) -> bytes:
    """The JSON of honest claims with one passage replaced, for what no JSON encoder would write."""
    text = json.dumps(honest_claims(issuer), separators=(",", ":"))
    assert old in text, "the passage to replace is not there"
    return text.replace(old, new, 1).encode("utf-8", "surrogatepass")


def honest_claims(issuer: Issuer) -> dict[str, Any]:
    """The claims of an honest token of a plain issuer."""
    return issuer.claims("alice", CLIENT, SCOPES, RESOURCE)


def written(old: str, new: str) -> Forge:
    """An honest token whose payload reads `new` where it would read `old`."""
    return lambda issuer: honest(issuer, claims=edited(issuer, old, new))


@asynccontextmanager
async def standing(issuer: Issuer | None = None, **settings: Any) -> AsyncIterator[Gated]:
    """A gate whose clock stands still and which has served an honest request, so that it has keys."""
    issuer = issuer or plain_issuer()
    issuer.clock.set(NOW)
    async with gated(issuer, **settings) as door:
        assert (await door.post(honest(issuer))).status_code == 200
        yield door


@asynccontextmanager
async def cognito(**settings: Any) -> AsyncIterator[Gated]:
    """A standing gate for a Cognito pool's tokens without `aud`."""
    async with standing(cognito_issuer(), resource={"scopes": [COGNITO_SCOPE]}, **settings) as door:
        yield door


async def present(door: Gated, token: str | bytes) -> httpx.Response:
    """The answer to a request with this bearer token, to the byte."""
    credentials = token.encode() if isinstance(token, str) else token
    return await door.client.post(
        "/mcp", headers=[(b"authorization", b"Bearer " + credentials)], content=b'{"jsonrpc":"2.0","method":"ping"}'
    )


Fields = Sequence[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """What came back to a request that no client library would send."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str:
        """All fields of a name, joined; "" where there is none."""
        return ", ".join(value.decode("latin-1") for field, value in self.headers if field == name.encode())

    @property
    def response(self) -> httpx.Response:
        """The same, as a client library shows it."""
        return httpx.Response(self.status, headers=self.headers, content=self.body)


async def ask(
    door: Gated,
    method: str = "POST",
    target: str = "/mcp",
    fields: Fields = (),
    body: bytes | Iterable[bytes] = b"",
    *,
    host: bytes | None = b"gw.example",
    complete: bool = True,
) -> Answer:
    """The answer to a request of exactly these fields, decoded the way servers do before they hand it on.

    The client of one that is not complete hangs up; the status is then 0, if nobody answers.
    """
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": ([] if host is None else [(b"host", host)]) + [(name.lower(), value) for name, value in fields],
        "client": ("192.0.2.1", 4711),
        "server": ("192.0.2.2", 80),
        "state": {},
    }
    chunks = [body] if isinstance(body, bytes) else list(body)
    asked = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    asked[-1]["more_body"] = not complete
    sent: list[Any] = []

    async def receive() -> Any:
        return asked.pop(0) if asked else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await door.gate(scope, receive, send)
    if not sent:
        return Answer(0, [], b"")
    return Answer(sent[0]["status"], list(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:]))


def bearer(token: str) -> tuple[bytes, bytes]:
    """The one field that carries a token."""
    return b"authorization", b"Bearer " + token.encode()


async def withstands(door: Gated, forge: Forge, expected: str | Verdict, logged: Callable[[], str]) -> None:
    """The gate refuses a forged token exactly so, and everything else is as it was before."""
    token = forge(door.issuer)
    reached = len(door.app.scopes)
    response = await present(door, token)
    refused_as(response, verdict(expected), scope=" ".join(door.settings.resources[0].scopes))
    assert door.reason == verdict(expected).reason
    assert len(door.app.scopes) == reached, "the app was reached"
    keeps_secret(token, response, door, logged())
    assert (await door.post(honest(door.issuer))).status_code == 200, "an honest caller is refused afterwards"
    assert door.issuer.key_server.hits <= 1 + (door.issuer.clock.now() - NOW) // COOLDOWN


def refused_as(response: httpx.Response, expected: Verdict, *, scope: str = "mcp:use") -> None:
    """Status and challenge are exactly those of the verdict, and nothing may keep the answer."""
    assert response.status_code == expected.status, response.text
    assert response.headers["cache-control"] == "no-store"
    challenges = response.headers.get_list("www-authenticate")
    assert len(challenges) == expected.challenged
    for challenge in challenges:
        said = dict(re.findall(r'(\w+)="([^"\\]*)"', challenge))
        assert challenge == "Bearer " + ", ".join(f'{name}="{value}"' for name, value in said.items())
        assert said.pop("error_description", None) is None or "error" in said
        wanted = {"error": expected.error, "scope": scope, "resource_metadata": METADATA}
        assert said == {name: value for name, value in wanted.items() if value}


def keeps_secret(token: str | bytes, response: httpx.Response, door: Gated, logged: str) -> None:
    """Neither the token nor its signature is in the answer, the audit log or any other log."""
    text = token if isinstance(token, str) else token.decode("latin-1")
    told = response.text + repr(response.headers.raw) + json.dumps(door.log) + logged
    for secret in {text, text.rpartition(".")[2]}:
        assert len(secret) < 16 or secret not in told, "a token is told to somebody"


class Listener:
    """A socket of this machine that nobody should ever connect to."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> bool:
        """Stop listening; whether anybody has connected."""
        with self._socket:
            readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable)
