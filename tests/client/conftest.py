"""A protected server as people run it, and the command as they type it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyRing

from deploy.cli import main
from tests.client.browser import variable
from tests.client.world import World, world
from tests.deploy.laptop import ROOT, Laptop, laptop

OURS = ("MCP_", "OAUTH_", "ACCESS_TOKEN", "AUTH_METHOD", "BEARERGATE_", "COGNITO_", "XDG_")
NO_KEY_RING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}  # not that of who runs the tests


@pytest.fixture(scope="session")
def running() -> Iterator[Laptop]:
    with laptop() as started:
        yield started


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as made:
        yield made


@dataclass
class Home:
    """A person's account on a machine: where files are, and the variables that are set."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        mine = {"XDG_STATE_HOME": str(self.folder / "state"), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        return {**clean, **mine, **NO_KEY_RING, **self.variables}

    @property
    def kept(self) -> Path:
        """Where tokens are, in files."""
        return self.folder / "state/bearergate/tokens"

    def run(self, *arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """The command, run to its end; `typed` is piped in."""
        return self.execute(sys.executable, "-m", "deploy.cli", *arguments, typed=typed, **variables)

    def inside(self, *arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """The same in this process, which does not have to start; for all that opens no browser."""
        out, err = io.StringIO(), io.StringIO()
        status = 0
        with pytest.MonkeyPatch.context() as here:
            for name in [name for name in os.environ if name.startswith(OURS)]:
                here.delenv(name)
            for name, value in {**self.environment, **variables}.items():
                here.setenv(name, value)
            for name, stream in (("stdin", io.StringIO(typed)), ("stdout", out), ("stderr", err)):
                here.setattr(sys, name, stream)
            here.chdir(self.folder)
            keyring.set_keyring(NoKeyRing())  # type: ignore[no-untyped-call]
            try:
                main(list(arguments))
            except SystemExit as left:
                status = left.code if isinstance(left.code, int) else 1
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    def execute(self, *command: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Any command, run to its end in this account."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **variables},
            input=typed,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, running, with pipes at all ends."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-m", "deploy.cli", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def member(running: Laptop, home: Home) -> Home:
    """Somebody whose browser logs in at the laptop."""
    home.variables.update(variable(running, home.folder / "page.html"))
    return home
