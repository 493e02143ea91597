"""The commands one by one, at a stock server in the same process."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp.server.mcpserver import MCPServer

from client.calling import call
from client.commands import perform
from client.errors import BadInput, ClientError
from client.output import Output
from client.settings import Settings
from client.shell import Shell, Typed, piped, run
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
        "greet \udce9",
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


def library() -> MCPServer:
    """A server with a resource and a template of others."""
    server = MCPServer("library")

    @server.resource("x://one")
    def one() -> str:
        return "1"

    @server.resource("x://of/{name}")
    def of(name: str) -> str:
        return f"of {name}"

    return server


@pytest.mark.parametrize("as_json", [False, True])
async def test_resources_and_templates_are_listed_and_read(tmp_path: Path, as_json: bool) -> None:
    out = io.StringIO()
    async with served(library().streamable_http_app()) as origin:
        settings = Settings(url=f"{origin}/mcp", folder=tmp_path)
        shell = Shell(settings, Output(as_json=as_json, out=out, err=io.StringIO()), interactive=False)
        assert await run(shell, Typed(["list-resources", "read-resource x://one", "read-resource x://of/a"])) == 0
    if not as_json:
        assert out.getvalue() == "x://one\tone\t\nx://of/{name}\tof\t\n1\nof a\n"
        return
    listed, one, of = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [each.get("uri") or each["uriTemplate"] for each in listed] == ["x://one", "x://of/{name}"]
    assert (one["contents"][0]["text"], of["contents"][0]["text"]) == ("1", "of a")


async def test_json_of_what_is_typed_and_can_be_typed_is_json(shell: Shell) -> None:
    shell.output.as_json = True
    assert await run(shell, Typed(["help", "history"])) == 0
    commands, typed = [json.loads(line) for line in said(shell).splitlines()]
    assert {"usage": "quit", "about": "Leave"} in commands
    assert typed == ["help", "history"]


async def test_tool_that_cannot_be_named_to_a_server_is_not_called(shell: Shell) -> None:
    with pytest.raises(BadInput, match="no UTF-8"):
        await call(shell.server, "gr\udce9et", {}, shell.output, shell.asker)


def test_bytes_of_standard_input_that_are_no_utf_8_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"help\ngreet \xe9\n"), "utf-8", "strict"))
    output = Output(out=io.StringIO(), err=io.StringIO())
    assert piped(Settings(url="http://127.0.0.1:9/mcp", folder=tmp_path), output) == BadInput.exit
    assert output.err.getvalue() == "That holds bytes that are no UTF-8\n"  # type: ignore[attr-defined]


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
