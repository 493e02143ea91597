"""How a verb of the client ends when nobody is left to read it, and how it asks for a secret."""

from __future__ import annotations

import subprocess
import sys

import pytest

from client.commands import perform
from client.errors import BadInput
from client.output import Output
from client.settings import Settings
from client.shell import Shell, piped
from tests.client.conftest import Home
from tests.client.tmux import terminal

NOWHERE = "http://127.0.0.1:9/mcp"  # the discard port, where nothing listens


def test_secret_is_asked_for_and_not_shown(home: Home) -> None:
    with terminal(home, "token", "--client-id", "me", "--ask-client-secret", NOWHERE) as screen:
        screen.sees(r"^Client secret:")
        screen.type("hunter2")
        screen.sees(r"^left 3")
        assert "hunter2" not in screen.raw.read_text()


def test_reader_that_has_seen_enough_ends_the_command_without_a_complaint(home: Home) -> None:
    command = [sys.executable, "-m", "deploy.cli", "shell", NOWHERE, "-c", "help"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=home.folder, env=home.environment, text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0


def test_history_is_what_was_typed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(url=NOWHERE, folder=home.folder)
    assert piped(settings, Output(), ["debug on\n", "  \n", " history \n"]) == 0
    assert capsys.readouterr().out == "    1  debug on\n    2  history\n"


async def test_wrong_number_of_words_shows_the_usage(home: Home) -> None:
    shell = Shell(Settings(url=NOWHERE, folder=home.folder), Output(), interactive=False)
    with pytest.raises(BadInput, match=r"^Usage: read-resource <uri>$"):
        await perform(shell, "read-resource")
