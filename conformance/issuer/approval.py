"""What one login, or one machine, was granted; every token that follows from it says the same."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .accounts import User


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Approval:
    """Who allowed which client what, and when."""

    client_id: str
    user: User | None  # None: a machine acting for itself
    scopes: tuple[str, ...]
    resources: tuple[str, ...]  # what the tokens are for (RFC 8707); empty where nobody said
    auth_time: int  # seconds since the epoch
    nonce: str = ""
    origin: str = field(default_factory=_new_id)  # Cognito's `origin_jti`
    event: str = field(default_factory=_new_id)  # Cognito's `event_id`

    @property
    def subject(self) -> str:
        """The `sub` of the tokens: the user's, or the client's own id."""
        return self.user.sub if self.user else self.client_id
