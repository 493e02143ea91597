"""A JSON Schema as a stranger wrote it: what is of the wrong shape in it counts as not said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_REFERENCES = 8  # one after the other; some lead to themselves
_EITHER = ("anyOf", "oneOf")


def properties_of(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The members that an object may have, each with its schema."""
    found = schema.get("properties")
    if not isinstance(found, dict):
        return {}
    return {name: _resolved(each, schema) if isinstance(each, dict) else {} for name, each in found.items()}


def required_of(schema: Mapping[str, Any]) -> list[str]:
    """The members that an object must have."""
    return [name for name in _list(schema.get("required")) if isinstance(name, str)]


def choices_of(schema: Mapping[str, Any]) -> list[Any]:
    """The values that are allowed, if only some are."""
    if said := _list(schema.get("enum")):
        return said
    named = [_named(option) for option in _options(schema) if option != {"type": "null"}]
    return [choice for each in named for choice in each] if all(named) else []


def kind_of(schema: Mapping[str, Any]) -> str:
    """The type, or the first that is not null where several are allowed; empty if none is said."""
    said = schema.get("type")
    several = said if isinstance(said, list) else [said]
    for option in _options(schema):
        several = [*several, option.get("type") if isinstance(option, dict) else None]
    return next((kind for kind in several if isinstance(kind, str) and kind != "null"), "")


def _resolved(schema: dict[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with what it refers to in its place, and so with each of the options that it names."""
    found = _followed(schema, root)
    options = {name: [_followed(each, root) for each in _list(found.get(name))] for name in _EITHER if name in found}
    return {**found, **options}


def _followed(schema: Any, root: Mapping[str, Any]) -> Any:
    """The schema that references lead to, as pydantic and zod write them; what stands beside one goes before it."""
    for _ in range(MAX_REFERENCES):
        referred = _referred(schema, root) if isinstance(schema, dict) else None
        if not isinstance(referred, dict):
            break
        schema = {**referred, **{name: each for name, each in schema.items() if name not in ("$ref", "allOf")}}
    return schema


def _referred(schema: dict[str, Any], root: Mapping[str, Any]) -> Any:
    """What `$ref` names within the same document (RFC 6901), or `allOf` where it is of one."""
    ref, several = schema.get("$ref"), _list(schema.get("allOf"))
    if not isinstance(ref, str) or not ref.startswith("#/"):
        return several[0] if len(several) == 1 else None
    found: Any = root
    for part in ref[2:].split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _options(schema: Mapping[str, Any]) -> list[Any]:
    return [option for name in _EITHER for option in _list(schema.get(name))]


def _named(option: Any) -> list[Any]:
    """The values that an option allows, if it names them."""
    if not isinstance(option, dict):
        return []
    return [option["const"]] if "const" in option else _list(option.get("enum"))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
