"""Puts the parts together: settings, the tool plugins of each resource, and the gate in front of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from gateway.app import build
from gateway.audit import Write
from gateway.settings import ResourceSettings, Rule, Settings
from tools.registry import Needs, Plugin, PluginError, find
from tools.server import app as tools_app

if TYPE_CHECKING:
    from starlette.applications import Starlette


class Assembly(msgspec.Struct, frozen=True):
    """Settings complete with the rules that tool plugins state, and the plugins each resource serves."""

    settings: Settings
    plugins: dict[str, tuple[Plugin, ...]]  # by path of the resource

    def gate(self, audit: Write | None) -> Starlette:
        """The gate in front of the tools; `audit` takes the lines of the audit log."""
        apps = {
            resource.path: tools_app(self.plugins[resource.path], name=resource.name, sessions=resource.sessions)
            for resource in self.settings.resources
        }
        return build(self.settings, apps, audit=audit)


def assemble(settings: Settings) -> Assembly:
    """What `serve` runs and `check` shows.

    Raises:
        PluginError: a plugin that the settings name is not installed, or not a plugin, or the MCP SDK is missing.
    """
    if importlib.util.find_spec("mcp") is None:  # looked for, not imported: that is left until it is used
        raise PluginError("The tools need the MCP SDK, which is not installed: pip install 'bearergate[tools]'")
    plugins = {resource.path: find(resource.tools) for resource in settings.resources}
    resources = [with_rules(resource, plugins[resource.path]) for resource in settings.resources]
    return Assembly(msgspec.structs.replace(settings, resources=resources), plugins)


def with_rules(resource: ResourceSettings, plugins: Iterable[Plugin]) -> ResourceSettings:
    """A resource whose rules hold what its plugins say their tools need; the settings' own rules come on top."""
    stated = [rule_of(needs, resource.scope_prefix) for plugin in plugins for needs in plugin.needs if needs.scopes]
    return msgspec.structs.replace(resource, rules=[*stated, *resource.rules])


def rule_of(needs: Needs, prefix: str) -> Rule:
    """A plugin's statement as a rule of the policy, its scopes as this deployment spells them."""
    scopes = [prefix + scope for scope in needs.scopes]
    named = {kind: [needs.name] if kind == needs.kind else [] for kind in ("tool", "prompt", "resource")}
    return Rule(tools=named["tool"], prompts=named["prompt"], resources=named["resource"], scopes=scopes)
