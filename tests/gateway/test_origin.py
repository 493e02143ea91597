"""Which hosts the gate answers for, and whose pages may call it (MCP Transports; WHATWG Fetch, CORS protocol)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import HostRefused, OriginRefused
from gateway.origin import EXPOSED, METHODS, Origins, cors_headers, preflight_headers

PUBLIC = "https://gw.example"
LOCAL = "http://localhost:8000"


def answers_for(origins: Origins, host: bytes | None) -> bool:
    try:
        origins.check_host(host)
    except HostRefused:
        return False
    return True


def may_call(origins: Origins, origin: bytes) -> bool:
    try:
        origins.check_origin(origin)
    except OriginRefused:
        return False
    return True


class TestHost:
    @pytest.mark.parametrize(
        ("host", "answered"),
        [
            pytest.param(b"gw.example", True, id="the public one"),
            pytest.param(b"GW.Example", True, id="in another case"),
            pytest.param(b"gw.example:443", True, id="with the usual port"),
            pytest.param(b"internal:8080", True, id="one the settings add"),
            pytest.param(b"Internal:8080", True, id="one the settings add in another case"),
            pytest.param(b"gw.example:8443", False, id="another port"),
            pytest.param(b"gw.example:80", False, id="the port of another scheme"),
            pytest.param(b"gw.example.evil.test", False, id="look-alike"),
            pytest.param(b"xgw.example", False, id="look-alike at the front"),
            pytest.param(b"gw.example.", False, id="a dot at the end"),
            pytest.param(b"evil.test", False, id="foreign"),
            pytest.param(b"localhost", False, id="loopback, which this is not"),
            pytest.param(b"127.0.0.1:8000", False, id="loopback address"),
            pytest.param(b"", False, id="empty"),
            pytest.param(None, False, id="missing"),
        ],
    )
    def test_gate_answers_for_its_own_hosts(self, host: bytes | None, answered: bool) -> None:
        assert answers_for(Origins(PUBLIC, ["Internal:8080"]), host) is answered

    @pytest.mark.parametrize(
        ("public", "host"),
        [
            pytest.param("https://gw.example:8443", b"gw.example:8443", id="a port of its own"),
            pytest.param("http://localhost", b"localhost:80", id="plain http"),
            pytest.param("https://[2001:db8::1]", b"[2001:DB8::1]:443", id="IPv6"),
        ],
    )
    def test_public_url_names_the_host(self, public: str, host: bytes) -> None:
        assert answers_for(Origins(public), host)

    @pytest.mark.parametrize(
        ("host", "answered"),
        [
            pytest.param(b"localhost:8000", True, id="as it says"),
            pytest.param(b"LOCALHOST", True, id="in another case"),
            pytest.param(b"127.0.0.1:1234", True, id="address and another port"),
            pytest.param(b"127.8.9.10", True, id="another loopback address"),
            pytest.param(b"[::1]:8000", True, id="IPv6"),
            pytest.param(b"evil.test:8000", False, id="foreign: DNS rebinding"),
            pytest.param(b"localhost.evil.test", False, id="look-alike"),
            pytest.param(b"127.0.0.1.evil.test", False, id="look-alike address"),
            pytest.param(b"localhost:8000@evil.test", False, id="user name"),
            pytest.param(b"localhost:", False, id="no port"),
            pytest.param(b"0.0.0.0:8000", False, id="any address"),
            pytest.param(b"\xff", False, id="no ASCII"),
            pytest.param(None, False, id="missing"),
        ],
    )
    def test_on_loopback_every_name_and_port_of_it_is_this_machine(self, host: bytes | None, answered: bool) -> None:
        assert answers_for(Origins(LOCAL), host) is answered


class TestOrigin:
    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            pytest.param(b"https://gw.example", True, id="its own"),
            pytest.param(b"HTTPS://GW.example", True, id="its own in another case"),
            pytest.param(b"https://app.example", True, id="one the settings add"),
            pytest.param(b"https://app.example:8443", False, id="another port"),
            pytest.param(b"http://app.example", False, id="plain http"),
            pytest.param(b"https://app.example.evil.test", False, id="look-alike"),
            pytest.param(b"https://evilapp.example", False, id="look-alike at the front"),
            pytest.param(b"https://app.example/", False, id="a slash more"),
            pytest.param(b"https://evil.test", False, id="foreign"),
            pytest.param(b"null", False, id="null"),
            pytest.param(b"", False, id="empty"),
            pytest.param(b"http://localhost:3000", False, id="loopback, which this is not"),
            pytest.param(b"https://app.example https://evil.test", False, id="two"),
        ],
    )
    def test_pages_of_listed_origins_may_call(self, origin: bytes, allowed: bool) -> None:
        assert may_call(Origins(PUBLIC, origins=["https://APP.example"]), origin) is allowed

    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            pytest.param(b"http://localhost:6274", True, id="another port"),
            pytest.param(b"https://127.0.0.1", True, id="another name and scheme"),
            pytest.param(b"http://[::1]:3000", True, id="IPv6"),
            pytest.param(b"ftp://localhost", False, id="another kind of scheme"),
            pytest.param(b"file://localhost", False, id="a file"),
            pytest.param(b"http://localhost.evil.test", False, id="look-alike"),
            pytest.param(b"http://evil.test", False, id="foreign"),
            pytest.param(b"null", False, id="null"),
            pytest.param(b"localhost", False, id="no scheme"),
        ],
    )
    def test_on_loopback_every_page_of_this_machine_may_call(self, origin: bytes, allowed: bool) -> None:
        assert may_call(Origins(LOCAL), origin) is allowed

    @given(st.binary(max_size=60), st.sampled_from([PUBLIC, LOCAL]))
    def test_no_header_breaks_the_check(self, value: bytes, public: str) -> None:
        origins = Origins(public)
        assert not may_call(origins, b"https://evil.test" + value)
        answers_for(origins, value)
        may_call(origins, value)

    def test_refusal_does_not_repeat_an_origin_without_end(self) -> None:
        with pytest.raises(OriginRefused) as refusal:
            Origins(PUBLIC).check_origin(b"\x1b" * 10_000)
        assert len(str(refusal.value)) < 1000
        assert "\x1b" not in str(refusal.value)


def granted(asked: bytes) -> list[bytes]:
    names = dict(preflight_headers(b"https://app.example", asked))[b"access-control-allow-headers"]
    return [name for name in names.split(b", ") if name]


class TestCors:
    def test_every_header_of_mcp_is_allowed(self) -> None:
        asked = (
            b"Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Last-Event-ID, "
            b"Mcp-Method, Mcp-Name, Mcp-Param-Region, DPoP"
        )
        assert granted(asked) == asked.lower().split(b", ")

    @pytest.mark.parametrize(
        ("asked", "allowed"),
        [
            pytest.param(b"", [], id="none"),
            pytest.param(b" accept ,,mcp-name,", [b"accept", b"mcp-name"], id="odd blanks and commas"),
            pytest.param(b"x-own, cookie, *", [], id="none of MCP"),
            pytest.param(b"mcp-param-", [], id="a parameter without name"),
            pytest.param(b"mcp-param-a b", [], id="a parameter with a blank"),
            pytest.param(b"mcp-param-a\r\nx: y", [], id="a line of its own"),
            pytest.param(b"mcp-param-" + b"a" * 101, [], id="a parameter without end"),
            pytest.param(b"mcp-param-a!#$%&'*+.^_`|~0-9", [b"mcp-param-a!#$%&'*+.^_`|~0-9"], id="every character"),
            pytest.param(b"x," * 5000 + b"accept", [], id="a list without end"),
        ],
    )
    def test_of_the_headers_asked_for_those_of_mcp_are_allowed(self, asked: bytes, allowed: list[bytes]) -> None:
        assert granted(asked) == allowed

    @given(st.binary())
    def test_no_list_puts_anything_else_into_the_answer(self, asked: bytes) -> None:
        for name, value in preflight_headers(b"https://app.example", asked):
            assert b"\r" not in name + value
            assert b"\n" not in name + value

    def test_answers_vary_by_origin_and_never_come_with_cookies(self) -> None:
        preflight = dict(preflight_headers(b"https://app.example", b"accept"))
        actual = dict(cors_headers(b"https://app.example"))
        for headers in (preflight, actual):
            assert headers[b"access-control-allow-origin"] == b"https://app.example"
            assert b"Origin" in headers[b"vary"]
            assert b"access-control-allow-credentials" not in headers
        assert b"Access-Control-Request-Headers" in preflight[b"vary"]
        assert preflight[b"access-control-allow-methods"] == METHODS

    @pytest.mark.parametrize("name", [b"WWW-Authenticate", b"Mcp-Session-Id", b"MCP-Protocol-Version", b"DPoP-Nonce"])
    def test_page_may_read_what_a_client_needs(self, name: bytes) -> None:
        assert name in EXPOSED.split(b", ")
