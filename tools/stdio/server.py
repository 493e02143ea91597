"""Local commands as MCP servers over Streamable HTTP: any client of any revision, each principal apart."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Callable, Mapping

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.principal import Principal
from tools.exchange import INTERNAL_ERROR, PARSE_ERROR, Refusal, read
from tools.revisions import BATCHING, HANDSHAKE, MAX_BODY, Revisions
from tools.stdio.answer import Headers, answer, check_accept, events, watched
from tools.stdio.command import Command
from tools.stdio.connection import NoSession
from tools.stdio.messages import Members, NotAMessage, method_of, write
from tools.stdio.messages import read as read_message
from tools.stdio.pool import Pool
from tools.stdio.sessions import METHOD_NOT_FOUND, Owner, check_shared
from tools.stdio.stateless import check_stateless
from tools.stdio.stream import Exchange, Stream

CHECKS = "mcp.shared.inbound"  # the SDK's module that `check_stateless` uses
JSON, EVENT_STREAM = b"application/json", b"text/event-stream"
STATUSES = {-32700: 400, -32600: 400, -32602: 400, -32020: 400, -32021: 400, -32022: 400, -32601: 404}  # 2026-07-28


Refused = Callable[[str, Principal], str]  # by method of HTTP and caller: the id under which it is in the audit log


class StdioServer:
    """A command behind the gate; requests come with the principal that the gate has found."""

    def __init__(self, command: Command, refused: Refused | None = None) -> None:
        self._pool = Pool(command)
        self._refused = refused
        self._command = command
        self._spoken = Revisions(self._serve, sessions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or run the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif not isinstance(scope.get("state", {}).get("principal"), Principal):
            sentence = "This server is for requests that a gate has let through."
            await Refusal(503, sentence, code=INTERNAL_ERROR).answer(send)
        else:
            await self._spoken(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        sweeping = asyncio.ensure_future(self._pool.sweep())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; where its session is not to be found, the answer says under which id that was noted."""
        try:
            await self._serve_message(scope, receive, send)
        except NoSession as refusal:
            if self._refused is not None:
                refusal.data = {"refusal": self._refused(scope["method"], scope["state"]["principal"])}
            raise

    async def _serve_message(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request with one message at most, after what `Revisions` has checked."""
        headers = dict(scope["headers"])
        owner = scope["state"]["principal"].key
        older = headers.get(b"mcp-protocol-version") in HANDSHAKE
        if scope["method"] == "POST":
            check_accept(headers, JSON, EVENT_STREAM)
            body = await read(receive, MAX_BODY) or b""  # it is all there, or it would not have come so far
            serve = self._post if older else self._stand_alone
            await serve(body, headers, owner, receive, send)
        elif not older:
            raise Refusal(405, f"{scope['method']} is not served in this revision.", allow="POST")
        elif scope["method"] == "GET":
            check_accept(headers, EVENT_STREAM)
            session = self._pool.session(headers[b"mcp-session-id"], owner)
            stream = session.listen()
            async with watched(receive, stream):
                await events(stream, send, self._command.silence_seconds)
            session.touch()
        else:
            self._pool.end(self._pool.session(headers[b"mcp-session-id"], owner))
            await empty(204, send)

    async def _post(
        self, body: bytes, headers: Mapping[bytes, bytes], owner: Owner, receive: Receive, send: Send
    ) -> None:
        """A message of a revision with sessions."""
        message = object_of(body)
        check_older(message)
        method = method_of(message)
        try:
            if method == "initialize" and "id" in message:
                await (self._join if self._command.shared else self._open)(message, owner, receive, send)
                return
            session = self._pool.session(headers[b"mcp-session-id"], owner)
            if method is None or "id" not in message:
                if not self._command.shared or method not in (None, "notifications/initialized"):
                    await session.tell(message)
                await empty(202, send)
                return
            if self._command.shared:
                check_shared(message)
            exchange = Exchange(message, session)
            await session.ask(exchange)
        except Refusal as refusal:
            raise named(refusal, message) from None
        async with watched(receive, exchange):
            if headers.get(b"mcp-protocol-version", BATCHING) == BATCHING:
                await events(exchange, send, self._command.silence_seconds)  # a batch is answered as one stream
            else:
                await answer(exchange, send, self._command.silence_seconds)
        session.touch()

    async def _open(self, message: Members, owner: Owner, receive: Receive, send: Send) -> None:
        """Open a session with a process of its own, if the command will."""
        alone = await self._pool.open(owner)
        said = Stream()
        opened = False
        headers: Headers = [(b"mcp-session-id", alone.session.id)]
        try:
            exchange = Exchange(message, alone.session)
            await alone.session.ask(exchange)
            async with asyncio.timeout(self._command.start_seconds):  # however much it says before it answers
                while (line := await exchange.next()) is not None:
                    spoken = read_message(line)
                    if method_of(spoken) is None or not said.is_full:
                        said.put(line)
                    opened = alone.opened(message, spoken)
            said.close()
        except TimeoutError:
            sentence = f"The command {self._command.name} does not answer."
            raise Refusal(504, sentence, code=INTERNAL_ERROR) from None
        finally:
            if opened:
                self._pool.keep(alone.session)
            else:
                self._pool.end(alone.session)
        async with watched(receive, said):
            await answer(said, send, self._command.silence_seconds, headers if opened else ())

    async def _join(self, message: Members, owner: Owner, receive: Receive, send: Send) -> None:
        """Open a session of the process that all share."""
        together = self._pool.together()
        await together.connection.start()
        said = Stream()
        said.put(write(together.introduction(message)), last=True)
        async with watched(receive, said):
            headers = [(b"mcp-session-id", self._pool.join(owner).id)]
            await answer(said, send, self._command.silence_seconds, headers)

    async def _stand_alone(
        self, body: bytes, headers: Mapping[bytes, bytes], owner: Owner, receive: Receive, send: Send
    ) -> None:
        """A message of 2026-07-28, or of what nobody speaks."""
        if CHECKS not in sys.modules:
            await asyncio.to_thread(importlib.import_module, CHECKS)  # half a second, in which others are served
        texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        message = object_of(body)
        check_stateless(message, texts)
        if method_of(message) == "initialize":  # a command would take it for a mistake about its own connection
            raise named(Refusal(404, "This revision has no initialize.", code=METHOD_NOT_FOUND), message)
        if "id" not in message:
            await empty(202, send)  # this revision has no notifications that a client sends over HTTP
            return
        exchange = Exchange(message, owner)
        async with watched(receive, exchange):
            try:
                connection, client = await self._pool.stateless(owner)
                if method_of(message) == "tools/call":
                    await client.check_parameters(connection, exchange, texts)
                if not exchange.closed:  # or the client has gone meanwhile
                    await connection.ask(exchange)
            except Refusal as refusal:
                raise named(refusal, message) from None
            try:
                await answer(exchange, send, self._command.silence_seconds, statuses=STATUSES)
            finally:
                connection.cancel(exchange)  # unless it was answered


def object_of(body: bytes) -> Members:
    """The members of a body that holds one JSON object.

    Raises:
        Refusal: it does not.
    """
    try:
        return read_message(body)
    except NotAMessage:
        raise Refusal(400, "The body is no message: send one JSON object in UTF-8.", code=PARSE_ERROR) from None


def check_older(message: Members) -> None:
    """A message of up to 2025-11-25.

    Raises:
        Refusal: it is none.
    """
    is_response = "id" in message and ("result" in message or "error" in message)
    if bytes(message.get("jsonrpc", b"")) != b'"2.0"' or (method_of(message) is None and not is_response):
        raise Refusal(400, "The body is no message of JSON-RPC 2.0.")


def named(refusal: Refusal, message: Members) -> Refusal:
    """The refusal with the id of the request that it refuses."""
    if "id" in message:
        refusal.request_id = msgspec.json.decode(message["id"], type=int | str)
    return refusal


async def empty(status: int, send: Send) -> None:
    """An answer without a body."""
    headers = [] if status == 204 else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
