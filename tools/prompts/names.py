"""Names of prompts: in the library, among the prompts of the server, and as files; nothing else is ever looked up."""

from __future__ import annotations

import re

from tools.prompts.refusals import Unusable

PREFIX = "library."  # of the library's prompts among all the prompts of the server, so that one rule covers them
URI_PREFIX = "prompt-library://"  # of their templates as resources
SUFFIX = ".md"  # of their files

# Small letters alone: `A.md` and `a.md` are one file on some disks. No dot, slash, percent sign or look-alike.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?", re.ASCII)


def checked(text: str) -> str:
    """A name in the library, given as such or as the name of its MCP prompt.

    Raises:
        Unusable: it is none, and so could be anything as a path.
    """
    name = text.removeprefix(PREFIX)
    if not is_name(name):
        shown = ascii(text[:70])
        raise Unusable(
            f"{shown} is no name of a prompt: take 1 to 64 small letters, digits, hyphens and underscores that begin "
            "and end with a letter or digit, such as 'weekly-report'."
        )
    return name


def is_name(text: str) -> bool:
    """Whether it is a name in the library."""
    return _NAME.fullmatch(text) is not None
