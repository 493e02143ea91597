"""The one spelling of a resource's URI, and the well-known URLs made from it.

Tokens are bound to a resource by comparing strings, so what has two spellings would be two resources.
"""

from __future__ import annotations

import re

from discovery.location import InvalidLocation, Location

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
# An escape for one of these has a plain spelling (RFC 3986 §2.3), or is a slash, backslash or control to some readers.
_NEEDLESS_OR_HARMFUL = re.compile(r"[A-Za-z0-9._~/\\\x00-\x1f\x7f-]")


class InvalidResource(ValueError):
    """The URL cannot name a resource; the text is one sentence and does not repeat the URL."""


def canonical(url: str) -> str:
    """The URI that names a resource in metadata, `resource` parameters and audiences (RFC 8707 §2, RFC 9728 §1.2).

    Scheme and host in lower case, no default port, no slash at the end (MCP, Canonical Server URI). A query is
    refused: RFC 8707 §2 advises against it, no server routes by it, and its order and escapes have many spellings.

    Raises:
        InvalidResource: not an https URL (http on loopback), or a URL with a second spelling.
    """
    location = _located(url)
    path = location.path.removesuffix("/")
    if "//" in f"{path}/":
        raise InvalidResource("the resource's path holds empty segments: write each slash once")
    return location.origin + _ESCAPE.sub(_canonical_escape, path)


def well_known_url(resource: str, name: str) -> str:
    """Where the document `name` about a resource or issuer lives, its path after the name (RFC 9728 §3.1).

    RFC 8414 §3.1 says the same of issuers. A slash at the end is dropped before the path is moved.

    Raises:
        InvalidResource: not an https URL (http on loopback), or one with a query.
    """
    location = _located(resource)
    return f"{location.origin}/.well-known/{name}{location.path.removesuffix('/')}"


def _located(url: str) -> Location:
    try:
        location = Location.of(url)
    except InvalidLocation as error:
        raise InvalidResource(str(error)) from None
    if location.query is not None:
        raise InvalidResource("the URL has a query: leave out '?' and what follows")
    return location


def _canonical_escape(escape: re.Match[str]) -> str:
    if _NEEDLESS_OR_HARMFUL.fullmatch(chr(int(escape[1], 16))):
        raise InvalidResource(f"the resource's path holds {escape[0]}: write the character itself, or leave it out")
    return escape[0].upper()  # RFC 3986 §6.2.2.1
