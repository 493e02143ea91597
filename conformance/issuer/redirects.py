"""Where a browser may be sent back to: which redirect URIs can be registered, and which one matches."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# The host has to end where the port, the path or the query begins, so user-info and look-alike names never match.
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\]|localhost)(?::([0-9]{1,5}))?((?:[/?][^#]*)?)")
_URI_CHARACTERS = re.compile(r"[!$-;=?-\[\]_a-z~#]+")  # RFC 3986 §2
_APP = re.compile(r"[a-z][a-z0-9+.-]*:/*[^/].*")  # RFC 8252 §7.1

# Schemes that make a browser do something else than go to an app.
_NOT_AN_APP = frozenset(
    {"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "mailto", "tel", "vbscript", "ws", "wss"}
)
_LONGEST = 2000


def is_loopback(uri: str) -> bool:
    """Whether this is a plain-http URI of this computer, with or without a port (RFC 8252 §7.3)."""
    return _LOOPBACK.fullmatch(uri) is not None


def same_but_port(registered: str, asked: str) -> bool:
    """Whether two loopback URIs differ in nothing but a valid port (RFC 8252 §7.3)."""
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(asked)
    if ours is None or theirs is None:
        return False
    port = int(theirs[2] or 80)
    return 0 < port < 1 << 16 and (ours[1], ours[3]) == (theirs[1], theirs[3])


def why_not_registrable(uri: object) -> str | None:
    """What is wrong with a redirect URI that a client asks to register, as a sentence; None if nothing."""
    if not isinstance(uri, str) or not 0 < len(uri) <= _LONGEST or not _URI_CHARACTERS.fullmatch(uri):
        return f"A redirect URI is a URI of at most {_LONGEST} characters."
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "A redirect URI is a valid URI."
    if "#" in uri or "@" in parts.netloc:
        return "A redirect URI has neither a fragment nor user-info."
    if parts.scheme == "http":
        return None if is_loopback(uri) else "A redirect URI uses https, unless it is a loopback address."
    if parts.scheme == "https":
        return None if parts.hostname else "A redirect URI is absolute."
    if not _APP.fullmatch(uri) or parts.scheme in _NOT_AN_APP:
        return "A redirect URI is absolute, and its scheme is https or the app's own."
    return None


def is_web(uri: str) -> bool:
    """Whether this is an address of a web site: https."""
    return urlsplit(uri).scheme == "https"


def destination(uri: str) -> str:
    """Where a redirect URI leads, in words for a person: a host, this computer, or an app."""
    if is_loopback(uri):
        return "an app on this computer"
    parts = urlsplit(uri)
    return parts.netloc if is_web(uri) else f"an app on this device ({parts.scheme})"
