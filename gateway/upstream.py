"""An MCP server behind the gate, reached by HTTP: an ASGI app that passes requests on and answers back as they come.

Both bodies stream, each side only as fast as the other takes it. What may cross is decided in `request_head` and
`response_head`; a failure before the answer has begun is a refusal, one in the middle aborts the answer, so that
nobody takes half of one for the whole.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.types import Message, Receive, Scope, Send

from gateway.audit import Audit, Counts, Write
from gateway.connection import Connection
from gateway.credential import credential_field
from gateway.errors import BodyTooLarge, Refusal, UpstreamBroken, UpstreamRedirected, UpstreamRefusedGate
from gateway.exchange import Exchange
from gateway.pool import Pool
from gateway.refuse import Answers
from gateway.request_head import RequestHeads
from gateway.response_head import ResponseHead
from gateway.sessions import is_stateless
from gateway.settings import ResourceSettings, Settings, UpstreamSettings

if TYPE_CHECKING:
    from gateway.identity import Identity, IdentityKeys

CHECK_SECONDS = 0.1  # between two looks at exchanges under way: who is late, whose client has gone
DETACHED_BYTES = 16 * 1024 * 1024  # of an answer read to its end for nobody
USUAL_PORTS = {"http": 80, "https": 443}

log = logging.getLogger("bearergate")


class Upstream:
    """The upstream of one resource. It believes the gate about the principal, and nobody else about anything."""

    def __init__(
        self,
        settings: Settings,
        resource: ResourceSettings,
        *,
        keys: IdentityKeys | None = None,
        audit: Write | None = None,
        counts: Counts | None = None,
    ) -> None:
        """`keys` sign the identity, where the settings ask for one; `audit` and `counts` are as in `Audit`.

        Raises:
            ValueError: the resource has no upstream.
            InvalidSecret: the credential cannot be read.
            OSError: nor can a certificate.
        """
        upstream = resource.upstream
        if upstream is None:
            raise ValueError(f"the resource at {resource.path} has no upstream")
        url = urlsplit(upstream.url)
        fixed = dict([credential_field(upstream.credential)] if upstream.credential else ())
        self._heads = RequestHeads(upstream, resource.path, url.netloc.encode(), fixed)
        port = url.port or USUAL_PORTS[url.scheme]
        self._pool = Pool(url.hostname or "", port, tls_of(upstream), upstream)
        self._identity: Identity | None = None
        if upstream.identity is not None:
            from gateway.identity import Identity, IdentityKeys  # noqa: PLC0415 - only who signs has to load it

            keys = keys or IdentityKeys.of(settings)
            self._identity = Identity(keys, upstream.identity, issuer=settings.public_url, audience=upstream.url)
        self._times = (upstream.first_byte_seconds, upstream.idle_seconds)
        self._detached_seconds = upstream.detached_seconds
        self._max_body = settings.max_body_bytes
        self._answers = Answers(settings, resource)
        self._audit = Audit(settings.url_of(resource), audit, counts=counts)
        self._exchanges: set[Exchange] = set()  # those that somebody has to look at now and then
        self._detached: dict[bytes, set[Connection]] = {}  # by session: streams read on whose client has gone
        self._check: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """Connections to it that are open or being opened."""
        return len(self._pool)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and its answer back."""
        if scope["type"] != "http":
            await self._live(receive, send)
            return
        exchange = Exchange(scope, receive, send)
        refused: Refusal | None = None
        try:
            await self._serve(exchange)
        except Refusal as refusal:
            refused = refusal.with_traceback(None)
        finally:
            self._finish(exchange)
        if refused is not None:
            await self._refuse(exchange, refused)

    async def _refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        if exchange.answered:  # the server closes the connection of an answer that is not complete
            log.warning("an answer of the upstream at %s was cut short: %s", self._audit.resource, refusal)
        elif not exchange.gone:
            principal = exchange.scope.get("state", {}).get("principal")
            refusal_id = self._audit.refused(refusal, exchange.scope["method"], principal)
            await self._answers.refuse(refusal, refusal_id, exchange.send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Answer the server's start and stop (ASGI lifespan protocol)."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, exchange: Exchange) -> None:
        scope = exchange.scope
        framing, message = await self._first_of_body(scope, exchange.receive)
        if framing is None or message is None:
            return  # the client went away
        identity = b"" if self._identity is None else self._identity.line(scope["state"]["principal"])
        head = self._heads.write(scope, framing, identity)
        body = bytes(message.get("body", b""))
        connection = exchange.connection = self._pool.unused() or await self._pool.acquire()
        connection.start(scope["method"], head + body, *self._times)
        self._exchanges.add(exchange)
        if self._check is None:
            self._check = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._look)
        if message.get("more_body"):
            exchange.upload(int(framing.split(b":")[1]), len(body))
        if scope["method"] == "GET" and self._detached:
            self._resume(scope["headers"])
        if connection.failure is None:
            await connection.changed()  # nothing can be there yet; to wait here spares two levels of calls
        await self._answer(exchange, connection)

    async def _first_of_body(self, scope: Scope, receive: Receive) -> tuple[bytes | None, Message | None]:
        """How the request is framed anew, with the first piece of its body, which is mostly all of it."""
        headers = dict(scope["headers"])
        length, chunked = headers.get(b"content-length"), b"transfer-encoding" in headers
        if length is None and not chunked:
            return (b"content-length: 0\r\n" if scope["method"] in ("POST", "PUT", "PATCH") else b""), {}
        message = await receive()
        if message["type"] != "http.request":
            return None, None
        size = len(message.get("body", b""))
        if size > self._max_body:
            raise BodyTooLarge(f"{size} bytes")
        if not message.get("more_body"):
            return b"content-length: %d\r\n" % size, message
        if length is not None and not chunked:
            return b"content-length: %d\r\n" % int(length), message
        return await self._whole(message, receive)

    async def _whole(self, message: Message, receive: Receive) -> tuple[bytes | None, Message | None]:
        """A body of unknown length, read to its end: servers behind need not know chunks."""
        body = bytearray(message.get("body", b""))
        while message.get("more_body"):
            message = await receive()
            if message["type"] != "http.request":
                return None, None
            body += message.get("body", b"")
            if len(body) > self._max_body:
                raise BodyTooLarge(f"more than {self._max_body} bytes")
        return b"content-length: %d\r\n" % len(body), {"body": bytes(body)}

    async def _answer(self, exchange: Exchange, connection: Connection) -> None:
        """The response, as it comes."""
        head = await self._head(exchange, connection)
        if head is None:
            return
        exchange.answered = True
        send = exchange.send
        if not exchange.gone:
            await send({"type": "http.response.start", "status": head.status, "headers": head.fields})
        discarded = 0
        while True:
            complete = connection.complete
            body = connection.take()
            if (body or complete) and not exchange.gone:
                await send({"type": "http.response.body", "body": body, "more_body": not complete})
            if complete:
                return
            if exchange.gone:
                discarded += len(body)
                if discarded > DETACHED_BYTES:
                    return
            if not body and not await self._more(exchange, connection):
                return

    async def _head(self, exchange: Exchange, connection: Connection) -> ResponseHead | None:
        """The head of the response, once it is there; None where nobody waits for it any more."""
        while connection.head is None:
            if not await self._more(exchange, connection):
                return None
        check_answer(connection.head)
        return connection.head

    async def _more(self, exchange: Exchange, connection: Connection) -> bool:
        """Wait for more of the response; false where the client has gone and took its request with it."""
        if connection.failure is not None:
            raise connection.failure
        if exchange.gone and self._cancels(exchange, connection):
            return False
        await connection.changed()
        return True

    def _cancels(self, exchange: Exchange, connection: Connection) -> bool:
        """Whether the client that has gone takes its request with it; if not, the answer is read to its end.

        From 2026-07-28 on, closing is the cancel; before, it must not be read as one (MCP Transports). A GET only
        listens, so there is nothing to go on with, and half a request is none.
        """
        if exchange.detached:
            return False
        headers = dict(exchange.scope["headers"])
        listens = exchange.scope["method"] in ("GET", "HEAD")
        if listens or exchange.uploading or is_stateless(headers.get(b"mcp-protocol-version")):
            return True
        exchange.detached = True
        connection.detach(self._detached_seconds)
        self._exchanges.add(exchange)
        session = headers.get(b"mcp-session-id")
        if session is not None:
            exchange.session = session
            self._detached.setdefault(session, set()).add(connection)
        return False

    def _resume(self, headers: list[tuple[bytes, bytes]]) -> None:
        """A client that resumes a stream takes the place of the gate, which read it on: two readers are refused."""
        fields = dict(headers)
        if b"last-event-id" in fields:
            for connection in self._detached.get(fields.get(b"mcp-session-id", b""), ()):
                if connection.head is not None and connection.head.is_stream:
                    connection.fail(UpstreamBroken("the client resumed the stream"))

    def _look(self) -> None:
        """Fail the exchanges that are late, and find out whose client has gone."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for exchange in list(self._exchanges):
            if exchange.look(now):
                self._exchanges.discard(exchange)
        self._check = loop.call_later(CHECK_SECONDS, self._look) if self._exchanges else None

    def _finish(self, exchange: Exchange) -> None:
        self._exchanges.discard(exchange)
        exchange.stop()
        connection = exchange.connection
        if connection is None:
            return
        if exchange.session is not None:
            others = self._detached[exchange.session]
            others.discard(connection)
            if not others:
                del self._detached[exchange.session]
        if exchange.uploading:
            connection.reusable = False
        self._pool.release(connection)


def check_answer(head: ResponseHead) -> None:
    """An answer that is meant for the caller, not for the gate.

    Raises:
        UpstreamRefusedGate: it challenges the gate, so the caller's token is not what is wrong (RFC 9110 §15.6.3).
        UpstreamRedirected: it leads elsewhere, which would be around the gate.
    """
    if head.status in (401, 407) or (head.status == 403 and head.challenges):
        raise UpstreamRefusedGate(f"it answers {head.status}")
    if 300 <= head.status < 400 and head.location is not None:
        raise UpstreamRedirected(f"it redirects to {head.location[:200].decode('latin-1')!a}")


def tls_of(settings: UpstreamSettings) -> ssl.SSLContext | None:
    """How the upstream is verified, and the gate shows itself; None for one without TLS.

    Raises:
        OSError: a certificate or key cannot be read.
    """
    if not settings.url.startswith("https:"):
        return None
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    context.set_alpn_protocols(["http/1.1"])
    if settings.client_certificate_file:
        context.load_cert_chain(settings.client_certificate_file, settings.client_key_file or None)
    return context
