"""What Cedar policies may speak of: the schema they are checked against, and JSON values as Cedar takes them.

A policy sees only arguments and claims that the settings declare with a type. What is declared and comes as something
else is never left out, which would let it slip past a `forbid`: it cannot be judged, so it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from gateway.settings import CedarSettings

# Actions by the group a policy can name: what uses a tool, prompt or resource, and what a client needs besides.
USE: dict[str, tuple[str, ...]] = {
    "tools/call": ("Tool",),
    "prompts/get": ("Prompt",),
    "resources/read": ("Resource",),
    "resources/subscribe": ("Resource",),
    "resources/unsubscribe": ("Resource",),
    "completion/complete": ("Prompt", "Resource"),
}
CONNECT = (
    *("initialize", "server/discover", "ping", "logging/setLevel", "subscriptions/listen"),
    *("tools/list", "prompts/list", "resources/list", "resources/templates/list"),
    *("notifications/initialized", "notifications/cancelled", "notifications/progress"),
    "notifications/roots/list_changed",
    "response",  # of a client, to what the server asked it
    *("GET", "DELETE"),  # of HTTP: the stream and the end of a session
)
OTHER = "other"  # methods that MCP does not have, or not yet; `context.method` names them

LONG = 2**63  # Cedar's Long has 64 bits
DECIMAL = 922_337_203_685_477  # Cedar's decimal, in whole numbers
STEP = Decimal("0.0001")  # and it has four places


class NotRepresentable(ValueError):
    """A value is not of the type that is declared for it; the text names the type, never the value."""


def schema_of(settings: CedarSettings) -> dict[str, Any]:
    """The schema in Cedar's JSON form."""
    arguments = {name: kind for declared in settings.arguments.values() for name, kind in declared.items()}
    context = {
        "arguments": _record(_optional(arguments)),
        "method": _type("String"),
        "revision": _type("String") | {"required": False},
        "time": _type("Long"),
        "hour": _type("Long"),
        "weekday": _type("Long"),
    }
    principal = {
        **{name: _type("String") for name in ("issuer", "subject", "client_id")},
        **{name: _type("Set<String>") for name in ("scopes", "groups")},
        "claims": _record(_optional(settings.claims)),
    }
    used = {action: _action("use", kinds, context) for action, kinds in USE.items()}
    connecting = {action: _action("connect", ("Server",), context) for action in CONNECT}
    other = {OTHER: _action("", ("Server",), context)}
    people = {"memberOfTypes": ["Group"], "shape": _record(principal)}
    named = {"memberOfTypes": ["Server"], "shape": _record({"name": _type("String")})}
    return {
        "": {
            "entityTypes": {
                "Group": {},
                "Person": people,
                "Machine": people,
                "Server": {"shape": _record({"name": _type("String")})},
                **dict.fromkeys(("Tool", "Prompt", "Resource"), named),
            },
            "actions": {"use": {}, "connect": {}, **used, **connecting, **other},
        }
    }


def group_of(action: str) -> str:
    """The group an action belongs to; "" for one that MCP does not have."""
    return "use" if action in USE else "connect" if action in CONNECT else ""


def _record(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Record", "attributes": dict(attributes)}


def _optional(declared: Mapping[str, str]) -> dict[str, Any]:
    return {name: _type(kind) | {"required": False} for name, kind in declared.items()}


def _type(kind: str) -> dict[str, Any]:
    if kind.startswith("Set<"):
        return {"type": "Set", "element": _type(kind[4:-1])}
    return {"type": {"Bool": "Boolean"}.get(kind, kind)} if kind != "decimal" else {"type": "Extension", "name": kind}


def _action(group: str, resources: Iterable[str], context: Mapping[str, Any]) -> dict[str, Any]:
    applies = {"principalTypes": ["Person", "Machine"], "resourceTypes": list(resources), "context": _record(context)}
    return {"memberOf": [{"id": group}] if group else [], "appliesTo": applies}


def represent(declared: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the given values that are declared, in Cedar's JSON form.

    Raises:
        NotRepresentable: a value is of another type, null, or out of Cedar's range, or a name differs from a
            declared one in case alone, so that it depends on who reads it whether it is the same.
    """
    folded = {name.casefold() for name in declared}
    for name in given:
        if name not in declared and name.casefold() in folded:
            raise NotRepresentable(f"a name that is like {name[:100]!a} but for its case is declared")
    return {name: _value(name, kind, given[name]) for name, kind in declared.items() if name in given}


def _value(name: str, kind: str, value: Any) -> Any:
    if kind.startswith("Set<") and isinstance(value, list):
        return [_value(name, kind[4:-1], member) for member in value]
    if kind == "decimal" and (as_decimal := _decimal(value)) is not None:
        return {"__extn": {"fn": "decimal", "arg": f"{as_decimal:f}"}}
    if kind == "Bool" and isinstance(value, bool):
        return value
    if kind == "Long" and type(value) is int and -LONG <= value < LONG:
        return value
    if kind == "String" and isinstance(value, str) and value == value.encode(errors="ignore").decode():
        return value
    raise NotRepresentable(f"{name} is no {kind}")


def _decimal(value: Any) -> Decimal | None:
    """A number with four places or fewer, as Cedar compares numbers that are not whole."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or abs(number) >= DECIMAL:
        return None
    rounded = number.quantize(STEP)
    return rounded if rounded == number else None


def read_arguments(raw: bytes) -> dict[str, Any]:
    """The arguments of a call. Numbers keep every digit, and no member may be there twice, at any depth.

    Raises:
        NotRepresentable: they are no object, or different readers could read them differently.
    """
    try:
        read = json.loads(
            raw.decode(), object_pairs_hook=_no_duplicates, parse_float=Decimal, parse_constant=_no_constant
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        detail = str(error) if isinstance(error, NotRepresentable) else "they cannot be read"
        raise NotRepresentable(f"the arguments: {detail}") from None
    if not isinstance(read, dict):
        raise NotRepresentable("the arguments are no object")
    return read


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotRepresentable("a member is there twice")
    return members


def _no_constant(_: str) -> None:
    raise NotRepresentable("JSON has no NaN and no infinity")
