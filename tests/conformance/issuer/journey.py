"""A client app and the browser before it, on their way through one issuer."""

from __future__ import annotations

import base64
import hashlib
from types import EllipsisType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt

from conformance.issuer import ABSENT, Issuer

VERIFIER = "v" * 43
CALLBACK = "http://127.0.0.1:8765/callback"

Value = str | list[str] | EllipsisType


def s256(verifier: str) -> str:
    """The challenge of a verifier (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def parameters(url: str) -> dict[str, str]:
    """The query of a URL; a parameter that is there twice fails."""
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


class Journey:
    """One public client's way: authorize, log in, exchange, refresh. Every parameter can be changed or left out."""

    def __init__(self, issuer: Issuer, client_id: str = "app") -> None:
        self.issuer = issuer
        self.urls = issuer.metadata()
        self.client_id = client_id
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app))

    async def authorize(self, **changes: Value) -> httpx.Response:
        """What the authorization endpoint answers."""
        request: dict[str, Value] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "state": "a state",
            "code_challenge": s256(VERIFIER),
            "code_challenge_method": "S256",
        }
        return await self.http.get(self.urls["authorization_endpoint"], params=_made(request, changes))

    async def login_url(self, **changes: Value) -> str:
        """The address of the login page that an authorization request leads to."""
        answer = await self.authorize(**changes)
        assert answer.status_code == 302, answer.text
        location = answer.headers["location"]
        assert urlsplit(location).path == "/login", location
        return location

    async def submit(self, login_url: str, **fields: str) -> httpx.Response:
        """What the login form answers."""
        return await self.http.post(login_url, data={"username": "alice", "password": "wonderland"} | fields)

    async def log_in(self, **changes: Value) -> dict[str, str]:
        """The parameters that the browser brings back to the client."""
        answer = await self.submit(await self.login_url(**changes))
        assert answer.status_code == 302, answer.text
        return parameters(answer.headers["location"])

    async def exchange(self, code: str, /, **changes: Value) -> httpx.Response:
        """What the token endpoint answers to a code."""
        request: dict[str, Value] = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return await self.token(request, changes)

    async def refresh(self, refresh_token: str, /, **changes: Value) -> httpx.Response:
        """What the token endpoint answers to a refresh token."""
        request: dict[str, Value] = {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "refresh_token": refresh_token,
        }
        return await self.token(request, changes)

    async def token(self, request: dict[str, Value], changes: dict[str, Value] | None = None) -> httpx.Response:
        """What the token endpoint answers."""
        return await self.http.post(self.urls["token_endpoint"], data=_made(request, changes or {}))

    async def revoke(self, token: str, /, **changes: Value) -> httpx.Response:
        """What the revocation endpoint answers."""
        request = _made({"token": token, "client_id": self.client_id}, changes)
        return await self.http.post(self.urls["revocation_endpoint"], data=request)

    async def tokens(self, **changes: Value) -> dict[str, Any]:
        """The token answer at the end of a whole login."""
        answer = await self.exchange((await self.log_in(**changes))["code"])
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of an access token, its signature checked."""
        return jwt.decode(token, self.issuer.keys.access, algorithms=["RS256"]).claims


def _made(request: dict[str, Value], changes: dict[str, Value]) -> dict[str, Any]:
    return {name: value for name, value in {**request, **changes}.items() if value is not ABSENT}
