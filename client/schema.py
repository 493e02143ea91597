"""A JSON Schema as a stranger wrote it: what is of the wrong shape in it counts as not said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def properties_of(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The members that an object may have, each with its schema."""
    found = schema.get("properties")
    if not isinstance(found, dict):
        return {}
    return {name: each if isinstance(each, dict) else {} for name, each in found.items()}


def required_of(schema: Mapping[str, Any]) -> list[str]:
    """The members that an object must have."""
    return [name for name in _list(schema.get("required")) if isinstance(name, str)]


def choices_of(schema: Mapping[str, Any]) -> list[Any]:
    """The values that are allowed, if only some are."""
    return _list(schema.get("enum"))


def kind_of(schema: Mapping[str, Any]) -> str:
    """The type, or the first that is not null where several are allowed; empty if none is said."""
    said = schema.get("type")
    several = said if isinstance(said, list) else [said]
    for option in _list(schema.get("anyOf")) + _list(schema.get("oneOf")):
        several = [*several, option.get("type") if isinstance(option, dict) else None]
    return next((kind for kind in several if isinstance(kind, str) and kind != "null"), "")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
