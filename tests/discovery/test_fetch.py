"""What a URL from outside can do to us: nothing but be fetched, small, soon and over TLS (JWT-JWKS-01, CLI-13)."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography import x509

from discovery.exchange import Target, httpx_request
from discovery.fetch import (
    MAX_BYTES,
    Fetch,
    FetchBadStatus,
    FetchEncoded,
    FetchError,
    FetchNotJson,
    FetchRedirected,
    FetchRefused,
    FetchTimeout,
    FetchTooLarge,
    FetchUnreachable,
    by_turns,
    resolve,
    trust,
)
from discovery.location import Location
from tests.authority import Authority
from tests.discovery.raw_server import Server, answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

HERE = frozenset({"127.0.0.1"})
LOCALHOST = frozenset({"localhost"})


class Resolver:
    """Answers in turn; remembers who was asked for."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        if not self.answers:
            raise OSError("no such name")
        return self.answers.pop(0)


class TestAnswers:
    async def test_document_is_fetched(self) -> None:
        async with Server(answer(b'{"keys": []}', "X-Seen: a", "X-Seen: b")).listening() as server:
            fetch = Fetch(allow_hosts=HERE)
            fetched = await fetch.get(f"http://127.0.0.1:{server.port}/jwks.json?a=b%20c")
        assert fetched.body == b'{"keys": []}'
        assert fetched.is_json
        assert fetched.headers["x-seen"] == "a, b"

    async def test_request_says_as_little_as_possible(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No cookie, no credential, no proxy of the environment, nothing compressed."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        async with Server(answer(b"{}", "Set-Cookie: a=b")).listening() as server:
            fetch = Fetch(allow_hosts=HERE)
            for _ in range(2):
                assert await fetch.json(f"http://127.0.0.1:{server.port}") == {}
        request = (
            "GET / HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{server.port}\r\n"
            "User-Agent: bearergate\r\n"
            "Accept: application/json\r\n"
            "Accept-Encoding: identity\r\n"
            "Connection: close\r\n\r\n"
        )
        assert server.requests == [request, request]

    @pytest.mark.parametrize(
        ("sent", "error"),
        [
            pytest.param(answer(status="302 Found"), FetchRedirected, id="redirect"),
            pytest.param(answer(status="304 Not Modified"), FetchRedirected, id="not modified"),
            pytest.param(answer(status="404 Not Found"), FetchBadStatus, id="absent"),
            pytest.param(
                answer(b"x" * (MAX_BYTES + 1), status="503 Busy"), FetchBadStatus, id="unavailable, huge page"
            ),
            pytest.param(answer(status="204 No Content"), FetchBadStatus, id="no content"),
            pytest.param(answer(b"x" * (MAX_BYTES + 1)), FetchTooLarge, id="huge"),
            pytest.param(answer(gzip.compress(b"{}"), "Content-Encoding: gzip"), FetchEncoded, id="gzip"),
            pytest.param(answer(b"<html>", content_type="text/html"), FetchNotJson, id="HTML"),
            pytest.param(answer(b"{}", content_type="text/plain"), FetchNotJson, id="JSON served as text"),
            pytest.param(answer(b"{"), FetchNotJson, id="broken JSON"),
            pytest.param(answer(b"[]"), FetchNotJson, id="array"),
            pytest.param(answer(b'{"a":' * 40_000), FetchNotJson, id="nested too deeply"),
            pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", FetchUnreachable, id="not HTTP"),
            pytest.param(b"", FetchUnreachable, id="hangs up"),
            pytest.param(answer(b"{}" * 9)[:-3], FetchUnreachable, id="breaks off"),
            pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, FetchUnreachable, id="endless header"),
        ],
    )
    async def test_answer_is_refused(self, sent: bytes, error: type[FetchError]) -> None:
        """JWT-JWKS-01: redirect, HTML, 50 MB."""
        async with Server(sent).listening() as server:
            with pytest.raises(error) as refusal:
                await Fetch(allow_hosts=HERE).json(f"http://127.0.0.1:{server.port}/keys?secret=1")
        assert refusal.value.reason == f"fetch_{error.__name__.removeprefix('Fetch').lower()}".replace(
            "toolarge", "too_large"
        ).replace("badstatus", "bad_status").replace("notjson", "not_json")
        assert str(refusal.value).startswith(f"http://127.0.0.1:{server.port}/keys: ")
        assert "secret" not in str(refusal.value)

    async def test_status_is_told(self) -> None:
        async with Server(answer(status="410 Gone")).listening() as server:
            with pytest.raises(FetchBadStatus) as refusal:
                await Fetch(allow_hosts=HERE).get(f"http://127.0.0.1:{server.port}/")
        assert refusal.value.status == 410

    @pytest.mark.parametrize(
        ("content_type", "is_json"),
        [
            pytest.param("application/json", True, id="JSON"),
            pytest.param("Application/JSON; charset=utf-8", True, id="with a parameter"),
            pytest.param("application/jwk-set+json", True, id="key set"),
            pytest.param("text/html", False, id="HTML"),
            pytest.param("application/jsonp", False, id="begins like JSON"),
        ],
    )
    async def test_media_type(self, content_type: str, is_json: bool) -> None:
        async with Server(answer(content_type=content_type)).listening() as server:
            assert (await Fetch(allow_hosts=HERE).get(f"http://127.0.0.1:{server.port}/")).is_json is is_json

    async def test_body_as_large_as_allowed_is_fetched(self) -> None:
        async with Server(answer(b"x" * 100_000)).listening() as server:
            fetched = await Fetch(allow_hosts=HERE).get(f"http://127.0.0.1:{server.port}/", max_bytes=100_000)
        assert len(fetched.body) == 100_000


async def silence(writer: asyncio.StreamWriter) -> None:
    await writer.drain()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:  # until the other side hangs up
        writer.write(b"x" * 1000)
        await writer.drain()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:  # no read waits long, and the body never ends
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0)


class TestBounds:
    @pytest.mark.parametrize(
        "send",
        [pytest.param(silence, id="no answer"), pytest.param(drip, id="slow drip")],
    )
    async def test_time_is_bounded_as_a_whole(self, send: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> None:
        """JWT-JWKS-01: bounded latency."""
        async with Server(send).listening() as server:
            with pytest.raises(FetchTimeout, match=r"within 0\.2 s") as refusal:
                await Fetch(allow_hosts=HERE, timeout=0.2).get(f"http://127.0.0.1:{server.port}/", max_bytes=10**9)
        assert refusal.value.reason == "fetch_timeout"

    async def test_endless_body_is_cut(self) -> None:
        async with Server(endless).listening() as server:
            with pytest.raises(FetchTooLarge):
                await Fetch(allow_hosts=HERE).get(f"http://127.0.0.1:{server.port}/")

    async def test_slow_name_server_is_within_the_time(self) -> None:
        async def never(_host: str, _port: int) -> Sequence[str]:
            return await asyncio.Future[list[str]]()

        with pytest.raises(FetchTimeout):
            await Fetch(resolver=never, timeout=0.05).get("https://issuer.example/")

    async def test_nobody_listens(self) -> None:
        async with Server(b"").listening() as server:
            port = server.port
        with pytest.raises(FetchUnreachable, match="no connection"):
            await Fetch(allow_hosts=HERE).get(f"http://127.0.0.1:{port}/")

    async def test_name_without_an_address(self) -> None:
        for resolver in (Resolver(), Resolver([])):
            with pytest.raises(FetchUnreachable, match="cannot be resolved"):
                await Fetch(resolver=resolver).get("https://issuer.example/")


class TestGuards:
    """CLI-13: nothing is sent where nothing may be sent."""

    @pytest.mark.parametrize(
        ("url", "allowed"),
        [
            pytest.param("http://issuer.example/", set(), id="plain http"),
            pytest.param("http://issuer.example/", {"issuer.example"}, id="plain http, named host"),
            pytest.param("http://10.0.0.1/", {"10.0.0.1"}, id="plain http, named private address"),
            pytest.param("file:///etc/passwd", set(), id="file"),
            pytest.param("https://me:secret@issuer.example/", set(), id="userinfo"),
            pytest.param("https://127.0.0.1/", set(), id="loopback"),
            pytest.param("http://localhost/", set(), id="localhost"),
            pytest.param("http://[::1]/", {"localhost"}, id="loopback, another one named"),
            pytest.param("https://127.1/", {"127.0.0.1"}, id="abbreviated loopback"),
            pytest.param("https://[::ffff:127.0.0.1]/", {"::ffff:7f00:1"}, id="mapped loopback, even if named"),
            pytest.param("https://10.0.0.1/", set(), id="private"),
            pytest.param("https://[fd00::1]/", set(), id="private, IPv6"),
            pytest.param("https://[2002:a00:1::]/", set(), id="private within 6to4"),
            pytest.param("https://[64:ff9b::a00:1]/", set(), id="private within NAT64"),
            pytest.param("https://169.254.169.254/latest/meta-data/", set(), id="cloud metadata"),
            pytest.param("https://169.254.169.254/", {"169.254.169.254"}, id="cloud metadata, even if named"),
            pytest.param("https://0.0.0.0/", {"0.0.0.0"}, id="unspecified, even if named"),  # noqa: S104 - refused
        ],
    )
    async def test_url_is_refused(self, url: str, allowed: set[str]) -> None:
        fetch = Fetch(allow_hosts=frozenset(allowed), transport=lambda: pytest.fail("a connection was opened"))
        with pytest.raises(FetchRefused) as refusal:
            await fetch.get(url)
        assert "secret" not in str(refusal.value)
        assert refusal.value.reason == "fetch_refused"

    @pytest.mark.parametrize(
        ("url", "addresses", "allowed"),
        [
            pytest.param("https://evil.example/", ["127.0.0.1"], set(), id="name of loopback"),
            pytest.param(
                "https://evil.example/", ["127.0.0.1"], {"evil.example"}, id="name of loopback, even if named"
            ),
            pytest.param("https://evil.example/", ["::ffff:127.0.0.1"], {"evil.example"}, id="name of mapped loopback"),
            pytest.param("https://evil.example/", ["10.0.0.1"], {"other.example"}, id="name of a private address"),
            pytest.param("https://evil.example/", ["100.64.0.1"], set(), id="name of a CGNAT address"),
            pytest.param("https://evil.example/", ["169.254.169.254"], {"evil.example"}, id="name of cloud metadata"),
            pytest.param("https://evil.example/", ["1.1.1.1", "10.0.0.1"], set(), id="one of two"),
            pytest.param("https://evil.example/", ["1.1.1.1"] * 9 + ["10.0.0.1"], set(), id="beyond those tried"),
            pytest.param(
                "http://localhost/", ["127.0.0.1", "1.1.1.1"], {"localhost"}, id="localhost that is elsewhere"
            ),
        ],
    )
    async def test_name_is_refused_for_what_it_resolves_to(
        self, url: str, addresses: list[str], allowed: set[str]
    ) -> None:
        with pytest.raises(FetchRefused, match="not allowed for this host"):
            await Fetch(allow_hosts=frozenset(allowed), resolver=Resolver(addresses)).get(url)

    @pytest.mark.parametrize(
        ("url", "addresses", "allowed"),
        [
            pytest.param("https://issuer.example/", ["1.1.1.1", "2606:4700::1111"], set(), id="public"),
            pytest.param(
                "https://issuer.example/", ["10.0.0.1", "fd00::1"], {"Issuer.example"}, id="private and named"
            ),
            pytest.param("https://10.0.0.1/", [], {"10.0.0.1"}, id="private address itself, named"),
            pytest.param("http://[::1]/", [], {"[::1]"}, id="loopback, named with brackets"),
        ],
    )
    async def test_host_is_allowed(self, url: str, addresses: list[str], allowed: set[str]) -> None:
        fetch = Fetch(
            allow_hosts=frozenset(allowed),
            resolver=Resolver(addresses),
            transport=lambda: httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"{}"))),
        )
        assert (await fetch.get(url)).body == b"{}"

    async def test_transport_without_resolver_needs_no_names(self) -> None:
        fetch = Fetch(transport=lambda: httpx.MockTransport(lambda _: httpx.Response(404)))
        with pytest.raises(FetchBadStatus):
            await fetch.get("https://issuer.test/")


class TestPinning:
    async def test_connection_goes_to_the_address_that_was_checked(self) -> None:
        """A name that changes its address between check and use: it is asked once, and not by the connection."""
        resolver = Resolver(["127.0.0.2"], ["127.0.0.1"])
        async with Server(answer()).listening("127.0.0.2") as server:  # not where the system finds localhost
            await Fetch(allow_hosts=LOCALHOST, resolver=resolver).get(f"http://localhost:{server.port}/")
        assert resolver.asked == [("localhost", server.port)]
        assert f"\r\nHost: localhost:{server.port}\r\n" in server.requests[0]

    def test_families_of_addresses_take_turns(self) -> None:
        named = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "192.0.2.1"]
        turns = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3", "2001:db8::4"]
        assert by_turns([ipaddress.ip_address(address) for address in named]) == [
            ipaddress.ip_address(address) for address in turns
        ]
        assert by_turns([ipaddress.ip_address("192.0.2.1")]) == [ipaddress.ip_address("192.0.2.1")]

    async def test_second_address_is_tried_when_the_first_is_dead(self) -> None:
        async with Server(answer()).listening() as server:
            fetch = Fetch(allow_hosts=LOCALHOST, resolver=Resolver(["127.0.0.2", "127.0.0.1"]))
            assert await fetch.json(f"http://localhost:{server.port}/") == {}

    def test_url_of_an_ipv6_address_is_made_of_it(self) -> None:
        request = httpx_request(Target(Location.of("https://issuer.example:8443/a?b"), "2606:4700::1111", 1, 5))
        assert str(request.url) == "https://[2606:4700::1111]:8443/a?b"
        assert request.headers["host"] == "issuer.example:8443"
        assert request.extensions["sni_hostname"] == "issuer.example"

    async def test_system_resolves_names(self) -> None:
        assert "127.0.0.1" in await resolve("localhost", 80)
        async with Server(answer()).listening() as server:
            assert await Fetch(allow_hosts=LOCALHOST).json(f"http://localhost:{server.port}/") == {}


LOCALHOST_NAME = x509.DNSName("localhost")
OTHER_NAME = x509.DNSName("issuer.example")
ADDRESS = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class TestTls:
    """The certificate is verified against the URL's host, though the connection goes to an address (PRM-12)."""

    async def test_certificate_for_the_name_is_accepted(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        async with Server(answer()).listening(tls=authority.server(LOCALHOST_NAME)) as server:
            fetch = Fetch(allow_hosts=LOCALHOST, tls=authority.client(), resolver=Resolver(["127.0.0.1"]))
            assert await fetch.json(f"https://localhost:{server.port}/") == {}
        assert server.names == ["localhost"]

    async def test_certificate_for_the_address_serves_its_url(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        async with Server(answer()).listening(tls=authority.server(ADDRESS)) as server:
            fetch = Fetch(allow_hosts=HERE, tls=authority.client())
            assert await fetch.json(f"https://127.0.0.1:{server.port}/") == {}

    async def test_authorities_of_the_environment_are_trusted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority = Authority(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file()))
        async with Server(answer()).listening(tls=authority.server(ADDRESS)) as server:
            assert await Fetch(allow_hosts=HERE).json(f"https://127.0.0.1:{server.port}/") == {}

    @pytest.mark.parametrize("content", [None, "not PEM"], ids=["missing", "not PEM"])
    async def test_file_of_authorities_that_cannot_be_used_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
    ) -> None:
        if content is not None:
            (tmp_path / "authorities").write_text(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities"))
        with pytest.raises(FetchUnreachable, match="SSL_CERT_FILE names no file"):
            await Fetch(allow_hosts=HERE).get("https://127.0.0.1:9/")

    def test_authorities_are_those_of_certifi_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(variable, raising=False)
        made = trust()
        assert made.verify_mode is ssl.CERT_REQUIRED
        assert made.check_hostname
        assert len(made.get_ca_certs()) > 50

    @pytest.mark.parametrize(
        ("names", "trusted"),
        [
            pytest.param([OTHER_NAME], True, id="for another name"),
            pytest.param([ADDRESS], True, id="for the address connected to"),
            pytest.param([LOCALHOST_NAME], False, id="from an authority nobody trusts"),
        ],
    )
    async def test_certificate_is_refused(self, tmp_path: Path, names: list[x509.GeneralName], trusted: bool) -> None:
        authority = Authority(tmp_path)
        async with Server(answer()).listening(tls=authority.server(*names)) as server:
            fetch = Fetch(
                allow_hosts=LOCALHOST,
                tls=authority.client() if trusted else None,
                resolver=Resolver(["127.0.0.1"]),
            )
            with pytest.raises(FetchUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
                await fetch.get(f"https://localhost:{server.port}/")
        assert server.requests == []


def test_cold_start_does_not_import_httpx() -> None:
    modules = "address, challenge, document, fetch, issuer, location, metadata, resource"
    code = f"import sys; from discovery import {modules}; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
