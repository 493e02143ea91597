"""JSON objects that every reader takes alike: no member twice, none that only differs in case from one that is read.

RFC 8259 §4 leaves open which of two members counts, and Go's decoder takes `Method` for `method`; where the gate
decides on a member, an upstream must not find another one in its place.
"""

from __future__ import annotations

import re

import msgspec

MEMBER = re.compile(rb'[ \t\r\n]*("(?:[^"\\]++|\\.)*+")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
MAX_MEMBERS = 100  # of an object that somebody decides on: MCP's have a few
END = re.compile(rb"[ \t\r\n]*[,}]")

# Names of members that clients send; no two of them differ only in case, and none needs escapes.
USUAL = frozenset(
    {"_meta", "argument", "arguments", "context", "cursor", "id", "jsonrpc", "level", "method", "name", "notifications"}
    | {"params", "ref", "resourceSubscriptions", "type", "uri"}
)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_name = msgspec.json.Decoder(str).decode


class AmbiguousMembers(ValueError):
    """Two readers could take the object for different things; the text says why."""


def check_members(text: bytes, read: frozenset[str]) -> None:
    """An object, valid JSON already, whose members are told apart by everyone; `read` are those somebody decides on.

    The walk goes from name to name and steps over values at once, by what the decoder kept for each name: where that
    does not fit, another value stood there, under the same name.

    Raises:
        AmbiguousMembers: a member is there twice, or in another spelling; or there are too many to look at.
    """
    members = _members(text)
    if len(members) > MAX_MEMBERS:
        raise AmbiguousMembers(f"{len(members)} members")
    if members.keys() <= USUAL and len(text) == _shortest(members):
        return  # what most clients write: known members with nothing between them, so none is there twice
    folded = {name.casefold() for name in members}
    spellings = {name.casefold() for name in read}
    if len(folded) != len(members) or any(name not in read and name.casefold() in spellings for name in members):
        raise AmbiguousMembers("members whose names differ only in case")
    position, count = text.index(b"{") + 1, 0
    while member := MEMBER.match(text, position):
        value = bytes(members[_name(member[1])])
        end = END.match(text, member.end() + len(value)) if text.startswith(value, member.end()) else None
        if end is None:
            raise AmbiguousMembers("a member twice")
        position, count = end.end(), count + 1
    if count != len(members):
        raise AmbiguousMembers("a member twice")


def _shortest(members: dict[str, msgspec.Raw]) -> int:
    """Bytes of an object with these members and no blanks: braces, and for each quotes, colon and comma."""
    return 1 + sum(len(name) + len(bytes(value)) + 4 for name, value in members.items())
