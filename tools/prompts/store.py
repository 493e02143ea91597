"""Where a library is kept: what S3 and a folder have in common. Every call blocks, so it belongs in a thread.

An etag stands for the content of a template. A write names the etag that its author has seen, and is refused where
that is not the present one, so that nobody overwrites what they have not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

MAX_PROMPTS = 500  # of a library
MAX_VERSIONS = 100  # of a prompt that are told, the newest


class Stored(NamedTuple):
    """A template as it is kept; `content` may be cut off behind what a template may have."""

    content: bytes
    etag: str
    version: str  # "" where the store keeps none


class Saved(NamedTuple):
    """What a write has made."""

    etag: str
    version: str


class Version(NamedTuple):
    """One version of a prompt; one that says it was removed has no content."""

    id: str
    etag: str
    written: datetime
    size: int  # bytes
    latest: bool
    removed: bool = False


class Listing(NamedTuple):
    """The etags of all templates by name, and why other files are none."""

    etags: Mapping[str, str]
    problems: Mapping[str, str]


class Store(Protocol):
    """A place for templates. Every method raises `Unreachable` where it cannot be asked."""

    def scan(self) -> Listing:
        """What there is."""
        ...

    def read(self, name: str, known: str = "") -> Stored | None:
        """A template; None if it still has the etag that is known. Raises `Missing`."""
        ...

    def write(self, name: str, content: bytes, expected: str | None) -> Saved:
        """Put a new template where there is none, or over the one with the expected etag.

        Raises:
            Conflict: there is one already, or one with another etag.
            Missing: there is none with an etag.
        """
        ...

    def remove(self, name: str, expected: str) -> None:
        """Remove the template with that etag. Raises `Conflict` and `Missing`."""
        ...

    def versions(self, name: str) -> list[Version]:
        """The versions of a prompt, the newest first. Raises `Missing`."""
        ...

    def read_version(self, name: str, version: str) -> Stored:
        """A version, by its id. Raises `Missing`."""
        ...
