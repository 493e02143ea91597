"""The logins of this machine, by issuer and resource, and one refresher of each at a time."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from client.vault import Vault

LOCK_SECONDS = 30  # longer than a refresh may take; a lock dies with its process
AHEAD_SECONDS = 60  # before the end, or a fifth of the lifetime, a token is exchanged for a new one


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What one authorization gave, and all that is needed to renew or revoke it."""

    issuer: str
    resource: str
    client_id: str
    client_secret: str | None = None
    client_method: str | None = None  # how the client authenticates at the token endpoint
    access_token: str
    obtained_at: float  # by the clock of this machine, which may be wrong, but is so on both ends of a lifetime
    lifetime: int | None = None  # seconds; None: the issuer did not say
    refresh_token: str | None = None
    scope: str | None = None
    token_endpoint: str = ""
    revocation_endpoint: str = ""

    def __repr__(self) -> str:
        return f"<Login of {self.client_id} at {self.issuer} for {self.resource}>"

    @property
    def expires_at(self) -> float | None:
        """When the access token ends, in seconds of this machine's clock."""
        return None if self.lifetime is None else self.obtained_at + self.lifetime

    def is_fresh(self, now: float) -> bool:
        """Whether the access token will last a while."""
        if self.lifetime is None:
            return True
        return now < self.obtained_at + self.lifetime - min(AHEAD_SECONDS, self.lifetime / 5)


class Logins:
    """Logins in a vault. `given` is the client id a person chose: logins of others are not used."""

    def __init__(self, vault: Vault, folder: Path, given: str = "") -> None:
        self.vault = vault
        self.folder = folder
        self.given = given

    def find(self, url: str) -> Login | None:
        """The login for a server, at the issuer it named last."""
        try:
            issuer, resource = msgspec.json.decode(self.vault.read(self._server(url)) or "", type=tuple[str, str])
            return msgspec.json.decode(self.vault.read(self._login(issuer, resource)) or "", type=Login)
        except msgspec.MsgspecError:  # nothing there, or nothing that this version wrote
            return None

    def keep(self, url: str, login: Login) -> None:
        """Put a login in place of an older one. The tokens first: they are what cannot be had again."""
        self.vault.write(self._login(login.issuer, login.resource), msgspec.json.encode(login).decode())
        pair = msgspec.json.encode((login.issuer, login.resource)).decode()
        if self.vault.read(self._server(url)) != pair:
            self.vault.write(self._server(url), pair)

    def forget(self, url: str, login: Login) -> None:
        """Erase a login.

        Raises:
            Closed: it may still be somewhere, for other programs to find.
        """
        try:
            self.vault.erase(self._server(url))
        finally:
            self.vault.erase(self._login(login.issuer, login.resource))

    def is_gone(self, url: str) -> bool:
        """Whether there surely is no login any more: every place could be looked into, and none has it."""
        return self.vault.is_gone(self._server(url))

    def bound_issuer(self) -> str | None:
        """The issuer that the given client id was first used at."""
        return self.vault.read(f"issuer of {self.given}")

    def bind(self, issuer: str) -> None:
        """Remember where the given client id belongs."""
        self.vault.write(f"issuer of {self.given}", issuer)

    @asynccontextmanager
    async def alone(self, issuer: str, resource: str) -> AsyncIterator[None]:
        """No other process of this machine renews this login within the block."""
        from filelock import AsyncFileLock

        name = hashlib.sha256(self._login(issuer, resource).encode()).hexdigest()[:32]
        folder = self.folder / "locks"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = AsyncFileLock(folder / f"{name}.lock", timeout=LOCK_SECONDS, mode=0o600)
            await lock.acquire()
        except (OSError, TimeoutError):  # nowhere to write, or a process that hangs: better twice than never
            yield
            return
        try:
            yield
        finally:
            await lock.release()

    def _server(self, url: str) -> str:
        return f"server {url} {self.given}".rstrip()

    def _login(self, issuer: str, resource: str) -> str:
        return f"login {issuer} {resource} {self.given}".rstrip()
