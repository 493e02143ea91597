"""Where secrets rest: the system's key ring, else files that only their owner can read, else nothing but memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

SERVICE = "bearergate"  # under which a key ring lists them


class CannotKeep(Exception):
    """The place takes no secrets; the text says why."""


class Place(Protocol):
    """One place for secrets, each under a name."""

    def read(self, name: str) -> str | None:
        """The secret of this name."""

    def write(self, name: str, secret: str) -> None:
        """Keep it in place of what was there, or raise `CannotKeep`."""

    def erase(self, name: str) -> None:
        """Forget it, if it is there."""


class KeyRing:
    """The key ring of the desktop or system, whichever the keyring library finds."""

    def read(self, name: str) -> str | None:
        import keyring

        with contextlib.suppress(keyring.errors.KeyringError):
            return keyring.get_password(SERVICE, name)
        return None

    def write(self, name: str, secret: str) -> None:
        import keyring

        try:
            keyring.set_password(SERVICE, name, secret)
        except keyring.errors.KeyringError as error:
            raise CannotKeep(f"the key ring refuses ({type(error).__name__})") from None

    def erase(self, name: str) -> None:
        import keyring

        with contextlib.suppress(keyring.errors.KeyringError):
            keyring.delete_password(SERVICE, name)


class Files:
    """A folder of files with mode 0600, named by a digest, replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> str | None:
        with contextlib.suppress(OSError):
            return self._file(name).read_text("utf-8")
        return None

    def write(self, name: str, secret: str) -> None:
        file = self._file(name)
        fresh = file.with_suffix(f".{os.getpid()}")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
                out.write(secret)
                out.flush()
                os.fsync(out.fileno())  # a rotated refresh token exists nowhere else
            fresh.replace(file)
        except OSError as error:
            raise CannotKeep(f"{self.folder} cannot be written ({error.strerror})") from None

    def erase(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._file(name).unlink()

    def _file(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


class Memory:
    """As long as the process lives."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        return self._secrets.get(name)

    def write(self, name: str, secret: str) -> None:
        self._secrets[name] = secret

    def erase(self, name: str) -> None:
        self._secrets.pop(name, None)


class Vault:
    """Places in order of preference; what one does not take goes to the next, which is said once."""

    def __init__(self, places: list[Place], say: Callable[[str], None]) -> None:
        self.places = places
        self._say = say

    def read(self, name: str) -> str | None:
        """The secret of this name, from the first place that has it."""
        return next((secret for place in self.places if (secret := place.read(name)) is not None), None)

    def write(self, name: str, secret: str) -> None:
        """Keep a secret in the first place that takes it; what others have of that name is older, and goes."""
        for place in list(self.places):
            try:
                place.write(name, secret)
            except CannotKeep as error:
                place.erase(name)  # older, and the next program would find it first
                self.places.remove(place)
                following = "only as long as this program runs" if len(self.places) == 1 else "elsewhere"
                self._say(f"Tokens are kept {following}: {error}.")
                continue
            for other in self.places[self.places.index(place) + 1 :]:
                other.erase(name)
            return

    def erase(self, name: str) -> None:
        """Forget a secret wherever it is."""
        for place in self.places:
            place.erase(name)


def open_vault(folder: Path, say: Callable[[str], None]) -> Vault:
    """The vault of this machine."""
    places: list[Place] = [Files(folder / "tokens"), Memory()]
    if _has_key_ring():
        places.insert(0, KeyRing())
    return Vault(places, say)


def _has_key_ring() -> bool:
    import keyring
    from keyring.backends.fail import Keyring as NoKeyRing

    return not isinstance(keyring.get_keyring(), NoKeyRing)
