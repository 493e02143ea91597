"""The tool registry: plugins found through entry points, and what each says its tools need.

Nothing here imports the MCP SDK: the gate needs every statement for its policy before the first tool is loaded.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

GROUP = "bearergate.tools"  # of the entry points

Kind = Literal["tool", "prompt", "resource"]
Offer = tuple[Kind, str]  # something a plugin registers: a tool or prompt by name, a resource by URI or URI template

_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 §3.3
_EXPRESSION = re.compile(r"\{[^{}]*\}")  # of a URI template (RFC 6570 §2.2)
_EXPANSIONS = ("", "\N{SNOWMAN}", "a/b?c#d")  # what no glob fits by chance, and all of which `*` fits


class PluginError(Exception):
    """A plugin cannot be used; the text names it and says what to do."""


@dataclass(frozen=True)
class Needs:
    """The scopes that one tool, prompt or resource needs; none means those of the gate's resource are enough.

    A resource template is named by a glob that fits everything the template expands to, since what is read is one
    expansion: `greeting://people/*` for `greeting://people/{name}`. What comes and goes while the server runs is
    `dynamic`: it needs a glob that fits all there may ever be, and there may be none when the server starts.

    Raises:
        ValueError: the kind is no kind, the name is none, or `scopes` are no scopes.
    """

    kind: Kind
    name: str  # of a tool or prompt, or the URI of a resource; a glob covers several
    scopes: tuple[str, ...] = ()
    dynamic: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"Needs about a {self.kind!r}: the kinds are {', '.join(get_args(Kind))}")
        if not _is_name(self.name):
            raise ValueError(f"Needs about a {self.kind} {self.name!r}: name it, or give a glob")
        if not _is_tuple_of_scopes(self.scopes):
            raise ValueError(f"the scopes of the {self.kind} {self.name!r} must be a tuple of scopes, as ('a:read',)")

    def covers(self, kind: Kind, name: str) -> bool:
        """Whether this statement is about something of that kind and name, in every form it is asked for."""
        return kind == self.kind and all(fnmatchcase(form, self.name) for form in _forms(kind, name))


@dataclass(frozen=True)
class Plugin:
    """A set of tools, prompts and resources for one MCP server.

    `register` puts them on the server with the SDK's own decorators. It is a function, or `"module:function"`, which
    is imported no earlier than needed. Whatever it registers must be covered by one of `needs`.
    """

    name: str  # that of its entry point
    register: Callable[[MCPServer], None] | str
    needs: Sequence[Needs]

    def __post_init__(self) -> None:
        if not isinstance(self.needs, list | tuple) or not all(isinstance(needs, Needs) for needs in self.needs):
            raise TypeError(f"needs of the plugin {self.name} must be a list of Needs(…)")

    def registrar(self) -> Callable[[MCPServer], None]:
        """The function that registers, imported if it is given by name.

        Raises:
            PluginError: there is no such function.
        """
        if not isinstance(self.register, str):
            return self.register
        module, _, function = self.register.partition(":")
        try:
            found = getattr(importlib.import_module(module), function)
        except (Exception, SystemExit) as error:  # whatever a stranger's module does when it is imported
            raise PluginError(
                f"The plugin {self.name} cannot import {self.register} ({reason_of(error)}): correct or uninstall it."
            ) from error
        if not callable(found):
            raise PluginError(f"The plugin {self.name} registers with {self.register}, which is no function.")
        return found  # type: ignore[no-any-return] # what it accepts shows when it is called

    def check_covered(self, offers: Iterable[Offer], taken: Iterable[Offer] = ()) -> None:
        """Everything this plugin offers has a statement, and every statement has something it is about.

        `taken` is what other plugins offer: rules are about names, so a statement must fit nobody else's.

        Raises:
            PluginError: with the first that has not; a forgotten statement must not leave a tool open.
        """
        offers, taken = list(offers), list(taken)
        for kind, name in offers:
            if not any(needs.covers(kind, name) for needs in self.needs):
                hint = " with a glob that fits all it expands to" if _EXPRESSION.search(name) else ""
                raise PluginError(
                    f"The plugin {self.name} has a {kind} {name!r} but says nothing of what it needs: add Needs{hint}."
                )
        for needs in self.needs:
            foreign = next((name for kind, name in taken if needs.covers(kind, name)), None)
            if foreign is not None:
                raise PluginError(
                    f"The plugin {self.name} says what the {needs.kind} {needs.name!r} needs, which would be asked "
                    f"for {foreign!r} of another plugin too: rename one, or leave one of the two plugins out."
                )
            if not needs.dynamic and not any(needs.covers(kind, name) for kind, name in offers):
                raise PluginError(
                    f"The plugin {self.name} says what the {needs.kind} {needs.name!r} needs but has none: correct it."
                )


def find(names: Sequence[str] | None = None) -> tuple[Plugin, ...]:
    """The installed plugins of these names, in this order; all of them, by name, where none are named.

    Raises:
        PluginError: a name is not installed, or installed twice, or is not a plugin.
    """
    installed: dict[str, importlib.metadata.EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.name in installed and (names is None or entry.name in names):
            raise PluginError(
                f"Two plugins are called {entry.name}: {_where(installed[entry.name])} and {_where(entry)}; "
                "uninstall one of them."
            )
        installed[entry.name] = entry
    wanted = sorted(installed) if names is None else list(dict.fromkeys(names))
    for name in wanted:
        if name not in installed:
            raise PluginError(
                f"No plugin is called {name}: install it, or choose among {', '.join(sorted(installed)) or 'none'}."
            )
    return tuple(_load(installed[name]) for name in wanted)


def _load(entry: importlib.metadata.EntryPoint) -> Plugin:
    try:
        plugin = entry.load()
    except (Exception, SystemExit) as error:  # whatever a stranger's module does when it is imported
        raise PluginError(
            f"The plugin {_where(entry)} cannot be imported ({reason_of(error)}): correct or uninstall it."
        ) from error
    if not isinstance(plugin, Plugin):
        raise PluginError(f"The plugin {_where(entry)} is no Plugin: its entry point must name one.")
    if plugin.name != entry.name:
        raise PluginError(f"The plugin {_where(entry)} calls itself {plugin.name}: give both the same name.")
    return plugin


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name != ""


def _is_tuple_of_scopes(scopes: object) -> bool:
    # Parentheses without a comma make a string of what was meant as a tuple, and each letter of it would be a scope.
    return isinstance(scopes, tuple) and all(isinstance(s, str) and _SCOPE.fullmatch(s) for s in scopes)


def _where(entry: importlib.metadata.EntryPoint) -> str:
    return f"{entry.name} ({entry.value} of {entry.dist.name if entry.dist else 'an unknown distribution'})"


def reason_of(error: BaseException) -> str:
    """An exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _forms(kind: Kind, name: str) -> list[str]:
    """How something is asked for: a resource template both as it is listed and as what it expands to."""
    if kind != "resource" or _EXPRESSION.search(name) is None:
        return [name]
    return [name, *(_EXPRESSION.sub(lambda _, text=text: text, name) for text in _EXPANSIONS)]  # type: ignore[misc]
