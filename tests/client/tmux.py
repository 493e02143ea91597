"""A real terminal: tmux, in which the command is typed and what is on the screen is read."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.client.conftest import Home

SECONDS = 60  # that a loaded machine may take; what is there sooner is seen sooner


@dataclass
class Screen:
    """One terminal, and all that was ever written to it."""

    socket: str
    raw: Path

    def type(self, text: str, *keys: str) -> None:
        """Type text, then keys by their tmux names; Enter if none is said."""
        self._tmux("send-keys", "-t", "t", "-l", text)
        self.press(*(keys or ("Enter",)))

    def press(self, *keys: str) -> None:
        """Press keys by their tmux names."""
        self._tmux("send-keys", "-t", "t", *keys)

    def text(self) -> str:
        """What is on the screen now, with what has scrolled off it."""
        return self._tmux("capture-pane", "-t", "t", "-p", "-J", "-S", "-2000")

    def sees(self, pattern: str, seconds: float = SECONDS) -> re.Match[str]:
        """The first match of a pattern that is, or comes, on the screen."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.text(), re.MULTILINE)) is None:
            assert time.monotonic() < deadline, f"{pattern} is not on the screen:\n{self.text()}"
            time.sleep(0.05)  # another process draws it
        return found

    def leaves(self) -> None:
        """Have the program end; keys that come while it is not at its prompt may be lost on it."""
        deadline = time.monotonic() + SECONDS
        while re.search("^left", self.text(), re.MULTILINE) is None:
            assert time.monotonic() < deadline, f"it does not leave:\n{self.text()}"
            self.press("C-c", "C-d")
            time.sleep(0.3)  # another process; nothing tells that it took the keys

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self.socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def terminal(home: Home, *arguments: str, columns: int = 100, rows: int = 40, **variables: str) -> Iterator[Screen]:
    """`bearergate` with these arguments in a terminal, until the end of the block."""
    if shutil.which("tmux") is None:
        pytest.fail("These tests need tmux: apt-get install -y tmux", pytrace=False)
    name = f"bearergate-{home.folder.name}-{time.monotonic_ns()}"
    screen = Screen(name, home.folder / f"{name}.raw")
    set_ = [f"{name}={value}" for name, value in {**home.environment, **variables}.items() if name != "TERM"]
    command = shlex.join(["env", "-i", *set_, "TERM=screen", sys.executable, "-m", "deploy.cli", *arguments])
    script = home.folder / name
    script.write_text(f"trap : INT\nclear\n{command}\nprintf '\\nleft %s\\n' $?\n")  # a line that is typed has a bound
    screen._tmux("new-session", "-d", "-s", "t", "-c", str(home.folder), "-x", str(columns), "-y", str(rows), "sh")
    screen._tmux("set-option", "-g", "remain-on-exit", "on")  # so that a key too many does no harm
    try:
        screen._tmux("pipe-pane", "-t", "t", f"cat > {shlex.quote(str(screen.raw))}")
        screen.type(f"sh {name}")
        yield screen
        screen.leaves()
    finally:
        screen._tmux("kill-server")
