"""Long answers in a pager: the whole of them, whoever reads them decides how far."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

LESS = "FRX"  # leave where all fits the screen, show colours, keep the screen


def page(text: str) -> None:
    """Show text in the person's pager, or print it where there is none."""
    variables = {**os.environ, "LESS": os.environ.get("LESS", LESS), "LESSCHARSET": "utf-8"}
    try:
        command = shlex.split(os.environ.get("PAGER", "less"))
        with _deaf():
            subprocess.run(command, input=text.encode(errors="backslashreplace"), env=variables, check=False)  # noqa: S603 - the person's own choice
    except (ValueError, IndexError, OSError):  # a quote is left open, it is empty, or cannot be started
        print(text, flush=True)  # noqa: T201 - a result


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C is the pager's while it runs."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
