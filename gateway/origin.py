"""Which hosts the gate answers for and whose web pages may call it: Host, Origin and CORS, by one list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from discovery.address import is_loopback
from gateway.errors import HostRefused, OriginRefused

# What MCP uses across its revisions; `Mcp-Param-*` is open-ended, so the preflight's answer is computed.
REQUEST_HEADERS = frozenset(
    b"authorization content-type accept dpop last-event-id "
    b"mcp-protocol-version mcp-session-id mcp-method mcp-name".split()
)
PARAMETER_HEADER = re.compile(rb"mcp-param-[!#$%&'*+.^_`|~0-9a-z-]{1,100}")
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?")  # RFC 9110 §7.2
METHODS = b"GET, POST, DELETE, OPTIONS"
EXPOSED = b"WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, DPoP-Nonce, Retry-After"
PREFLIGHT_SECONDS = b"7200"  # the longest that browsers keep an answer

Headers = list[tuple[bytes, bytes]]


class Origins:
    """The hosts and origins of one gate (MCP Transports, security warning; WHATWG Fetch, CORS protocol).

    On a loopback address every loopback name and port is this machine, so all of them pass; anywhere else only
    the public URL and what the settings add.
    """

    def __init__(self, public_url: str, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        parts = urlsplit(public_url)
        default = {"http": ":80", "https": ":443"}[parts.scheme]
        public = {parts.netloc, parts.netloc + default} if parts.port is None else {parts.netloc}
        self.hosts = {host.lower().encode() for host in (*public, *hosts)}
        self.origins = {origin.lower().encode() for origin in (public_url, *origins)}
        self.loopback = is_loopback(parts.hostname or "")

    def check_host(self, host: bytes | None) -> None:
        """Refuse a request that was meant for somebody else (RFC 9110 §7.4)."""
        if host in self.hosts or (host and host.lower() in self.hosts):
            return
        if self.loopback and host and is_loopback(_name(host)):
            return
        raise HostRefused(f"Host is {host!a}")

    def check_origin(self, origin: bytes) -> None:
        """Refuse pages of foreign origins; what is no web page sends no Origin and is not asked."""
        if origin in self.origins or origin.lower() in self.origins:
            return
        scheme, _, host = origin.partition(b"://")
        if self.loopback and scheme in (b"http", b"https") and is_loopback(_name(host)):
            return
        raise OriginRefused(f"Origin is {origin[:200]!a}")


def _name(host: bytes) -> str:
    """The host of `host[:port]`; "" where it is not one."""
    found = HOST.fullmatch(host.decode("latin-1"))
    return found[1].strip("[]") if found else ""


def cors_headers(origin: bytes) -> Headers:
    """What lets a page of an allowed origin read a response; never together with cookies."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]


def preflight_headers(origin: bytes, asked: bytes) -> Headers:
    """The answer to a preflight: of the headers it asks for, those that MCP uses."""
    names = [name.strip().lower() for name in asked[:4096].split(b",")]
    granted = [name for name in names if name in REQUEST_HEADERS or PARAMETER_HEADER.fullmatch(name)]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", b", ".join(granted)),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
        (b"vary", b"Origin, Access-Control-Request-Headers"),
    ]
