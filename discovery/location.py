"""Absolute https URLs, and plain http on loopback: the only ones that are published, followed or fetched.

One strict reader for all of them, so that no two parts of a request can read the same URL differently.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

import msgspec

from discovery.address import is_loopback

MAX_LENGTH = 2048  # characters of a URL
_PORTS = {"https": 443, "http": 80}

# RFC 3986 §2: nothing but these characters, and a percent sign only before two hexadecimal digits.
_FOREIGN = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]|%(?![0-9A-Fa-f]{2})")
# RFC 3986 appendix B: scheme, authority, path, query, fragment.
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label that makes resolvers read an IPv4 address


class InvalidLocation(ValueError):
    """The URL may not be used; the text is one sentence and never repeats the URL, which may hold a password."""


class Location(msgspec.Struct, frozen=True):
    """The parts of a URL; scheme and host in lower case."""

    scheme: str
    host: str  # an IPv6 address without brackets
    port: int | None  # None: the scheme's own
    path: str  # as written: "" or with a leading slash
    query: str | None  # as written, without the question mark

    @classmethod
    def of(cls, url: str) -> Location:
        """The parts of an absolute https URL (http on loopback) without userinfo and fragment.

        Raises:
            InvalidLocation: the URL is none of these, or another reader might take it for something else.
        """
        if len(url) > MAX_LENGTH:
            raise InvalidLocation(f"the URL is longer than {MAX_LENGTH} characters")
        if _FOREIGN.search(url):
            raise InvalidLocation("the URL holds characters that must be percent-encoded (a host: in punycode)")
        parts = _PARTS.fullmatch(url)
        if parts is None:
            raise InvalidLocation("the URL is not absolute: write it as https://host/path")
        scheme, authority, path, query, fragment = parts.groups()
        if fragment is not None:
            raise InvalidLocation("the URL has a fragment: leave out '#' and what follows")
        _refuse_ambiguous_path(path, query or "")
        host, port = _read_authority(authority)
        scheme = scheme.lower()
        _refuse_scheme(scheme, host)
        return cls(scheme, host, None if port == _PORTS[scheme] else port, path, query)

    @property
    def authority(self) -> str:
        """Host and port as a URL or a Host field spells them; a default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, as browsers write an origin (RFC 6454 §6.2)."""
        return f"{self.scheme}://{self.authority}"

    @property
    def effective_port(self) -> int:
        """The port to connect to."""
        return _PORTS[self.scheme] if self.port is None else self.port


def _refuse_scheme(scheme: str, host: str) -> None:
    if scheme not in _PORTS:
        raise InvalidLocation("the URL's scheme is not https")
    # OAuth 2.1 §1.5: TLS everywhere, but for development on this machine
    if scheme == "http" and not is_loopback(host):
        raise InvalidLocation("the URL must use https: plain http is for localhost, 127.0.0.0/8 and [::1] only")


def _refuse_ambiguous_path(path: str, query: str) -> None:
    if any(bracket in part for part in (path, query) for bracket in "[]"):
        raise InvalidLocation("the URL holds a bracket outside its host: percent-encode it")
    # RFC 3986 §6.2.2.3: readers remove dot segments, so no two agree on what was asked; %2e is a dot to most
    if any(segment in {".", ".."} for segment in path.lower().replace("%2e", ".").split("/")):
        raise InvalidLocation("the URL's path holds '.' or '..' segments: write the path they lead to")


def _read_authority(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise InvalidLocation("the URL holds a user name or password before '@': leave them out")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise InvalidLocation("the URL's host is not a name or address, or its port is not a number")
    port = None if match[2] is None else int(match[2])
    if port is not None and not 0 < port < 65536:
        raise InvalidLocation("the URL's port is not within 1 to 65535")
    return _read_host(match[1].lower()), port


def _read_host(host: str) -> str:
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        labels = host.split(".")
        if _NUMERIC.fullmatch(labels[-1]):  # not 127.1, 0x7f.1 or 2130706433, which some read as 127.0.0.1
            return str(IPv4Address(host))
    except ValueError:
        raise InvalidLocation("the URL's host looks like an IP address but is none: write all of it") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidLocation("the URL's host is not a DNS name (no empty labels, no dot at the end)")
    return host
