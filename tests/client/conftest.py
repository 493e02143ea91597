"""A protected server as people run it, and the command as they type it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.client.browser import variable
from tests.client.world import World, world
from tests.deploy.laptop import ROOT, Laptop, laptop

OURS = ("MCP_", "OAUTH_", "ACCESS_TOKEN", "AUTH_METHOD", "BEARERGATE_", "COGNITO_", "XDG_")


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
        return {**clean, **mine, **self.variables}

    def run(self, *arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """The command, run to its end; `typed` is piped in."""
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", *arguments],
            cwd=self.folder,
            env={**self.environment, **variables},
            input=typed,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def member(running: Laptop, home: Home) -> Home:
    """Somebody whose browser logs in at the laptop."""
    home.variables.update(variable(running, home.folder / "page.html"))
    return home
