"""Who can log in: users with passwords and groups, held in memory."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

# Compared when the name is unknown, so that the answer takes as long as for a wrong password.
_NOBODY = secrets.token_urlsafe(16)


@dataclass(frozen=True)
class User:
    """A person who can log in at the issuer."""

    name: str
    password: str = field(repr=False)
    groups: tuple[str, ...] = ()
    email: str = ""
    subject: str = ""  # `sub`; "" derives a UUID from the name, the same one at every issuer

    @property
    def sub(self) -> str:
        """The subject of this user's tokens: a UUID, as Cognito's are."""
        return self.subject or str(uuid.uuid5(uuid.NAMESPACE_URL, f"user:{self.name}"))


class Accounts:
    """The users of one issuer, by name."""

    def __init__(self, users: Iterable[User]) -> None:
        self._users = {user.name: user for user in users}

    def add(self, user: User) -> None:
        """Add a user, or replace the one of the same name."""
        self._users[user.name] = user

    def named(self, name: str) -> User:
        """The user of this name.

        Raises:
            LookupError: nobody has it.
        """
        if (user := self._users.get(name)) is None:
            raise LookupError(f"The issuer knows no user {name!r}; add_user first.")
        return user

    def login(self, name: str, password: str) -> User | None:
        """The user whose name and password these are, or None; it takes the same time either way."""
        user = self._users.get(name)
        expected = user.password if user else _NOBODY
        return user if secrets.compare_digest(expected.encode(), password.encode()) else None

    def of_subject(self, subject: object) -> User | None:
        """The user whose tokens have this `sub`, or None."""
        return next((user for user in self._users.values() if user.sub == subject), None)
