"""Cedar policies of one resource: rules beyond scopes, about who calls what, with which arguments and when.

`gateway.cedar_policies` reads and checks them when the gate starts; a request is only ever evaluated. What cannot be
evaluated is refused: Cedar itself would go on as if the policy that has the error were not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from fnmatch import translate
from typing import Any, NamedTuple

import cedarpy

from gateway.cedar_policies import checked
from gateway.cedar_schema import (
    CONNECT,
    OTHER,
    USE,
    NotRepresentable,
    group_of,
    read_arguments,
    represent,
)
from gateway.errors import DeniedByCedar
from gateway.operation import Operation, Target
from gateway.principal import Principal
from gateway.resource_uri import spellings
from gateway.settings import CedarSettings

CALLS = {"tool": "tools/call", "prompt": "prompts/get", "resource": "resources/read"}  # what a list invites to

LISTEN = "subscriptions/listen"

Entity = dict[str, Any]  # in Cedar's JSON form
Arguments = dict[str, Any]


class Verdict(NamedTuple):
    """How the policies decide one thing that is asked."""

    asked: str  # in words
    allowed: bool
    policies: tuple[str, ...] = ()  # ids of those that decided; none where no policy permits it
    advice: str = ""  # what those that forbid it say to the caller
    error: str = ""  # why it cannot be judged

    def __str__(self) -> str:
        if self.error:
            return f"{self.asked} cannot be judged: {self.error}"
        if not self.policies:
            return f"no policy permits {self.asked}"
        return f"{self.asked} is {'permitted' if self.allowed else 'forbidden'} by {', '.join(self.policies)}"


class Cedar:
    """The policies of one resource; `server` is its URL. `now` is seconds since the epoch.

    Raises:
        InvalidPolicy: they cannot be read, parsed or validated.
    """

    def __init__(self, settings: CedarSettings, server: str, now: Callable[[], float]) -> None:
        self.dry_run = settings.dry_run
        self.claims = dict(settings.claims)
        self._policies = cedarpy.PolicySet.from_str(checked(settings))
        annotations = {key: one.annotations for key, one in self._policies.to_pst().static_policies.items()}
        self._ids = {key: words.get("id") or key for key, words in annotations.items()}
        self._advice = {key: words["advice"] for key, words in annotations.items() if "advice" in words}
        self._arguments = [(re.compile(translate(glob)), declared) for glob, declared in settings.arguments.items()]
        self._server = {"type": "Server", "id": server}
        self._now = now

    def check(
        self, principal: Principal, operations: Iterable[Operation], method: str = "POST", revision: str = ""
    ) -> DeniedByCedar | None:
        """Let all of these operations pass, or none; what would be refused, if the policies are on trial (`dry_run`).

        `method` is HTTP's, for requests without a message; `revision` is that of the protocol, as the caller says.

        Raises:
            DeniedByCedar: with the advice of the policies that forbid it.
        """
        for verdict in self.judge(principal, operations, method, revision):
            if not verdict.allowed:
                refusal = DeniedByCedar(str(verdict), verdict.advice)
                if self.dry_run:
                    return refusal
                raise refusal
        return None

    def judge(
        self, principal: Principal, operations: Iterable[Operation], method: str = "POST", revision: str = ""
    ) -> Iterator[Verdict]:
        """How each thing that a request asks is decided, in order; every one of them must be allowed."""
        for operation in list(operations) or [Operation(method)]:
            asked = operation.method or "response"  # of a client, to what the server asked it
            action = asked if asked in USE or asked in CONNECT else OTHER
            if not operation.targets or action == LISTEN:
                yield self._verdict(principal, action, None, self._context({}, asked, revision))
            if action == LISTEN:  # to the server, and to each resource it names
                action = "resources/subscribe"
            for target in operation.targets:
                yield from self._call(principal, action, target, operation, revision)

    def _call(
        self, principal: Principal, action: str, target: Target, operation: Operation, revision: str
    ) -> list[Verdict]:
        try:
            arguments = self._represented(action, target, operation.arguments)
        except NotRepresentable as error:
            return [Verdict(in_words(action, target), allowed=False, error=str(error))]
        context = self._context(arguments, operation.method, revision)
        return [self._verdict(principal, action, spelling, context) for spelling in spelled(target)]

    def _represented(self, action: str, target: Target, raw: bytes) -> Arguments:
        declared = self._declared(action, target)
        return represent(declared, read_arguments(raw)) if declared else {}

    def _declared(self, action: str, target: Target) -> dict[str, str]:
        """The arguments of this call that policies may speak of, with their types."""
        if action not in ("tools/call", "prompts/get"):
            return {}
        fitting = (declared for pattern, declared in self._arguments if pattern.fullmatch(target.name))
        return {name: kind for declared in fitting for name, kind in declared.items()}

    def _verdict(self, principal: Principal, action: str, target: Target | None, context: Arguments) -> Verdict:
        asked = in_words(action, target)
        try:
            entities = self._entities(principal, action, target)
            request = {
                **dict(zip(("principal", "action", "resource"), uids(entities), strict=True)),
                "context": context,
            }
            result = cedarpy.is_authorized(request, self._policies, entities)
        except ValueError as error:  # a claim that is not what is declared, or text that is no Unicode
            return Verdict(asked, allowed=False, error=str(error))
        if result.diagnostics.errors:
            return Verdict(asked, allowed=False, error="; ".join(result.diagnostics.errors))
        decided = sorted(result.diagnostics.reasons)
        advice = "" if result.allowed else " ".join(self._advice[key] for key in decided if key in self._advice)
        return Verdict(asked, result.allowed, tuple(self._ids[key] for key in decided), advice)

    def shows(self, principal: Principal, target: Target) -> bool:
        """Whether a list shows this: whether a call with some arguments may pass, all else being as it is now."""
        return self.dry_run or all(self._may(principal, spelling) for spelling in spelled(target))

    def _may(self, principal: Principal, target: Target) -> bool:
        action = CALLS[target.kind]
        context = self._context(unknown("arguments") if self._declared(action, target) else {}, action, "")
        context["revision"] = unknown("revision")
        try:
            entities = self._entities(principal, action, target)
            named = dict(zip(("principal", "action", "resource"), map(as_text, uids(entities)), strict=True))
            result = cedarpy.is_authorized_partial({**named, "context": context}, self._policies, entities)
        except ValueError:
            return False
        return result.decision is not cedarpy.Decision.Deny and not result.diagnostics.errors

    def _context(self, arguments: Arguments, method: str, revision: str) -> Arguments:
        at = self._now()
        when = datetime.fromtimestamp(at, UTC)
        said = {"revision": revision} if revision else {}
        time = {"time": int(at), "hour": when.hour, "weekday": when.isoweekday()}
        return {"arguments": arguments, "method": method, **said, **time}

    def _entities(self, principal: Principal, action: str, target: Target | None) -> list[Entity]:
        """The principal, the action and the resource, as policies see them."""
        group = group_of(action)
        return [
            self._principal(principal),
            {
                "uid": {"type": "Action", "id": action},
                "attrs": {},
                "parents": [{"type": "Action", "id": group}] if group else [],
            },
            self._resource(target),
        ]

    def _principal(self, principal: Principal) -> Entity:
        kind = "Machine" if principal.is_client else "Person"
        attributes = {
            "issuer": principal.issuer,
            "subject": principal.subject,
            "client_id": principal.client_id,
            "scopes": sorted(principal.scopes),
            "groups": sorted(principal.groups),
            "claims": represent(self.claims, dict(principal.claims)),
        }
        groups = [{"type": "Group", "id": group} for group in sorted(principal.groups)]
        # No issuer has a # in it, so no two principals share an id.
        return {
            "uid": {"type": kind, "id": f"{principal.issuer}#{principal.subject}"},
            "attrs": attributes,
            "parents": groups,
        }

    def _resource(self, target: Target | None) -> Entity:
        if target is None:
            return {"uid": self._server, "attrs": {"name": self._server["id"]}, "parents": []}
        uid = {"type": target.kind.capitalize(), "id": target.name}
        return {"uid": uid, "attrs": {"name": target.name}, "parents": [self._server]}


def spelled(target: Target) -> list[Target]:
    """A target as it stands and, if it is a URI, in its other spellings: none takes it out of a policy's reach."""
    names = spellings(target.name) if target.kind == "resource" else {target.name}
    return [target, *(Target(target.kind, name) for name in sorted(names - {target.name}))]


def in_words(action: str, target: Target | None) -> str:
    """What is asked, for the log."""
    return f"{action} of {target.kind} {target.name[:100]!a}" if target else action


def uids(entities: Iterable[Entity]) -> list[dict[str, str]]:
    """What names these entities."""
    return [entity["uid"] for entity in entities]


def as_text(uid: dict[str, str]) -> str:
    """The name of an entity in Cedar's own syntax."""
    return '{type}::"{id}"'.format(type=uid["type"], id=re.sub(r"""(["'\\])""", r"\\\1", uid["id"]))


def unknown(name: str) -> Arguments:
    """A value that partial evaluation leaves open."""
    return {"__extn": {"fn": "unknown", "arg": name}}
