"""What a server asks for when it turns a request down, and the scopes that answer it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.find import Found
from discovery.challenge import Challenge, find_bearer

if TYPE_CHECKING:
    import httpx2

OFFLINE = "offline_access"


@dataclass(frozen=True)
class Demand:
    """A 401, or a 403 that asks for more scopes."""

    challenge: Challenge | None
    more_scopes: bool

    @property
    def scope(self) -> str | None:
        """The scopes that the challenge names."""
        return self.challenge.params.get("scope") if self.challenge else None

    @property
    def scopes(self) -> frozenset[str]:
        """The same, one by one."""
        return frozenset((self.scope or "").split())


def demand_of(response: httpx2.Response) -> Demand | None:
    """What an answer asks for, or None: other answers are for the caller (MCP, Scope Challenge Handling)."""
    challenge = find_bearer(response.headers.get_list("www-authenticate"))
    if response.status_code == 401:
        return Demand(challenge, more_scopes=False)
    if response.status_code == 403 and challenge and challenge.params.get("error") == "insufficient_scope":
        return Demand(challenge, more_scopes=True)
    return None


def scopes_to_ask(demand: Demand, found: Found, wanted: str, granted: str | None) -> str | None:
    """The challenge's scopes, else all that the metadata lists, else none (MCP, Scope Selection Strategy).

    When more are asked for, what was granted is kept (2026-07-28, Step-Up). offline_access is added where the issuer
    lists it (SEP-2207).
    """
    asked = demand.scope.split() if demand.scope is not None else list(found.scopes)
    before = (granted or "").split() if demand.more_scopes else []
    scopes = union(before, asked, wanted.split())
    if scopes and OFFLINE in found.issuer.scopes_supported:
        scopes = union(scopes, [OFFLINE])
    return " ".join(scopes) or None


def union(*groups: Iterable[str]) -> list[str]:
    """Every scope once, in order."""
    return list(dict.fromkeys(scope for group in groups for scope in group))
