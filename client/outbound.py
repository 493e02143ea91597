"""Requests to URLs that a server or issuer named: only to where `discovery.fetch` would go, and nowhere by redirect."""

from __future__ import annotations

import asyncio

import httpx2

from client.errors import Misbehaved, Unreachable
from discovery.fetch import Fetch, FetchError, FetchRefused
from discovery.location import Location

TIMEOUT = 15.0  # seconds for everything: a person would rather wait than be told to try again
MAX_BYTES = 256 * 1024


class Outbound(Fetch):
    """`Fetch`, which can also send the requests that the SDK builds for token and registration endpoints."""

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, whatever its status, read to its end.

        Raises:
            Misbehaved: the URL is one that must not be called.
            Unreachable: nobody answers there.
        """
        url = str(request.url)
        try:
            location = self._permitted(url)
            async with asyncio.timeout(self.timeout):
                addresses = await self._checked(location)
                return await self._first(request, location, addresses)
        except FetchRefused as error:
            raise Misbehaved(f"The server names an address that is not called: {error}") from None
        except (FetchError, httpx2.HTTPError, OSError) as error:  # OSError: TimeoutError, and TLS
            raise Unreachable(f"{request.url.host} cannot be reached ({type(error).__name__})") from None

    async def _first(self, request: httpx2.Request, location: Location, addresses: list[str]) -> httpx2.Response:
        *others, last = addresses
        for address in others:
            try:
                return await self._ask(request, location, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._ask(request, location, last)

    async def _ask(self, request: httpx2.Request, location: Location, address: str) -> httpx2.Response:
        """Connect to the address that was checked, but speak to the name."""
        headers = httpx2.Headers(request.headers)
        headers.update({"Host": location.authority, "Accept-Encoding": "identity"})
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=headers,
            content=request.content,
            extensions={"sni_hostname": location.host, "timeout": httpx2.Timeout(self.timeout).as_dict()},
        )
        async with httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            response = await transport.handle_async_request(pinned)
            body = await _bounded(response)
        return httpx2.Response(response.status_code, headers=response.headers, content=body, request=request)


async def _bounded(response: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BYTES:
                raise Misbehaved(f"An issuer's answer is larger than {MAX_BYTES} bytes")
    finally:
        await response.aclose()
    return bytes(body)
