"""Questions to a person, and what is said where there is none to ask."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from client.errors import BadInput, ClientError
from client.plain import check_text, line
from client.schema import choices_of, kind_of, properties_of, required_of

_SECRET = re.compile(r"passw|secret|token|api.?key|credential", re.IGNORECASE)
_NUMBERS = {"integer": int, "number": float}


class Asker(Protocol):
    """Somebody, or nobody, who answers questions."""

    async def ask(self, question: str, *, secret: bool = False) -> str:
        """The answer.

        Raises:
            BadInput: nobody is there.
            Declined: somebody is there, and will not say.
        """


class Declined(ClientError):
    """The person does not want to answer."""

    exit = 130


class Nobody:
    """No person: a script, a pipe."""

    async def ask(self, question: str, *, secret: bool = False) -> str:
        """Refuses."""
        del secret
        raise BadInput(f"Nobody is here to answer: {line(question)}")


def arguments_of(text: str) -> dict[str, Any]:
    """Arguments as they are typed: a JSON object, or nothing.

    Raises:
        BadInput: it is something else.
    """
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
        check_text(json.dumps(found, ensure_ascii=False))
    except RecursionError:
        raise BadInput("The arguments are nested too deeply") from None
    except ValueError as error:
        raise BadInput(f'Arguments are a JSON object like {{"name": "value"}}; this is none: {error}') from None
    if not isinstance(found, dict):
        raise BadInput('Arguments are a JSON object like {"name": "value"}')
    return found


def missing(schema: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The required arguments that are not given."""
    return [name for name in required_of(schema) if name not in given]


async def completed(schema: Mapping[str, Any], given: dict[str, Any], asker: Asker) -> dict[str, Any]:
    """The arguments, those that are missing asked for one by one.

    Raises:
        BadInput: there is nobody to ask.
    """
    lacking = missing(schema, given)
    if lacking and isinstance(asker, Nobody):
        raise BadInput(f"Missing arguments: {', '.join(line(name) for name in lacking)}")
    properties = properties_of(schema)
    for name in lacking:
        given[name] = await answer(name, properties.get(name, {}), asker)
    return given


async def answer(name: str, schema: Mapping[str, Any], asker: Asker, *, optional: bool = False) -> Any:
    """A value for one property, asked for until it fits the type; None for one that may be left out, and is."""
    question = f"{line(name)}{_hint(schema, optional=optional)}: "
    while True:
        text = await asker.ask(question, secret=is_secret(name, schema))
        if optional and text == "" and "default" not in schema:
            return None
        try:
            return value_of(text, schema)
        except ValueError as error:
            question = f"{line(name)} ({error}): "


def value_of(text: str, schema: Mapping[str, Any]) -> Any:
    """What was typed, as the schema's type.

    Raises:
        ValueError: it does not fit; the text says what would.
    """
    kind = kind_of(schema)
    if text == "" and "default" in schema:
        return schema["default"]
    if choices := {_written(choice): choice for choice in choices_of(schema)}:
        if text not in choices:
            raise ValueError("one of " + ", ".join(line(choice) for choice in choices))
        return choices[text]
    if kind in _NUMBERS:
        try:
            return _NUMBERS[kind](text)
        except ValueError:
            raise ValueError("a number") from None
    if kind == "boolean":
        return _boolean(text)
    if kind in ("array", "object"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("JSON") from None
    return text


def is_secret(name: str, schema: Mapping[str, Any]) -> bool:
    """Whether an argument is not shown when it is typed."""
    return bool(schema.get("writeOnly") or schema.get("format") == "password" or _SECRET.search(name))


def _boolean(text: str) -> bool:
    if text.lower() in ("y", "yes", "true", "1"):
        return True
    if text.lower() in ("n", "no", "false", "0"):
        return False
    raise ValueError("yes or no")


def _written(choice: Any) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice)


def _hint(schema: Mapping[str, Any], *, optional: bool) -> str:
    parts = [str(schema.get("description") or schema.get("title") or kind_of(schema))]
    if choices := choices_of(schema):
        parts.append("one of " + ", ".join(_written(choice) for choice in choices))
    if "default" in schema:
        parts.append(f"default {schema['default']}")
    if optional:
        parts.append("may be left empty")
    said = "; ".join(part for part in parts if part)
    return f" ({line(said)[:200]})" if said else ""
