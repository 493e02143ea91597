"""What happens to a response on its way out: lists are filtered, event streams end with their token, CORS is added.

Each is a `send` around a `send`. None holds back more than it must: an event of a stream goes on as soon as its last
byte is there, and what is neither a list nor a stream is not touched.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from starlette.types import Message, Receive, Send

from gateway.errors import Refusal, UpstreamBroken
from gateway.operation import Kind, Operation, Target
from gateway.origin import cors_headers
from gateway.policy import Policy
from gateway.principal import Principal

# What the lists of MCP hold: the member of the result, the kind of its entries, and the member that names one.
LISTS: tuple[tuple[str, Kind, str], ...] = (
    ("tools", "tool", "name"),
    ("prompts", "prompt", "name"),
    ("resources", "resource", "uri"),
    ("resourceTemplates", "resource", "uriTemplate"),
)
LIST_METHODS: dict[str, Kind] = {
    "tools/list": "tool",
    "prompts/list": "prompt",
    "resources/list": "resource",
    "resources/templates/list": "resource",
}
MAX_HELD = 16 * 1024 * 1024  # bytes of one list or event held back to be filtered
END_OF_EVENT = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")  # a blank line; WHATWG HTML §9.2.5
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # readers of event streams skip one

# What reading a list raises that is none: not JSON, not UTF-8, entries without a name, nesting without end.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError)

Members = dict[str, msgspec.Raw]
Refuse = Callable[[Refusal, Send], Awaitable[None]]
_members = msgspec.json.Decoder(Members).decode
_entries = msgspec.json.Decoder(list[msgspec.Raw]).decode


def with_cors(send: Send, origin: bytes) -> Send:
    """A `send` whose response the page of an allowed origin may read."""

    def send_with_cors(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in headers_of(message) if not name.startswith(b"access-control-")]
            message = {**message, "headers": kept + cors_headers(origin)}
        return send(message)

    return send_with_cors


class EndWithToken:
    """Ends an event stream when the token that opened it does, so that the client comes back with a new one.

    A completed response makes the server report a disconnect to the app, which ends its side in its usual way.
    `waiting` holds the streams that may wait for events for ever; they are ended when the server stops.
    `farewell` is an event that tells the client of such an end; it is left out where it would cut another one short.
    """

    __slots__ = ("_between", "_ended", "_farewell", "_last", "_seconds", "_send", "_timer", "_waiting")

    def __init__(self, send: Send, seconds: float, waiting: set[EndWithToken] | None, farewell: bytes = b"") -> None:
        self._send = send
        self._farewell = farewell
        self._between = True  # two events, not within one
        self._seconds = seconds  # until the stream must end
        self._waiting = waiting
        self._timer: asyncio.TimerHandle | None = None
        self._last: asyncio.Future[None] | None = None
        self._ended = False

    def __call__(self, message: Message) -> Awaitable[None]:
        """Pass a message on, until the end."""
        if self._ended:
            return nothing()
        if message["type"] == "http.response.start" and is_event_stream(message):
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self._seconds), self.end)
            if self._waiting is not None:
                self._waiting.add(self)
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self.close()  # the app ended it
        elif self._farewell:
            self._between = bytes(message.get("body", b"")).endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        return self._send(message)

    def end(self) -> None:
        """Complete the response as it stands; whatever the app still sends goes nowhere."""
        if self._ended:
            return
        self._ended = True
        body = self._farewell if self._between else b""
        last = self._send({"type": "http.response.body", "body": body, "more_body": False})
        self._last = asyncio.ensure_future(last)

    def close(self) -> None:
        """The response is complete, or the app done with the request: nothing is left to end."""
        if self._timer is not None:
            self._timer.cancel()
            if self._waiting is not None:
                self._waiting.discard(self)


def completion(request_id: int | str | None) -> bytes:
    """The event that completes the subscription opened by the request of this id (MCP 2026-07-28, Subscriptions)."""
    meta = {"io.modelcontextprotocol/subscriptionId": request_id}
    message = {"jsonrpc": "2.0", "id": request_id, "result": {"resultType": "complete", "_meta": meta}}
    return b"data: " + msgspec.json.encode(message) + b"\n\n"


class FilterLists:
    """Shows of a list only what the principal may use; the rest of the response passes to the letter.

    `refuse` answers in place of a list that cannot be read, for what cannot be filtered is not shown.
    """

    def __init__(self, send: Send, policy: Policy, principal: Principal, refuse: Refuse) -> None:
        self._send = send
        self._refuse = refuse
        self._policy = policy
        self._principal = principal
        self._start: Message | None = None  # of a JSON response, held back until its length is known
        self._held = bytearray()
        self._stream = False

    async def __call__(self, message: Message) -> None:
        """Take the next message of the response."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._start is not None:
            await self._json(message)
        elif self._stream:
            await self._events(message)
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers = dict(headers_of(message))
        kind = headers.get(b"content-type", b"").lower()
        if not kind.startswith((b"application/json", b"text/event-stream")):
            await self._send(message)
            return
        if headers.get(b"content-encoding", b"identity") != b"identity":
            await self._give_up("a list in a content coding that was not asked for")
            return
        unsized = {**message, "headers": [h for h in headers_of(message) if h[0] != b"content-length"]}
        if kind.startswith(b"application/json"):
            self._start = unsized
        else:
            self._stream = True
            await self._send(unsized)

    async def _json(self, message: Message) -> None:
        self._held += message.get("body", b"")
        if len(self._held) > MAX_HELD:
            await self._give_up(f"a list of more than {MAX_HELD} bytes")
        elif not message.get("more_body") and self._start is not None:
            body: bytes | None = b""  # as with 202
            try:
                if self._held:
                    body = self.filtered(bytes(self._held))
            except UNREADABLE:
                body = None
            if body is None:
                await self._give_up("a list that cannot be read")
                return
            start, self._start = self._start, None
            headers = [*start["headers"], (b"content-length", b"%d" % len(body))]
            await self._send({**start, "headers": headers})
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def close(self, receive: Receive) -> None:
        """The app is done; where it left a list in the middle, and the client is still there, that is refused."""
        if self._start is not None and not await has_gone(receive):
            await self._give_up("it hung up in the middle of a list")

    async def _give_up(self, why: str) -> None:
        self._start, self._held, self._send = None, bytearray(), _swallow(self._send)
        await self._refuse(UpstreamBroken(why), self._send)

    async def _events(self, message: Message) -> None:
        looked_at = max(0, len(self._held) - 3)  # what ends an event may have begun in the bytes held
        self._held += message.get("body", b"")
        ready = bytearray()
        while end := END_OF_EVENT.search(self._held, looked_at):
            ready += self._event(bytes(self._held[: end.end()]))
            del self._held[: end.end()]
            looked_at = 0
        more = bool(message.get("more_body"))
        if len(self._held) > MAX_HELD:
            more, self._send = False, _swallow(self._send)  # an event beyond all bounds ends the stream
        if not more:
            self._held.clear()  # half an event is none
        if ready or not more:
            await self._send({**message, "body": bytes(ready), "more_body": more})

    def _event(self, event: bytes) -> bytes:
        lines = re.split(rb"\r\n|\n|\r", event.removeprefix(BYTE_ORDER_MARK))
        data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
        if b"result" not in data:
            return event
        try:
            changed = self.filtered(data)
        except UNREADABLE:
            return b""
        if changed == data:
            return event
        fields = [line for line in lines if line and not line.startswith(b"data:")]
        data_lines = [b"data: " + line for line in changed.split(b"\n")]
        return b"\n".join([*fields, *data_lines, b"", b""])

    def filtered(self, body: bytes) -> bytes:
        """A JSON-RPC response, or a batch of them, without what the principal may not use."""
        if body.lstrip()[:1] == b"[":
            return b"[" + b",".join(self.filtered(bytes(part)) for part in _entries(body)) + b"]"
        message = _members(body)
        if "result" not in message or bytes(message["result"])[:1] != b"{":
            return body
        result = _members(message["result"])
        if not self._filter(result):
            return body
        message["result"] = msgspec.Raw(msgspec.json.encode(result))
        return msgspec.json.encode(message)

    def _filter(self, result: Members) -> bool:
        """Take out of a result what may not be seen; whether the result depends on the principal at all."""
        depends = False
        for member, kind, naming in LISTS:
            if member in result and self._policy.rules_about(kind):
                depends = True
                shown = [entry for entry in _entries(result[member]) if self._may_see(entry, kind, naming)]
                result[member] = msgspec.Raw(msgspec.json.encode(shown))
        if depends and "cacheScope" in result:
            result["cacheScope"] = msgspec.Raw(b'"private"')  # MCP 2026-07-28, Caching: never shared between principals
        return depends

    def _may_see(self, entry: msgspec.Raw, kind: Kind, naming: str) -> bool:
        name = msgspec.json.decode(_members(entry)[naming], type=str)
        return self._policy.may(self._principal, Target(kind, name))


def lists_something(operations: Iterable[Operation], policy: Policy) -> bool:
    """Whether the response may hold a list that the policy has a say in."""
    return any(
        operation.method in LIST_METHODS and policy.rules_about(LIST_METHODS[operation.method])
        for operation in operations
    )


def headers_of(message: Message) -> Any:
    """Names and values of a response's headers, in whatever pairs an app sends them, if any (ASGI, Response Start).

    What can be read only once is a list from then on.
    """
    headers = message.get("headers", ())
    if not isinstance(headers, (list, tuple)):
        headers = message["headers"] = list(headers)
    return headers


def is_event_stream(message: Message) -> bool:
    """Whether the response that begins so is server-sent events."""
    for name, value in headers_of(message):
        if name == b"content-type":
            return bool(value.lower().startswith(b"text/event-stream"))
    return False


async def has_gone(receive: Receive) -> bool:
    """Whether the client of a request, whose body is read, has hung up."""
    try:
        async with asyncio.timeout(0):  # time for a message that is there, and for no other
            message = await receive()
            return bool(message["type"] == "http.disconnect")
    except TimeoutError:
        return False


async def nothing() -> None:
    """What to await where nothing is sent."""


def _swallow(send: Send) -> Send:
    """A `send` that lets one response through and nothing after it."""
    done = False

    async def send_once(message: Message) -> None:
        nonlocal done
        if not done:
            done = message["type"] == "http.response.body"
            await send(message)

    return send_once
