"""What the function reads: the settings that were packaged, and over them what only the stack knows.

The stack knows the path that its front door leads to, and of a pool of its own the scopes and the gate's client there.
Rules, tools, policies and words are the settings': a variable of the environment would put itself in place of them all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.sources import values_of

TOOL_SCOPES = "tool_scopes"  # what a login asks for, by tool plugin: behind most front doors no step-up follows
RESOURCE, FACADE, SEAL_KEYS_FILE = "STACK_RESOURCE", "STACK_FACADE", "STACK_SEAL_KEYS_FILE"
OF_ANOTHER_ISSUER = ("client_secret", "issuer", "kind")  # what settings say of an issuer that the stack's own replaces


def function_values(environment: Mapping[str, str], file: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The plain values of a function's settings, for `parse`, and what is wrong with them already.

    Raises:
        SettingsError: the file cannot be read.
    """
    values, problems = values_of(file, environment)
    if resource := of_stack(environment, RESOURCE, problems):
        add_resource(values, resource, problems)
    if facade := of_stack(environment, FACADE, problems):
        settings = values.get("facade")
        kept = settings.items() if isinstance(settings, dict) else ()
        values["facade"] = {key: value for key, value in kept if key not in OF_ANOTHER_ISSUER} | facade
    if SEAL_KEYS_FILE in environment and not values.get("seal_keys") and not values.get("seal_keys_file"):
        values["seal_keys_file"] = environment[SEAL_KEYS_FILE]
    return values, problems


def of_stack(environment: Mapping[str, str], name: str, problems: list[str]) -> dict[str, Any]:
    """What the stack says under a name; empty where it says nothing."""
    try:
        said: dict[str, Any] = json.loads(environment.get(name, "{}"))
    except ValueError:
        problems.append(f"{name}: not valid JSON; give the template values without quotes and backslashes")
        return {}
    return said


def add_resource(values: dict[str, Any], said: dict[str, Any], problems: list[str]) -> None:
    """Put what the stack says of its one resource over what the settings say of it."""
    listed = values.get("resources", [{}])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        return  # which is for `parse` to refuse
    if len(listed) == 1:
        values["resources"] = [merged(listed[0], said)]
    elif said.keys() != {"path"}:
        problems.append(
            "resources: a user pool of the stack, or its upstream, is for one resource; leave one here, or name "
            "issuers and upstreams in the settings alone"
        )
    elif said["path"] not in [entry.get("path", "/mcp") for entry in listed]:
        problems.append(f"resources: none has the path {said['path']}, which the front door leads to; see ResourcePath")


def merged(settings: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """A resource; every scope that either names is needed, and an upstream of the settings has another address."""
    both = {
        key: joined(settings[key], said[key]) for key in ("scopes", "upstream") if settings.get(key) and key in said
    }
    resource = settings | said | both
    by_tool = resource.pop(TOOL_SCOPES, {})
    if not resource.get("upstream") and not resource.get("command"):
        shown = resource.get("tools")
        asked = [scope for tool, scope in by_tool.items() if not isinstance(shown, list) or tool in shown]
        return resource | ({"scopes": joined(asked, resource["scopes"])} if asked else {})
    return resource


def joined(settings: Any, said: Any) -> Any:
    """What both say; what the settings say alone where that is of a kind that `parse` refuses."""
    if isinstance(settings, dict) and isinstance(said, dict):
        return settings | said
    if isinstance(settings, list) and isinstance(said, list):
        return [*said, *(scope for scope in settings if scope not in said)]
    return settings
