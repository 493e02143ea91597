"""Where addresses lead: what a stranger's URL must not reach (CLI-13, RFC 9728 §7.7)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.address import Reach, is_loopback, reach


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("1.1.1.1", Reach.PUBLIC, id="public"),
        pytest.param("172.15.255.255", Reach.PUBLIC, id="just below RFC 1918"),
        pytest.param("172.32.0.0", Reach.PUBLIC, id="just above RFC 1918"),
        pytest.param("100.63.255.255", Reach.PUBLIC, id="just below CGNAT"),
        pytest.param("2606:4700::1111", Reach.PUBLIC, id="public, IPv6"),
        pytest.param("127.0.0.1", Reach.LOOPBACK, id="loopback"),
        pytest.param("127.255.255.254", Reach.LOOPBACK, id="loopback, last"),
        pytest.param("::1", Reach.LOOPBACK, id="loopback, IPv6"),
        pytest.param("10.0.0.1", Reach.PRIVATE, id="RFC 1918, 10"),
        pytest.param("172.16.0.1", Reach.PRIVATE, id="RFC 1918, 172.16"),
        pytest.param("172.31.255.255", Reach.PRIVATE, id="RFC 1918, 172.31"),
        pytest.param("192.168.1.1", Reach.PRIVATE, id="RFC 1918, 192.168"),
        pytest.param("100.64.0.1", Reach.PRIVATE, id="CGNAT"),
        pytest.param("fd00:ec2::254", Reach.PRIVATE, id="unique local"),
        pytest.param("0.0.0.0", Reach.SPECIAL, id="unspecified"),  # noqa: S104 - not bound to, but classified
        pytest.param("0.1.2.3", Reach.SPECIAL, id="this network"),
        pytest.param("169.254.169.254", Reach.SPECIAL, id="cloud metadata"),
        pytest.param("192.0.2.1", Reach.SPECIAL, id="documentation"),
        pytest.param("198.18.0.1", Reach.SPECIAL, id="benchmarks"),
        pytest.param("224.0.0.1", Reach.SPECIAL, id="multicast"),
        pytest.param("240.0.0.1", Reach.SPECIAL, id="reserved"),
        pytest.param("255.255.255.255", Reach.SPECIAL, id="broadcast"),
        pytest.param("::", Reach.SPECIAL, id="unspecified, IPv6"),
        pytest.param("fe80::1", Reach.SPECIAL, id="link-local, IPv6"),
        pytest.param("fe80::1%eth0", Reach.SPECIAL, id="link-local with a zone"),
        pytest.param("fec0::1", Reach.SPECIAL, id="site-local"),
        pytest.param("ff02::1", Reach.SPECIAL, id="multicast, IPv6"),
        pytest.param("2001:db8::1", Reach.SPECIAL, id="documentation, IPv6"),
        pytest.param("2001:0:7f00:1::", Reach.SPECIAL, id="Teredo"),
        pytest.param("::7f00:1", Reach.SPECIAL, id="IPv4-compatible loopback"),
        pytest.param("64:ff9b:1::a00:1", Reach.SPECIAL, id="local-use NAT64"),
        pytest.param("::ffff:127.0.0.1", Reach.LOOPBACK, id="mapped loopback"),
        pytest.param("::ffff:10.0.0.1", Reach.PRIVATE, id="mapped private"),
        pytest.param("::ffff:169.254.169.254", Reach.SPECIAL, id="mapped cloud metadata"),
        pytest.param("2002:a00:1::", Reach.PRIVATE, id="6to4 of a private address"),
        pytest.param("2002:7f00:1::", Reach.LOOPBACK, id="6to4 of loopback"),
        pytest.param("64:ff9b::10.0.0.1", Reach.PRIVATE, id="NAT64 of a private address"),
        pytest.param("64:ff9b::169.254.169.254", Reach.SPECIAL, id="NAT64 of cloud metadata"),
        pytest.param("64:ff9b::1.1.1.1", Reach.PUBLIC, id="NAT64 of a public address"),
    ],
)
def test_address_leads_to(address: str, expected: Reach) -> None:
    assert reach(ip_address(address)) is expected


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(network="2000::/3")))
def test_what_the_standard_library_calls_private_is_never_public(address: IPv4Address | IPv6Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        assert reach(address) is not Reach.PUBLIC


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("localhost", True, id="localhost"),
        pytest.param("LocalHost", True, id="any case"),
        pytest.param("127.0.0.1", True, id="IPv4"),
        pytest.param("127.9.9.9", True, id="all of 127"),
        pytest.param("::1", True, id="IPv6"),
        pytest.param("[::1]", True, id="IPv6 in brackets"),
        pytest.param("::ffff:127.0.0.1", False, id="IPv4 within IPv6"),
        pytest.param("localhost.example", False, id="name that begins so"),
        pytest.param("127.0.0.1.example", False, id="name that begins like the address"),
        pytest.param("127.1", False, id="abbreviated address"),
        pytest.param("128.0.0.1", False, id="another network"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_host_says_that_it_is_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
