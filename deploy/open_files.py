"""As many open files as the system grants: every connection is one, and the usual 1,024 are soon too few."""

from __future__ import annotations

import contextlib
import sys

ENOUGH = 262_144  # beyond it, commands that close every file they might have would take long to start
UNLIMITED = -1  # as `resource` has it on Linux; elsewhere it is a number beyond any other


def allow_open_files() -> None:
    """Raise the soft limit of this process to its hard one, as other servers do; where that is refused, it stays."""
    if sys.platform != "win32":  # which has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):  # macOS may grant less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted(soft, hard), hard))


def wanted(soft: int, hard: int) -> int:
    """The soft limit to have; never less than it is."""
    if soft == UNLIMITED:
        return soft
    return max(soft, ENOUGH if hard == UNLIMITED else min(hard, ENOUGH))
