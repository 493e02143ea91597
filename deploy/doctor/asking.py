"""Every request of the doctor: bounded in time and size, nothing followed, and the token for one origin alone.

The URL's own host may be anywhere, for the operator named it. Where its answers lead is a stranger's choice: https
(http on loopback), and no address in a network that the URL itself is not in. Names are resolved for each request, and
the connection goes to the address that was looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING

import msgspec

from conformance.wire import Answer
from discovery.address import Reach, is_loopback, reach
from discovery.fetch import resolve
from discovery.location import InvalidLocation, Location

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 256 * 1024  # of one answer
MAX_ADDRESSES = 4  # of a host that are tried
PATIENCE = 10.0  # seconds for one answer
HIDDEN = "[redacted]"  # in place of the token, where a server says it back

Header = tuple[str, str]
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


class NotAsked(Exception):
    """A guard forbids to ask; the text says why."""


class NoSuchName(NotAsked):
    """A host's name cannot be resolved."""


class Progress:
    """An answer while it comes."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: tuple[Header, ...] = ()
        self.body = bytearray()
        self.note = ""

    async def read(self, response: httpx.Response, until: Until) -> None:
        """Take the head, then the body up to its end, the cap, or what suffices."""
        self.status = response.status_code
        self.headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers.raw)
        self.note = ""
        if until(self):
            return
        gzip = response.headers.get("content-encoding", "").lower() == "gzip"
        unzip = zlib.decompressobj(wbits=31) if gzip else None
        async for chunk in response.aiter_raw():
            self.body += chunk if unzip is None else unzip.decompress(chunk, MAX_BYTES)
            if len(self.body) > MAX_BYTES:
                del self.body[MAX_BYTES:]
                self.note = f"cut off after {MAX_BYTES} bytes"
                return
            if until(self):
                return


Until = Callable[[Progress], bool]  # asked after the head and after each piece; true ends the reading


class Asker:
    """Asks one server, and where its answers lead.

    `tls` trusts other authorities than certifi's (or those of SSL_CERT_FILE). `secret` is taken out of every answer, so
    that no server can make a report show it.
    """

    def __init__(
        self,
        home: Location,
        patience: float = PATIENCE,
        *,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver = resolve,
        secret: str = "",
    ) -> None:
        self.home = home
        self.patience = patience
        self.trusted = True  # whether the home proves who it is; without that, no token is sent
        self.near: set[Reach] = set()  # the networks that the home is in
        self._given = tls
        self._resolver = resolver
        self._secret = secret

    async def ask(
        self,
        method: str,
        url: str,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        *,
        token: str = "",
        until: Until = lambda _: False,
        patience: float | None = None,
        zipped: bool = False,
    ) -> Answer:
        """What came back; `status` is 0 where nothing did, and `note` says why. The answer does not hold the token.

        `zipped` lets it come compressed, as most clients do, and as only some fronts pass on at once.

        Raises:
            NotAsked: the URL leads to where it must not be followed.
        """
        location = self.permitted(url)
        if token and not (self.trusted and self.is_home(url)):
            raise NotAsked("the token is for the URL's own origin, over a connection that proves who answers")
        fields = [("Host", location.authority), ("User-Agent", "bearergate-doctor"), ("Connection", "close")]
        fields += [("Accept-Encoding", "gzip" if zipped else "identity"), *headers]
        sent = Answer(method, url, tuple(fields), body)
        seconds = patience or self.patience
        started, got = time.monotonic(), Progress()
        try:
            async with asyncio.timeout(seconds):
                for address in await self.addresses(location):
                    request = _request(address, location, sent, token, seconds)
                    if await self._reached(request, self._trusting(location), got, until):
                        break
        except TimeoutError:
            got.note = f"no complete answer within {seconds:g} s"
        except NoSuchName as why:
            got.note = str(why)
        return self._without_secret(sent, got, time.monotonic() - started)

    def _without_secret(self, sent: Answer, got: Progress, seconds: float) -> Answer:
        headers, body = got.headers, bytes(got.body)
        if self._secret:
            headers = tuple(
                (name.replace(self._secret, HIDDEN), value.replace(self._secret, HIDDEN)) for name, value in headers
            )
            body = body.replace(self._secret.encode(), HIDDEN.encode())
        return replace(sent, status=got.status, headers=headers, body=body, note=got.note, seconds=seconds)

    async def post(self, url: str, headers: Iterable[Header], message: object, *, token: str = "") -> Answer:
        """The answer to a message; read until it is there, where it comes as a stream of events."""
        return await self.ask("POST", url, headers, json.dumps(message).encode(), token=token, until=answered(message))

    def permitted(self, url: str) -> Location:
        """The parts of a URL that may be asked.

        Raises:
            NotAsked: it is no https URL (http on loopback), and not of the home's own origin.
        """
        plain = self.home.scheme == "http" and self.is_home(url)
        try:
            read = Location.of(f"https{url.removeprefix('http')}" if plain else url)
        except InvalidLocation as error:
            raise NotAsked(str(error)) from None
        return msgspec.structs.replace(self.home, path=read.path, query=read.query) if plain else read

    def is_home(self, url: str) -> bool:
        """Whether a URL is of the home's own origin, which may be plain http: the operator named it."""
        return url == self.home.origin or url.startswith((f"{self.home.origin}/", f"{self.home.origin}?"))

    async def addresses(self, location: Location) -> list[str]:
        """The addresses to connect to, every one of them looked at.

        Raises:
            NotAsked: there are none, or one is in a network that the home is not in.
        """
        found = await self._resolved(location)
        reaches = {address: reach(ip_address(address)) for address in found}
        if location.host == self.home.host:
            self.near = set(reaches.values())
            return found
        neighbours = {Reach.LOOPBACK: {Reach.LOOPBACK, Reach.PRIVATE}, Reach.PRIVATE: {Reach.PRIVATE}}
        allowed = {Reach.PUBLIC}.union(*(neighbours.get(each, set()) for each in self.near))
        for address, where in reaches.items():
            if where not in allowed:
                raise NotAsked(f"{location.host} is at {address}, {where.value}")
        return found

    async def _resolved(self, location: Location) -> list[str]:
        with contextlib.suppress(ValueError):
            return [str(ip_address(location.host))]
        try:
            found = await self._resolver(location.host, location.effective_port)
        except (OSError, UnicodeError):  # UnicodeError: a label that IDNA cannot say
            found = []
        if not found:
            raise NoSuchName(f"the name {location.host} cannot be resolved")
        return list(dict.fromkeys(found))[:MAX_ADDRESSES]

    def _trusting(self, location: Location) -> ssl.SSLContext:
        """Whom to trust: a home whose certificate does not hold is looked at all the same, nobody else is."""
        blind = location.scheme == "http" or (not self.trusted and location.host == self.home.host)
        return self.blind if blind else self.tls

    async def _reached(self, request: httpx.Request, tls: ssl.SSLContext, got: Progress, until: Until) -> bool:
        """Ask at one address; whether there was somebody, so that another need not be tried."""
        import httpx

        try:
            async with httpx.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
                response = await transport.handle_async_request(request)
                async with contextlib.aclosing(response):
                    await got.read(response, until)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            got.note = f"no connection ({cause(error)})"
            return False
        except (httpx.HTTPError, OSError, zlib.error) as error:  # OSError: a TLS record that is none
            got.note = f"the answer broke off or is not HTTP ({cause(error)})"
        return True

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Whom a client trusts."""
        import httpx

        return self._given or httpx.create_ssl_context()

    @cached_property
    def blind(self) -> ssl.SSLContext:
        """Trusts everybody: to look on behind a certificate that does not hold, never with a token."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made


def _request(address: str, location: Location, sent: Answer, token: str, patience: float) -> httpx.Request:
    """A request that connects to an address but speaks, in Host, SNI and certificate, to the URL's host."""
    import httpx

    target = msgspec.structs.replace(location, host=address)
    query = "" if location.query is None else f"?{location.query}"
    fields = [*sent.sent_headers, *([("Authorization", f"Bearer {token}")] if token else [])]
    return httpx.Request(
        sent.method,
        f"{target.origin}{location.path or '/'}{query}",
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
        content=sent.sent_body or None,
        extensions={
            "sni_hostname": location.host,
            "timeout": httpx.Timeout(patience, connect=patience / 2).as_dict(),
        },
    )


def answered(message: object) -> Until:
    """Tells when a stream holds the answer to a message; the stream may stay open after that."""
    number = message.get("id") if isinstance(message, dict) else None
    marks = [f'"id":{number}'.encode(), f'"id": {number}'.encode()]

    def enough(got: Progress) -> bool:
        whole = got.body.endswith((b"\n\n", b"\r\n\r\n"))
        return whole and any(mark in got.body for mark in marks)

    return enough


def cause(error: BaseException) -> str:
    """Why something failed, in one line."""
    return str(error).partition("\n")[0][:200] or type(error).__name__


def home_of(url: str) -> Location:
    """The parts of the URL that the operator asks about, which may be plain http anywhere.

    Raises:
        InvalidLocation: it is no http or https URL.
    """
    if not url.lower().startswith("http://"):
        return Location.of(url)
    read = Location.of(f"https{url[len('http') :]}")
    if is_loopback(read.host):
        return Location.of(url)
    named = url.split("/")[2].rpartition(":")[2]
    port = int(named) if named in ("80", "443") else read.port
    return msgspec.structs.replace(read, scheme="http", port=None if port == 80 else port)
