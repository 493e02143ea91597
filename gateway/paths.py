"""Which resource a path belongs to: the one at it, to the letter, or the most particular one that it lies below.

What the gate itself answers lies below none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

Found = TypeVar("Found")

PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,=:@-]+)+")  # RFC 3986 §3.3, without what invites tricks: % and ;
RESERVED = ("/.well-known", "/healthz", "/readyz", "/oauth", "/authz")  # paths of the gate itself


class ByPath(Generic[Found]):
    """What stands at the paths of resources; `subpaths` are those of them below which everything is theirs too."""

    def __init__(self, found: Mapping[str, Found], subpaths: Collection[str]) -> None:
        self.at = dict(found).get
        # Longest first, so that the most particular resource gets the request.
        self._below = sorted(((path.rstrip("/") + "/", found[path]) for path in subpaths), key=_prefix, reverse=True)

    def below(self, path: str) -> Found | None:
        """What stands above a path."""
        if not self._below or is_reserved(path):
            return None
        return next((found for prefix, found in self._below if path.startswith(prefix)), None)


def is_reserved(path: str) -> bool:
    """Whether a path is one that the gate itself answers."""
    return any(path == taken or path.startswith(f"{taken}/") for taken in RESERVED)


def _prefix(entry: tuple[str, object]) -> str:
    return entry[0]
