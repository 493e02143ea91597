"""The head of a request as the upstream gets it: what may cross inward, and in whose name.

Nothing that says who calls, from where, or under what credential crosses; the gate alone says that. Names are compared
as the laxest reader behind would read them: `X_Forwarded_User` and `X-Forwarded-User` are one header to CGI and kin.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

from starlette.types import Scope

from gateway.errors import HeadersTooLarge, InvalidMessage, MethodNotForwarded, NotForwarded
from gateway.settings import UpstreamSettings

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110 §5.6.2, in lower case
QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")
JWT = re.compile(rb"(?<![\w-])eyJ[\w-]++\.[\w-]++\.[\w-]*")

# About this connection alone, or said anew by the gate (RFC 9110 §7.6.1).
FRAMING = frozenset(
    b"connection keep-alive te trailer transfer-encoding upgrade http2-settings host content-length expect".split()
)
# Who calls and from where, with what, and what was asked for "originally": an upstream may believe each of these.
TRUSTED = frozenset(
    b"authorization cookie cookie2 forwarded via x-real-ip x-client-ip client-ip remote-addr x-remote x-forward "
    b"x-cluster-client-ip true-client-ip fastly-client-ip x-host x-scheme x-url-scheme front-end-https x-rewrite-url "
    b"x-http-method x-http-method-override x-method-override x-access-token x-id-token x-email x-groups x-userinfo "
    b"x-username x-jwt-assertion proxy".split()
)
TRUSTED_PREFIXES = tuple(
    b"proxy- x-forwarded- x-forward- x-original- x-auth- x-authenticated- x-authorization x-amzn-oidc- x-amzn-mtls- "
    b"x-amzn-trace-client remote- x-remote- x-ms-client-principal x-ms-token- x-goog-authenticated-user- x-goog-iap- "
    b"cf-access- cf-connecting- x-webauth- x-user x-client-cert x-ssl- ssl-client- x-envoy- x-token- x-consumer- "
    b"x-credential- x-authentik- x-authelia- x-pomerium- x-vouch- x-tailscale- tailscale-user- x-bearergate-".split()
)
# What a browser says about its page is judged by the gate; an upstream that compares it with its own Host would refuse.
OF_PAGES = ("origin", "referer", "sec-fetch-")
CREDENTIALS = frozenset(  # parameters of a query that convey one
    b"access_token token id_token refresh_token authorization bearer api_key apikey client_secret assertion".split()
)
KEPT_ALIVE = b"keep-alive"  # names no header
MAX_KNOWN = 512  # names remembered
OTHER = re.compile(rb"[^a-z0-9]")


class RequestHeads:
    """Makes the heads of requests to one upstream; what depends on the settings alone is made once."""

    def __init__(self, settings: UpstreamSettings, path: str, authority: bytes, fixed: dict[bytes, bytes]) -> None:
        """`path` is the resource's on the public URL; `fixed` are header fields that every request gets."""
        self._path = path
        self._base = quote(urlsplit(settings.url).path, safe="/%:@!$&'()*+,;=~-._").encode() or b"/"
        self._host = b"" if settings.preserve_host else b"\r\nhost: %b" % authority
        self._fixed = b"".join(b"%b: %b\r\n" % field for field in fixed.items())
        own = [name.decode() for name in fixed] + ([settings.identity.header] if settings.identity else [])
        self._own = frozenset(spelled(name.encode()) for name in own)
        self._of_pages = () if settings.preserve_host else tuple(name.encode() for name in OF_PAGES)
        self._max_bytes = settings.max_header_bytes
        self._known: dict[bytes, bytes] = {}  # how the line of a header begins, by name; b"" for what does not cross
        if settings.preserve_host:
            self._known[b"host"] = b"host: "
        self._plain = {method: self._line(method, self._base) for method in METHODS}

    def write(self, scope: Scope, framing: bytes, identity: bytes) -> bytes:
        """The head of a request, to its blank line. `framing` and `identity` are lines of the gate's own.

        Raises:
            MethodNotForwarded, NotForwarded: it is not for the upstream.
            HeadersTooLarge: its headers are more than the settings allow.
            InvalidMessage: a header or the query holds what would end it early.
        """
        line = self._request_line(scope)
        lines = [line]
        known, named = self._known, KEPT_ALIVE
        for name, value in scope["headers"]:
            begin = known.get(name)
            if begin is None:
                begin = self._beginning(name)
            if begin:
                lines.append(begin + value)
            elif name == b"connection":
                named = value if named is KEPT_ALIVE else named + b"," + value
        if named != KEPT_ALIVE:
            lines = without_named(lines, named)
        head = b"\r\n".join(lines)
        breaks = len(lines) - 1 + line.count(b"\n")
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
            raise InvalidMessage("a header holds a line break or NUL")  # RFC 9110 §5.5
        if len(head) > self._max_bytes:
            raise HeadersTooLarge(f"{len(head)} bytes")
        return b"%b\r\n%b%b%b\r\n" % (head, framing, identity, self._fixed)

    def _request_line(self, scope: Scope) -> bytes:
        method = scope["method"]
        line = self._plain.get(method)
        if line is None:
            raise MethodNotForwarded(f"the method {method[:20]!a}")
        if scope["query_string"] or scope["path"] != self._path:
            return self._line(method, self._target(scope))
        return line

    def _line(self, method: str, target: bytes) -> bytes:
        return b"%b %b HTTP/1.1%b" % (method.encode(), target, self._host)

    def _beginning(self, name: bytes) -> bytes:
        """How the line of a header of this name begins, decided once for each."""
        begin = b"%b: " % name if self._crosses(name) else b""
        if len(self._known) < MAX_KNOWN and len(name) < 64:
            self._known[name] = begin
        return begin

    def _crosses(self, name: bytes) -> bool:
        read = spelled(name)
        return not (
            read in FRAMING
            or read in TRUSTED
            or read in self._own
            or read.startswith((*TRUSTED_PREFIXES, *self._of_pages))
            or TOKEN.fullmatch(name) is None
        )

    def _target(self, scope: Scope) -> bytes:
        """Path and query at the upstream; the path is the one the gate judged, never the client's spelling of it."""
        below = scope["path"][len(self._path.rstrip("/")) :] if scope["path"] != self._path else ""
        segments = below.split("/")
        named = {segment.partition(";")[0] for segment in segments}  # as servers that know path parameters read them
        if not named.isdisjoint({".", "..", ".well-known"}) or "\\" in below:
            raise NotForwarded("dot segments, or a well-known document of the upstream")
        target = (self._base.rstrip(b"/") if below else self._base) + quote(below, safe="/:@!$&'()*+,;=~-._").encode()
        query = without_credentials(scope["query_string"])
        return b"%b?%b" % (target, query) if query else target


def without_named(lines: list[bytes], value: bytes) -> list[bytes]:
    """The lines without the headers that Connection names: they were for the gate alone (RFC 9110 §7.6.1)."""
    named = tuple(b"%b:" % name.strip(b" \t") for name in value.lower().split(b","))
    return [lines[0], *(line for line in lines[1:] if not line.startswith(named) or line.startswith(b"host:"))]


def spelled(name: bytes) -> bytes:
    """A header's name as the laxest reader takes it: in lower case, with a dash for all that is no letter or digit."""
    return OTHER.sub(b"-", name.lower())


def without_credentials(query: bytes) -> bytes:
    """A query without the parameters that convey a token: they would end in the upstream's logs (RFC 9700 §4.3.2).

    Raises:
        InvalidMessage: it holds characters that no query has.
    """
    if QUERY.fullmatch(query) is None:
        raise InvalidMessage("a query with characters that have to be escaped")
    parts = re.split(rb"[&;]", query)  # some readers part at either
    kept = [part for part in parts if not conveys_credential(part)]
    return query if len(kept) == len(parts) else b"&".join(kept)


def conveys_credential(parameter: bytes) -> bool:
    """Whether a parameter is one by its name, or looks like a JWT."""
    name, _, value = (unquote_to_bytes(half) for half in parameter.replace(b"+", b" ").partition(b"="))
    return name.strip().lower().replace(b"-", b"_") in CREDENTIALS or JWT.search(value) is not None
