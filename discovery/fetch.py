"""What this package fetches: one small document from one https URL; `discovery.exchange` carries it.

Whoever names the URL (settings, a challenge, a client's registration) gets no more than that: https, or plain http
on loopback; one total time-out; a size cap; no redirect, cookie, credential or proxy; and no connection but to an
address that was checked, so that a name cannot resolve to one address for the check and another for the use.

    FetchError              reason
    ├── FetchRefused        fetch_refused       a guard forbids it: nothing was sent
    ├── FetchUnreachable    fetch_unreachable   no name, no connection, no TLS or no HTTP
    ├── FetchTimeout        fetch_timeout       not complete in time
    ├── FetchRedirected     fetch_redirected    a 3xx, which is not followed
    ├── FetchBadStatus      fetch_bad_status    any other answer but 200
    ├── FetchTooLarge       fetch_too_large     beyond the size cap
    ├── FetchEncoded        fetch_encoded       compressed, though that was not asked for
    └── FetchNotJson        fetch_not_json      not a JSON object, or not said to be one
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import zip_longest
from typing import TYPE_CHECKING, ClassVar

import msgspec

from discovery.address import Reach, is_loopback, reach
from discovery.document import InvalidDocument, read
from discovery.exchange import Answer, Broken, Head, NotConnected, Target, exchange, network, through_httpx
from discovery.location import InvalidLocation, Location

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    import httpx

TIMEOUT = 5.0  # seconds for everything: name, connection, TLS, every byte of the answer
MAX_BYTES = 256 * 1024  # of a body
MAX_ATTEMPTS = 4  # addresses of a host that are tried
NO_AUTHORITIES = "SSL_CERT_FILE names no file of certificates in PEM that can be read: correct or unset it"


class FetchError(Exception):
    """No document; the text names the URL without its query, and the cause. `reason` is stable.

    The text is for the log, never for a stranger, whom it would tell what names resolve to.
    """

    reason: ClassVar[str]


class FetchRefused(FetchError):
    """A guard forbids the URL or the address behind it."""

    reason = "fetch_refused"


class FetchUnreachable(FetchError):
    """The host cannot be found, connected to, trusted or understood."""

    reason = "fetch_unreachable"


class FetchTimeout(FetchError):
    """The answer was not complete in time, however steadily it dripped."""

    reason = "fetch_timeout"


class FetchRedirected(FetchError):
    """The answer points elsewhere; what it points to was not checked by anybody."""

    reason = "fetch_redirected"


class FetchBadStatus(FetchError):
    """The answer is neither 200 nor a redirect."""

    reason = "fetch_bad_status"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class FetchTooLarge(FetchError):
    """The body is larger than allowed; the rest was not read."""

    reason = "fetch_too_large"


class FetchEncoded(FetchError):
    """The body is compressed, and may be of any size once it is not."""

    reason = "fetch_encoded"


class FetchNotJson(FetchError):
    """The body is not a JSON object, or its media type is not JSON."""

    reason = "fetch_not_json"


class Fetched(msgspec.Struct, frozen=True):
    """A 200 answer."""

    url: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether the answer calls itself JSON: application/json or a type ending in +json (RFC 6839 §3.1)."""
        media_type = self.headers.get("content-type", "").split(";")[0].strip().lower()
        return media_type == "application/json" or media_type.endswith("+json")


class Fetch:
    """Fetches documents. Nothing is kept between two fetches, neither connections nor addresses.

    `allow_hosts` are hosts of the operator's own that may be at private addresses (RFC 1918, RFC 4193, CGNAT), or be
    loopback: `localhost` or a loopback address itself, never a name that merely resolves to one. A URL from a stranger
    deserves a `Fetch` of its own, without any. `timeout` is in seconds; `tls` trusts other authorities than certifi's
    (or those of SSL_CERT_FILE). A `transport` answers in place of the network: names are then not resolved unless a
    `resolver` (host and port to addresses) is given too.
    """

    def __init__(
        self,
        *,
        allow_hosts: frozenset[str] = frozenset(),
        timeout: float = TIMEOUT,
        tls: ssl.SSLContext | None = None,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
        resolver: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
    ) -> None:
        self.allow_hosts = frozenset(host.lower().strip("[]") for host in allow_hosts)
        self.timeout = timeout
        self._given_tls = tls
        self._transport = transport
        self._resolver = resolver if transport or resolver else resolve

    async def get(self, url: str, *, max_bytes: int = MAX_BYTES) -> Fetched:
        """The 200 answer to a GET of this URL, its body no larger than `max_bytes`.

        Raises:
            FetchError: the subclass that names the cause.
        """
        location = self._permitted(url)
        try:
            async with asyncio.timeout(self.timeout):
                hosts = await self._checked(location)
                return await self._first_answer(location, hosts, url, max_bytes)
        except TimeoutError:
            raise FetchTimeout(f"{_shown(location)}: no complete answer within {self.timeout:g} s") from None

    async def json(self, url: str, *, max_bytes: int = MAX_BYTES) -> dict[str, object]:
        """The JSON object at this URL, served as JSON.

        Raises:
            FetchError: the subclass that names the cause.
        """
        answer = await self.get(url, max_bytes=max_bytes)
        shown = _shown(Location.of(url))
        if not answer.is_json:  # an upload served as text or as a download is nobody's metadata
            raise FetchNotJson(f"{shown}: the answer's media type must be application/json")
        try:
            return read(answer.body)
        except InvalidDocument as error:
            raise FetchNotJson(f"{shown}: {error}") from None

    def _permitted(self, url: str) -> Location:
        """What can be judged before anybody is asked."""
        try:
            location = Location.of(url)
        except InvalidLocation as error:
            raise FetchRefused(f"the URL to fetch is refused: {error}") from None
        if is_loopback(location.host) and location.host not in self.allow_hosts:
            raise FetchRefused(f"{_shown(location)}: loopback is for hosts that the settings name")
        return location

    async def _checked(self, location: Location) -> list[str]:
        """The hosts to connect to, every one of them checked: addresses, unless there is no network."""
        addresses = await self._addresses(location)
        for address in addresses:
            self._check(location, address)
        if self._transport:
            return [location.host]
        return [str(address) for address in by_turns(addresses)[:MAX_ATTEMPTS]]

    async def _addresses(self, location: Location) -> list[IPv4Address | IPv6Address]:
        with contextlib.suppress(ValueError):
            return [ip_address(location.host)]
        if self._resolver is None:
            return []
        try:
            resolved = await self._resolver(location.host, location.effective_port)
        except OSError:
            resolved = []
        if not resolved:
            raise FetchUnreachable(f"{_shown(location)}: the host's name cannot be resolved")
        return [ip_address(address) for address in dict.fromkeys(resolved)]

    def _check(self, location: Location, address: IPv4Address | IPv6Address) -> None:
        found = reach(address)
        if is_loopback(location.host):
            allowed = found is Reach.LOOPBACK  # and nothing else: plain http must not leave this machine
        else:
            allowed = found is Reach.PUBLIC or (found is Reach.PRIVATE and location.host in self.allow_hosts)
        if not allowed:
            raise FetchRefused(f"{_shown(location)}: {address} is {found.value}, not allowed for this host")

    async def _first_answer(self, location: Location, hosts: Sequence[str], url: str, max_bytes: int) -> Fetched:
        """The answer of the first host that can be connected to."""
        cause: NotConnected | None = None
        seconds = self.timeout / min(len(hosts), 2)  # a silent first address leaves time for a second
        for host in hosts:
            try:
                async with self._exchange(Target(location, host, seconds, self.timeout)) as (head, chunks):
                    _check_head(head, location)
                    return Fetched(url, head.headers, await _read_body(chunks, location, max_bytes))
            except NotConnected as error:
                cause = error
            except Broken as error:
                raise FetchUnreachable(f"{_shown(location)}: the answer broke off or is not HTTP") from error
        raise FetchUnreachable(f"{_shown(location)}: no connection ({str(cause)[:200]})") from cause

    def _exchange(self, target: Target) -> AbstractAsyncContextManager[Answer]:
        if self._transport:
            return through_httpx(target, self._transport)
        tls = self._tls if target.location.scheme == "https" else None
        if sys.platform == "win32":
            return through_httpx(target, network(tls))
        return exchange(target, tls)

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        """Whom to trust; not made before the first https URL, as it takes 20 ms and 2 MiB."""
        if self._given_tls:
            return self._given_tls
        return trust()


def by_turns(addresses: Sequence[IPv4Address | IPv6Address]) -> list[IPv4Address | IPv6Address]:
    """The addresses in an order in which one family that leads nowhere leaves room for the other (RFC 8305 §4)."""
    families = [[address for address in addresses if address.version == addresses[0].version]]
    families.append([address for address in addresses if address.version != addresses[0].version])
    return [address for pair in zip_longest(*families) for address in pair if address is not None]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system resolves it, in its order of preference.

    Raises:
        OSError: there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def trust() -> ssl.SSLContext:
    """The authorities of the file or folder that SSL_CERT_FILE or SSL_CERT_DIR names, else those that certifi has.

    Raises:
        FetchUnreachable: that file is not there, or holds none.
    """
    import ssl  # noqa: PLC0415 - nobody needs it before the first https URL

    import certifi  # noqa: PLC0415

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        file = certifi.where()
    try:
        made = ssl.create_default_context(cafile=file or None, capath=None if file else folder)
    except OSError:  # ssl.SSLError is one
        raise FetchUnreachable(NO_AUTHORITIES) from None
    made.set_alpn_protocols(["http/1.1"])
    return made


def _check_head(head: Head, location: Location) -> None:
    status = head.status
    if 300 <= status < 400:
        raise FetchRedirected(f"{_shown(location)}: it answers {status}, and redirects are not followed")
    if status != 200:
        raise FetchBadStatus(f"{_shown(location)}: it answers {status}", status)
    if head.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchEncoded(f"{_shown(location)}: the answer is compressed, though that was not asked for")


async def _read_body(chunks: AsyncIterator[bytes], location: Location, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        if len(body) + len(chunk) > max_bytes:
            raise FetchTooLarge(f"{_shown(location)}: the answer is larger than {max_bytes} bytes")
        body += chunk
    return bytes(body)


def _shown(location: Location) -> str:
    """The URL as a log may show it: a query can hold secrets."""
    return f"{location.origin}{location.path}"
