"""The template as CloudFormation will fill it in, so that what it says can be judged before it is sent.

What AWS names only when it is there, such as an API, has a stand-in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("template.yaml")
NOT_KNOWN_YET = "not-known-yet"
NO_VALUE = object()  # takes out the property that it is the value of
PLACE = re.compile(r"\$\{([^}]+)\}")


@cache
def template() -> dict[str, Any]:
    """The template, its short forms written out."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads a short form as the function that it stands for."""

    def written_out(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
        if isinstance(node, yaml.ScalarNode):
            return {tag: loader.construct_scalar(node)}
        return {tag: loader.construct_sequence(node, deep=True)}  # type: ignore[arg-type]  # no mapping has a short form

    Loader.add_multi_constructor("!", written_out)
    read: dict[str, Any] = yaml.load(TEMPLATE.read_text("utf-8"), Loader)  # noqa: S506 - it is a safe one
    return read


class Filled:
    """The template with parameters; `origin` is what clients know already, where that is not known from these."""

    def __init__(self, parameters: Mapping[str, str], region: str, origin: str = "") -> None:
        self._parameters = parameters
        self._origin = origin
        self._names: dict[str, Any] = {
            "AWS::Region": region,
            "AWS::URLSuffix": f"amazonaws.com{'.cn' if region.startswith('cn-') else ''}",
            "AWS::NoValue": NO_VALUE,
            "Pool": f"{region}_NotKnownYet",
        }
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "GetAtt": self._attribute,
            "Sub": self._text,
            "If": lambda said: self.value(said[1] if self.holds(said[0]) else said[2]),
            "Select": lambda said: self.value(said[1])[int(said[0])],
            "Split": lambda said: self.value(said[1]).split(said[0]),
            "Join": lambda said: said[0].join(self.value(said[1])),
            "Condition": self.holds,
            "Equals": lambda said: str(self.value(said[0])) == str(self.value(said[1])),
            "Not": lambda said: not self.value(said[0]),
            "And": lambda said: all(self.value(each) for each in said),
            "Or": lambda said: any(self.value(each) for each in said),
        }

    def variables(self, function: str) -> dict[str, str]:
        """The environment of a function, by its name in the template."""
        said = template()["Resources"][function]["Properties"]["Environment"]["Variables"]
        return {name: str(value) for name, value in self.value(said).items()}

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is met."""
        met: bool = self.value(template()["Conditions"][condition])
        return met

    def value(self, said: Any) -> Any:
        """What a part of the template comes to."""
        if isinstance(said, list):
            return [each for each in map(self.value, said) if each is not NO_VALUE]
        if not isinstance(said, dict):
            return said
        (first, *more) = said or [""]
        if not more and first in self._functions:
            return self._functions[first](said[first])
        filled = {key: self.value(each) for key, each in said.items()}
        return {key: each for key, each in filled.items() if each is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name not in self._parameters:
            return self._names.get(name, NOT_KNOWN_YET)
        listed = template()["Parameters"][name]["Type"] == "CommaDelimitedList"
        return self._parameters[name].split(",") if listed else self._parameters[name]

    def _attribute(self, name: str) -> Any:
        made = template()["Resources"][name.partition(".")[0]]
        value = self.value(made["Properties"]["Value"]) if made["Type"] == "AWS::SSM::Parameter" else NOT_KNOWN_YET
        return self._origin if name == "Origin.Value" and self._origin and NOT_KNOWN_YET in value else value

    def _text(self, said: Any) -> str:
        text, own = said if isinstance(said, list) else (said, {})
        names = {name: self.value(value) for name, value in own.items()}

        def filled(place: re.Match[str]) -> str:
            name = place[1]
            if name in names:
                return str(names[name])
            return str(self._attribute(name) if "." in name else self._ref(name))

        return PLACE.sub(filled, text)
