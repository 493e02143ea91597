"""The head of an upstream's response as the client gets it: what may cross outward, and how its body ends.

httptools has refused what is no HTTP: both lengths, several, folded lines, bare CR, LF and NUL. What it takes and a
gate must not is refused here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from gateway.errors import UpstreamBroken

# About the other connection (RFC 9110 §7.6.1), or for the server of this one to say.
HOP = b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade date".split()
# The upstream's own authorization, cookies, address and policy for pages: they would speak for the public origin.
FOREIGN = (
    b"set-cookie set-cookie2 www-authenticate proxy-authenticate authentication-info proxy-authentication-info "
    b"location content-location refresh alt-svc strict-transport-security public-key-pins clear-site-data "
    b"service-worker-allowed".split()
)
SILENT = frozenset([*HOP, *FOREIGN])
TELLING = frozenset(  # which do not cross, but say how the response is to be taken
    b"transfer-encoding connection keep-alive www-authenticate proxy-authenticate location".split()
)
TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
MARGIN_SECONDS = 1.0  # before the upstream gives a connection up, it is not used any more: requests take their time
FOR_EVER = float("inf")
MAX_FIELDS = 256
MAX_KNOWN = 512  # names remembered
NO_BUFFERING = (b"x-accel-buffering", b"no")  # asks proxies before the gate (MCP 2026-07-28, Receiving Messages)


# Names as upstreams spell them, in lower case; None for what does not cross, b"" for that which tells something.
_names: dict[bytes, bytes | None] = {}
_UNKNOWN = b"?"  # is no name


def crossing(spelled: bytes) -> bytes | None:
    """The name under which a field crosses, or None or b"" as in `_names`; decided once for each spelling."""
    lower = spelled.lower()
    name: bytes | None = lower
    if lower in TELLING:
        name = b""
    elif lower in SILENT or lower.startswith(b"access-control-"):
        name = None
    if len(_names) < MAX_KNOWN and len(spelled) < 64:
        _names[spelled] = name
    return name


class ResponseHead(NamedTuple):
    """A response's status and what crosses of its header fields."""

    status: int
    fields: list[tuple[bytes, bytes]]
    is_stream: bool  # of server-sent events
    until_closed: bool  # the body ends with the connection (RFC 9112 §6.3)
    challenges: bool  # the upstream wants another credential
    location: bytes | None  # where a redirect leads
    kept_seconds: float  # that the connection may be unused and used again, as far as the upstream says


def response_head(status: int, version: str, fields: list[tuple[bytes, bytes]], *, bodiless: bool) -> ResponseHead:
    """The head that goes on to the client.

    Raises:
        UpstreamBroken: it can be read in two ways, or is none of HTTP/1.
    """
    if not 200 <= status <= 599 or version not in ("1.1", "1.0") or len(fields) > MAX_FIELDS:
        raise UpstreamBroken(f"a response of status {status}, HTTP/{version}, with {len(fields)} fields")
    kept = []
    told: dict[bytes, bytes] = {}
    for spelled, value in fields:
        name = _names.get(spelled, _UNKNOWN)
        if name is _UNKNOWN:
            name = crossing(spelled)
        if name:
            kept.append((name, value))
        elif name is not None:
            name = spelled.lower()
            told[name] = value if name not in told else told[name] + b", " + value
    coding = told.get(b"transfer-encoding")
    if coding is not None and (version == "1.0" or coding.lower() != b"chunked"):
        raise UpstreamBroken("a transfer coding other than chunked")  # RFC 9112 §6.1
    if told.get(b"connection", b"keep-alive") != b"keep-alive":
        kept = without_named(kept, told[b"connection"])
    said = dict(kept)
    is_stream = said.get(b"content-type", b"")[:17].lower() == b"text/event-stream"
    if is_stream and NO_BUFFERING[0] not in said:
        kept.append(NO_BUFFERING)
    if status in (204, 304):
        kept = [field for field in kept if field[0] != b"content-length"]
    until_closed = not bodiless and coding is None and b"content-length" not in said
    challenges = b"www-authenticate" in told or b"proxy-authenticate" in told
    kept_seconds = FOR_EVER if b"keep-alive" not in told else seconds_kept(told[b"keep-alive"])
    return ResponseHead(status, kept, is_stream, until_closed, challenges, told.get(b"location"), kept_seconds)


@lru_cache(maxsize=64)  # a server says the same each time
def seconds_kept(keep_alive: bytes) -> float:
    """For how long a connection may be unused and used again, by `Keep-Alive: timeout=SECONDS` of the upstream.

    The field is of RFC 2068 §19.7.1.1 and what servers make of it: Node's and Apache's send it.
    """
    said = TIMEOUT.search(keep_alive)
    return FOR_EVER if said is None else int(said[1]) - MARGIN_SECONDS


def without_named(fields: list[tuple[bytes, bytes]], value: bytes) -> list[tuple[bytes, bytes]]:
    """The fields that Connection does not name; the one that ends the body is not for it to take away."""
    named = {name.strip(b" \t") for name in value.lower().split(b",")} - {b"content-length", b"content-type"}
    return [field for field in fields if field[0] not in named]
