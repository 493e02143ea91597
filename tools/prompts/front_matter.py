"""The front matter of a template: YAML without anything that runs, refers to itself or means more than it says."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import yaml

from tools.prompts.arguments import Argument, unprintable
from tools.prompts.refusals import Unusable

if TYPE_CHECKING:
    from yaml.nodes import MappingNode, Node

MAX_ARGUMENTS = 20
MAX_DEPTH = 6  # of nesting; four are needed

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Description = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands above the text of a template."""

    title: Title
    description: Description
    arguments: Annotated[tuple[Argument, ...], msgspec.Meta(max_length=MAX_ARGUMENTS)] = ()


# Templates are read in several threads, and two that are the first to ask msgspec for a type end the process.
msgspec.json.Decoder(FrontMatter)


class _Loader(yaml.BaseLoader):
    """Mappings, lists and texts alone: `no` is two letters, `1.10` has four characters, and tags make no objects."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # of the parser, which has no types
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(
                problem="has an anchor, alias or tag: write the value", problem_mark=event.start_mark
            )
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="is nested too deeply", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = set()
        for key, _ in node.value:
            if not isinstance(key.value, str) or key.value in names:
                raise yaml.MarkedYAMLError(
                    problem="has a key twice, or one that is no word", problem_mark=key.start_mark
                )
            names.add(key.value)
        return super().construct_mapping(node, deep=deep)


def declared(text: str) -> FrontMatter:
    """What the front matter says.

    Raises:
        Unusable: it is no YAML, or does not say what it must.
    """
    try:
        front = msgspec.convert(_loaded(text), FrontMatter)
    except msgspec.ValidationError as error:
        raise Unusable(f"The front matter is not as it must be: {_told(error)}.") from None
    if not front.title.strip() or "\n" in front.title:
        raise Unusable("The title in the front matter must be one line that says something.")
    texts = [front.title, front.description]
    texts += [text for argument in front.arguments for text in (argument.description, *argument.choices)]
    if any(map(unprintable, texts)) or any("\n" in choice for one in front.arguments for choice in one.choices):
        raise Unusable("The front matter writes a control character as an escape: leave it out.")
    _check(front.arguments)
    return front


def _loaded(text: str) -> object:
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1  # the first is the line of ---
        raise Unusable(f"The front matter is no YAML that is read here: line {line} {error.problem}.") from None
    except yaml.YAMLError as error:
        raise Unusable(f"The front matter is no YAML: {str(error).splitlines()[0]}.") from None
    except (ValueError, OverflowError):  # of int() and chr(), which the parser asks without looking
        raise Unusable("The front matter has an escape or a directive whose number is too large: correct it.") from None


def _told(error: msgspec.ValidationError) -> str:
    """What is wrong and where, in the words of YAML."""
    text = str(error).replace("`$.", "`").replace("`$`", "the top")
    for theirs, ours in (
        ("`object`", "keys with values"),
        ("`array`", "a list"),
        ("`str`", "a text"),
        ("`null`", "nothing"),
    ):
        text = text.replace(theirs, ours)
    text = text[0].lower() + text[1:200]
    return text if text.isprintable() else ascii(text)  # a field may be called anything


def _check(arguments: tuple[Argument, ...]) -> None:
    """What no single field can say.

    Raises:
        Unusable: with the first argument that is wrong.
    """
    names = [argument.name for argument in arguments]
    for argument in arguments:
        if names.count(argument.name) > 1:
            raise Unusable(f"The front matter declares the argument {argument.name} twice: rename one.")
        if (argument.type == "choice") != bool(argument.choices):
            raise Unusable(f"The argument {argument.name} must have both type: choice and choices, or neither.")
        if len(set(argument.choices)) < len(argument.choices):
            raise Unusable(f"The argument {argument.name} has a choice twice: leave one.")
        if argument.default is not None:
            _check_default(argument, argument.default)


def _check_default(argument: Argument, default: str) -> None:
    try:
        argument.check(default)
    except Unusable as refusal:
        raise Unusable(f"The front matter has a default that does not fit: {refusal}") from None
