"""Where an IP address leads: to the public internet, into this machine, into a private network, or nowhere good."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address


class Reach(enum.Enum):
    """What a connection to an address would reach; the value is the words for it."""

    PUBLIC = "a public address"
    LOOPBACK = "a loopback address"
    PRIVATE = "a private address"
    SPECIAL = "a special-purpose address"  # link-local (cloud metadata), multicast, unspecified, reserved


# The IANA special-purpose registries (RFC 6890), spelled out because `ipaddress.is_global` differs by release.
_LOOPBACK4 = IPv4Network("127.0.0.0/8")
_PRIVATE4 = [
    IPv4Network("10.0.0.0/8"),  # RFC 1918
    IPv4Network("172.16.0.0/12"),  # RFC 1918
    IPv4Network("192.168.0.0/16"),  # RFC 1918
    IPv4Network("100.64.0.0/10"),  # RFC 6598, carrier-grade NAT
]
_SPECIAL4 = [
    IPv4Network("0.0.0.0/8"),  # "this network"; Linux connects 0.0.0.0 to itself
    IPv4Network("169.254.0.0/16"),  # link-local, and the metadata service of every cloud
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    IPv4Network("192.0.2.0/24"),  # documentation
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, deprecated
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("198.51.100.0/24"),  # documentation
    IPv4Network("203.0.113.0/24"),  # documentation
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved, and broadcast
]
_LOOPBACK6 = IPv6Address("::1")
_PRIVATE6 = IPv6Network("fc00::/7")  # RFC 4193, unique local
_PUBLIC6 = IPv6Network("2000::/3")  # all that is allocated as global unicast, but for:
_SPECIAL6 = [
    IPv6Network("2001::/23"),  # IETF protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("3fff::/20"),  # documentation
]
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def reach(address: IPv4Address | IPv6Address) -> Reach:
    """What a connection to this address would reach; an IPv4 address within an IPv6 one is what counts."""
    if isinstance(address, IPv6Address):
        embedded = _embedded(address)
        return _reach6(address) if embedded is None else _reach4(embedded)
    return _reach4(address)


def is_loopback(host: str) -> bool:
    """Whether a URL's host, with or without brackets, says in so many words that it is this machine.

    Only `localhost`, 127.0.0.0/8 and ::1 do (RFC 8252 §7.3). What a name resolves to is not asked.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return address == _LOOPBACK6 or (isinstance(address, IPv4Address) and address in _LOOPBACK4)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _reach4(address: IPv4Address) -> Reach:
    if address in _LOOPBACK4:
        return Reach.LOOPBACK
    if any(address in network for network in _PRIVATE4):
        return Reach.PRIVATE
    if any(address in network for network in _SPECIAL4):
        return Reach.SPECIAL
    return Reach.PUBLIC


def _reach6(address: IPv6Address) -> Reach:
    if address == _LOOPBACK6:
        return Reach.LOOPBACK
    if address in _PRIVATE6:
        return Reach.PRIVATE
    if address not in _PUBLIC6 or any(address in network for network in _SPECIAL6):
        return Reach.SPECIAL
    return Reach.PUBLIC
