"""Who a verified token speaks for: all that the rest of the gate, and what stands behind it, may know of a caller."""

from __future__ import annotations

from typing import Any

import msgspec


class Principal(msgspec.Struct, frozen=True, gc=False):
    """The caller of one request, taken from a token whose every check has passed.

    The pair of issuer and subject tells principals apart (RFC 9068 §5); names and mail addresses never do.
    `is_client` keeps a machine apart from a person whose `sub` a client might have chosen as its `client_id`.
    """

    issuer: str
    subject: str  # `sub`; for a token without one, its `client_id`
    client_id: str  # "" where the issuer names no client
    scopes: frozenset[str]  # as granted; what they imply is the policy's business
    groups: frozenset[str]
    expires_at: float  # seconds since the epoch, without leeway
    is_client: bool = False  # a machine acting for itself: no user behind the token
    claims: tuple[tuple[str, Any], ...] = ()  # only the claims that a rule of the policy names

    @property
    def key(self) -> tuple[str, str, bool]:
        """What tells this principal from every other: issuer, subject, and whether it is a machine."""
        return self.issuer, self.subject, self.is_client
