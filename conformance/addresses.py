"""Reads the URLs that a target hands out: a stranger's text, so nothing here raises for what is in it."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urljoin, urlsplit

NOWHERE = SplitResult("", "", "", "", "")


def split(url: str) -> SplitResult:
    """The parts of a URL; all of them empty where it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port  # read only now, and they raise too
    except ValueError:
        return NOWHERE
    return parts


def join(base: str, url: str) -> str:
    """Where a reference on a page leads; "" where it is none."""
    try:
        return urljoin(base, url)
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_near(host: str) -> bool:
    """Whether a host is in a private network: by its address, or by a name that no public server has."""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        return is_loopback(host) or "." not in host or host.endswith((".local", ".internal", ".test"))


def may_fetch(url: str, near: bool) -> bool:
    """Whether a URL that a target handed out is fetched.

    A public target has only public https addresses fetched; one in a private network is trusted with its neighbours.
    """
    parts = split(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        return False
    return near or (parts.scheme == "https" and not is_near(host))
