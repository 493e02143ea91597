"""Puts the parts together: settings, the tool plugins of each resource, and the gate in front of them.

What stands behind a resource is imported where it is put together: a front before an upstream loads no tools.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from starlette.routing import Route

from gateway.app import build
from gateway.audit import Audit, Counts, Decisions, Write
from gateway.documents import Document
from gateway.errors import UnknownSession
from gateway.seal import KEY_BYTES, seal_keys
from gateway.settings import CommandSettings, ResourceSettings, Rule, Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from gateway.identity import IdentityKeys
    from tools.registry import Needs, Plugin
    from tools.stdio import Command

log = logging.getLogger("bearergate")


class Assembly(msgspec.Struct, frozen=True):
    """Settings complete with the rules that tool plugins state, and the plugins each resource serves."""

    settings: Settings
    plugins: dict[str, tuple[Plugin, ...]]  # by path of the resource

    def gate(self, audit: Write | None) -> Starlette:
        """The gate in front of the tools; `audit` takes the lines of the audit log."""
        keys = self.identity_keys()
        counts: Counts = defaultdict(Decisions)
        apps = {resource.path: self.app(resource, keys, audit, counts) for resource in self.settings.resources}
        gate = build(self.settings, apps, audit=audit, counts=counts)
        if keys is not None:
            from gateway.identity import JWKS_PATH

            gate.router.routes.insert(0, Route(JWKS_PATH, Document(keys.jwks())))
        return gate

    def identity_keys(self) -> IdentityKeys | None:
        """What signs who calls, where an upstream is told; one set of keys for all of them."""
        if not any(resource.upstream and resource.upstream.identity for resource in self.settings.resources):
            return None
        from gateway.identity import IdentityKeys

        return IdentityKeys.of(self.settings)

    def app(
        self,
        resource: ResourceSettings,
        keys: IdentityKeys | None,
        audit: Write | None,
        counts: Counts | None = None,
    ) -> ASGIApp:
        """What stands behind the gate at a resource: an upstream, a local command, or tools."""
        if resource.upstream is not None:
            from gateway.sessions import SealedSessions
            from gateway.upstream import Upstream

            upstream = Upstream(self.settings, resource, keys=keys, audit=audit, counts=counts)
            sealing = session_keys(self.settings, self.settings.url_of(resource))
            return SealedSessions(upstream, sealing, self.settings, resource, audit=audit, counts=counts)
        if resource.command is not None:
            from tools.stdio import app as stdio_app

            log_of = Audit(self.settings.url_of(resource), audit, counts=counts)
            unknown = UnknownSession("this principal has no such session of the command in this process")
            return stdio_app(command_of(resource.command), lambda method, who: log_of.refused(unknown, method, who))
        from tools.server import app as tools_app

        return tools_app(self.plugins[resource.path], name=resource.name, sessions=resource.sessions)


def assemble(settings: Settings) -> Assembly:
    """What `serve` runs and `check` shows.

    Raises:
        PluginError: a plugin that the settings name is not installed, or not a plugin, or the MCP SDK is missing; or
            a command cannot be started.
    """
    own = any(resource.upstream is None for resource in settings.resources)
    if own and importlib.util.find_spec("mcp") is None:  # looked for, not imported: that is left until it is used
        from tools.registry import PluginError

        raise PluginError("The tools need the MCP SDK, which is not installed: pip install 'bearergate[tools]'")
    plugins = {resource.path: plugins_of(resource) for resource in settings.resources}
    resources = [with_rules(resource, plugins[resource.path]) for resource in settings.resources]
    return Assembly(msgspec.structs.replace(settings, resources=resources), plugins)


def plugins_of(resource: ResourceSettings) -> tuple[Plugin, ...]:
    """The tool plugins of a resource; none where an upstream or a command stands in their place; that is looked for.

    Raises:
        PluginError: as `assemble` does.
    """
    if resource.upstream is not None:
        return ()
    if resource.command is None:
        from tools.registry import find

        return find(resource.tools)
    command_of(resource.command).check()
    return ()


def session_keys(settings: Settings, resource: str) -> list[bytes]:
    """The keys that seal the sessions of a resource's upstream: those of the settings, or one for this process."""
    keys = seal_keys(settings)
    if not keys:
        log.warning(
            "%s: sessions end with this process, and no replica knows them; set seal_keys_file to keep them", resource
        )
    return keys or [os.urandom(KEY_BYTES)]


def command_of(settings: CommandSettings) -> Command:
    """A command as the settings describe it."""
    from tools.stdio import Command

    return Command(
        arguments=tuple(settings.run),
        environment=settings.env,
        inherit=tuple(settings.inherit),
        directory=settings.directory or None,
        shared=settings.shared,
        max_processes=settings.max_processes,
        max_processes_each=settings.max_processes_each,
        idle_seconds=settings.idle_seconds,
        start_seconds=settings.start_seconds,
    )


def with_rules(resource: ResourceSettings, plugins: Iterable[Plugin]) -> ResourceSettings:
    """A resource whose rules hold what its plugins say their tools need; the settings' own rules come on top."""
    stated = [rule_of(needs, resource.scope_prefix) for plugin in plugins for needs in plugin.needs if needs.scopes]
    return msgspec.structs.replace(resource, rules=[*stated, *resource.rules])


def rule_of(needs: Needs, prefix: str) -> Rule:
    """A plugin's statement as a rule of the policy, its scopes as this deployment spells them."""
    scopes = [prefix + scope for scope in needs.scopes]
    named = {kind: [needs.name] if kind == needs.kind else [] for kind in ("tool", "prompt", "resource")}
    return Rule(tools=named["tool"], prompts=named["prompt"], resources=named["resource"], scopes=scopes)
