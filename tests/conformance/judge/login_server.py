"""An authorization server that does everything right, unless it is told to get one thing wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.issuer import Client, Issuer, Keys, User
from conformance.login import PORT

NAME, PASSWORD, SECOND = "alice", "wonderland", "bob"
CALLBACK = f"http://127.0.0.1:{PORT}/callback"
KEYS = Keys()
# What the document lacks, by fault.
LACKS = {
    "no S256 in the document": "code_challenge_methods_supported",
    "no token endpoint in the document": "token_endpoint",
    "no registration": "registration_endpoint",
    "no revocation": "revocation_endpoint",
}


class LoginServer:
    """The issuer at `url`, for the resource, as an ASGI app."""

    def __init__(
        self, url: str, resource: str, *faults: str, client: Client | None = None, methods: Sequence[str] = ()
    ) -> None:
        self.has: Callable[[str], bool] = frozenset(faults).__contains__
        self.url = url
        users = [User(NAME, PASSWORD), User(SECOND, PASSWORD)]
        known = None if self.has("any resource is granted") else [resource]
        scopes = {"mcp:use": "Use it", "mcp:admin": "Run it"}
        clients = [client] if client else []
        self.issuer = Issuer.plain(url, users=users, scopes=scopes, resources=known, keys=KEYS.copy(), clients=clients)
        self.methods = list(methods)
        self.answers: dict[str, list[Message]] = {}  # what codes were exchanged for
        self.redirects: dict[str, str] = {}  # redirect URIs that were asked for, by state
        self._break_profile()
        self._break_document()
        self.app: ASGIApp = self.issuer.app

    def _break_profile(self) -> None:
        profile = self.issuer._profile
        if self.has("iss is advertised and not sent"):
            vars(profile)["sends_iss"] = False
        if self.has("verifiers are not compared"):
            vars(profile)["requires_pkce"] = False
        if self.has("refresh tokens do not rotate"):
            vars(profile)["rotates"] = False
        if self.has("used refresh tokens work"):
            vars(profile)["grace"] = 1e9

    def _break_document(self) -> None:
        document = self.issuer.metadata()
        if self.has("no discovery document"):
            self.issuer.metadata_server.status = 404
        if self.has("another issuer in the document") or self.has("another issuer at the origin"):
            document["issuer"] = "https://elsewhere.test"
        if self.has("plain endpoints in the document"):
            document["authorization_endpoint"] = "http://elsewhere.test/authorize"
        if self.has("documents are not supported"):
            document["client_id_metadata_document_supported"] = False
        if self.has("no methods for machines"):
            document["token_endpoint_auth_methods_supported"] = ["none"]
        for fault, member in LACKS.items():
            if self.has(fault):
                del document[member]
        if self.methods:
            document["token_endpoint_auth_methods_supported"] = self.methods
        self.issuer.metadata_server.body = json.dumps(document).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The issuer, with the faults that are in what goes in and out."""
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path, host = scope["path"], dict(scope["headers"]).get(b"host", b"").decode()
        query = dict(parse_qsl(scope["query_string"].decode()))
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        if self.is_refused(path, form, body, query.get("redirect_uri", "")):
            await answer(send, 400)
        elif path == "/authorize" and self.has("no codes"):
            back = f"{query['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': query['state']})}"
            await answer(send, 302, back)
        elif path == "/authorize" and self.has("documents are not fetched") and "//" in query.get("client_id", ""):
            await answer(send, 302, f"{query['redirect_uri']}?{urlencode({'error': 'invalid_client'})}")
        elif path == "/revoke" and self.has("revocation does nothing"):
            await answer(send, 200)
        elif path == "/authorize" and self.has("the facade does not ask") and host == urlsplit(self.url).netloc:
            away = self.url.replace("127.0.0.1", "localhost")
            await answer(send, 302, f"{away}/authorize?{scope['query_string'].decode()}")
        elif form.get("code") in self.answers:
            for each in self.answers[form["code"]]:
                await send(each)
        else:
            query, form = self.changed(path, query, form)
            scope = {**scope, "query_string": urlencode(query).encode()}
            await self.passed_on(
                scope, body if path == "/register" else urlencode(form).encode(), send, form.get("code", "")
            )

    def is_refused(self, path: str, form: dict[str, str], body: bytes, asked: str) -> bool:
        """Whether the fault is that this is refused."""
        grant = form.get("grant_type")
        return (
            (grant == "refresh_token" and self.has("refreshing is refused"))
            or (grant == "authorization_code" and self.has("exchanging is refused"))
            or (path == "/authorize" and self.has("ports are compared") and f":{PORT}/" not in asked)
            or (path == "/register" and b"/second" in body and self.has("second clients are refused"))
        )

    def changed(self, path: str, query: dict[str, str], form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """What the issuer is made to see."""
        if self.has("verifiers are not compared"):
            query = {name: value for name, value in query.items() if not name.startswith("code_challenge")}
            form.pop("code_verifier", None)
        asked = query.get("redirect_uri", "")
        if (
            path == "/authorize"
            and self.has("redirects are compared by their beginning")
            and asked.startswith(CALLBACK)
        ):
            self.redirects[query.get("state", "")] = asked
            query["redirect_uri"] = CALLBACK
        return query, form

    async def passed_on(self, scope: Scope, body: bytes, send: Send, code: str) -> None:
        """The issuer's answer, with what is wrong about it."""
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def take(message: Message) -> None:
            if message["type"] == "http.response.start":
                if scope["path"] == "/register" and self.has("registrations are answered 200"):
                    message = {**message, "status": 200}
                message = {**message, "headers": self.headers(message["headers"])}
            if message["type"] == "http.response.body" and self.has("no refresh tokens"):
                message = {**message, "body": message["body"].replace(b'"refresh_token":', b'"refused_token":')}
            said.append(message)
            await send(message)

        if scope["method"] == "POST" and scope["path"] != "/register":
            headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
            scope = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        await self.app(scope, receive, take)
        if code and self.has("codes work again") and said[0]["status"] == 200:
            self.answers[code] = said

    def headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The header fields of an answer."""
        if self.has("answers may be stored"):
            headers = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
        return [(name, self.location(value) if name.lower() == b"location" else value) for name, value in headers]

    def location(self, value: bytes) -> bytes:
        """Where the browser is sent: to what was asked for, if that is the fault."""
        text = value.decode()
        if self.has("the facade does not ask"):
            text = text.replace(f"{self.url}/login", f"{self.url.replace('127.0.0.1', 'localhost')}/login")
        state = dict(parse_qsl(urlsplit(text).query)).get("state", "")
        if state in self.redirects and text.startswith(CALLBACK):
            text = self.redirects[state] + text.removeprefix(CALLBACK)
        return text.encode()


async def answer(send: Send, status: int, location: str = "") -> None:
    """A bare answer."""
    headers = [(b"location", quote(location, safe=":/?&=%#").encode())] if location else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
