"""Which MCP operation a request is: what it calls, gets or reads, told from its body alone.

Headers that mirror the body (2026-07-28) are compared with it and never decide anything. The body is decoded by
type, so that what no rule asks about is skipped, not built; where no rule asks, it is not read at all.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal, NamedTuple

import msgspec

from gateway.errors import HeaderMismatch, InvalidJson, InvalidMessage
from gateway.members import AmbiguousMembers, check_members

# Revisions whose requests carry no mirrored headers; any other version named in the header is held to them.
HANDSHAKE_REVISIONS = frozenset({b"2025-03-26", b"2025-06-18", b"2025-11-25", b"2024-11-05"})
MAX_BATCH = 100  # messages in one body
MAX_SUBSCRIPTIONS = 256  # resources in one of them; each is judged by itself

Kind = Literal["tool", "prompt", "resource"]


class Target(NamedTuple):
    """Something a rule can be about: a tool or prompt by name, a resource by URI."""

    kind: Kind
    name: str


class Operation(NamedTuple):
    """One JSON-RPC message as far as the policy cares; `method` is "" for a client's response."""

    method: str
    targets: tuple[Target, ...] = ()
    request_id: int | str | None = None
    arguments: bytes = b"{}"  # of a call, as JSON; not looked at where no policy asks about them


class _Reference(msgspec.Struct):
    name: str | None = None
    uri: str | None = None


class _Subscriptions(msgspec.Struct, rename="camel"):
    resource_subscriptions: list[str] | None = None


class _Params(msgspec.Struct):
    name: str | None = None
    uri: str | None = None
    ref: _Reference | None = None
    notifications: _Subscriptions | None = None
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _Envelope(msgspec.Struct):
    method: str = ""
    id: int | str | float | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")


_envelope = msgspec.json.Decoder(_Envelope).decode
_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_params = msgspec.json.Decoder(_Params).decode

_inner = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

# The members that decide; none may be there twice, or in another case.
READ = frozenset({"jsonrpc", "method", "id", "params"})
READ_OF_PARAMS = frozenset({"name", "uri", "ref", "notifications", "arguments"})
READ_OF_REFERENCE = frozenset({"type", "name", "uri"})
READ_OF_SUBSCRIPTIONS = frozenset({"resourceSubscriptions"})
DECIDED = frozenset(  # operations with a target
    {
        "tools/call",
        "prompts/get",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "completion/complete",
        "subscriptions/listen",
    }
)

# What calls something by the name in its parameters, and its kind.
_NAMED: dict[str, Kind] = {"tools/call": "tool", "prompts/get": "prompt"}


def operations(body: bytes) -> list[Operation]:
    """What a body asks for: one operation, or those of a batch (2025-03-26), in order.

    Raises:
        InvalidJson: the body is no JSON.
        InvalidMessage: it is no JSON-RPC message, or one whose target cannot be told.
    """
    first = body.lstrip(b" \t\r\n")[:1]
    try:
        if first == b"[":
            messages = _batch(body)
            if not 0 < len(messages) <= MAX_BATCH:
                raise InvalidMessage(f"a batch of {len(messages)} messages")
            return [_operation(bytes(message)) for message in messages]
        return [_operation(body)]
    except msgspec.ValidationError as error:
        raise InvalidMessage(f"not a JSON-RPC message: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(f"not JSON: {error}") from None
    except RecursionError:
        raise InvalidJson("nested too deeply") from None


def _operation(text: bytes) -> Operation:
    message = _envelope(text)
    request_id = message.id if isinstance(message.id, int | str) else None
    try:
        check_members(text, READ)
        if message.method in DECIDED:
            _check_parameters(message.params)
        if kind := _NAMED.get(message.method):
            called = _params(message.params)
            targets = (Target(kind, _present(called.name)),)
            return Operation(message.method, targets, request_id, bytes(called.arguments))
        return Operation(message.method, tuple(_targets(message.method, message.params)), request_id)
    except AmbiguousMembers as error:
        raise InvalidMessage(str(error), request_id) from None
    except msgspec.ValidationError as error:
        raise InvalidMessage(f"parameters of {message.method[:100]!a}: {error}", request_id) from None


def _check_parameters(raw: msgspec.Raw) -> None:
    """The parameters that decide, down to the members that are read, are read alike by everyone."""
    params = _inner(raw)
    check_members(bytes(raw), READ_OF_PARAMS)
    for name, read in (("ref", READ_OF_REFERENCE), ("notifications", READ_OF_SUBSCRIPTIONS)):
        inner = bytes(params.get(name, b""))
        if inner.startswith(b"{"):
            check_members(inner, read)


def _targets(method: str, raw: msgspec.Raw) -> list[Target]:
    if method == "resources/read":
        return [Target("resource", _present(_params(raw).uri))]
    if method in ("resources/subscribe", "resources/unsubscribe"):  # not of every revision: the app says what is wrong
        uri = _params(raw).uri
        return [] if uri is None else [Target("resource", uri)]
    if method == "completion/complete":
        reference = _params(raw).ref or _Reference()
        named = [Target("prompt", reference.name)] if reference.name else []
        if reference.uri is not None or not named:  # one that names both has to pass as both, whichever is read
            named.append(Target("resource", _present(reference.uri)))
        return named
    if method == "subscriptions/listen":
        wanted = _params(raw).notifications
        uris = (wanted and wanted.resource_subscriptions) or []
        if len(uris) > MAX_SUBSCRIPTIONS:
            raise msgspec.ValidationError(f"{len(uris)} subscriptions, more than {MAX_SUBSCRIPTIONS}")
        return [Target("resource", uri) for uri in uris]
    return []


def _present(value: str | None) -> str:
    if value is None:
        raise msgspec.ValidationError("the name of what is meant is missing")
    return value


def check_mirrored(headers: dict[bytes, bytes], asked: list[Operation]) -> None:
    """The mirrored headers of a 2026-07-28 request say what its body says (MCP 2026-07-28, Server Validation).

    Requests of older revisions carry none, and what they send under these names means nothing.

    Raises:
        HeaderMismatch: with the id of the request.
    """
    version = headers.get(b"mcp-protocol-version")
    if version is None or version in HANDSHAKE_REVISIONS:
        return
    if len(asked) > 1:
        raise InvalidMessage("a batch, which this revision does not have")
    operation = asked[0]
    if operation.request_id is None:
        return  # a notification, whose headers the text leaves undefined
    if headers.get(b"mcp-method") != operation.method.encode():
        raise HeaderMismatch("Mcp-Method is not the method of the body", operation.request_id)
    if operation.method in _NAMED or operation.method == "resources/read":
        name = decode_mirrored(headers.get(b"mcp-name"))
        if name != operation.targets[0].name:
            raise HeaderMismatch("Mcp-Name is not the name in the body", operation.request_id)


def decode_mirrored(value: bytes | None) -> str | None:
    """The text of a mirrored header: as it stands, or out of `=?base64?…?=`; None where it is not well formed."""
    if value is None or not value.isascii():  # what is not ASCII has to be encoded
        return None
    if not (value.startswith(b"=?base64?") and value.endswith(b"?=")):
        return value.decode()
    encoded = value[len(b"=?base64?") : -len(b"?=")]
    try:
        decoded = binascii.a2b_base64(encoded, strict_mode=True)
        return decoded.decode() if base64.b64encode(decoded) == encoded else None
    except ValueError:
        return None
