"""The lines that were typed, in a file that only their owner reads, without those that look like secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import FileHistory

# JSON members and words that name a secret, and the beginnings of a JWT, however long what follows
_SECRETS = re.compile(r"eyJ[\w-]{8,}|passw|secret|token\W|api.?key|credential|bearer\s", re.IGNORECASE)


class History(FileHistory):
    """Lines of earlier shells and of this one. Where nothing can be written, those of this one."""

    def __init__(self, file: Path) -> None:
        self._writable = _prepared(file)
        super().__init__(file)

    def load_history_strings(self) -> Iterable[str]:
        """The lines, newest first."""
        return super().load_history_strings() if self._writable else []

    def append_string(self, string: str) -> None:
        """Remember a line, if it may be."""
        if not is_secret(string):
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """Write a line down."""
        if self._writable:
            super().store_string(string)


def is_secret(text: str) -> bool:
    """Whether a line may hold a secret; better one line too few is kept."""
    return bool(_SECRETS.search(text))


def _prepared(file: Path) -> bool:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError:
        return False
    return True
