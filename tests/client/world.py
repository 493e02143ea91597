"""A protected server and its issuer on real sockets, both doing what a test wants, and a person who logs in at once."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from client.authorization import Authorization
from client.exchange import Exchange, exchange
from client.login import Visit, parameters
from client.outbound import Outbound
from client.settings import Settings
from client.tokens import Logins
from client.vault import Memory, Vault
from tests.served import served

REDIRECT = "http://127.0.0.1:7777/callback"
PRM = "/.well-known/oauth-protected-resource"
ASM = "/.well-known/oauth-authorization-server"
Answer = Callable[[dict[str, str]], Response | None]


@dataclass
class Authority:
    """An issuer. `metadata` overrides members of its document, None takes them away."""

    origin: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # path and parameters of every request
    back: dict[str, str | None] = field(default_factory=dict)  # what the redirect says otherwise
    lifetime: int | None = 3600
    rotates: bool = True
    refreshes: bool = True
    token: Answer = lambda _form: None  # an answer of the token endpoint in place of its own
    revoking: Response = field(default_factory=Response)
    count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    refresh: str = ""  # the only refresh token that works

    def app(self) -> Starlette:
        """The issuer as an app."""
        return Starlette(
            routes=[
                Route("/authorize", self.authorize),
                Route("/token", self.exchange, methods=["POST"]),
                Route("/register", self.register, methods=["POST"]),
                Route("/revoke", self.revoke, methods=["POST"]),
                Route("/{path:path}", self.document),
            ]
        )

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The parameters of every request to a path."""
        return [said for at, said in self.seen if at == path]

    async def document(self, request: Request) -> Response:
        self.seen.append((request.url.path, {}))
        if request.url.path != ASM:
            return Response(status_code=404)
        endpoints = {f"{name}_endpoint": f"{self.origin}/{path}" for name, path in ENDPOINTS.items()}
        said = {
            "issuer": self.origin,
            **endpoints,
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            **self.metadata,
        }
        return JSONResponse({name: value for name, value in said.items() if value is not None})

    async def authorize(self, request: Request) -> Response:
        said = dict(request.query_params)
        self.seen.append(("/authorize", said))
        back = {"code": "a-code", "state": said["state"], **self.back}
        query = urlencode({name: value for name, value in back.items() if value is not None})
        return RedirectResponse(f"{said['redirect_uri']}?{query}")

    async def exchange(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.seen.append(("/token", {**form, "_authorization": request.headers.get("authorization")}))
        if (other := self.token(form)) is not None:
            return other
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh:
            return JSONResponse({"error": "invalid_grant"}, 400)
        number = next(self.count)
        if self.refreshes and (self.rotates or not self.refresh):
            self.refresh = f"refresh-{number}"
        given = {
            "access_token": f"access-{number}",
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "refresh_token": self.refresh or None,
            "scope": form.get("scope"),
        }
        return JSONResponse({name: value for name, value in given.items() if value is not None})

    async def register(self, request: Request) -> Response:
        said = await request.json()
        self.seen.append(("/register", said))
        return JSONResponse({**said, "client_id": f"registered-at-{urlsplit(self.origin).port}"}, 201)

    async def revoke(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.seen.append(("/revoke", {**form, "_authorization": request.headers.get("authorization")}))
        return self.revoking


ENDPOINTS = {"authorization": "authorize", "token": "token", "registration": "register", "revocation": "revoke"}


@dataclass
class Guarded:
    """A server that takes the tokens its issuer gave last, with `scope` among theirs."""

    authority: Authority
    origin: str = ""
    challenge: str | None = None  # None: with the place of the metadata
    resource: dict[str, Any] = field(default_factory=dict)
    places: tuple[str, ...] = (f"{PRM}/mcp",)
    demanded: list[str] = field(default_factory=list)  # scopes of a 403, while any are left
    refused: set[str | None] = field(default_factory=lambda: {None})  # tokens, None: no token
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path and token
    act: Callable[[Request], Response | None] = lambda _request: None  # in place of the server's own answer

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST", "DELETE"])])

    async def answer(self, request: Request) -> Response:
        path, header = request.url.path, request.headers.get("authorization")
        token = header.removeprefix("Bearer ") if header else None
        self.seen.append((request.method, path, token))
        if path in self.places:
            return JSONResponse(
                {"resource": self.url, "authorization_servers": [self.authority.origin], **self.resource}
            )
        if path != "/mcp":
            return Response(status_code=404)
        said = self.challenge if self.challenge is not None else f'Bearer resource_metadata="{self.origin}{PRM}/mcp"'
        if token in self.refused:
            return Response(status_code=401, headers={"WWW-Authenticate": said})
        if self.demanded:
            wanted = self.demanded.pop(0)
            more = f'Bearer error="insufficient_scope", scope="{wanted}"'
            return Response(status_code=403, headers={"WWW-Authenticate": more})
        other = self.act(request)
        return JSONResponse({}) if other is None else other


class Prompt:
    """A person who logs in at once, at an issuer that asks nothing."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.outcomes: list[str] = []
        self.reasons: list[str] = []
        self.redirect_uri = REDIRECT

    @asynccontextmanager
    async def visit(self, redirect_uri: str, why: str = "") -> AsyncIterator[Visit]:
        self.redirect_uri = redirect_uri or REDIRECT
        self.reasons.append(why)
        yield self

    async def go(self, url: str) -> dict[str, str]:
        self.urls.append(url)
        async with httpx2.AsyncClient() as browser:
            return parameters((await browser.get(url)).headers["location"])

    def finish(self, outcome: str) -> None:
        self.outcomes.append(outcome)


@dataclass
class World:
    """Both of them, and one client."""

    authority: Authority
    server: Guarded
    vault: Vault = field(default_factory=lambda: Vault([Memory()], print))
    person: Prompt | None = field(default_factory=Prompt)
    now: float = 1_000_000.0

    def auth(self, **settings: Any) -> Authorization:
        """The client's authorization, with what is in the vault."""
        chosen = Settings(**{"url": self.server.url, "folder": Path("/dev/null"), **settings})
        logins = Logins(self.vault, Path("/dev/null"), chosen.client_id)
        outbound = Outbound(allow_hosts=chosen.permitted_hosts)
        return Authorization(chosen, logins, outbound, self.person, lambda: self.now)

    async def get(self, auth: Authorization, method: str = "GET", **options: Any) -> tuple[int, Exchange]:
        """The status that a request of the client ends with, and what happened to it."""
        async with httpx2.AsyncClient(auth=auth) as http:
            with exchange() as happened:
                answer = await http.request(method, self.server.url, **options)
        return answer.status_code, happened


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """A server and its issuer, running."""
    authority = Authority()
    guarded = Guarded(authority)
    async with served(authority.app()) as issuer, served(guarded.app()) as origin:
        authority.origin, guarded.origin = issuer, origin
        yield World(authority, guarded)


@asynccontextmanager
async def another() -> AsyncIterator[Authority]:
    """Another issuer, running."""
    authority = Authority()
    async with served(authority.app()) as authority.origin:
        yield authority


def rpc(request_id: object, result: dict[str, Any]) -> Response:
    """A JSON-RPC answer."""
    return Response(json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}), media_type="application/json")
