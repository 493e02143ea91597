"""The commands one by one, at a stock server in the same process."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.commands import perform
from client.errors import BadInput, ClientError
from client.output import Output
from client.settings import Settings
from client.shell import Shell, Typed, run
from tests.client.mcp_server import app
from tests.served import served


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with served(app()) as origin:
        settings = Settings(url=f"{origin}/mcp", folder=tmp_path)
        made = Shell(settings, Output(out=io.StringIO(), err=io.StringIO()), interactive=True)
        yield made
        await made.close()


def said(shell: Shell) -> str:
    """Everything it said so far."""
    assert isinstance(shell.output.out, io.StringIO)
    assert isinstance(shell.output.err, io.StringIO)
    return shell.output.out.getvalue() + shell.output.err.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "connect a b",
        "call-tool",
        "call-tool rows [1]",
        "call-tool pay",
        "get-prompt",
        "read-resource",
        "auth",
        "auth nonsense",
        "set-auth-method magic",
        "debug maybe",
        "bedrock-report us-east-1 /x 0",
        "list-tools 'open",
        "connect ftp://x",
        "\x1b[2J",
    ],
)
async def test_what_makes_no_sense_is_said_to(shell: Shell, line: str) -> None:
    with pytest.raises(BadInput):
        await perform(shell, line)


async def test_commands_before_and_after_a_connection(shell: Shell) -> None:
    for line in ("disconnect", "terminate-session", "debug", "debug on", "connect", "disconnect", "reconnect"):
        await perform(shell, line)
    for line in ("list-prompts", "list-resources", "terminate-session", "debug off", "history", "help", "EXIT"):
        await perform(shell, line)
    for words in ("Not connected.", "There is no session", "Debug is on", "[debug] POST /mcp", "Disconnected."):
        assert words in said(shell)
    assert said(shell).count("Connected to stock") == 2
    assert "There are none." in said(shell)
    assert shell.done


async def test_other_server_gets_nothing_that_was_set_for_the_first(tmp_path: Path) -> None:
    settings = Settings(
        url="https://a.example.com/mcp", folder=tmp_path, access_token="a", client_id="c", client_secret="s"
    )
    shell = Shell(settings, Output(out=io.StringIO(), err=io.StringIO()), interactive=False)
    await shell.change(url="https://a.example.com/other")
    assert shell.settings.access_token == "a"
    await shell.change(url="https://b.example.com/mcp")
    assert (shell.settings.access_token, shell.settings.client_secret) == ("", "")


async def test_method_can_be_changed(shell: Shell) -> None:
    await perform(shell, "set-auth-method lambda")
    assert shell.settings.auth_method == "lambda"
    await perform(shell, "auth status")
    assert "none: set ACCESS_TOKEN" in said(shell)
    with pytest.raises(ClientError):
        await perform(shell, "auth login")


async def test_person_goes_on_after_a_failure_and_a_script_does_not(shell: Shell) -> None:
    assert await run(shell, Typed(["nonsense", "", "call-tool broken", "call-tool rows"])) == 0
    assert "The tool broken failed." in said(shell)
    assert "a\t1" in said(shell)
    shell.interactive, shell.done = False, False
    assert await run(shell, Typed(["call-tool broken", "call-tool rows"])) == 4
