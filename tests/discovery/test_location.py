"""One strict reader for every URL that is published, followed or fetched (RS-401-06, PRM-12, CLI-13)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.location import MAX_LENGTH, InvalidLocation, Location


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("https://gw.example", Location("https", "gw.example", None, "", None), id="host alone"),
        pytest.param("HTTPS://GW.Example/Mcp", Location("https", "gw.example", None, "/Mcp", None), id="upper case"),
        pytest.param("https://gw.example:443/", Location("https", "gw.example", None, "/", None), id="default port"),
        pytest.param("http://localhost:80/", Location("http", "localhost", None, "/", None), id="http default port"),
        pytest.param("https://gw.example:8443/a?b=c", Location("https", "gw.example", 8443, "/a", "b=c"), id="query"),
        pytest.param("https://gw.example?", Location("https", "gw.example", None, "", ""), id="empty query"),
        pytest.param("https://[2001:DB8:0::1]/", Location("https", "2001:db8::1", None, "/", None), id="IPv6"),
        pytest.param("http://[::1]:9000/a", Location("http", "::1", 9000, "/a", None), id="loopback, IPv6"),
        pytest.param("http://127.8.8.8/", Location("http", "127.8.8.8", None, "/", None), id="loopback, all of 127"),
        pytest.param("https://a_b.xn--bcher-kva.example/%C3%BC", None, id="underscore, punycode, escapes"),
        pytest.param("https://gw.example/..a/.b/c..", None, id="dots within segments"),
    ],
)
def test_url_is_read(url: str, expected: Location | None) -> None:
    assert Location.of(url) == (expected or Location.of(url))


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        pytest.param("http://gw.example/mcp", "https", id="plain http"),
        pytest.param("http://localhost.example/", "https", id="http to a name that begins like localhost"),
        pytest.param("http://[::ffff:127.0.0.1]/", "https", id="http to loopback within IPv6"),
        pytest.param("ftp://gw.example/", "scheme", id="another scheme"),
        pytest.param("javascript://gw.example/%0aalert(1)", "scheme", id="a scheme that runs"),
        pytest.param("javascript:alert(1)", "absolute", id="no authority"),
        pytest.param("/mcp", "absolute", id="relative"),
        pytest.param("//gw.example/mcp", "absolute", id="without scheme"),
        pytest.param("", "absolute", id="empty"),
        pytest.param("https://gw.example/#top", "fragment", id="fragment"),
        pytest.param("https://gw.example/#", "fragment", id="empty fragment"),
        pytest.param("https://user:secret@gw.example/", "password", id="userinfo"),
        pytest.param("https://gw.example@evil.example/", "password", id="host as user name"),
        pytest.param("https:///mcp", "host", id="no host"),
        pytest.param("https://gw.example:/", "port", id="empty port"),
        pytest.param("https://gw.example:0/", "port", id="port 0"),
        pytest.param("https://gw.example:65536/", "port", id="port too large"),
        pytest.param("https://gw.example:443:1/", "port", id="two ports"),
        pytest.param("https://gw..example/", "DNS name", id="empty label"),
        pytest.param("https://gw.example./", "DNS name", id="dot at the end"),
        pytest.param("https://-gw.example/", "DNS name", id="label begins with a hyphen"),
        pytest.param(f"https://{'a' * 64}.example/", "DNS name", id="label too long"),
        pytest.param("https://" + "a." * 127 + "example/", "DNS name", id="name too long"),
        pytest.param("https://127.1/", "IP address", id="abbreviated address"),
        pytest.param("https://2130706433/", "IP address", id="address as one number"),
        pytest.param("https://0x7f.0.0.0x1/", "IP address", id="hexadecimal address"),
        pytest.param("https://0177.0.0.1/", "IP address", id="octal address"),
        pytest.param("https://1.2.3.4.5/", "IP address", id="five numbers"),
        pytest.param("https://[::1/", "host", id="bracket not closed"),
        pytest.param("https://[:::1]/", "IP address", id="no IPv6 address"),
        pytest.param("https://[fe80::1%25eth0]/", "host", id="zone"),
        pytest.param("https://b\u00fccher.example/", "punycode", id="host not in punycode"),
        pytest.param("https://gw%2eexample/", "host", id="escape in the host"),
        pytest.param("https://gw.example\\@evil.example/", "percent-encoded", id="backslash"),
        pytest.param("https://gw.example/a b", "percent-encoded", id="space"),
        pytest.param("https://gw.example/\r\nX: y", "percent-encoded", id="line break"),
        pytest.param("https://gw.example/\n", "percent-encoded", id="line break at the end"),
        pytest.param("https://gw.example/%zz", "percent-encoded", id="broken escape"),
        pytest.param('https://gw.example/"', "percent-encoded", id="quote"),
        pytest.param("https://gw.example/[a]", "bracket", id="bracket in the path"),
        pytest.param("https://gw.example/?a[]=b", "bracket", id="bracket in the query"),
        pytest.param("https://gw.example/a/../b", "segments", id="dot segments"),
        pytest.param("https://gw.example/.", "segments", id="dot at the end"),
        pytest.param("https://gw.example/a/%2E%2e/b", "segments", id="escaped dot segments"),
        pytest.param("https://gw.example/" + "a" * MAX_LENGTH, "longer", id="too long"),
    ],
)
def test_url_is_refused(url: str, cause: str) -> None:
    with pytest.raises(InvalidLocation, match=cause) as refusal:
        Location.of(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "origin", "port"),
    [
        pytest.param("https://GW.example:443/mcp", "https://gw.example", 443, id="default port"),
        pytest.param("https://gw.example:8443/mcp", "https://gw.example:8443", 8443, id="port"),
        pytest.param("http://[::1]/mcp", "http://[::1]", 80, id="IPv6"),
    ],
)
def test_origin_and_port(url: str, origin: str, port: int) -> None:
    location = Location.of(url)
    assert location.origin == origin
    assert location.effective_port == port


@given(st.one_of(st.text(), st.text(alphabet="ahtps:/[]@#?%.12e\\ \n").map("https://".__add__)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        location = Location.of(text)
    except InvalidLocation:
        return
    again = location.origin + location.path + ("" if location.query is None else f"?{location.query}")
    assert Location.of(again) == location
