"""What an operation needs and what a principal may do; the same object decides calls and what lists show."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple, get_args

from cachetools import LRUCache

from gateway.errors import AmbiguousUri, DeniedByPolicy, InsufficientScope
from gateway.operation import Kind, Operation, Target
from gateway.principal import Principal
from gateway.resource_uri import ambiguity, spellings
from gateway.settings import Rule

if TYPE_CHECKING:
    from gateway.cedar import Cedar

ALL_KINDS: frozenset[Kind] = frozenset(get_args(Kind))

# Strangers choose names, so the memory is bounded both ways.
MEMO = 4_096  # targets whose needs are remembered
MEMO_NAME = 256  # characters of a name that is remembered


class Needs(NamedTuple):
    """What one target needs: all of the scopes, and every rule's own conditions."""

    scopes: frozenset[str]
    rules: tuple[Rule, ...] = ()  # those that ask for groups or claims


class Policy:
    """The rules of one resource.

    `scopes` are needed by every request, `rules` by what they name. `hierarchy` says which scopes a broader one
    implies (MCP 2026-07-28, Step-Up Authorization Flow: a broader scope is accepted for a narrower one). `cedar` are
    the policies that have the last word.
    """

    def __init__(
        self,
        scopes: Iterable[str] = (),
        rules: Iterable[Rule] = (),
        hierarchy: Mapping[str, Iterable[str]] | None = None,
        cedar: Cedar | None = None,
    ) -> None:
        self.scopes = frozenset(scopes)
        self.rules = tuple((rule, _patterns(rule)) for rule in rules)
        self.cedar = cedar
        self.kinds = frozenset(kind for _, patterns in self.rules for kind, found in patterns.items() if found)
        if cedar is not None and not cedar.dry_run:
            self.kinds = ALL_KINDS
        self.hierarchy = {broad: frozenset(narrow) for broad, narrow in (hierarchy or {}).items()}
        self.known = self.scopes.union(
            *(rule.scopes for rule, _ in self.rules), self.hierarchy, *self.hierarchy.values()
        )
        self.claim_names = frozenset(name for rule, _ in self.rules for name in rule.claims)
        if cedar is not None:
            self.claim_names = self.claim_names.union(cedar.claims)
        self._needs: LRUCache[Target, Needs] = LRUCache(MEMO)
        self._implied: LRUCache[frozenset[str], frozenset[str]] = LRUCache(MEMO)

    @property
    def asks_about_operations(self) -> bool:
        """Whether any rule is about what a request does, so that its body must be read."""
        return bool(self.rules) or self.cedar is not None

    def check(
        self, principal: Principal, operations: Collection[Operation], method: str = "POST", revision: bytes = b""
    ) -> DeniedByPolicy | None:
        """Let all of these operations pass, or none; what Cedar policies on trial would refuse, if there are any.

        `method` is HTTP's; `revision` is that of the protocol, as the request says.

        Raises:
            InsufficientScope: with every scope they need, in one go, and those of ours already granted.
            DeniedByPolicy: a group or claim is missing, which no scope would cure, or Cedar policies refuse.
            AmbiguousUri: a resource is named in a way that a rule may miss.
        """
        self.check_rules(principal, operations)
        if self.cedar is None:
            return None
        return self.cedar.check(principal, operations, method, revision.decode("latin-1"))

    def check_rules(self, principal: Principal, operations: Iterable[Operation]) -> None:
        """Scopes and rules alone, without Cedar policies; raises what `check` does."""
        needed = set(self.scopes)
        for operation in operations:
            for target in operation.targets:
                if target.kind == "resource" and self.rules_about("resource"):
                    _check_uri(target.name, operation)
                needs = self.needs(target)
                needed |= needs.scopes
                for rule in needs.rules:
                    _check_conditions(principal, rule, target)
        if not self.implied(principal.scopes) >= needed:
            missing = ", ".join(sorted(needed - self.implied(principal.scopes)))
            raise InsufficientScope(frozenset(needed | (principal.scopes & self.known)), f"it lacks {missing}")

    def may(self, principal: Principal, target: Target) -> bool:
        """Whether a call of this target would pass; what lists show is decided by nothing else."""
        try:
            self.check_rules(principal, [Operation("", (target,))])
        except (InsufficientScope, DeniedByPolicy, AmbiguousUri):
            return False
        return self.cedar is None or self.cedar.shows(principal, target)

    def rules_about(self, kind: Kind) -> bool:
        """Whether what a list of this kind shows may depend on the principal."""
        return kind in self.kinds

    def needs(self, target: Target) -> Needs:
        """What a target needs beyond the scopes of the resource: the sum of every rule that fits it."""
        if (known := self._needs.get(target)) is not None:
            return known
        # A template reads its parts out of a URI unescaped, so an escape must not take a URI out of a rule's reach.
        names = spellings(target.name) if target.kind == "resource" else {target.name}
        fitting = [
            rule
            for rule, patterns in self.rules
            if any(pattern.fullmatch(name) for pattern in patterns[target.kind] for name in names)
        ]
        scopes = frozenset(scope for rule in fitting for scope in rule.scopes)
        needs = Needs(scopes, tuple(rule for rule in fitting if rule.groups or rule.claims))
        if len(target.name) <= MEMO_NAME:
            self._needs[target] = needs
        return needs

    def implied(self, scopes: frozenset[str]) -> frozenset[str]:
        """The scopes granted and all that they imply, transitively; equal sets share one answer."""
        if not self.hierarchy:
            return scopes
        if (known := self._implied.get(scopes)) is not None:
            return known
        found: set[str] = set()
        open_ends = list(scopes)
        while open_ends:
            scope = open_ends.pop()
            if scope not in found:
                found.add(scope)
                open_ends.extend(self.hierarchy.get(scope, ()))
        self._implied[scopes] = implied = frozenset(found)
        return implied


def _patterns(rule: Rule) -> dict[Kind, list[re.Pattern[str]]]:
    return {
        "tool": [_glob(pattern) for pattern in rule.tools],
        "prompt": [_glob(pattern) for pattern in rule.prompts],
        "resource": [_glob(pattern) for pattern in rule.resources],
    }


def _glob(pattern: str) -> re.Pattern[str]:
    # Case counts: names of tools and URIs of resources are compared to the letter.
    return re.compile(translate(pattern))


def _check_uri(uri: str, operation: Operation) -> None:
    # Lists, whose operation has no method, show templates; a completion names one.
    if cause := ambiguity(uri, template=operation.method in ("", "completion/complete")):
        raise AmbiguousUri(f"{uri[:100]!a}: {cause}", operation.request_id)


def _check_conditions(principal: Principal, rule: Rule, target: Target) -> None:
    if rule.groups and principal.groups.isdisjoint(rule.groups):
        raise DeniedByPolicy(f"{target.kind} {target.name[:100]!a} is for {' or '.join(rule.groups)}")
    claims = dict(principal.claims)
    for name, value in rule.claims.items():
        if name not in claims or type(claims[name]) is not type(value) or claims[name] != value:
            raise DeniedByPolicy(f"{target.kind} {target.name[:100]!a} needs another value of the claim {name}")
