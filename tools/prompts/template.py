r"""A template: front matter that declares arguments, and a text into which their values are put. There is no logic.

`{{name}}` stands for the argument of that name and `\{{` for two braces; `{{` means nothing else. The text is cut
into parts once, before any value is known, so that a value is never read as a template, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tools.prompts.arguments import Argument
from tools.prompts.front_matter import declared
from tools.prompts.refusals import Unusable

MAX_BYTES = 64 * 1024  # of a template
MAX_FRONT_MATTER = 8 * 1024  # characters
MAX_RENDERED = 256 * 1024  # characters

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_BRACES = re.compile(r"(?P<escape>\\\{\{)|\{\{(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})\}\}|\{\{")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Part(NamedTuple):
    """A piece of the text: words as they are, or the name of the argument that comes there."""

    words: str = ""
    argument: str = ""


@dataclass(frozen=True)
class Template:
    """A template that can be rendered."""

    title: str
    description: str
    arguments: tuple[Argument, ...]
    parts: tuple[Part, ...]

    def render(self, given: Mapping[str, str]) -> str:
        """The text with these arguments, and defaults for those not given.

        Raises:
            Unusable: an argument is missing, unknown or not of its type, or the text would be too long.
        """
        values = self._values(given)
        pieces = [values[part.argument] if part.argument else part.words for part in self.parts]
        if sum(map(len, pieces)) > MAX_RENDERED:
            raise Unusable(f"The prompt would have more than {MAX_RENDERED} characters: give shorter arguments.")
        return "".join(pieces)

    def argument(self, name: str) -> Argument | None:
        """The argument of that name."""
        return next((argument for argument in self.arguments if argument.name == name), None)

    def _values(self, given: Mapping[str, str]) -> dict[str, str]:
        names = [argument.name for argument in self.arguments]
        if unknown := [name for name in given if name not in names]:
            known = f"it has {', '.join(names)}" if names else "it has none"
            raise Unusable(f"The prompt has no argument {unknown[0][:60]!a}: {known}.")
        missing = [
            argument.name for argument in self.arguments if argument.default is None and argument.name not in given
        ]
        if missing:
            raise Unusable(f"The prompt needs the argument{'s' * (len(missing) > 1)} {', '.join(missing)}.")
        values = {argument.name: given.get(argument.name, argument.default or "") for argument in self.arguments}
        for argument in self.arguments:
            if argument.name in given:
                argument.check(values[argument.name])
        return values


def parse(content: bytes) -> Template:
    """The template that a file holds.

    Raises:
        Unusable: with the first thing that is wrong with it, and where.
    """
    text = _text(content)
    found = _FRONT_MATTER.match(text)
    if found is None:
        raise Unusable(
            "The template must begin with front matter between two lines of ---, with title and description."
        )
    if len(found[1]) > MAX_FRONT_MATTER:
        raise Unusable(f"The front matter has more than {MAX_FRONT_MATTER} characters: shorten it.")
    front = declared(found[1])
    body = text[found.end() :].strip("\n")
    if not body.strip():
        raise Unusable("The template has no text below its front matter: write some.")
    skipped = text[: found.end()].count("\n") + len(text[found.end() :]) - len(text[found.end() :].lstrip("\n"))
    parts = tuple(_parts(body, skipped + 1))
    _check_used(front.arguments, parts)
    return Template(front.title, front.description, front.arguments, parts)


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise Unusable(f"The template has more than {MAX_BYTES} bytes: shorten it.")
    try:
        text = content.decode("utf-8-sig")  # some editors put a byte order mark first
    except UnicodeDecodeError as error:
        raise Unusable(f"The template is no UTF-8 at byte {error.start}: save it as UTF-8.") from None
    text = text.replace("\r\n", "\n")
    if strange := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, strange.start()) + 1
        raise Unusable(f"The template holds the control character {strange[0]!a} in line {line}: leave it out.")
    return text


def _parts(body: str, first_line: int) -> Iterator[Part]:
    """The pieces of a text that begins in that line of its file."""
    end = 0
    for found in _BRACES.finditer(body):
        yield Part(words=body[end : found.start()])
        end = found.end()
        if found["escape"]:
            yield Part(words="{{")
        elif found["name"]:
            yield Part(argument=found["name"])
        else:
            line = first_line + body.count("\n", 0, found.start())
            raise Unusable(
                f"Line {line} of the template has '{{{{' without the name of an argument and '}}}}': "
                r"write {{name}}, or \{{ for two braces."
            )
    yield Part(words=body[end:])


def _check_used(arguments: tuple[Argument, ...], parts: tuple[Part, ...]) -> None:
    names = [argument.name for argument in arguments]
    used = {part.argument for part in parts if part.argument}
    if unknown := sorted(used.difference(names)):
        raise Unusable(
            f"The template uses {', '.join(f'{{{{{name}}}}}' for name in unknown)}, which its front matter does not "
            "declare: add it to arguments, or take it out."
        )
    if unused := [name for name in names if name not in used]:
        raise Unusable(
            f"The front matter declares {', '.join(unused)}, which the text does not use: "
            f"write {{{{{unused[0]}}}}} where it belongs, or take it out of arguments."
        )
