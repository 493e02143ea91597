"""The tool registry: plugins found through entry points, and what each says its tools need.

Nothing here imports the MCP SDK: the gate needs every statement for its policy before the first tool is loaded.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

GROUP = "bearergate.tools"  # of the entry points

Kind = Literal["tool", "prompt", "resource"]


class PluginError(Exception):
    """A plugin cannot be used; the text names it and says what to do."""


@dataclass(frozen=True)
class Needs:
    """The scopes that one tool, prompt or resource needs; none means those of the gate's resource are enough."""

    kind: Kind
    name: str  # of a tool or prompt, or the URI of a resource; a glob covers several
    scopes: tuple[str, ...] = ()

    def covers(self, kind: Kind, name: str) -> bool:
        """Whether this statement is about something of that kind and name."""
        return kind == self.kind and fnmatchcase(name, self.name)


@dataclass(frozen=True)
class Plugin:
    """A set of tools, prompts and resources for one MCP server.

    `register` puts them on the server with the SDK's own decorators. It is a function, or `"module:function"`, which
    is imported no earlier than needed. Whatever it registers must be covered by one of `needs`.
    """

    name: str
    register: Callable[[MCPServer], None] | str
    needs: Sequence[Needs]

    def registrar(self) -> Callable[[MCPServer], None]:
        """The function that registers, imported if it is given by name.

        Raises:
            PluginError: there is no such function.
        """
        if not isinstance(self.register, str):
            return self.register
        module, _, function = self.register.partition(":")
        try:
            found: Callable[[MCPServer], None] = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"The plugin {self.name} names {self.register}, which cannot be imported: {error}"
            ) from error
        return found

    def check_covered(self, registered: Iterable[tuple[Kind, str]]) -> None:
        """Everything registered has a statement, and every statement has something it is about.

        Raises:
            PluginError: with the first that has not; a forgotten statement must not leave a tool open.
        """
        registered = list(registered)
        for kind, name in registered:
            if not any(needs.covers(kind, name) for needs in self.needs):
                raise PluginError(
                    f"The plugin {self.name} has a {kind} {name!r} but says nothing of what it needs: add Needs."
                )
        for needs in self.needs:
            if not any(needs.covers(kind, name) for kind, name in registered):
                raise PluginError(
                    f"The plugin {self.name} says what {needs.kind} {needs.name!r} needs but has none: correct it."
                )


def find(names: Sequence[str] | None = None) -> tuple[Plugin, ...]:
    """The installed plugins of these names, in this order; all of them, by name, where none are named.

    Raises:
        PluginError: a name is not installed, or installed twice, or is not a plugin.
    """
    installed: dict[str, importlib.metadata.EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.name in installed and installed[entry.name].value != entry.value:
            raise PluginError(
                f"Two plugins are called {entry.name}: {_where(installed[entry.name])} and {_where(entry)}; "
                "uninstall one of them."
            )
        installed[entry.name] = entry
    wanted = sorted(installed) if names is None else names
    for name in wanted:
        if name not in installed:
            raise PluginError(
                f"No plugin is called {name}: install it, or choose among {', '.join(sorted(installed)) or 'none'}."
            )
    return tuple(_load(installed[name]) for name in wanted)


def _load(entry: importlib.metadata.EntryPoint) -> Plugin:
    try:
        plugin = entry.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"The plugin {_where(entry)} cannot be imported: {error}") from error
    if not isinstance(plugin, Plugin):
        raise PluginError(f"The plugin {_where(entry)} is no Plugin: its entry point must name one.")
    return plugin


def _where(entry: importlib.metadata.EntryPoint) -> str:
    return f"{entry.name} ({entry.value} of {entry.dist.name if entry.dist else 'an unknown distribution'})"
