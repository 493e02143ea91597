"""What the SDK leaves open between the revisions of MCP: batches, sessions that are none, contradicting envelopes.

2025-03-26 lets a client put several messages into one body, and no other revision does. Up to 2025-11-25 there are
sessions, which `initialize` alone opens. A message of 2026-07-28 names its revision inside as well; where the header
says otherwise, or nothing, it is refused rather than read by the rules of another revision.
"""

from __future__ import annotations

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from tools.batches import InvalidBatch, members, serve_batch
from tools.exchange import HEADER_MISMATCH, PARSE_ERROR, again, read, refuse

BATCHING = b"2025-03-26"  # the only revision with batches, and what a missing header means
HANDSHAKE = (None, b"2024-11-05", b"2025-03-26", b"2025-06-18", b"2025-11-25")  # any other header means 2026-07-28
ENVELOPE = "io.modelcontextprotocol/protocolVersion"  # in `_meta` from 2026-07-28 on
MAX_BODY = 4 * 1024 * 1024  # bytes, as the SDK has it

INITIALIZE_FIRST = "Send initialize first, and then its Mcp-Session-Id with everything else."


class _Meta(msgspec.Struct):
    revision: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name=ENVELOPE)


class _Params(msgspec.Struct):
    meta: _Meta | None = msgspec.field(default=None, name="_meta")


class _Message(msgspec.Struct):
    method: str = ""
    id: int | str | None = None
    params: _Params | None = None

    @property
    def revision(self) -> bytes:
        """The revision that the message names, as JSON; b"" if none."""
        return bytes(self.params.meta.revision) if self.params and self.params.meta else b""


_message = msgspec.json.Decoder(_Message).decode


class Revisions:
    """An app that takes one message at a time, as a server of every revision.

    With `sessions`, those of older revisions have one each; without, every message of theirs stands alone.
    """

    def __init__(self, app: ASGIApp, *, sessions: bool) -> None:
        self.app = app
        self._sessions = sessions
        self._methods = ("GET", "POST", "DELETE") if sessions else ("POST",)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = dict(scope["headers"])
        older = headers.get(b"mcp-protocol-version") in HANDSHAKE
        if scope["method"] == "POST":
            await self._post(scope, headers, receive, send)
        elif older and scope["method"] not in self._methods:
            await refuse(send, 405, f"{scope['method']} is not served here.", allow=", ".join(self._methods))
        elif older and b"mcp-session-id" not in headers:
            await refuse(send, 400, INITIALIZE_FIRST)
        else:
            await self.app(scope, receive, send)

    async def _post(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            await refuse(send, 415, "Send the message as application/json.")
            return
        body = await read(receive, MAX_BODY)
        if body is None:
            return  # the client went away: half a message is none
        if len(body) > MAX_BODY:
            await refuse(send, 413, f"Send no more than {MAX_BODY} bytes at once.")
        elif body.lstrip(b" \t\r\n")[:1] == b"[":
            await self._batch(scope, headers, body, receive, send)
        else:
            await self._single(scope, headers, body, receive, send)

    async def _single(
        self, scope: Scope, headers: dict[bytes, bytes], body: bytes, receive: Receive, send: Send
    ) -> None:
        version = headers.get(b"mcp-protocol-version")
        try:
            message = _message(body)
        except msgspec.ValidationError:
            message = _Message()  # JSON, but no message: the SDK says so
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            await refuse(send, 400, "The body is not valid JSON.", code=PARSE_ERROR)
            return
        if version in HANDSHAKE:
            if message.id is not None and message.revision not in (b"", b'"%s"' % (version or b"")):
                sentence = "MCP-Protocol-Version must say what _meta says: the message is of another revision."
                await refuse(send, 400, sentence, code=HEADER_MISMATCH, request_id=message.id)
                return
            if message.method == "initialize":  # always opens a session, whatever id a client still remembers
                scope = {**scope, "headers": [field for field in scope["headers"] if field[0] != b"mcp-session-id"]}
            elif self._sessions and b"mcp-session-id" not in headers:
                await refuse(send, 400, INITIALIZE_FIRST, request_id=message.id)
                return
        await self.app(scope, again(body, receive), send)

    async def _batch(
        self, scope: Scope, headers: dict[bytes, bytes], body: bytes, receive: Receive, send: Send
    ) -> None:
        if headers.get(b"mcp-protocol-version", BATCHING) != BATCHING:
            await refuse(send, 400, "This protocol revision has no batches: send one message at a time.")
        elif self._sessions and b"mcp-session-id" not in headers:
            await refuse(send, 400, INITIALIZE_FIRST)
        else:
            try:
                messages = members(body)
            except InvalidBatch as error:
                await refuse(send, 400, str(error), code=error.code)
                return
            await serve_batch(self.app, messages, scope, receive, send)
