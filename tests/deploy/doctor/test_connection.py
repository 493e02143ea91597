"""TLS, the certificate, the clock, and where the doctor goes and does not go."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from conformance.wire import Answer
from deploy.doctor.asking import MAX_BYTES, Asker, NotAsked, home_of
from deploy.doctor.connection import clocks
from deploy.doctor.examination import examine
from deploy.doctor.visit import CannotExamine, Question, Visit
from tests.authority import Authority
from tests.deploy.doctor.server import RESOURCE, Reply, Request, Server
from tests.deploy.doctor.test_findings import ids
from tests.ports import free_port

NAME = "gw.example.com"
LOOPBACK = ["127.0.0.1"]


async def here(_: str, __: int) -> Sequence[str]:
    """Every name is this machine."""
    return LOOPBACK


def certificate(
    authority: Authority, *names: x509.GeneralName, days: tuple[int, int] = (-1, 90), own: bool = False
) -> ssl.SSLContext:
    """Serves with a certificate that is valid between these days; `own` for one that nobody else signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test server")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if own else authority.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = made.sign(key if own else authority.key, hashes.SHA256())
    file = authority.folder / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def secured(tls: ssl.SSLContext | None, host: str = NAME) -> AsyncIterator[Server]:
    """A healthy server that speaks TLS under a name; without a context, plain HTTP."""
    port = free_port()
    server = Server(origin=f"http{'s' if tls else ''}://{host}:{port}")
    listener = await asyncio.start_server(lambda *streams: answer(server, *streams), "127.0.0.1", port, ssl=tls)
    try:
        yield server
    finally:
        listener.close()


async def answer(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request of HTTP/1.1, answered by the server."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in fields.items()}
        await reader.readexactly(int(headers.get("content-length", 0)))
        made = server.reply(Request(method, path, headers, None))
        lines = {**made.headers, "content-length": str(len(made.body)), "date": formatdate(usegmt=True)}
        said = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {made.status} X\r\n{said}\r\n".encode() + made.body)
        writer.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def examined(server: Server, authority: Authority | None = None, token: str = "") -> Visit:
    tls = authority.client() if authority else None
    return await examine(Question(server.url, token=token, patience=3.0), tls=tls, resolver=here)


async def test_healthy_server_over_tls_leads_to_no_finding(authority: Authority) -> None:
    async with secured(certificate(authority, x509.DNSName(NAME))) as server:
        visit = await examined(server, authority)
        assert visit.findings.found == []
        assert f"The certificate holds for {NAME}, and for 89 more days" in visit.findings.well


async def test_certificate_for_a_wildcard_holds(authority: Authority) -> None:
    async with secured(certificate(authority, x509.DNSName("*.example.com"))) as server:
        assert ids(await examined(server, authority)) == set()


async def test_certificate_that_ends_soon_is_told(authority: Authority) -> None:
    async with secured(certificate(authority, x509.DNSName(NAME), days=(-60, 5))) as server:
        visit = await examined(server, authority)
        assert ids(visit) == {"certificate-expiring"}
        assert "ends in 4 days" in visit.findings.found[0].what


@pytest.mark.parametrize(
    ("names", "days", "own", "found"),
    [
        pytest.param([x509.DNSName(NAME)], (-60, -5), False, {"certificate-expired"}, id="expired"),
        pytest.param([x509.DNSName(NAME)], (5, 60), False, {"certificate-expired"}, id="not valid yet"),
        pytest.param([x509.DNSName("other.example.com")], (-1, 60), False, {"certificate-host"}, id="other name"),
        pytest.param([x509.DNSName("*.example.org")], (-1, 60), False, {"certificate-host"}, id="other wildcard"),
        pytest.param([x509.IPAddress(IPv4Address("127.0.0.1"))], (-1, 60), False, {"certificate-host"}, id="address"),
        pytest.param([], (-1, 60), False, {"certificate-host"}, id="no name"),
        pytest.param([x509.DNSName(NAME)], (-1, 60), True, {"certificate-unknown"}, id="nobody signed it"),
        pytest.param(
            [x509.DNSName("a.test")],
            (-60, -5),
            True,
            {"certificate-unknown", "certificate-host", "certificate-expired"},
            id="everything is wrong",
        ),
    ],
)  # fmt: skip
async def test_certificate_that_does_not_hold_is_told_and_gets_no_token(
    authority: Authority, names: list[x509.GeneralName], days: tuple[int, int], own: bool, found: set[str]
) -> None:
    async with secured(certificate(authority, *names, days=days, own=own)) as server:
        visit = await examined(server, authority, server.token())
        assert ids(visit) == found
        assert visit.metadata["resource"] == server.url, "what needs no token was looked at all the same"
        assert not any("authorization" in request.headers for request in server.asked)
        assert {"bad tokens", "the token"} <= {skipped.what for skipped in visit.findings.untested}


async def test_certificate_of_an_authority_of_its_own_is_unknown_without_being_told_of_it(authority: Authority) -> None:
    async with secured(certificate(authority, x509.DNSName(NAME))) as server:
        assert ids(await examined(server)) == {"certificate-unknown"}


async def test_certificate_for_an_address_holds(authority: Authority) -> None:
    address = x509.IPAddress(IPv4Address("127.0.0.1"))
    async with secured(certificate(authority, address), "127.0.0.1") as server:
        assert ids(await examined(server, authority)) == set()
    async with secured(certificate(authority, address, own=True), "127.0.0.1") as server:
        assert ids(await examined(server, authority)) == {"certificate-unknown"}


async def test_plain_http_off_this_machine_is_told_and_gets_no_token() -> None:
    async with secured(None) as server:
        visit = await examined(server, token=server.token())
        assert {"plain-http", "challenge-metadata-http", "resource-scheme"} >= ids(visit) >= {"plain-http"}
        assert not any("authorization" in request.headers for request in server.asked)


async def test_port_without_tls_is_no_https(authority: Authority) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(CannotExamine, match="does not speak TLS that clients understand"):
        await examine(Question(f"https://127.0.0.1:{port}/mcp", patience=3.0), tls=authority.client())
    listener.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("ftp://a.example/mcp", "scheme is not https", id="another scheme"),
        pytest.param("mcp", "not absolute", id="no URL"),
        pytest.param("https://a:secret@a.example/mcp", "a user name or password", id="a password"),
        pytest.param("http://a:secret@a.example/mcp", "a user name or password", id="a password by plain http"),
        pytest.param("https://a.example/mcp?token=secret", "leave out '\\?'", id="a query"),
        pytest.param("https://127.0.0.1:1/mcp", "cannot be reached", id="nobody listens"),
        pytest.param("http://127.0.0.1:1/mcp", "does not answer", id="nobody listens by plain http"),
    ],
)
async def test_url_that_cannot_be_examined_is_one_sentence_without_secrets(url: str, why: str) -> None:
    with pytest.raises(CannotExamine, match=why) as caught:
        await examine(Question(url, patience=2.0))
    assert "secret" not in str(caught.value)


async def test_server_that_speaks_no_http_cannot_be_examined() -> None:
    async def rude(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no HTTP at all\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(rude, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(CannotExamine, match="the answer broke off or is not HTTP"):
        await examine(Question(f"http://127.0.0.1:{port}/mcp", patience=3.0))
    listener.close()


@pytest.mark.parametrize("failure", [OSError(), UnicodeError(), None])
async def test_name_that_is_not_there_cannot_be_examined(failure: Exception | None) -> None:
    async def nowhere(_: str, __: int) -> Sequence[str]:
        if failure:
            raise failure
        return []

    with pytest.raises(CannotExamine, match="cannot be resolved"):
        await examine(Question("https://gw.example.com/mcp"), resolver=nowhere)


async def test_server_that_says_nothing_in_time_cannot_be_examined(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/mcp"
        with pytest.raises(CannotExamine, match="cannot be reached"):
            await examine(Question(url, patience=0.2), tls=authority.client())


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://gw.example.com/mcp", "http://gw.example.com"),
        ("http://gw.example.com:80/mcp", "http://gw.example.com"),
        ("http://gw.example.com:443/mcp", "http://gw.example.com:443"),
        ("http://gw.example.com:8080/mcp", "http://gw.example.com:8080"),
        ("http://localhost:8080/mcp", "http://localhost:8080"),
        ("https://gw.example.com:443/mcp", "https://gw.example.com"),
    ],
)
def test_url_is_read_as_clients_do(url: str, origin: str) -> None:
    assert home_of(url).origin == origin


NETWORKS = {
    "public.example": "8.8.8.8",
    "other-public.example": "1.1.1.1",
    "private.example": "10.0.0.1",
    "other-private.example": "192.168.0.1",
    "localhost": "127.0.0.1",
    "metadata.example": "169.254.169.254",
}


async def networks(host: str, _: int) -> Sequence[str]:
    return [NETWORKS[host]]


@pytest.mark.parametrize(
    ("home", "refused"),
    [
        ("public.example", {"private.example", "other-private.example", "localhost", "metadata.example"}),
        ("private.example", {"localhost", "metadata.example"}),
        ("localhost", {"metadata.example"}),
    ],
)
async def test_what_a_server_names_is_asked_only_in_its_own_network_or_in_public(home: str, refused: set[str]) -> None:
    location = home_of(f"https://{home}")
    asker = Asker(location, resolver=networks)
    await asker.addresses(location)
    for host, address in NETWORKS.items():
        if host in refused:
            with pytest.raises(NotAsked, match=f"{host} is at"):
                await asker.addresses(home_of(f"https://{host}"))
        else:
            assert await asker.addresses(home_of(f"https://{host}")) == [address]


async def test_metadata_url_that_leads_into_another_network_is_not_asked(authority: Authority) -> None:
    async with secured(certificate(authority, x509.DNSName(NAME))) as server:
        inside = "https://metadata.example/latest"
        server.challenge = f'Bearer scope="mcp:use", resource_metadata="{inside}"'

        async def resolver(host: str, _: int) -> Sequence[str]:
            return [NETWORKS.get(host, "127.0.0.1")]

        visit = await examine(Question(server.url, patience=3.0), tls=authority.client(), resolver=resolver)
        assert ids(visit) == {"challenge-metadata-elsewhere", "metadata-unreachable"}
        assert any("169.254.169.254, a special-purpose address" in each.needs for each in visit.findings.untested)


async def test_token_is_sent_to_the_urls_own_origin_alone() -> None:
    asker = Asker(home_of("https://gw.example.com"), resolver=here)
    for url in ("https://gw.example.com.evil.test/mcp", "https://gw.example.com:444/mcp", "https://evil.test/mcp"):
        with pytest.raises(NotAsked, match="own origin"):
            await asker.ask("GET", url, token="a-token")


@pytest.mark.parametrize(
    ("date", "found", "words"),
    [
        pytest.param(formatdate(1000.0 + 31, usegmt=True), set(), "", id="within what is tolerated"),
        pytest.param(formatdate(1000.0 + 300, usegmt=True), {"clock"}, "300 s ahead of", id="ahead"),
        pytest.param(formatdate(1000.0 - 300, usegmt=True), {"clock"}, "300 s behind", id="behind"),
        pytest.param("", set(), "", id="no date"),
        pytest.param("Mon, 99 Foo 2026", set(), "", id="no date that can be read"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 -2359", set(), "", id="after all time"),
    ],
)
def test_clock_of_the_server_is_compared(date: str, found: set[str], words: str) -> None:
    home = home_of("https://gw.example.com/mcp")
    visit = Visit(Question("https://gw.example.com/mcp"), home, Asker(home), lambda: 1000.0)
    headers = (("date", date),) if date else ()
    clocks(visit, Answer("POST", visit.url, (), b"", 401, headers, seconds=2.0))
    assert ids(visit) == found
    assert words in "".join(each.what for each in visit.findings.found)


async def test_answers_are_bounded_in_size(authority: Authority) -> None:
    async with secured(certificate(authority, x509.DNSName(NAME))) as server:
        server.over[RESOURCE] = lambda _: Reply(200, {"content-type": "application/json"}, b"[" * (MAX_BYTES + 10))
        visit = await examined(server, authority)
        assert ids(visit) == {"root-wrong"}
