"""How a verb of the client ends when nobody is left to read it, and how it asks for a secret."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

import pytest

from client.commands import perform
from client.errors import CANCELLED, BadInput
from client.output import Output
from client.settings import Settings
from client.shell import Shell, piped
from deploy.cli import main
from deploy.clients import ended
from tests.client.conftest import Home
from tests.client.stock import stock_server
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


@pytest.mark.parametrize("content", [None, "not PEM"], ids=["missing", "not PEM"])
@pytest.mark.parametrize("arguments", [("call", NOWHERE, "rows"), ("login", NOWHERE)], ids=["call", "login"])
def test_file_of_authorities_that_cannot_be_used_is_named(
    home: Home, arguments: tuple[str, ...], content: str | None
) -> None:
    if content is not None:
        (home.folder / "authorities").write_text(content)
    done = home.inside(*arguments, SSL_CERT_FILE=str(home.folder / "authorities"))
    assert done.returncode == 2
    assert done.stderr.startswith("bearergate: SSL_CERT_FILE names no file"), done.stderr


def test_history_is_what_was_typed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(url=NOWHERE, folder=home.folder)
    assert piped(settings, Output(), ["debug on\n", "  \n", " history \n"]) == 0
    assert capsys.readouterr().out == "    1  debug on\n    2  history\n"


async def test_wrong_number_of_words_shows_the_usage(home: Home) -> None:
    shell = Shell(Settings(url=NOWHERE, folder=home.folder), Output(), interactive=False)
    with pytest.raises(BadInput, match=r"^Usage: read-resource <uri>$"):
        await perform(shell, "read-resource")


def test_ctrl_c_ends_a_call_with_the_status_of_shells(home: Home) -> None:
    with stock_server() as stock, terminal(home, "call", stock.url, "slow") as screen:
        screen.sees(r"^1 slow has begun")
        screen.press("C-c")
        screen.sees(r"^left 130")
        assert "Traceback" not in screen.text()


def test_ctrl_c_before_anything_runs_ends_likewise() -> None:
    with pytest.raises(SystemExit) as left, ended():
        raise KeyboardInterrupt
    assert left.value.code == CANCELLED


def test_fault_of_ours_is_not_taken_for_a_part_that_is_not_installed() -> None:
    with pytest.raises(ImportError, match="ours"), ended():
        raise ImportError("ours", name="client.nosuch")


def test_output_that_another_program_takes_over_is_left_as_it_is() -> None:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(["shell", NOWHERE, "-c", "debug", "-c", "nonsense"])
    assert (left.value.code, out.getvalue()) == (2, "")
    assert err.getvalue().startswith("Debug is off.\nThere is no command nonsense")
