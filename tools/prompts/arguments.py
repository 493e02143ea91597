"""The arguments of a template: what they may be, and which values a client may offer for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from tools.prompts.refusals import Unusable

MAX_VALUE = 16_384  # characters of one argument
MAX_CHOICES = 100

Type = Literal["string", "integer", "number", "boolean", "choice"]

_TOLD: dict[Type, str] = {
    "string": "",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "choice": "one of {}",
}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,3})?")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

Choice = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Argument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One argument as the front matter declares it; without a default it is required."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}\Z")]
    type: Type = "string"
    description: Annotated[str, msgspec.Meta(max_length=500)] = ""
    choices: Annotated[tuple[Choice, ...], msgspec.Meta(max_length=MAX_CHOICES)] = ()
    default: str | None = None

    @property
    def values(self) -> Sequence[str]:
        """The values there are, or those worth offering."""
        if self.type == "boolean":
            return ("true", "false")
        if self.type == "choice":
            return self.choices
        return (self.default,) if self.default else ()

    @property
    def said(self) -> str:
        """What a person has to know before giving a value."""
        facts = [
            _TOLD[self.type].format(", ".join(self.choices)),
            f"{self.default} unless given" if self.default else "",
        ]
        told = "; ".join(filter(None, facts))
        return " ".join(filter(None, [self.description, f"({told})" if told else ""]))

    def check(self, value: str) -> None:
        """Whether a value may be put in.

        Raises:
            Unusable: it may not.
        """
        if len(value) > MAX_VALUE:
            raise Unusable(f"The argument {self.name} has {len(value)} characters: give no more than {MAX_VALUE}.")
        if unprintable(value):
            raise Unusable(f"The argument {self.name} holds a control character: leave it out.")
        shown = ascii(value[:60])
        if self.type == "integer" and not _INTEGER.fullmatch(value):
            raise Unusable(f"The argument {self.name} must be a whole number such as 7, not {shown}.")
        if self.type == "number" and not _NUMBER.fullmatch(value):
            raise Unusable(f"The argument {self.name} must be a number such as 0.5, not {shown}.")
        if self.type == "boolean" and value not in self.values:
            raise Unusable(f"The argument {self.name} must be true or false, not {shown}.")
        if self.type == "choice" and value not in self.choices:
            raise Unusable(f"The argument {self.name} must be one of {', '.join(self.choices)}, not {shown}.")

    def completions(self, typed: str) -> list[str]:
        """The values that fit what was typed: first those that begin with it, then those that have it inside."""
        wanted = typed.casefold()
        fitting = [value for value in self.values if wanted in value.casefold()]
        return sorted(fitting, key=lambda value: not value.casefold().startswith(wanted))


def unprintable(text: str) -> bool:
    """Whether a text holds what no prompt needs: control characters, or half of a character."""
    return _UNPRINTABLE.search(text) is not None
