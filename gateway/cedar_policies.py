"""The text of Cedar policies: read and checked when the gate starts, each problem with its file, line and sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import cedarpy
from cedarpy import pst

from gateway.cedar_schema import schema_of
from gateway.settings import CedarSettings

MAX_FILE = 1_000_000  # bytes
BLANK = re.compile(r"(?:\s|//[^\n]*)*")  # and comments


class InvalidPolicy(Exception):
    """Policies that cannot be used; the text says where and why."""


def checked(settings: CedarSettings) -> str:
    """The text of the policies, if every one of them can be used.

    Raises:
        InvalidPolicy: one cannot.
    """
    if problems := problems_of(settings):
        raise InvalidPolicy("; ".join(problems))
    return text_of(settings)


def problems_of(settings: CedarSettings) -> list[str]:
    """What is wrong with the policies, each sentence with the file and the line; empty when nothing is."""
    name = settings.file or "policies"
    try:
        pieces = list(located(text_of(settings)))
        schema = cedarpy.Schema.from_json_str(json.dumps(schema_of(settings)))
    except (InvalidPolicy, ValueError) as error:
        return [str(error)]
    if not pieces:
        return [f"{name}: holds no policy, so everything would be refused; write one, or leave cedar out"]
    found = [(line, _problem(piece, schema, settings)) for line, piece in pieces]
    return [f"{name}, line {line}: {problem}" for line, problem in found if problem] or list(_repeated(name, pieces))


def text_of(settings: CedarSettings) -> str:
    """The policies as they are written.

    Raises:
        InvalidPolicy: their file cannot be read.
    """
    if not settings.file:
        return settings.policies
    try:
        if (size := Path(settings.file).stat().st_size) > MAX_FILE:
            raise InvalidPolicy(f"{settings.file}: {size} bytes, more than {MAX_FILE}; divide it among resources")
        return Path(settings.file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise InvalidPolicy(f"{settings.file}: cannot be read ({cause}); check its path, rights and encoding") from None


def located(text: str) -> Iterator[tuple[int, str]]:
    """Every policy of a text with the line it begins in. What cannot be read is one piece, to the end."""
    start = 0
    for end in (semicolon.end() for semicolon in re.finditer(";", text)):
        try:
            policies = cedarpy.PolicySet.from_str(text[start:end])
        except ValueError:
            continue  # the semicolon stands in a text, or what comes before it is wrong
        if len(policies) or policies.templates():
            yield _line(text, start), text[start:end]
            start = end
    if len(text) > (rest := BLANK.match(text, start).end()):  # type: ignore[union-attr]  # it matches nothing, too
        yield _line(text, rest), text[rest:]


def _line(text: str, start: int) -> int:
    begun = BLANK.match(text, start)
    return text.count("\n", 0, begun.end() if begun else start) + 1


def _problem(policy: str, schema: cedarpy.Schema, settings: CedarSettings) -> str:
    """The first thing that is wrong with one policy; "" if nothing is."""
    try:
        parsed = cedarpy.PolicySet.from_str(policy)
        if parsed.templates():
            return "a template, which permits nothing by itself; write out what ?principal and ?resource stand for"
        nodes = parsed.to_pst()
    except ValueError as error:
        return f"not Cedar: {error}"
    if unknown_names := sorted(undeclared(nodes, settings)):
        return unknown_names[0]
    errors = [error.error for error in cedarpy.validate_policies(policy, schema).errors]
    said = sorted(error.removeprefix("for policy `policy0`, ") for error in errors)
    return min(said, key=lambda error: error.startswith("unable"), default="")  # what is unknown before what follows


def undeclared(node: object, settings: CedarSettings) -> Iterator[str]:
    """Arguments and claims that a policy asks about and the settings do not declare.

    Cedar's own check says nothing of `has` and what follows it: a misspelt name is taken for one that is absent.
    """
    arguments = {name for declared in settings.arguments.values() for name in declared}
    known = {("context", "arguments"): arguments, ("principal", "claims"): settings.claims}
    for at, name in asked_for(node):
        if at in known and name not in known[at]:
            yield f"{at[1]} has no {name}; declare it with its type in cedar.{at[1]}, or correct it"


def asked_for(node: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every attribute that an expression reads or looks for, with the path of what it is an attribute of."""
    if isinstance(node, pst.GetAttr):
        yield path_of(node.base), node.attr
    elif isinstance(node, pst.HasAttr):
        yield from ((path_of(node.base) + node.attrs[:i], name) for i, name in enumerate(node.attrs))
    if is_dataclass(node):
        yield from (found for part in fields(node) for found in asked_for(getattr(node, part.name)))
    elif isinstance(node, tuple | Mapping):
        members = node.values() if isinstance(node, Mapping) else node
        yield from (found for member in members for found in asked_for(member))


def path_of(node: object) -> tuple[str, ...]:
    """A variable and the attributes read from it; what is no such path is a path of its own."""
    if isinstance(node, pst.GetAttr):
        return (*path_of(node.base), node.attr)
    return (node.name,) if isinstance(node, pst.Var) else ("",)


def _repeated(name: str, pieces: Iterable[tuple[int, str]]) -> Iterator[str]:
    lines: dict[str, int] = {}
    for line, piece in pieces:
        for policy in cedarpy.policies_to_pst(piece).static_policies.values():
            if (given := policy.annotations.get("id")) and given in lines:
                yield f"{name}, line {line}: @id({given!a}) is also that of line {lines[given]}; the log could not tell"
            elif given:
                lines[given] = line
