"""Forward-auth: a proxy asks `/authz` whether a request may pass, and is answered as the gate itself would answer.

For nginx (`auth_request`), Traefik and Caddy (`forward_auth`) and Envoy (`ext_authz` over HTTP). The gate of the
resource judges, with the same checks, challenge and audit log; only what lies behind it is an answer with the
principal in its headers. Since the proxy's word is believed about what is asked, only proxies that are known may ask.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.body import replay
from gateway.errors import ForwardRefused
from gateway.paths import PATH, ByPath
from gateway.principal import Principal
from gateway.refuse import Answers
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.app import Gate

PREFIX = "/authz"
PATHS = (b"x-forwarded-uri", b"x-original-uri")
METHODS = (b"x-forwarded-method", b"x-original-method")
HOSTS = (b"x-forwarded-host",)
METHOD = re.compile(rb"[A-Z]{1,20}")
# What the gate judges of a request's head. A preflight is none here: its answer would let the request pass.
HEAD = frozenset({b"authorization", b"origin", b"content-type", b"mcp-protocol-version"})
BODY = frozenset({b"content-length", b"transfer-encoding", b"mcp-method", b"mcp-name"})
SAFE = "!#$&'()*+-./:;<=>?@[]^_`{|}~"  # printable ASCII without blank, comma, percent, quote and backslash


class Door(NamedTuple):
    """A resource that proxies may ask about."""

    gate: Gate
    reads_body: bool


class ForwardAuth:
    """Answers proxies: 200 with the principal in headers, or the refusal of the resource's gate."""

    def __init__(self, settings: Settings, gates: Mapping[str, Gate]) -> None:
        self._peers = [ip_network(peer) for peer in settings.forward_auth_peers]
        asked = [resource for resource in settings.resources if resource.forward_auth != "off"]
        doors = {resource.path: Door(gates[resource.path], resource.forward_auth == "body") for resource in asked}
        self._doors = ByPath(doors, [resource.path for resource in asked if resource.subpaths])
        self._audit = gates[asked[0].path].audit.of(settings.public_url + PREFIX)
        self._answers = Answers(settings, settings.resources[0])  # no challenge is in what is refused here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge the request that a proxy asks about."""
        try:
            self._check_peer(scope)
            door, asked = self._asked(scope)
        except ForwardRefused as refusal:
            await self._answers.refuse(refusal, self._audit.refused(refusal, scope["method"]), send)
            return
        await door.gate(asked, receive if door.reads_body else replay(b"", receive), send, identify)

    def _check_peer(self, scope: Scope) -> None:
        """Only a proxy that is known is believed what it says about a request."""
        host = (scope.get("client") or ("",))[0]
        try:
            address = ip_address(host)
        except ValueError:
            raise ForwardRefused("asked over a socket without an address") from None
        address = getattr(address, "ipv4_mapped", None) or address
        if not any(address in network for network in self._peers):
            raise ForwardRefused(f"asked from {address}, which is not in forward_auth_peers")

    def _asked(self, scope: Scope) -> tuple[Door, Scope]:
        """The door, and the request as the client sent it to the proxy."""
        headers = scope["headers"]
        raw = scope["raw_path"].partition(b"?")[0].removeprefix(PREFIX.encode())
        if raw:  # the proxy names the path in its own request, where no header of the client can say otherwise
            path, query = raw, scope["query_string"]
        else:
            path, _, query = single(headers, PATHS, b"").partition(b"?")
        door = self._door(path)
        method = single(headers, METHODS, scope["method"].encode())
        if METHOD.fullmatch(method) is None:
            raise ForwardRefused("the method that the proxy names is none")
        if any(name == b"x-envoy-auth-partial-body" and value != b"false" for name, value in headers):
            raise ForwardRefused("the proxy sent only a part of the body")
        passed = HEAD | BODY if door.reads_body else HEAD
        host = single(headers, HOSTS, dict(headers).get(b"host", b""))
        fields = [(b"host", host), *(field for field in headers if field[0] in passed)]
        asked = {"method": method.decode(), "path": path.decode(), "raw_path": path, "query_string": query}
        return door, {**scope, **asked, "headers": fields}

    def _door(self, path: bytes) -> Door:
        """The door at a path: to the letter, or for resources with subpaths a plain path below theirs."""
        name = path.decode("latin-1")
        door = self._doors.at(name)
        if door is None and PATH.fullmatch(name) and not {".", ".."} & set(name.split("/")):
            door = self._doors.below(name)
        if door is not None:
            return door
        raise ForwardRefused(f"no resource with forward_auth is at {name[:200]!a}")


def single(headers: list[tuple[bytes, bytes]], names: tuple[bytes, ...], default: bytes) -> bytes:
    """What the proxy says in one of these headers. A second one is the client's own, so neither is believed."""
    said = [value.strip(b" \t") for name, value in headers if name in names]
    if len(said) > 1:
        raise ForwardRefused(f"{' and '.join(name.decode() for name in names)}: {len(said)} of them, so who says what?")
    return said[0] if said else default


async def identify(scope: Scope, _: Receive, send: Send) -> None:
    """Say who the principal is."""
    said = principal_headers(scope["state"]["principal"])
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store"), *said]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def principal_headers(principal: Principal) -> list[tuple[bytes, bytes]]:
    """A principal as headers; each is always there, so that a proxy that copies them overwrites the client's own."""
    return [
        (b"x-auth-issuer", field(principal.issuer)),
        (b"x-auth-subject", field(principal.subject)),
        (b"x-auth-kind", b"machine" if principal.is_client else b"person"),
        (b"x-auth-client", field(principal.client_id)),
        (b"x-auth-scopes", b" ".join(map(field, sorted(principal.scopes)))),
        (b"x-auth-groups", b",".join(map(field, sorted(principal.groups)))),
    ]


def field(text: str) -> bytes:
    """A text as it can stand in a header: everything but plain characters as %XX of its UTF-8 (RFC 3986 §2.1)."""
    return quote(text, SAFE, errors="surrogatepass").encode()


def forward_auth_routes(settings: Settings, gates: Mapping[str, Gate]) -> list[Route]:
    """`/authz`, alone or before the path asked about; none where no resource wants it.

    Raises:
        SettingsError: what a resource's tools need cannot be judged without a body, and proxies are to send none.
    """
    opened = [resource for resource in settings.resources if resource.forward_auth != "off"]
    if not opened:
        return []
    for resource in opened:
        if resource.forward_auth == "head" and gates[resource.path].policy.asks_about_operations:
            from gateway.sources import SettingsError  # noqa: PLC0415 - a gate that is built need not read settings

            sentence = f"the tools at {resource.path} need scopes of their own; set tools: [], or forward_auth: body"
            raise SettingsError([f"forward_auth: {sentence}"])
    judge = ForwardAuth(settings, gates)
    return [Route(PREFIX, judge), Route(PREFIX + "/{path:path}", judge)]
