"""A small protected MCP server that does everything right, unless it is told to get one thing wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.mcp_server import PRIVILEGED, McpServer, Refused, Reply, Request, as_json, event
from conformance.revisions import HANDSHAKE, META, MODERN
from conformance.upstream import respond
from tests.conformance.judge.tokens import BadToken, NoKeys, Verifier

BASE, ADMIN = "mcp:use", "mcp:admin"
MAX_HEADER = 16_000
WELL_KNOWN = "/.well-known/oauth-protected-resource"
HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "te", "trailer", "upgrade", "host"}


@dataclass
class Session:
    """A session of an older revision, and the events that were sent in it."""

    principal: str
    revision: str
    events: list[tuple[str, bytes]] = field(default_factory=list)  # event id, which begins with its stream, and event


class Faulty:
    """What is wrong with a server: names of faults."""

    def __init__(self, faults: frozenset[str]) -> None:
        self.faults = faults

    def has(self, fault: str) -> bool:
        """Whether this is wrong."""
        return fault in self.faults


class Messages(McpServer):
    """The MCP half."""

    def __init__(self, faulty: Faulty) -> None:
        self.has = faulty.has
        self.remembered: str = ""

    def reply(self, request: Request, principal: str = "") -> Reply:
        if self.has("any content type goes"):
            fields = [field for field in request.fields if field[0] != "content-type"]
            request = replace(request, fields=(*fields, ("content-type", "application/json")))
        if self.has("only one Accept will do") and request.get("accept") != "application/json, text/event-stream":
            return Reply(406)
        if self.has("bodies that are no JSON crash") and request.method == "POST":
            json.loads(request.body)
        return super().reply(request, principal)

    def check_version(self, request: Request) -> None:
        needed = request.get("mcp-protocol-version") is None and b'"initialize"' not in request.body
        if needed and self.has("a version header is needed"):
            raise Refused(400, -32600, "No.")
        if not self.has("any protocol version goes"):
            super().check_version(request)

    def check_modern_version(self, said: dict[str, Any], request: Request) -> None:
        if self.has("version header need not match") and request.get("mcp-protocol-version") in self.supported:
            return
        try:
            super().check_modern_version(said, request)
        except Refused as why:
            if why.code == -32022 and self.has("unknown version without data"):
                raise Refused(400, -32022, "No.") from None
            if why.code == -32020 and self.has("mismatch with another code"):
                raise Refused(400, -32600, "No.") from None
            raise

    def single(self, said: Any, request: Request, principal: str) -> Reply:
        message = isinstance(said, dict) and (isinstance(said.get("method"), str) or "result" in said)
        if self.has("what is no message is accepted") and not message:
            return Reply(202)
        return super().single(said, request, principal)

    def check_meta(self, said: dict[str, Any]) -> None:
        if self.has("clientInfo is needed") and f"{META}/clientInfo" not in self.meta(said):
            raise Refused(400, -32602, "No.")
        if not self.has("_meta is optional"):
            super().check_meta(said)

    def check_method(self, said: dict[str, Any], request: Request) -> None:
        if not self.has("Mcp-Method is not compared"):
            super().check_method(said, request)

    def check_name(self, said: dict[str, Any], request: Request) -> None:
        encoded = (request.get("mcp-name") or "").startswith("=?")
        with contextlib.suppress(*([Refused] if encoded and self.has("what cannot be decoded is let be") else [])):
            if not self.has("Mcp-Name is not compared"):
                super().check_name(said, request)

    def check_params(self, said: dict[str, Any], request: Request) -> None:
        if not self.has("Mcp-Param is not compared"):
            super().check_params(said, request)

    def value(self, text: str) -> str:
        return text if self.has("Base64 is not decoded") else super().value(text)

    def accepted(self, said: dict[str, Any], modern: bool) -> Reply:
        if self.has("notifications are answered 200"):
            return as_json(200, {})
        return super().accepted(said, modern)

    def batch(self, said: list[Any], request: Request, principal: str) -> Reply:
        if self.has("batches are refused in 2025-03-26"):
            return as_json(400, self.failure(None, -32600, "No."))
        old = request.get("mcp-protocol-version") is None
        if (self.has("batches are taken in every revision") and said) or (old and self.has("batches may initialize")):
            bodies = [json.loads(self.single(one, request, principal).body or b"{}") for one in said]
            return as_json(200, bodies)
        return super().batch(said, request, principal)

    def negotiated(self, params: dict[str, Any]) -> str:
        if self.has("the newest revision is always answered"):
            return HANDSHAKE[-1]
        if self.has("any revision is answered"):
            return str(params.get("protocolVersion"))
        return super().negotiated(params)

    def dispatch(self, said: dict[str, Any], modern: bool, principal: str) -> Reply:
        if self.has("a request is put into a stream") and modern and said["method"] == "tools/list":
            asked = {"jsonrpc": "2.0", "id": 99, "method": "roots/list"}
            return Reply(
                200,
                events=(
                    (0, event(asked)),
                    (0, super().dispatch(said, modern, principal).body.join((b"data: ", b"\n\n"))),
                ),
            )
        if self.has("eras do not take turns"):
            if not modern and self.remembered:
                raise Refused(400, -32600, "No.")
            self.remembered = self.remembered or ("modern" if modern and said["method"] == "tools/list" else "")
        reply = super().dispatch(said, modern, principal)
        if self.has("unknown methods are 200") and modern and reply.status == 404:
            return replace(reply, status=200)
        if self.has("unknown methods are 404 without a body") and modern and reply.status == 404:
            return Reply(404)
        if self.has("results are plain text"):
            return replace(reply, headers={"content-type": "text/plain"})
        return reply

    def result(self, method: str, params: dict[str, Any], modern: bool, principal: str) -> dict[str, Any] | None:
        if self.has("there is no server/discover") and method == "server/discover":
            return None
        found = super().result(method, params, modern, principal)
        if found and self.has("results lack cacheScope"):
            found.pop("cacheScope", None)
        if found and self.has("discover lists too much") and method == "server/discover":
            found["supportedVersions"].append("2027-01-01")
        return found

    def capabilities(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.has("capabilities are not looked at"):
            return {"elicitation": {}}
        return super().capabilities(params)

    def check_state(self, state: str, principal: str) -> None:
        if not self.has("state is good for everyone"):
            super().check_state(state, principal)

    def listen(self, number: Any, params: dict[str, Any]) -> Reply:
        reply = super().listen(number, params)
        assert reply.events is not None
        first = json.loads(reply.events[0][1].removeprefix(b"data: "))
        if self.has("subscriptions are not tagged"):
            del first["params"]["_meta"]
        if self.has("subscriptions are not acknowledged"):
            first["method"] = "notifications/tools/list_changed"
        if self.has("subscriptions deliver what was not asked for"):
            first["params"]["notifications"]["promptsListChanged"] = True
        return replace(reply, events=((0, event(first)), reply.events[1]))


class Protected(Faulty):
    """An ASGI app at `url`, which trusts the issuer at `issuer`. With an `upstream` it is a gateway before that URL."""

    def __init__(
        self, url: str, issuer: str, *faults: str, upstream: str = "", servers: tuple[str, ...] = (), other: str = ""
    ) -> None:
        super().__init__(frozenset(faults))
        self.url, self.issuer, self.upstream, self.other = url, issuer, upstream, other
        self.servers = servers or (issuer,)
        parts = urlsplit(url)
        self.origin, self.path = f"{parts.scheme}://{parts.netloc}", parts.path
        self.verifier = Verifier(issuer, url, self.has)
        self.messages = Messages(self)
        self.sessions: dict[str, Session] = {}
        self.cache: dict[bytes, Reply] = {}
        self.last_principal = ""
        self.log_file: Path | None = None
        self.beside: ASGIApp | None = None  # what else is at this origin
        self.lock = threading.Lock()
        self.client = httpx.AsyncClient(timeout=30, verify=False)  # noqa: S501 - everything here is plain http

    # ---- the way of a request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        fields = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
        query = scope["query_string"].decode("latin-1")
        path = scope["path"] + (f"?{query}" if query else "")
        stripped = tuple((name, value.strip()) for name, value in fields)
        request = Request(scope["method"], path, stripped, body)
        if self.beside is not None and scope["path"] != self.path and not scope["path"].startswith(WELL_KNOWN):
            await self.beside(scope, replaying(body), send)
            return
        reply = await asyncio.to_thread(self.locked, request)
        if reply is FORWARD:
            await self.forward(request, receive, send)
        else:
            await respond(self.with_cors(request, reply), receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        """From start to stop; connections are closed at the end."""
        for step in ("startup", "shutdown"):
            await receive()
            if step == "shutdown":
                await self.client.aclose()
                self.verifier.client.close()
            await send({"type": f"lifespan.{step}.complete"})

    def locked(self, request: Request) -> Reply:
        """The answer, one at a time: what is fetched for one is there for the next."""
        with self.lock:
            named = request.get("mcp-session-id")
            if named and named not in self.sessions and self.has("the session is judged before the token"):
                return Reply(404)
            if self.has("long credentials take long") and len(request.get("authorization") or "") > 8000:
                time.sleep(2.1)
            return self.reply(request)

    def reply(self, request: Request) -> Reply:
        """The whole path, top to bottom."""
        path = request.path.partition("?")[0]
        if sum(len(name) + len(value) for name, value in request.fields) > MAX_HEADER:
            return Reply(431)
        if path.startswith("/.well-known/"):
            return self.document(path, request)
        routed = path.rstrip("/").lower() if self.has("paths are matched loosely") else path
        if self.other and path == urlsplit(self.other).path:
            routed = self.path
        if routed != self.path:
            return Reply(404)
        if (refusal := self.check_origin(request)) is not None:
            return refusal
        if request.method == "OPTIONS":
            return self.preflight(request)
        if self.has("paths are matched loosely") and path != self.path:
            return FORWARD if self.upstream else self.messages.reply(request, "")
        try:
            claims = self.authenticated(request)
        except BadToken as why:
            return self.challenge(request, error=why.error, status=why.status)
        except NoKeys:
            return (
                FORWARD if self.has("without keys everyone comes in") and self.upstream else self.without_keys(request)
            )
        return self.after_authentication(request, claims)

    def after_authentication(self, request: Request, claims: dict[str, Any]) -> Reply:
        """Sessions, scopes, then the message."""
        principal = f"{claims.get('iss')} {claims.get('sub')}"
        if self.has("a form beside the header is taken") and b"access_token=" in request.body:
            return as_json(200, {})
        if request.method in ("PUT", "PATCH", "HEAD"):
            return Reply(500 if self.has("other verbs crash") else 405, headers={"allow": "POST, GET, DELETE"})
        if (refusal := self.check_session(request, principal)) is not None:
            return refusal
        if (refusal := self.check_scopes(request, claims)) is not None:
            return refusal
        if request.method in ("GET", "DELETE") and self.upstream:
            return Reply(405, headers={"allow": "POST"})
        if request.method == "GET" and request.get("mcp-protocol-version") != MODERN:
            return self.stream(request, claims)
        if request.method == "DELETE" and request.get("mcp-protocol-version") != MODERN:
            return self.delete(request)
        if self.upstream:
            return self.before_forwarding(request, principal)
        return self.speak(request, principal)

    def without_keys(self, request: Request) -> Reply:
        return self.speak(request, "") if self.has("without keys everyone comes in") else Reply(503)

    # ---- credentials

    def authenticated(self, request: Request) -> dict[str, Any]:  # noqa: C901 - the faults are the branches
        """The claims of the caller's token.

        Raises:
            BadToken: there is none that can be used.
            NoKeys: nobody can tell.
        """
        if self.exempt(request):
            return {"iss": "nobody", "scope": BASE}
        given = [value for name, value in request.fields if name == "authorization"]
        if len(given) > 1:
            if self.has("the first of two credentials counts"):
                given = given[:1]
            elif self.has("the last of two credentials counts"):
                given = given[-1:]
            else:
                raise BadToken("invalid_request", 400)
        if not given:
            given = self.elsewhere(request)
        if not given:
            raise BadToken("")
        scheme, _, token = given[0].partition(" ")
        if self.has("odd credentials crash") and not token.strip():
            raise ZeroDivisionError
        right = "bearer" if not self.has("the scheme is case-sensitive") else "Bearer"
        if (scheme if right == "Bearer" else scheme.lower()) != right:
            raise BadToken("invalid_token" if self.has("missing tokens are called invalid") else "")
        if self.has("a folded pair counts as its first"):
            token = token.partition(",")[0]
        if self.has("the query counts before the header") and "access_token=" in request.path:
            token = request.path.rpartition("access_token=")[2]
        claims = self.verifier.verify(token.strip())
        if self.log_file is not None:
            with self.log_file.open("a") as log:
                log.write(f"token {token}\n" if self.has("tokens are logged") else "token accepted\n")
        self.last_principal = str(claims.get("sub"))
        return claims

    def exempt(self, request: Request) -> bool:
        """Whether a fault lets this through without credentials."""
        text = request.body.decode("utf-8", "replace")
        session = self.sessions.get(request.get("mcp-session-id") or "")
        return (
            (self.has("discover needs no token") and "server/discover" in text)
            or (self.has("initialize needs no token") and '"initialize"' in text)
            or (self.has("ping needs no token") and '"ping"' in text)
            or (
                self.has("notifications need no token")
                and '"notifications/' in text
                and request.get("authorization") is None
            )
            or (self.has("GET needs no token") and request.method == "GET")
            or (self.has("a session id is a token") and session is not None and request.get("authorization") is None)
        )

    def elsewhere(self, request: Request) -> list[str]:
        """Credentials from where none are, if a fault looks there."""
        query = urlsplit(request.path).query
        if self.has("tokens in the query count") and "access_token=" in query:
            return [f"Bearer {query.partition('access_token=')[2].partition('&')[0]}"]
        if self.has("cookies count") and (cookie := request.get("cookie")):
            return [f"Bearer {cookie.rpartition('=')[2]}"]
        if self.has("X-Access-Token counts") and (token := request.get("x-access-token")):
            return [f"Bearer {token}"]
        if self.has("form bodies count") and b"access_token=" in request.body:
            return [f"Bearer {request.body.rpartition(b'access_token=')[2].decode()}"]
        if self.has("connections are remembered") and self.last_principal:
            return [f"Bearer {self.verifier.last}"]
        return []

    def challenge(self, request: Request, *, error: str = "", status: int = 401, scope: str = BASE) -> Reply:  # noqa: C901, PLR0912 - the faults are the branches
        """A refusal as RFC 6750 and RFC 9728 want it."""
        if self.has("refusals are hidden in 200"):
            return as_json(200, {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "unauthorized"}})
        if self.has("what cannot be verified comes in") and error == "invalid_token":
            return FORWARD
        if self.has("refusals are redirects"):
            return Reply(302, headers={"location": f"{self.origin}/login"})
        if self.has("html gets a login page") and request.get("accept") == "text/html":
            return Reply(200, b"<html>Log in</html>", {"content-type": "text/html"})
        if self.has("refusals are 403") and status == 401:
            status = 403
        if error == "invalid_token" and self.has("bad tokens crash"):
            return Reply(500)
        if self.has("bad tokens have no error") and error == "invalid_token":
            error = ""
        if self.has("missing tokens are called invalid"):
            error = error or "invalid_token"
        said = {"error": error, "scope": scope, "resource_metadata": self.metadata_url(request)}
        if self.has("no metadata url"):
            del said["resource_metadata"]
        if self.has("no scope in challenges"):
            del said["scope"]
        if self.has("offline_access in challenges"):
            said["scope"] = f"{scope} offline_access"
        if self.has("tokens are repeated") and error:
            said["error_description"] = (request.get("authorization") or "")[:4000]
        text = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in said.items() if value)
        if self.has("values are not in quotes"):
            text = text.replace('"', "")
        if self.has("a parameter is there twice"):
            text += ', scope="again"'
        if self.has("bare Bearer"):
            text = "Bearer"
        headers = {"www-authenticate": text, "cache-control": "no-store"}
        if self.has("no WWW-Authenticate"):
            del headers["www-authenticate"]
        if self.has("refusals may be stored"):
            del headers["cache-control"]
        return Reply(status, headers=headers)

    def metadata_url(self, request: Request) -> str:
        """What the challenge to a request calls the place of the metadata."""
        metadata = f"{self.origin}{WELL_KNOWN}{self.path}"
        if self.other and request.path == urlsplit(self.other).path:
            metadata = f"{self.origin}{WELL_KNOWN}{urlsplit(self.other).path}"
        if self.has("the host header is believed"):
            metadata = f"http://{request.get('host')}{WELL_KNOWN}{self.path}"
        if self.has("metadata url is relative"):
            metadata = f"{WELL_KNOWN}{self.path}"
        if self.has("metadata url answers 404"):
            metadata = f"{self.origin}/nowhere"
        return metadata

    # ---- scopes

    def check_scopes(self, request: Request, claims: dict[str, Any]) -> Reply | None:
        """What the token allows is enough."""
        scope = claims.get("scope", f"{BASE} {ADMIN}" if self.has("ID tokens count") else None)
        if not isinstance(scope, str):
            return Reply(500) if self.has("odd scopes crash") else self.challenge(request, error="invalid_token")
        granted = set(scope.split())
        if self.has("scopes are prefixes") and any(each.startswith(BASE) for each in granted):
            granted.add(BASE)
        if self.has("scopes are in any case"):
            granted |= {each.lower() for each in granted}
        needed = {BASE} if not self.has("scopes are not looked at") else set()
        if self.calls_privileged(request) and not self.has("the list hides it, the call does not"):
            needed |= {ADMIN}
        if needed <= granted:
            return None
        if self.has("low scope is 401"):
            return self.challenge(request, error="invalid_token")
        if self.has("low scope without challenge"):
            return Reply(403)
        missing = sorted(needed if not self.has("one scope at a time") else list(needed - granted)[:1])
        return self.challenge(request, error="insufficient_scope", status=403, scope=" ".join(missing))

    def calls_privileged(self, request: Request) -> bool:
        """Whether the message calls the tool that few may."""
        if self.has("the header decides about tools") and request.get("mcp-name"):
            return request.get("mcp-name") == PRIVILEGED
        try:
            said = json.loads(request.body)
        except (ValueError, RecursionError):
            return False
        if self.has("members of a batch are not looked at") and isinstance(said, list):
            return False
        each = said if isinstance(said, list) else [said]
        return any(
            isinstance(one, dict) and isinstance(one.get("params"), dict) and one["params"].get("name") == PRIVILEGED
            for one in each
        )

    # ---- sessions and streams of older revisions

    def check_session(self, request: Request, principal: str) -> Reply | None:
        """The session is there, and the principal's."""
        named = request.get("mcp-session-id")
        if request.get("mcp-protocol-version") == MODERN or b'"initialize"' in request.body or self.upstream:
            return None
        if named is None and self.has("a missing session id crashes"):
            return Reply(500)
        if named is None:
            return None if request.method == "POST" else Reply(400)
        found = self.sessions.get(named)
        foreign = found is not None and found.principal != principal and not self.has("sessions are anybody's")
        if found is None and self.has("unknown sessions are fine"):
            return None
        return Reply(404) if found is None or foreign else None

    def speak(self, request: Request, principal: str) -> Reply:
        """The answer to a message, with the session it opens or belongs to."""
        reply = self.messages.reply(request, principal)
        named = request.get("mcp-session-id")
        session = self.sessions.get(named or "")
        opens = reply.status == 200 and b'"protocolVersion"' in reply.body and reply.body.startswith(b"{")
        if opens and b'"initialize"' in request.body:
            made = named if named and self.has("session ids of clients are taken") else uuid.uuid4().hex
            if self.has("session ids are counted"):
                made = str(len(self.sessions) + 1)
            revision = str(json.loads(reply.body)["result"]["protocolVersion"])
            self.sessions[made] = Session(principal, revision)
            return replace(reply, headers={**reply.headers, "mcp-session-id": made})
        if session is not None and reply.events is not None:
            return self.recorded(session, reply)
        if self.has("modern answers carry sessions") and request.get("mcp-protocol-version") == MODERN:
            return replace(reply, headers={**reply.headers, "mcp-session-id": "s"})
        return reply

    def recorded(self, session: Session, reply: Reply) -> Reply:
        """A stream whose events have ids, and can be asked for again."""
        stream = uuid.uuid4().hex[:12] if not self.has("event ids repeat") else "s"
        made = []
        if session.revision == "2025-11-25" and not self.has("no priming event"):
            made.append((0.0, f"id: {stream}-p\nretry: 500\ndata: \n\n".encode()))
        for number, (seconds, data) in enumerate(reply.events or ()):
            name = f"{stream}-{number}"
            session.events.append((name, data))
            made.append((seconds, f"id: {name}\n".encode() + data))
        return replace(reply, events=tuple(made))

    def stream(self, request: Request, claims: dict[str, Any]) -> Reply:
        """A stream that ends when the token does, or what came after an event."""
        if "text/event-stream" not in (request.get("accept") or ""):
            return Reply(406)
        if self.has("GET is 200 without a stream"):
            return as_json(200, {})
        session = (
            self.sessions[request.get("mcp-session-id") or ""]
            if not self.has("GET needs no token")
            else Session("", "")
        )
        if last := request.get("last-event-id"):
            events = session.events
            if self.has("events are replayed to everyone"):
                events = [each for one in self.sessions.values() for each in one.events]
            stream, _, number = last.rpartition("-")
            of = [each for each in events if self.has("every stream is replayed") or each[0].startswith(f"{stream}-")]
            later = [each for each in of if number == "p" or each[0] > last or self.has("every stream is replayed")]
            return Reply(200, events=tuple((0.0, f"id: {name}\n".encode() + data) for name, data in later))
        left = (
            max(float(claims.get("exp", 0)) + self.verifier.leeway - time.time(), 0)
            if not self.has("streams outlive tokens")
            else 60
        )
        return Reply(200, events=((0, b": open\n\n"), (left, b": over\n\n")))

    def delete(self, request: Request) -> Reply:
        """The end of a session."""
        if not self.has("ended sessions go on"):
            self.sessions.pop(request.get("mcp-session-id") or "", None)
        return Reply(204)

    # ---- the browser's rules

    def check_origin(self, request: Request) -> Reply | None:
        """Only the server's own origin may call from a browser."""
        origin, host = request.get("origin"), request.get("host")
        if self.has("the host is not looked at") and host == (origin or "").partition("://")[2]:
            return None
        if host != urlsplit(self.url).netloc and not self.has("the host header is believed"):
            return Reply(421)
        if origin is None or origin == self.origin or self.has("every origin may call"):
            return None
        if self.has("origins are prefixes") and origin.startswith(self.origin.rpartition(":")[0]):
            return None
        return Reply(403)

    def preflight(self, request: Request) -> Reply:
        """What a browser asks first."""
        if self.has("preflight needs a token"):
            return self.challenge(request)
        headers = {
            "access-control-allow-origin": request.get("origin") or "",
            "access-control-allow-methods": "GET, POST, DELETE",
            "access-control-allow-headers": request.get("access-control-request-headers") or "",
            "vary": "Origin",
        }
        return Reply(204, headers=headers)

    def with_cors(self, request: Request, reply: Reply) -> Reply:
        """The answer as a browser lets its page read it."""
        origin = request.get("origin")
        if origin is None or "access-control-allow-origin" in reply.headers:
            return reply
        if origin != self.origin and not self.has("every origin is reflected"):
            return replace(reply, headers={**reply.headers, "vary": "Origin"})
        headers = {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version",
            "vary": "Origin",
        }
        if self.has("every origin is reflected"):
            headers["access-control-allow-credentials"] = "true"
        if self.has("nothing is exposed"):
            del headers["access-control-expose-headers"]
        return replace(reply, headers={**reply.headers, **headers})

    # ---- the published document

    def metadata(self, path: str) -> dict[str, Any]:
        """The RFC 9728 document."""
        document: dict[str, Any] = {
            "resource": self.origin + path,
            "authorization_servers": list(self.servers),
            "scopes_supported": [BASE],
            "bearer_methods_supported": ["header"],
            "resource_name": "Correct",
        }
        changes: Mapping[str, tuple[str, Any]] = {
            "resource is the origin": ("resource", self.origin),
            "resource has a slash": ("resource", f"{self.url}/"),
            "no authorization servers": ("authorization_servers", []),
            "authorization servers are objects": ("authorization_servers", [{"issuer": self.issuer}]),
            "issuer has a slash": ("authorization_servers", [f"{self.servers[0]}/"]),
            "scopes_supported is a string": ("scopes_supported", BASE),
            "scopes_supported is empty": ("scopes_supported", []),
            "query is a bearer method": ("bearer_methods_supported", ["header", "query"]),
            "jwks_uri is the issuer's": ("jwks_uri", f"{self.servers[0]}/jwks"),
            "scopes_supported has a wildcard": ("scopes_supported", ["*"]),
            "offline_access is supported": ("scopes_supported", [BASE, "offline_access"]),
        }
        for fault, (name, value) in changes.items():
            if self.has(fault):
                document[name] = value
        return document

    def document(self, path: str, request: Request) -> Reply:
        """The document, at its place with the path and at the root."""
        if self.has("metadata need a token") and request.get("authorization") is None:
            return self.challenge(request)
        if self.has("metadata need Accept") and request.get("accept") != "application/json":
            return Reply(406)
        if self.has("metadata redirect away"):
            return Reply(302, headers={"location": "https://elsewhere.test/metadata"})
        places = {f"{WELL_KNOWN}{self.path}": self.path, WELL_KNOWN: self.path}
        if self.other:
            places[f"{WELL_KNOWN}{urlsplit(self.other).path}"] = urlsplit(self.other).path
        if self.has("only the root has metadata"):
            del places[f"{WELL_KNOWN}{self.path}"]
        everywhere = self.has("every suffix has metadata") and path.startswith(WELL_KNOWN)
        if (self.has("no metadata anywhere") or path not in places) and not everywhere:
            return Reply(404, headers={"access-control-allow-origin": "*"})
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            return Reply(405, headers={"allow": "GET, HEAD, OPTIONS"})
        cors = {"access-control-allow-origin": "*", "cache-control": "max-age=300"}
        if request.method == "OPTIONS":
            asked = request.get("access-control-request-headers") or ""
            return Reply(
                204, headers={**cors, "access-control-allow-headers": asked, "access-control-allow-methods": "GET"}
            )
        if self.has("metadata without CORS"):
            cors = {}
        kind = "text/html" if self.has("metadata are html") else "application/json"
        body = json.dumps(self.metadata(places.get(path, self.path))).encode()
        return Reply(200, b"" if request.method == "HEAD" else body, {"content-type": kind, **cors})

    # ---- the gateway

    def before_forwarding(self, request: Request, principal: str) -> Reply:
        """What a gateway checks before it passes a message on."""
        if request.method != "POST":
            return Reply(405, headers={"allow": "POST"})
        if self.has("private results are shared") and (found := self.cache.get(request.body)) is not None:
            return found
        if not self.has("the header decides about tools"):
            found = self.messages.reply(request, principal)
            if found.status in (400, 415):
                return found
        return FORWARD

    def forwarded(self, request: Request) -> list[tuple[str, str]]:
        """The header fields that the upstream gets."""
        named = {
            each.strip().lower() for name, value in request.fields if name == "connection" for each in value.split(",")
        }
        left = [(name, value) for name, value in request.fields if name not in HOP | named]
        if not self.has("the token is passed on"):
            left = [(name, value) for name, value in left if name != "authorization"]
        if not self.has("identity headers are passed on"):
            odd = ("x-forwarded-", "x-remote-", "x-amzn-", "x-auth-", "x_forwarded", "x-user", "x_remote", "x_auth")
            left = [(name, value) for name, value in left if name != "forwarded" and not name.startswith(odd)]
        if self.has("parameters are dropped"):
            left = [(name, value) for name, value in left if not name.startswith("mcp-param-")]
        return left

    async def forward(self, request: Request, receive: Receive, send: Send) -> None:
        """Pass a message on, and its answer back as it comes."""
        query = request.path.partition("?")[2] if self.has("the query is passed on") else ""
        url = self.upstream + (f"?{query}" if query else "")
        modern = request.get("mcp-protocol-version") == MODERN
        sent = self.client.build_request(request.method, url, headers=self.forwarded(request), content=request.body)
        answer = await self.client.send(sent, stream=True)
        try:
            await self.relay(request, answer, receive, send, modern=modern)
        finally:
            await answer.aclose()

    async def relay(
        self, request: Request, answer: httpx.Response, receive: Receive, send: Send, *, modern: bool
    ) -> None:
        """The answer, streamed; who has gone cancels a modern request only."""
        if answer.status_code == 401 and not self.has("the upstream's 401 is passed on"):
            await respond(Reply(502), receive, send)
            return
        if self.has("streams are buffered") or (self.has("private results are shared")):
            body = await answer.aread()
            self.cache[request.body] = Reply(
                answer.status_code, body, {"content-type": answer.headers.get("content-type", "")}
            )
            await respond(self.cache[request.body], receive, send)
            return
        headers = [(n.lower().encode(), v.encode()) for n, v in answer.headers.items() if n.lower() not in HOP]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        cancels = modern != self.has("disconnects are misread")
        leaving = asyncio.ensure_future(receive())
        pieces = answer.aiter_raw()
        while True:
            coming = asyncio.ensure_future(anext(pieces, None))
            await asyncio.wait({leaving, coming}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and cancels:
                coming.cancel()
                return
            piece = await coming
            if piece is None:
                break
            if not leaving.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        leaving.cancel()
        await send({"type": "http.response.body", "body": b""})


def replaying(body: bytes) -> Receive:
    """A body that was read already, to be read once more."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


FORWARD = Reply(0)
