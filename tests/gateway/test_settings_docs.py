"""docs/settings.md holds every setting as its field declares it: one that is not documented fails here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
import yaml

from gateway.settings import (
    CedarSettings,
    CedarType,
    ClientSettings,
    CommandSettings,
    CredentialSettings,
    FacadeSettings,
    IdentitySettings,
    IssuerSettings,
    ResourceSettings,
    Rule,
    Settings,
    UpstreamSettings,
)
from gateway.sources import PREFIX, parse

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
TABLES: dict[str, type[msgspec.Struct]] = {
    "The gate": Settings,
    "An issuer": IssuerSettings,
    "A resource": ResourceSettings,
    "An upstream": UpstreamSettings,
    "A credential": CredentialSettings,
    "An identity": IdentitySettings,
    "A command": CommandSettings,
    "A rule": Rule,
    "Cedar policies": CedarSettings,
    "The facade": FacadeSettings,
    "A known client": ClientSettings,
}
WORDS = {str: "text", bool: "`true` or `false`", int: "whole number", float: "number", NoneType: "nothing"}
STRUCTS = {
    IssuerSettings: "issuer",
    ResourceSettings: "resource",
    UpstreamSettings: "upstream",
    CredentialSettings: "credential",
    IdentitySettings: "identity",
    CommandSettings: "command",
    Rule: "rule",
    CedarSettings: "Cedar policies",
    FacadeSettings: "facade",
    ClientSettings: "known client",
}


def kind_of(kind: Any) -> str:
    """A field's type in words."""
    bare = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    origin, inner = get_origin(bare), get_args(bare)
    if origin is Literal:
        return " or ".join(f"`{value}`" if value else "empty" for value in inner)
    if origin is list:
        return f"list of {STRUCTS.get(inner[0]) or kind_of(inner[0])}s"
    if origin is dict:
        kinds: dict[Any, str] = {list[str]: "lists of texts", str: "texts", CedarType: "types of Cedar"}
        kinds[dict[str, CedarType]] = "texts and types of Cedar"
        values = kinds.get(inner[1], "texts, whole numbers or booleans")
        return f"mapping of texts to {values}"
    if struct := next((one for one in inner if one in STRUCTS), None):
        others = [f" or {kind_of(one)}" for one in inner if one not in (struct, NoneType)]
        return f"{STRUCTS[struct]}{''.join(others)}"
    if origin is not None:
        return kind_of(next(one for one in inner if one is not NoneType))
    return WORDS[bare] + bounds_of(kind)


def bounds_of(kind: Any) -> str:
    """The bounds of a number."""
    for meta in getattr(kind, "__metadata__", ()):
        if meta.ge is not None:
            return f", {meta.ge} to {meta.le}" if meta.le is not None else f", at least {meta.ge}"
    return ""


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """A field's default as YAML says it."""
    if field.required:
        return "required"
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if default == [ResourceSettings()]:
        return "one at `/mcp`"
    if default in ("", [], {}, None):
        return "none"
    return f"`{msgspec.json.encode(default).decode()}`" if not isinstance(default, str) else f"`{default}`"


def rows(struct: type[msgspec.Struct]) -> Iterator[str]:
    """A struct as the lines of its table."""
    for field in msgspec.structs.fields(struct):
        sentence = next(meta.description for meta in field.type.__metadata__ if meta.description)
        yield f"| `{field.encode_name}` | {kind_of(field.type)} | {default_of(field)} | {sentence} |"


def section(title: str) -> list[str]:
    """The lines of a section of the page."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None, f"docs/settings.md has no section {title!r}"
    return found[1].splitlines()


@pytest.mark.parametrize("title", TABLES)
def test_every_setting_is_documented_as_it_is(title: str) -> None:
    assert [line for line in section(title) if line.startswith("| `")] == list(rows(TABLES[title]))


def test_examples_of_the_page_are_settings() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(examples) >= 2
    for example in examples:
        parse(yaml.safe_load(example))


def test_variables_of_the_page_are_settings() -> None:
    named = set(re.findall(rf"{PREFIX}([A-Z_]+)", PAGE.read_text("utf-8")))
    assert {name.lower() for name in named} <= {"file", *Settings.__struct_fields__}
