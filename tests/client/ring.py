"""A desktop's key ring in a file, for one process or several: PYTHON_KEYRING_BACKEND=tests.client.ring.Ring."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from client.vault import SERVICE


class Ring(KeyringBackend):
    """A key ring; it is locked while the file beside it is there."""

    priority = 1.0 if "RING_FILE" in os.environ else 0.0  # never found by itself

    def __init__(self, file: Path | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.file = file or Path(os.environ.get("RING_FILE", os.devnull))
        self.lock = self.file.with_suffix(".locked")

    def lock_up(self) -> None:
        """Lock it."""
        self.lock.touch()

    def unlock(self) -> None:
        """Open it again."""
        self.lock.unlink()

    @property
    def kept(self) -> dict[str, str]:
        """What it holds of ours."""
        if self.lock.exists():
            raise KeyringLocked("locked")
        return dict(json.loads(self.file.read_text())) if self.file.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        assert service == SERVICE
        return self.kept.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        assert service == SERVICE
        self.file.write_text(json.dumps({**self.kept, username: password}))

    def delete_password(self, service: str, username: str) -> None:
        assert service == SERVICE
        kept = self.kept
        if kept.pop(username, None) is None:
            raise PasswordDeleteError
        self.file.write_text(json.dumps(kept))


def variables(ring: Ring) -> Mapping[str, str]:
    """The environment of a process that has this key ring."""
    return {"PYTHON_KEYRING_BACKEND": "tests.client.ring.Ring", "RING_FILE": str(ring.file)}
