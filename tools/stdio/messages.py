"""JSON-RPC messages on their way through: only what tells them apart is read, all else stays to the letter."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

Members = dict[str, Raw]  # of a JSON object, in its order

PROGRESS_TOKEN = ("params", "_meta", "progressToken")
CANCELLED = ("params", "requestId")
SUBSCRIPTION = ("params", "_meta", "io.modelcontextprotocol/subscriptionId")
ENDED_SUBSCRIPTION = ("result", "_meta", "io.modelcontextprotocol/subscriptionId")
LOG_LEVEL = ("params", "_meta", "io.modelcontextprotocol/logLevel")

_object = msgspec.json.Decoder(Members).decode
_array = msgspec.json.Decoder(list[Raw]).decode
_text = msgspec.json.Decoder(str).decode
_number = msgspec.json.Decoder(int).decode
encode = msgspec.json.Encoder().encode


class NotAMessage(ValueError):
    """A line is no JSON-RPC message."""


def read(line: bytes) -> Members:
    """The members of a message.

    Raises:
        NotAMessage: it is none.
    """
    try:
        if not line.isascii():
            line.decode()  # what is skipped below is not looked at
        return _object(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAMessage from None


def read_all(line: bytes) -> list[Members]:
    """The messages of a line, which up to 2025-03-26 may be a batch of them.

    Raises:
        NotAMessage: it holds something else.
    """
    if line.lstrip()[:1] != b"[":
        return [read(line)]
    try:
        return [read(bytes(part)) for part in _array(line)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAMessage from None


def write(members: Members) -> bytes:
    """A message as one line, without its end: a line break in JSON is only ever a blank."""
    return encode(members).replace(b"\n", b" ").replace(b"\r", b" ")


def method_of(members: Members) -> str | None:
    """The method of a request or notification; None for a response."""
    try:
        return _text(members["method"])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def number_of(raw: Raw | None) -> int | None:
    """A number that we gave; None for anything else."""
    try:
        return None if raw is None else _number(raw)
    except msgspec.DecodeError:
        return None


def found(members: Members, *path: str) -> Raw | None:
    """A member deep in a message; None where something on the way is not there."""
    for name in path[:-1]:
        try:
            members = _object(members[name])
        except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
    return members.get(path[-1])


def changed(members: Members, path: tuple[str, ...], value: Raw) -> Members:
    """The message with another value for a member that `found` finds."""
    name, *rest = path
    if rest:
        value = Raw(encode(changed(_object(members[name]), tuple(rest), value)))
    return {**members, name: value}


def members_of(value: Raw | None) -> Members:
    """The members of an object; none where it is no object."""
    try:
        return {} if value is None else _object(value)
    except msgspec.DecodeError:
        return {}


def raw(value: Any) -> Raw:
    """A value as it stands in a message."""
    return Raw(encode(value))


def request(method: str, params: Any) -> Members:
    """A request of our own, which gets its id when it is sent."""
    return {"jsonrpc": raw("2.0"), "method": raw(method), "params": raw(params)}


def notification(method: str, params: Any = None) -> Members:
    """A notification of our own."""
    sent = {"jsonrpc": raw("2.0"), "method": raw(method)}
    return sent if params is None else {**sent, "params": raw(params)}


def error(request_id: Raw, code: int, message: str) -> Members:
    """A response that says what is wrong."""
    return {"jsonrpc": raw("2.0"), "id": request_id, "error": raw({"code": code, "message": message})}


def result(request_id: Raw, value: Any) -> Members:
    """A response of our own."""
    return {"jsonrpc": raw("2.0"), "id": request_id, "result": raw(value)}
