"""Clients whose id is a URL: their metadata is fetched from it, carefully, since a stranger chose it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import anyio

from .bounded import Bounded
from .client_metadata import ClientMetadataError, parse_object, read_metadata
from .clients import Client
from .clock import Clock

if TYPE_CHECKING:
    import httpx

Resolve = Callable[[str, int], Awaitable[list[str]]]

_MAX_BYTES = 5 * 1024
_FRESH = 900.0  # seconds a document is used before it is fetched again
_REMEMBERED = 200
_AT_ONCE = 4
_ID = re.compile(r"https?://[!$-;=?-\[\]_a-z~]{1,2000}")
# Global addresses that lead on to IPv4 ones, private ones among them: NAT64 (RFC 6052) and 6to4 (RFC 3056).
_DETOURS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"))


class ClientDocumentError(Exception):
    """The document at a client id cannot be used; the text says why, and is fit for a page."""


class ClientDocuments:
    """Fetches client id metadata documents (draft-ietf-oauth-client-id-metadata-document §3 to §6).

    `insecure_local` also takes http and private addresses, for tests and laptops. `transport` and `resolve`
    replace the network and the name look-up; `timeout` is in seconds, for name, connection and document together.
    """

    def __init__(
        self,
        *,
        insecure_local: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve | None = None,
        timeout: float = 5.0,
    ) -> None:
        self.clock = Clock()  # the issuer puts its own here
        self._insecure_local = insecure_local
        self._transport = transport
        self._resolve = resolve or _addresses
        self._timeout = timeout
        self._cache: Bounded[tuple[float, Client]] = Bounded(_REMEMBERED)
        self._turn = anyio.Semaphore(_AT_ONCE)

    def covers(self, client_id: str) -> bool:
        """Whether an id asks for a document to be fetched: it looks like a URL."""
        return client_id.startswith(("https://", "http://"))

    def cached(self, client_id: str) -> Client | None:
        """The client of this id, if its document was fetched in the last 15 minutes."""
        fetched, client = self._cache.get(client_id, (float("-inf"), None))
        return client if 0 <= self.clock.now() - fetched < _FRESH else None

    async def fetch(self, client_id: str) -> Client:
        """The client that the document at `client_id` describes.

        Raises:
            ClientDocumentError: the id, the place or the document breaks a rule, or nothing answers.
        """
        self._check_id(client_id)
        import httpx  # noqa: PLC0415 - only issuers that meet such a client need an HTTP client

        try:
            with anyio.fail_after(self._timeout):
                async with self._turn:
                    body = await self._get(client_id)
        except (TimeoutError, OSError, httpx.HTTPError) as error:
            raise ClientDocumentError("The app's metadata document could not be fetched.") from error
        client = _described(client_id, body)
        self._cache[client_id] = self.clock.now(), client
        return client

    def _check_id(self, client_id: str) -> None:
        try:
            parts = urlsplit(client_id)
            local = parts.scheme == "http" and not self._insecure_local
            odd = local or not parts.hostname or parts.port == 0
        except ValueError:
            odd = True
        # A raw check as well: parsers disagree about odd URLs, and nothing may be hidden from one of them.
        if odd or not _ID.fullmatch(client_id) or "@" in parts.netloc or parts.path in ("", "/"):
            raise ClientDocumentError("A client id that is a URL uses https, has a path and names no user.")
        if {".", ".."} & set(unquote(parts.path).split("/")):
            raise ClientDocumentError("A client id that is a URL has no dot segments.")

    async def _get(self, client_id: str) -> bytes:
        import httpx  # noqa: PLC0415 - see fetch

        url = httpx.URL(client_id)
        address = await self._checked_address(url.host, url.port or (443 if url.scheme == "https" else 80))
        headers = {"Host": url.netloc.decode("ascii"), "Accept": "application/json", "Accept-Encoding": "identity"}
        # The connection goes to the address that was checked, whatever the name means a moment later.
        pinned = url.copy_with(host=address)
        names: dict[str, Any] = {"sni_hostname": url.host}
        async with (
            httpx.AsyncClient(transport=self._transport, trust_env=False, timeout=self._timeout) as http,
            http.stream("GET", pinned, headers=headers, extensions=names) as response,
        ):
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if response.status_code != 200 or not re.fullmatch(r"application/([\w.-]+\+)?json", kind):
                raise ClientDocumentError("The app's metadata document is not answered with 200 and JSON.")
            return await _capped(response)

    async def _checked_address(self, host: str, port: int) -> str:
        addresses = await self._resolve(host, port)
        if not addresses:
            raise ClientDocumentError("The app's metadata document is at a name that leads nowhere.")
        if not self._insecure_local and not all(map(_is_public, addresses)):
            raise ClientDocumentError("The app's metadata document is at a private address.")
        return addresses[0]


async def _addresses(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in await anyio.getaddrinfo(host, port)]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_global and not address.is_multicast and not any(address in net for net in _DETOURS)


async def _capped(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise ClientDocumentError(f"The app's metadata document is larger than {_MAX_BYTES} bytes.")
    return bytes(body)


def _described(client_id: str, body: bytes) -> Client:
    try:
        document = parse_object(body)
        metadata = read_metadata({"token_endpoint_auth_method": "none"} | document)
    except ClientMetadataError as error:
        raise ClientDocumentError(f"The app's metadata document is not usable. {error}") from error
    if document.get("client_id") != client_id:
        raise ClientDocumentError("The app's metadata document names another client id.")
    if not metadata.name:
        raise ClientDocumentError("The app's metadata document gives no client_name.")
    # Everyone can read the document, so nothing in it can be a secret (§4.1).
    if metadata.auth_method != "none" or {"client_secret", "client_secret_expires_at"} & document.keys():
        raise ClientDocumentError("The app's metadata document makes use of a client secret.")
    return Client(client_id, metadata.redirect_uris, name=metadata.name, grants=metadata.grants, self_described=True)
