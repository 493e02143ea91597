"""Where secrets rest: the system's key ring, else files that only their owner can read, else nothing but memory."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

SERVICE = "bearergate"  # under which a key ring lists them
STRAY_SECONDS = 60  # in which whoever writes a file has written it, or was killed
_STAMPED = re.compile(r"([0-9]{1,20}) (.*)", re.DOTALL)


class Closed(Exception):
    """The place does not do what is asked of it; the text says why."""


class Place(Protocol):
    """One place for secrets, each under a name. Where it cannot do what is asked, it raises `Closed`."""

    where: str  # in the middle of a sentence

    def read(self, name: str) -> str | None:
        """The secret of this name."""

    def write(self, name: str, secret: str) -> None:
        """Keep it in place of what was there."""

    def erase(self, name: str) -> None:
        """Forget it, if it is there."""


class KeyRing:
    """The key ring of the desktop or system, whichever the keyring library finds."""

    where = "in the key ring"

    def read(self, name: str) -> str | None:
        import keyring

        with _opened():
            return keyring.get_password(SERVICE, name)

    def write(self, name: str, secret: str) -> None:
        import keyring

        with _opened():
            keyring.set_password(SERVICE, name, secret)

    def erase(self, name: str) -> None:
        import keyring

        with _opened():
            if keyring.get_password(SERVICE, name) is not None:
                keyring.delete_password(SERVICE, name)


@contextlib.contextmanager
def _opened() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - besides its own errors, those of whatever bus or desktop is behind it
        raise Closed(f"the key ring refuses ({type(error).__name__})") from None


class Files:
    """A folder of files with mode 0600, named by a digest, replaced as a whole."""

    where = "in files"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> str | None:
        try:
            return self._file(name).read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):  # the last: nothing that we wrote
            return None
        except OSError as error:
            raise Closed(f"{self.folder} cannot be read ({error.strerror})") from None

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
            raise Closed(f"{self.folder} cannot be written ({error.strerror})") from None
        self._sweep(file, older_than=time.time() - STRAY_SECONDS)

    def erase(self, name: str) -> None:
        file = self._file(name)
        try:
            self._sweep(file)
            file.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise Closed(f"{self.folder} cannot be written ({error.strerror})") from None

    def _sweep(self, file: Path, older_than: float = math.inf) -> None:
        """Remove what programs left of this secret that were killed while they wrote it."""
        for stray in self.folder.glob(f"{file.stem}.*"):
            with contextlib.suppress(FileNotFoundError):  # another program sweeps too
                if stray != file and stray.stat().st_mtime < older_than:
                    stray.unlink()

    def _file(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


class Memory:
    """As long as the process lives."""

    where = "only as long as this program runs"

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        return self._secrets.get(name)

    def write(self, name: str, secret: str) -> None:
        self._secrets[name] = secret

    def erase(self, name: str) -> None:
        self._secrets.pop(name, None)


class Vault:
    """Places in order of preference, the last of which takes everything; what one does not take goes to the next.

    A place that could not be opened may still hold an older secret, or be opened again, so every secret is written
    with a time, and the newest one counts, wherever it is.
    """

    def __init__(self, places: list[Place], say: Callable[[str], None]) -> None:
        self.places = places
        self._say = say
        self._closed: list[Place] = []  # to writing, which is said once
        self._unseen: set[str] = set()  # why places were not looked into, likewise

    def read(self, name: str) -> str | None:
        """The newest secret of this name; if there is none, what could not be looked into is said."""
        (_, secret), shut = self._newest(name)
        if secret is None:
            for why in dict.fromkeys(shut):
                if why not in self._unseen:
                    self._unseen.add(why)
                    self._say(f"A login that is kept there is not seen: {why}.")
        return secret or None

    def is_gone(self, name: str) -> bool:
        """Whether no place has it, and all could be looked into."""
        (_, secret), shut = self._newest(name)
        return not secret and not shut

    def write(self, name: str, secret: str) -> None:
        """Keep a secret in the first place that takes it; what others have of that name is older, and goes."""
        stamped = self._stamped(name, secret)
        for place in self.places:
            if place not in self._closed and self._takes(place, name, stamped):
                break
        for other in self.places:
            if other is not place:
                with contextlib.suppress(Closed):
                    other.erase(name)

    def erase(self, name: str) -> None:
        """Forget a secret wherever it is.

        Raises:
            Closed: it may still be somewhere. This program does not see it any more.
        """
        stays = []
        for place in self.places:
            try:
                place.erase(name)
            except Closed as error:
                stays.append(str(error))
        if stays:
            self.places[-1].write(name, self._stamped(name, ""))
            raise Closed(" and ".join(stays))

    def _takes(self, place: Place, name: str, stamped: str) -> bool:
        try:
            place.write(name, stamped)
        except Closed as error:
            self._closed.append(place)
            following = next(other for other in self.places if other not in self._closed)
            self._say(f"Tokens are kept {following.where}: {error}.")
            return False
        return True

    def _stamped(self, name: str, secret: str) -> str:
        """The secret with a time after that of all others of its name, even if the clock was put back."""
        (before, _), _ = self._newest(name)
        return f"{max(time.time_ns(), before + 1)} {secret}"

    def _newest(self, name: str) -> tuple[tuple[int, str | None], list[str]]:
        """Time and secret, and why some places were not looked into."""
        found: list[tuple[int, str | None]] = [(-1, None)]
        shut = []
        for place in self.places:
            try:
                text = place.read(name)
            except Closed as error:
                shut.append(str(error))
            else:
                found += [] if text is None else [_parted(text)]
        return max(found, key=lambda each: each[0]), shut


def _parted(text: str) -> tuple[int, str]:
    """Time and secret; those of a version that wrote no times are older than all others."""
    parts = _STAMPED.fullmatch(text)
    return (int(parts[1]), parts[2]) if parts else (0, text)


def open_vault(folder: Path, say: Callable[[str], None]) -> Vault:
    """The vault of this machine."""
    places: list[Place] = [Files(folder / "tokens"), Memory()]
    if _has_key_ring(say):
        places.insert(0, KeyRing())
    return Vault(places, say)


def _has_key_ring(say: Callable[[str], None]) -> bool:
    try:
        import keyring
        from keyring.backends import fail, null

        return not isinstance(keyring.get_keyring(), (fail.Keyring, null.Keyring))  # the latter keeps nothing
    except Exception as error:  # noqa: BLE001 - a backend that somebody configured, and that is not there
        say(f"The key ring cannot be used ({type(error).__name__}).")
        return False
