"""A whole login in three lines: an issuer on a real socket, the gate with its facade, and a browser that uses them."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urljoin, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.issuer import Client, Issuer, ResourceServer, User
from discovery.fetch import Fetch
from gateway.app import build
from gateway.facade.sealed import s256
from gateway.seal import Seal
from gateway.sources import parse
from tests.gated import PUBLIC, RESOURCE, Recorder, keys
from tests.ports import free_port
from tests.served import served

USER = User("alice", "wonderland")
OTHER_RESOURCE = f"{PUBLIC}/other"
USE, ADMIN, OTHER = f"{RESOURCE}/use", f"{RESOURCE}/admin", f"{OTHER_RESOURCE}/use"
SECRET = "the-gates-own-secret"
KEY = base64.b64encode(b"a key of thirty-two random bytes").decode()
REDIRECT = "http://127.0.0.1:8765/callback"
WEB = "https://app.example/callback"
VERIFIER = "a-verifier-of-the-client-" + "0123456789" * 3
STATIC = {"client_id": "known", "name": "Known app", "redirect_uris": [WEB]}


@dataclass
class Way:
    """What lies between the gate and the issuer: counts requests, and answers some of them itself."""

    app: ASGIApp
    requests: list[tuple[str, bytes]] = field(default_factory=list)  # path, query or body
    headers: list[dict[str, str]] = field(default_factory=list)
    faults: dict[str, tuple[int, bytes, str]] = field(default_factory=dict)  # by path: status, body, media type
    wait: Callable[[str], Awaitable[None]] | None = None  # before the issuer is asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.requests.append((scope["path"], body or scope["query_string"]))
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if self.wait is not None:
            await self.wait(scope["path"])
        if fault := self.faults.get(scope["path"]):
            status, answer, media_type = fault
            head = [(b"content-type", media_type.encode())]
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": answer})
            return

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, again, send)

    def asked(self, path: str) -> list[dict[str, str]]:
        """The parameters of every request for a path."""
        return [dict(parse_qsl(body.decode())) for found, body in self.requests if found == path]


@dataclass
class Documents:
    """The public web, as far as clients' metadata documents go: what is at each URL."""

    at: dict[str, tuple[int, bytes, str]] = field(default_factory=dict)  # URL: status, body, media type
    hits: list[str] = field(default_factory=list)
    wait: Callable[[], Awaitable[None]] | None = None

    def put(self, url: str, status: int = 200, media_type: str = "application/json", **members: Any) -> str:
        """Publish a document that describes a client; its URL again."""
        document = {"client_id": url, "client_name": "Described", "redirect_uris": [WEB]} | members
        self.at[url] = status, json.dumps(document).encode(), media_type
        return url

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        host = dict(scope["headers"])[b"host"].decode()
        url = f"https://{host}{scope['path']}"
        self.hits.append(url)
        if self.wait is not None:
            await self.wait()
        status, body, media_type = self.at.get(url, (404, b"", "text/plain"))
        head = [(b"content-type", media_type.encode()), (b"location", b"https://elsewhere.example/")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Page:
    """What a browser shows, or where it was sent outside of what the rig serves."""

    answer: httpx.Response
    url: str
    left_for: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """What the browser brings to the client."""
        found = parse_qs(urlsplit(self.left_for).query, keep_blank_values=True)
        assert all(len(values) == 1 for values in found.values()), self.left_for
        return {name: values[0] for name, values in found.items()}

    @property
    def form(self) -> Form:
        """The one form of the page."""
        reader = Form()
        reader.feed(self.answer.text)
        assert reader.action, self.answer.text
        return reader


class Form(HTMLParser):
    """The fields of a form and where it goes, as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.asked: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.action = given.get("action") or ""
        elif tag == "input" and given.get("type") == "hidden":
            self.fields[given.get("name") or ""] = given.get("value") or ""
        elif tag in ("input", "button"):
            self.asked.add(given.get("name") or "")


class Network(httpx.AsyncBaseTransport):
    """The gates at the public URL, taking turns, and the network for all else."""

    def __init__(self, public: str, gates: list[Starlette], address: str) -> None:
        self.public, self.address, self.turn = public, address, 0
        self.gates = gates
        self.network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not str(request.url).startswith(f"{self.public}/"):
            return await self.network.handle_async_request(request)
        self.turn += 1
        gate = self.gates[self.turn % len(self.gates)]
        return await httpx.ASGITransport(gate, client=(self.address, 1)).handle_async_request(request)

    async def aclose(self) -> None:
        await self.network.aclose()


class Browser:
    """A person's browser: follows redirects, keeps cookies, fills in forms, and says where a form comes from."""

    def __init__(self, http: httpx.AsyncClient, outside: Iterable[str]) -> None:
        self.http = http
        self.inside = tuple(outside)

    async def open(self, url: str) -> Page:
        """The page at an address, after all redirects that stay among what the rig serves."""
        return await self._follow(await self.http.get(url))

    async def submit(self, page: Page, **words: str) -> Page:
        """What comes of the form on a page, filled in with those words that it asks for."""
        form = page.form
        data = {**form.fields, **{name: value for name, value in words.items() if name in form.asked}}
        target = urljoin(page.url, form.action)
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
        headers = {"sec-fetch-site": "same-origin", "origin": origin}
        return await self._follow(await self.http.post(target, data=data, headers=headers))

    async def log_in(self, url: str, decision: str = "approve", user: User = USER) -> Page:
        """Where a whole login ends: consent if asked for, then the issuer's form."""
        page = await self.open(url)
        while not page.left_for and "<form" in page.answer.text:
            page = await self.submit(page, decision=decision, username=user.name, password=user.password)
        return page

    async def _follow(self, answer: httpx.Response) -> Page:
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if not target.startswith(self.inside):
                return Page(answer, str(answer.url), target)
            answer = await self.http.get(target)
        return Page(answer, str(answer.url))


@dataclass
class App:
    """An MCP client, as far as OAuth goes."""

    rig: Rig
    client_id: str
    redirect: str = REDIRECT
    verifier: str = VERIFIER

    def url(self, **changes: Any) -> str:
        """Where it sends the browser; a change of None takes a parameter out, a list repeats it."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect,
            "state": "a state",
            "code_challenge": s256(self.verifier),
            "code_challenge_method": "S256",
            "resource": RESOURCE,
            "scope": USE,
        }
        made = {name: value for name, value in (asked | changes).items() if value is not None}
        return f"{self.rig.public}/oauth/authorize?{urlencode(made, doseq=True)}"

    async def code(self, browser: Browser | None = None, **changes: Any) -> str:
        """The code that a whole login ends with."""
        page = await (browser or self.rig.browser).log_in(self.url(**changes))
        assert "code" in page.parameters, page.left_for
        return page.parameters["code"]

    async def redeem(self, code: str, /, **changes: Any) -> httpx.Response:
        """What the token endpoint answers to a code."""
        grant = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": self.verifier,
        }
        return await self.post("/oauth/token", grant, changes)

    async def tokens(self, **changes: Any) -> dict[str, Any]:
        """The token answer at the end of a whole login."""
        answer = await self.redeem(await self.code(**changes))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def refresh(self, token: str, /, **changes: Any) -> httpx.Response:
        """What the token endpoint answers to a refresh token."""
        grant = {"grant_type": "refresh_token", "client_id": self.client_id, "refresh_token": token}
        return await self.post("/oauth/token", grant, changes)

    async def revoke(self, token: str, /, **changes: Any) -> httpx.Response:
        """What the revocation endpoint answers."""
        return await self.post("/oauth/revoke", {"client_id": self.client_id, "token": token}, changes)

    async def post(self, path: str, form: Mapping[str, Any], changes: Mapping[str, Any]) -> httpx.Response:
        """What an endpoint answers to a form."""
        data = {name: value for name, value in {**form, **changes}.items() if value is not None}
        return await self.rig.http.post(f"{self.rig.public}{path}", data=data)


@dataclass
class Rig:
    """All of it. `browser` is the first person's; `gates` take turns."""

    issuer: Issuer
    base: str  # of the issuer
    way: Way
    documents: Documents
    public: str
    values: dict[str, Any]  # the settings
    gates: list[Starlette]
    log: list[dict[str, Any]]
    lines: list[bytes]
    network: Network
    http: httpx.AsyncClient  # without cookies: clients and strangers
    browser: Browser
    app: Recorder
    monotonic: Callable[[], float]
    stack: AsyncExitStack
    audited: bool = True
    real_web: bool = False  # documents of clients come from the network, not from `documents`

    def new_browser(self) -> Browser:
        """Another person's browser."""
        return Browser(httpx.AsyncClient(transport=self.network), self.browser.inside)

    async def register(self, *redirects: str, **members: Any) -> App:
        """A client that registered itself."""
        uris = list(redirects or (REDIRECT,))
        answer = await self.http.post(f"{self.public}/oauth/register", json={"redirect_uris": uris} | members)
        assert answer.status_code == 201, answer.text
        return App(self, answer.json()["client_id"], uris[0])

    def build(self, **changes: Any) -> Starlette:
        """A gate with the settings, but for these changes."""
        settings = parse(self.values | changes)

        def write(lines: bytes) -> None:
            self.lines.append(lines)
            self.log.extend(json.loads(line) for line in lines.splitlines())

        return build(
            settings,
            {one.path: self.app for one in settings.resources},
            audit=write if self.audited else None,
            fetch=Fetch(allow_hosts=frozenset({"localhost"})),
            strangers=None if self.real_web else Fetch(transport=lambda: httpx.ASGITransport(self.documents)),
            now=self.issuer.clock.now,
            monotonic=self.monotonic,
        )

    async def replace(self, **changes: Any) -> None:
        """Put a new gate, with the settings but for these changes, in the place of those there are."""
        self.gates[:] = [await self.start(**changes)]

    async def start(self, **changes: Any) -> Starlette:
        """A new gate, which stops when the rig does."""
        gate = self.build(**changes)
        await self.stack.enter_async_context(gate.router.lifespan_context(gate))
        return gate

    @property
    def detail(self) -> str:
        """What the log says of the last refusal."""
        return str(self.log[-1].get("detail", ""))


@asynccontextmanager
async def rig(
    *,
    plain: bool = False,
    public: str = PUBLIC,
    gates: int = 1,
    rotation: bool = True,
    grace: float = 0,
    resources: Iterable[Mapping[str, Any]] | None = None,
    secret: str | None = SECRET,
    address: str = "203.0.113.7",
    facade: Mapping[str, Any] | None = None,
    monotonic: Callable[[], float] | None = None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """Gates with the same settings before a Cognito-shaped issuer, or a spec-complete one if `plain`."""
    port = free_port()
    base = f"http://localhost:{port}"
    issuer = plain_issuer(base) if plain else cognito_issuer(base, public, rotation=rotation, grace=grace)
    issuer.add_client(Client("gate", (f"{public}/oauth/callback",), secret))
    way, documents = Way(issuer.app), Documents()
    trusted: dict[str, Any] = {"issuer": issuer.url}
    trusted |= {"token_type": "at+jwt"} if plain else {"kind": "cognito", "resource_binding": True}
    faced: dict[str, Any] = {
        "client_id": "gate",
        "client_secret": secret or "",
        "kind": "other" if plain else "cognito",
    }
    values: dict[str, Any] = {
        "public_url": public,
        "issuers": [trusted],
        "resources": list(resources or [{"path": "/mcp", "name": "Reports", "scopes": [f"{public}/mcp/use"]}]),
        "facade": faced | {"clients": [STATIC]} | dict(facade or {}),
        "seal_keys": [KEY],
    }
    async with (
        served(way, port=port),
        httpx.AsyncClient(transport=(network := Network(public, [], address))) as person,
        httpx.AsyncClient(transport=Stateless(network)) as http,
        AsyncExitStack() as stack,
    ):
        made = Rig(
            issuer=issuer,
            base=base,
            way=way,
            documents=documents,
            public=public,
            values=values | settings,
            gates=network.gates,
            log=[],
            lines=[],
            network=network,
            http=http,
            browser=Browser(person, (f"{public}/", f"{base}/")),
            app=Recorder(),
            monotonic=monotonic or issuer.clock.now,
            stack=stack,
        )
        network.gates.extend([await made.start() for _ in range(gates)])
        yield made


class Stateless(httpx.AsyncBaseTransport):
    """The same network for somebody who keeps no cookies."""

    def __init__(self, network: Network) -> None:
        self.network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers.pop("cookie", None)
        return await self.network.handle_async_request(request)


def cognito_issuer(base: str, public: str, *, rotation: bool, grace: float) -> Issuer:
    """A user pool with a resource server for each of two resources."""
    return Issuer.cognito(
        base,
        users=[USER, User("mallory", "malice")],
        resource_servers=[
            ResourceServer(f"{public}/mcp", {"use": "Use it", "admin": "Run it"}),
            ResourceServer(f"{public}/other", {"use": "Use the other"}),
        ],
        refresh_rotation=rotation,
        refresh_grace=grace,
        insecure_loopback_resources=True,
        keys=keys().copy(),
    )


def plain_issuer(base: str) -> Issuer:
    """A spec-complete issuer, which says who it is in every answer."""
    return Issuer.plain(
        base,
        users=[USER, User("mallory", "malice")],
        resources=[RESOURCE, OTHER_RESOURCE],
        scopes={USE: "Use it", ADMIN: "Run it", OTHER: "Use the other", "offline_access": "Stay logged in"},
        keys=keys().copy(),
    )


def a_seal(rig: Rig, key: str = KEY) -> Seal:
    """The seal of the gate itself, for those who test what it would open."""
    return Seal([base64.b64decode(key)], rig.issuer.clock.now)


def new_key() -> str:
    """A fresh key as settings spell it."""
    return base64.b64encode(secrets.token_bytes(32)).decode()
