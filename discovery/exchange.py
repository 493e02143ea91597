"""One GET over one connection: asyncio carries it, httptools reads the answer.

httpx does the same, but takes 60 ms and 5 MiB to load, which a gate that starts would spend on one small document.
So it serves where this cannot: `through_httpx` is for Windows, which has no httptools, and for transports handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from discovery.location import Location

if TYPE_CHECKING:
    import ssl

    import httpx

HEAD_BYTES = 64 * 1024  # of a head, and of what is neither head nor body
READ_BYTES = 64 * 1024
FIELDS = {
    "User-Agent": "bearergate",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # nothing to decompress, so no bomb
    "Connection": "close",
}


class NotConnected(Exception):
    """There is no connection, or none that is trusted; nothing was sent."""


class Broken(Exception):
    """The answer broke off, or is not HTTP."""


class Head(NamedTuple):
    """The head of an answer."""

    status: int
    headers: dict[str, str]  # names in lower case


class Target(NamedTuple):
    """What to ask, and where: the connection goes to `host`, all that is said is about the location's own host."""

    location: Location
    host: str  # an address that was checked, or the location's own host
    seconds: float  # to connect
    total: float  # for everything


Answer = tuple[Head, AsyncIterator[bytes]]  # the body in pieces, as they come


@contextlib.asynccontextmanager
async def exchange(target: Target, tls: ssl.SSLContext | None) -> AsyncGenerator[Answer]:
    """The answer to a GET; the connection ends with the block.

    Raises:
        NotConnected, Broken: there is none.
    """
    location = target.location
    try:
        async with asyncio.timeout(target.seconds):
            reader, writer = await asyncio.open_connection(
                target.host, location.effective_port, ssl=tls, server_hostname=location.host if tls else None
            )
    except OSError as error:  # a time-out and a certificate that does not hold are ones too
        raise NotConnected(str(error) or "no answer in time") from error
    try:
        writer.write(request(location))
        reading = Reading(reader)
        yield await reading.head(), reading.body()
    except OSError as error:
        raise Broken(str(error)) from error
    finally:
        writer.transport.abort()  # whatever is not read yet is nobody's


def request(location: Location) -> bytes:
    """The bytes of a GET."""
    query = "" if location.query is None else f"?{location.query}"
    fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": location.authority, **FIELDS}.items())
    return f"GET {location.path or '/'}{query} HTTP/1.1\r\n{fields}\r\n".encode()


class Reading:
    """An answer while it is read, in bounds: what is neither head nor body ends it."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        import httptools  # noqa: PLC0415 - Windows has none, and no need of it

        self._errors = (httptools.HttpParserError, httptools.HttpParserUpgrade)
        self._parser = httptools.HttpResponseParser(self)
        self._reader = reader
        self._fields: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._head: Head | None = None
        self._until_closed = False  # the body ends with the connection (RFC 9112 §6.3)
        self._complete = False
        self._silent = 0  # bytes since the last one of the body

    async def head(self) -> Head:
        """The head of the final answer; interim ones are passed over (RFC 9110 §15.2)."""
        while self._head is None:
            await self._more()
        return self._head

    async def body(self) -> AsyncIterator[bytes]:
        """The body in pieces, as they come."""
        while True:
            chunks, self._chunks = self._chunks, []
            for chunk in chunks:
                yield chunk
            if self._complete:
                return
            await self._more()

    async def _more(self) -> None:
        data = await self._reader.read(READ_BYTES)
        if not data:
            if not self._until_closed:
                raise Broken("it hung up in the middle")
            self._complete = True
            return
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except self._errors as error:
            if not self._complete:  # what follows an answer is nobody's
                raise Broken(str(error)) from error
        if self._silent > HEAD_BYTES and not self._complete:
            raise Broken("a head beyond all measure")

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; trailers say nothing that is asked for."""
        if self._head is None:
            field, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
            self._fields[field] = f"{self._fields[field]}, {text}" if field in self._fields else text

    def on_headers_complete(self) -> None:
        """A head is complete."""
        status = self._parser.get_status_code()
        if self._head is not None or status < 200:
            self._fields = {}
            return
        coding = self._fields.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise Broken("a transfer coding that was not asked for")
        self._until_closed = coding is None and "content-length" not in self._fields
        self._head = Head(status, self._fields)

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        if self._head is not None and not self._complete:
            self._silent = 0
            self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was an interim one."""
        self._complete = self._head is not None


@contextlib.asynccontextmanager
async def through_httpx(target: Target, transport: Callable[[], httpx.AsyncBaseTransport]) -> AsyncGenerator[Answer]:
    """The answer to a GET that a transport of httpx carries, as `exchange` gives it.

    Raises:
        NotConnected, Broken: there is none.
    """
    import httpx  # noqa: PLC0415 - see above

    try:
        # A transport, not a client: no redirect, cookie, netrc, proxy or log line with a query to turn off.
        async with transport() as opened:
            response = await opened.handle_async_request(httpx_request(target))
            async with contextlib.aclosing(response):
                yield Head(response.status_code, dict(response.headers)), response.aiter_raw()
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotConnected(str(error)) from error
    except (httpx.HTTPError, OSError) as error:  # OSError: a TLS record that is none
        raise Broken(str(error)) from error


def network(tls: ssl.SSLContext | None) -> Callable[[], httpx.AsyncBaseTransport]:
    """The transport that httpx has for the network, without the proxies of the environment."""
    import httpx  # noqa: PLC0415 - see above

    return lambda: httpx.AsyncHTTPTransport(verify=True if tls is None else tls, trust_env=False)


def httpx_request(target: Target) -> httpx.Request:
    """The request for httpx, whose URL says where to connect, and whose fields and TLS whom to ask."""
    import httpx  # noqa: PLC0415 - see above

    location = target.location
    reached = msgspec.structs.replace(location, host=target.host)
    query = "" if location.query is None else f"?{location.query}"
    return httpx.Request(
        "GET",
        f"{reached.origin}{location.path or '/'}{query}",
        headers={"Host": location.authority, **FIELDS},
        extensions={
            "sni_hostname": location.host,  # httpcore verifies the certificate against this name
            "timeout": httpx.Timeout(target.total, connect=target.seconds).as_dict(),
        },
    )
