"""What could be typed next: commands, names the server has, arguments from a tool's schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from client.plain import line
from client.schema import choices_of, kind_of, properties_of

WORDS = {
    "auth": ("login", "logout", "status", "refresh"),
    "set-auth-method": ("oauth", "lambda", "auto"),
    "debug": ("on", "off"),
}
_AT_NAME = re.compile(r'[{,]\s*"?([^"{}\[\],:]*)$')  # within an object, where the name of a member begins
_AT_VALUE = re.compile(r'"([^"]+)"\s*:\s*("?[^"{}\[\],]*)$')
_NAMES = re.compile(r'"([^"]+)"\s*:')

Suggestion = tuple[str, int, str]  # what to write, how many characters before the cursor it replaces, what it is


def suggestions(text: str, commands: Mapping[str, str], tools: Sequence[Any]) -> Iterable[Suggestion]:
    """Ways to go on from what stands before the cursor."""
    command, blank, rest = text.lstrip().partition(" ")
    if not blank:
        return [(name, len(command), about) for name, about in commands.items() if name.startswith(command)]
    if command != "call-tool":
        return [(word, len(rest), "") for word in WORDS.get(command, ()) if word.startswith(rest)]
    name, blank, arguments = rest.lstrip().partition(" ")
    if not blank:
        return [
            (t.name, len(name), line(t.title or "")) for t in tools if _is_typable(t.name) and t.name.startswith(name)
        ]
    schema: dict[str, Any] = next((tool.input_schema for tool in tools if tool.name == name), {})
    return list(_of_arguments(arguments, properties_of(schema)))


def _of_arguments(text: str, properties: Mapping[str, Any]) -> Iterable[Suggestion]:
    if not text.strip():
        yield "{", len(text), "arguments"
        return
    value = _AT_VALUE.search(text)
    if value:
        yield from _of_value(value[2], properties.get(value[1], {}))
        return
    name = _AT_NAME.search(text)
    if name:
        begun, used = name[1], set(_NAMES.findall(text))
        for each, schema in properties.items():
            if each.startswith(begun) and each not in used and _is_typable(each):
                quoted = len(begun) + (text[: len(text) - len(begun)].endswith('"'))
                yield f'"{each}": ', quoted, _about(schema)


def _of_value(begun: str, schema: Mapping[str, Any]) -> Iterable[Suggestion]:
    for choice in choices_of(schema) or ([True, False] if kind_of(schema) == "boolean" else []):
        written = json.dumps(choice)
        if written.startswith(begun):
            yield written, len(begun), ""


def _about(schema: Mapping[str, Any]) -> str:
    return line(str(schema.get("description") or kind_of(schema)))[:60]


def _is_typable(name: str) -> bool:
    """Whether a name of the server's may be put on the command line as it is."""
    return line(name) == name and " " not in name
