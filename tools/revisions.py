"""What the SDK leaves open between the revisions of MCP: batches, sessions that are none, contradicting envelopes.

2025-03-26 lets a client put several messages into one body, and no other revision does. Up to 2025-11-25 there are
sessions, which `initialize` alone opens. A message of 2026-07-28 names its revision inside as well; where the header
says otherwise, or nothing, it is refused rather than read by the rules of another revision.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tools.batches import members, serve_batch
from tools.exchange import HEADER_MISMATCH, PARSE_ERROR, Refusal, again, read

BATCHING = b"2025-03-26"  # the only revision with batches, and what a missing header means outside a session
MAX_SESSIONS = 10_000  # that are known to have batches; one that is forgotten has none any more
HANDSHAKE = (None, b"2024-11-05", b"2025-03-26", b"2025-06-18", b"2025-11-25")
MODERN = b"2026-07-28"  # to which the SDK leaves every other header as well
ENVELOPE = "io.modelcontextprotocol/protocolVersion"  # in `_meta` from 2026-07-28 on
MAX_BODY = 4 * 1024 * 1024  # bytes, as the SDK has it

Headers = Mapping[bytes, bytes]


class _Meta(msgspec.Struct):
    revision: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name=ENVELOPE)


class _Params(msgspec.Struct):
    meta: _Meta | None = msgspec.field(default=None, name="_meta")
    asked: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="protocolVersion")  # by initialize


class _Message(msgspec.Struct):
    method: str = ""
    id: int | str | msgspec.UnsetType = msgspec.UNSET  # null is none: whoever sends it waits for an answer
    params: _Params | None = None

    @property
    def revision(self) -> bytes:
        """The revision that the message names, as JSON; b"" if none."""
        return bytes(self.params.meta.revision) if self.params and self.params.meta else b""

    @property
    def opens_batching(self) -> bool:
        """Whether it opens a session of the revision with batches; a client that asks for that one gets it."""
        asked = bytes(self.params.asked) if self.params else b""
        return self.method == "initialize" and asked == b'"%s"' % BATCHING


_message = msgspec.json.Decoder(_Message).decode


class Revisions:
    """An app that takes one message at a time, as a server of every revision.

    With `sessions`, those of older revisions have one each; without, every message of theirs stands alone.
    """

    def __init__(self, app: ASGIApp, *, sessions: bool) -> None:
        self.app = app
        self._sessions = sessions
        self._batching: dict[bytes, None] = {}  # ids of sessions of the revision with batches, oldest first
        self._methods = ("GET", "POST", "DELETE") if sessions else ("POST",)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            if scope["method"] == "POST":
                await self._post(scope, receive, send)
            else:
                self._check_method(scope["method"], dict(scope["headers"]))
                await self.app(scope, receive, send)
        except Refusal as refusal:  # raised before anything is answered
            await refusal.answer(send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            raise Refusal(415, "Send the message as application/json.")
        body = await read(receive, MAX_BODY)
        if body is None:
            return  # the client went away: half a message is none
        if body.lstrip(b" \t\r\n")[:1] == b"[":
            self._check_batching(headers)
            if self._sessions and headers[b"mcp-session-id"] not in self._batching:
                await self.app(scope, again(body, receive), send)  # no message to the SDK: 400, or 404 to a stranger
            else:
                await serve_batch(self.app, members(body), scope, receive, send)
            return
        message = self._check_message(body, headers)
        if message.method == "initialize":
            # It always opens a session of its own, whatever id a client still remembers.
            fields = [field for field in scope["headers"] if field[0] != b"mcp-session-id"]
            scope = {**scope, "headers": fields}
            send = self._remembering(send) if message.opens_batching else send
        await self.app(scope, again(body, receive), send)

    def _remembering(self, send: Send) -> Send:
        """A `send` that takes note of the session that is opened: its requests need not name their revision again."""

        async def send_and_remember(start: Message) -> None:
            session = dict(start.get("headers", ())).get(b"mcp-session-id")
            if session is not None and start["status"] == 200:
                self._batching[session] = None
                if len(self._batching) > MAX_SESSIONS:
                    del self._batching[next(iter(self._batching))]
            await send(start)

        return send_and_remember

    def _check_method(self, method: str, headers: Headers) -> None:
        """The older revisions have more methods than POST, where there are sessions; what is newer is the SDK's."""
        if headers.get(b"mcp-protocol-version") in HANDSHAKE:
            if method not in self._methods:
                raise Refusal(405, f"{method} is not served here.", allow=", ".join(self._methods))
            self._check_session(headers)
        elif headers[b"mcp-protocol-version"] != MODERN and method in self._methods:
            raise Refusal(400, "MCP-Protocol-Version names no revision that is spoken here.")

    def _check_batching(self, headers: Headers) -> None:
        if headers.get(b"mcp-protocol-version", BATCHING) != BATCHING:
            raise Refusal(400, "This protocol revision has no batches: send one message at a time.")
        self._check_session(headers)

    def _check_message(self, body: bytes, headers: Headers) -> _Message:
        """A message, which has to be one of the revision that the header says."""
        older = headers.get(b"mcp-protocol-version") in HANDSHAKE
        try:
            message = _message(body)
        except msgspec.ValidationError:
            if older:
                raise Refusal(400, "The body is no message of JSON-RPC 2.0.") from None
            return _Message()  # the SDK says what it lacks of 2026-07-28
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refusal(400, "The body is not valid JSON.", code=PARSE_ERROR) from None
        request_id = None if message.id is msgspec.UNSET else message.id
        if older:
            agreed = (b"", b'"%s"' % headers.get(b"mcp-protocol-version", b""))
            if request_id is not None and message.revision not in agreed:
                sentence = "MCP-Protocol-Version must say what _meta says: the message is of another revision."
                raise Refusal(400, sentence, code=HEADER_MISMATCH, request_id=request_id)
            if message.method != "initialize":
                self._check_session(headers, request_id)
        elif not all(value.isascii() for name, value in headers.items() if name.startswith(b"mcp-")):
            # The SDK would take other characters for Latin-1, and another reader for something else.
            sentence = "Mcp headers hold ASCII alone: write a value that has more in Base64, as the specification says."
            raise Refusal(400, sentence, code=HEADER_MISMATCH, request_id=request_id)
        return message

    def _check_session(self, headers: Headers, request_id: int | str | None = None) -> None:
        # The SDK would open a session for the refusal, and name it in there to clients that then go on with it.
        if self._sessions and b"mcp-session-id" not in headers:
            sentence = "Send initialize first, and then its Mcp-Session-Id with everything else."
            raise Refusal(400, sentence, request_id=request_id)
