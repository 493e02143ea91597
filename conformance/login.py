"""The judge as an OAuth client: finds the authorization server, registers, logs in, and asks for tokens."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import sys
import threading
import webbrowser
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from .addresses import may_fetch, split
from .forms import Arrival, Browser, Person
from .options import Login
from .wire import Answer, strings

if TYPE_CHECKING:
    from .target import Target

PORT = 47_113  # of the redirect URI, where nothing has to listen unless a person logs in
LOGIN_SECONDS = 300  # that a person has
NATIVE = {
    "client_name": "mcp-conformance",
    "application_type": "native",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}


class CannotLogin(Exception):
    """No login was possible; the text says why."""


@dataclass(frozen=True)
class Client:
    """The judge as an authorization server knows it."""

    id: str
    secret: str = field(default="", repr=False)
    redirect_uri: str = f"http://127.0.0.1:{PORT}/callback"


@dataclass
class Proof:
    """A code verifier and what is sent of it first (RFC 7636)."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    @property
    def challenge(self) -> str:
        """The S256 challenge."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


def discovery_urls(issuer: str) -> list[str]:
    """Where the metadata of an issuer may be, in the order in which clients look (MCP Authorization)."""
    parts = split(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    names = ("oauth-authorization-server", "openid-configuration")
    inserted = [f"{origin}/.well-known/{name}{path}" for name in names]
    return inserted + ([f"{origin}{path}/.well-known/openid-configuration"] if path else [])


class Journey:
    """One client's dealings with an authorization server, as often as wanted."""

    def __init__(self, target: Target, issuer: str, metadata: dict[str, Any], login: Login) -> None:
        self.target = target
        self.issuer = issuer
        self.metadata = metadata
        self.login = login
        self.headless = not login.browser
        said = target.found.metadata().get("resource")
        self.resource = said if isinstance(said, str) and said.isascii() else target.url
        self._client: Client | None = None

    @property
    def person(self) -> Person:
        """Who logs in."""
        return Person(self.login.name, self.login.password)

    def endpoint(self, name: str) -> str:
        """The URL of an endpoint; "" if the metadata names none that may be asked."""
        found = self.metadata.get(f"{name}_endpoint")
        return found if isinstance(found, str) and may_fetch(found, self.target.near) else ""

    @property
    def scopes(self) -> str:
        """What is asked for."""
        wanted = self.target.scopes()
        if wanted and "offline_access" in strings(self.metadata.get("scopes_supported")):
            wanted.append("offline_access")  # some give refresh tokens only to who asks
        return " ".join(wanted)

    def client(self) -> Client:
        """The judge as a client: as it was given, by its document, or registered now.

        Raises:
            CannotLogin: there is no way to become one.
        """
        if self._client is None:
            self._client = self._become_client()
            self.target.secrets.hide(self._client.secret)
        return self._client

    def _become_client(self) -> Client:
        redirect = self.login.redirect_uri or Client("").redirect_uri
        if self.login.client_id:
            return Client(self.login.client_id, self.login.client_secret, redirect)
        if self.login.client_document and self.metadata.get("client_id_metadata_document_supported") is True:
            return Client(self.login.client_document, "", redirect)
        if not self.endpoint("registration"):
            raise CannotLogin(
                f"{self.issuer} offers no registration: give --client-id, and --redirect-uri as registered."
            )
        answer = self.register(redirect)
        said = answer.json()
        if not answer.ok or not isinstance(said, dict) or not isinstance(said.get("client_id"), str):
            raise CannotLogin(f"Registration at {self.issuer} was answered {answer.said()}: give --client-id.")
        return Client(said["client_id"], str(said.get("client_secret") or ""), redirect)

    def register(self, redirect_uri: str, **changes: Any) -> Answer:
        """The answer to a registration (RFC 7591)."""
        wanted = {**NATIVE, "redirect_uris": [redirect_uri], **changes}
        fields = [("Content-Type", "application/json"), ("Accept", "application/json")]
        body = json.dumps({name: value for name, value in wanted.items() if value is not None}).encode()
        return _judgeable(self.target.wire.send("POST", self.endpoint("registration"), fields, body))

    def authorize(
        self,
        proof: Proof | None = None,
        *,
        client: Client | None = None,
        person: Person | None = None,
        **changes: str | None,
    ) -> Arrival:
        """Where an authorization ends. `changes` replace parameters of the request; None leaves one out."""
        client = client or self.client()
        wanted: dict[str, str | None] = {
            "response_type": "code",
            "client_id": client.id,
            "redirect_uri": client.redirect_uri,
            "state": secrets.token_urlsafe(16),
            "code_challenge": proof.challenge if proof else None,
            "code_challenge_method": "S256" if proof else None,
            "scope": self.scopes or None,
            "resource": self.resource,
            **changes,
        }
        query = urlencode({name: value for name, value in wanted.items() if value is not None}, errors="replace")
        endpoint = self.endpoint("authorization")
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"
        if not self.headless and person is None:
            return self._by_person(url, client.redirect_uri)
        browser = Browser(self.target.wire, near=self.target.near)
        landings = (str(wanted["redirect_uri"]), client.redirect_uri)
        arrival = browser.authorize(url, landings, person or self.person)
        self.target.secrets.hide(arrival.code)
        _judgeable(arrival.last)
        return arrival

    def _by_person(self, url: str, redirect_uri: str) -> Arrival:
        found = _wait_for(redirect_uri, url)
        self.target.secrets.hide((found or {}).get("code"))
        return Arrival(
            found, [Answer("GET", url, (), b"", note="a person was asked")], "" if found else "nobody came back"
        )

    def token(self, parameters: dict[str, str | None], client: Client | None = None) -> Answer:
        """The answer of the token endpoint."""
        return self._post(self.endpoint("token"), parameters, client)

    def exchange(self, code: str, proof: Proof | None, client: Client | None = None, **changes: str | None) -> Answer:
        """The answer to a code. `changes` replace parameters; None leaves one out."""
        usual: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": (client or self.client()).redirect_uri,
            "code_verifier": proof.verifier if proof else None,
            "resource": self.resource,
        }
        return self.token({**usual, **changes}, client)

    def refresh(self, refresh_token: str, **changes: str | None) -> Answer:
        """The answer to a refresh token."""
        usual = {"grant_type": "refresh_token", "refresh_token": refresh_token, "resource": self.resource}
        return self.token({**usual, **changes})

    def revoke(self, token: str) -> Answer:
        """The answer to a revocation (RFC 7009)."""
        return self._post(self.endpoint("revocation"), {"token": token, "token_type_hint": "refresh_token"})

    def _post(self, url: str, parameters: dict[str, str | None], client: Client | None = None) -> Answer:
        client = client or self.client()
        fields = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
        listed = self.metadata.get("token_endpoint_auth_methods_supported")
        methods = listed if isinstance(listed, list) else ["client_secret_basic"]
        sent = {**parameters, "client_id": client.id}
        if client.secret and "client_secret_post" in methods:
            sent["client_secret"] = client.secret
        elif client.secret:
            named = (quote(each, safe="", errors="replace") for each in (client.id, client.secret))
            pair = ":".join(named).encode()  # RFC 6749 §2.3.1
            fields.append(("Authorization", f"Basic {base64.b64encode(pair).decode()}"))
        body = urlencode({name: each for name, each in sent.items() if each is not None}, errors="replace").encode()
        answer = _judgeable(self.target.wire.send("POST", url, fields, body))
        said = answer.json()
        for name in ("access_token", "refresh_token", "id_token"):
            if isinstance(said, dict) and isinstance(said.get(name), str):
                self.target.secrets.hide(said[name])
        return answer

    def tokens(self, person: Person | None = None, **changes: str | None) -> dict[str, Any]:
        """What a whole login gives.

        Raises:
            CannotLogin: it did not come to an end.
        """
        proof = Proof()
        arrival = self.authorize(proof, person=person, **changes)  # type: ignore[arg-type]
        if not arrival.code:
            said = (arrival.parameters or {}).get("error", arrival.why)
            raise CannotLogin(
                f"The login at {self.issuer} gave no code: {said}. A login this suite cannot do by "
                f"itself needs --browser."
            )
        answer = self.exchange(arrival.code, proof)
        said = answer.json()
        if not answer.ok or not isinstance(said, dict) or not isinstance(said.get("access_token"), str):
            raise CannotLogin(f"The code was exchanged at {self.issuer} for {answer.said()} and no token.")
        return said


def _judgeable(answer: Answer) -> Answer:
    """The answer, unless the authorization server only says that it was asked too often."""
    if answer.status == 429:
        raise CannotLogin(f"{answer.url.partition('?')[0]} answered 429: it limits how often it is asked.")
    return answer


def _wait_for(redirect_uri: str, url: str) -> dict[str, str] | None:
    """The parameters with which a person's browser comes back to the redirect URI.

    Raises:
        CannotLogin: nobody can come back, since nothing can listen there.
    """
    found: dict[str, str] = {}
    back = threading.Event()
    parts = split(redirect_uri)

    class Callback(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] == parts.path:
                found.update(parse_qsl(self.path.partition("?")[2], keep_blank_values=True))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"You can close this window and go back to the terminal.")
            if found:
                back.set()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Nothing: the path holds a code."""

    try:
        server = http.server.HTTPServer((parts.hostname or "", parts.port or 80), Callback)
    except OSError as error:
        raise CannotLogin(
            f"Nothing can listen at {redirect_uri} ({error.strerror}): give a --redirect-uri on a free loopback port."
        ) from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        print(f"Log in with your browser: {url}", file=sys.stderr, flush=True)  # noqa: T201 - a person has to act
        webbrowser.open(url)
        return found if back.wait(LOGIN_SECONDS) else None
    finally:
        server.shutdown()
        server.server_close()
