"""What settings say about a local command: contradictions in one sentence each, and what is run in the end."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from deploy.assembly import assemble, command_of
from gateway.settings import CommandSettings
from gateway.sources import SettingsError, parse
from tools.registry import PluginError
from tools.stdio import Command
from tools.stdio.server import StdioServer

VALID: dict[str, Any] = {"public_url": "https://gw.example", "issuers": [{"issuer": "https://issuer.example"}]}


def settings(command: dict[str, Any], **resource: Any) -> Any:
    return parse(VALID | {"resources": [{"path": "/mcp", "command": command, **resource}]})


@pytest.mark.parametrize(
    ("command", "resource", "sentence"),
    [
        pytest.param({"run": []}, {}, "command.run: names no program", id="no program"),
        pytest.param({"run": [""]}, {}, "command.run: names no program", id="an empty program"),
        pytest.param({"run": ["a"]}, {"tools": []}, "tools are named as well", id="tools as well"),
        pytest.param(
            {"run": ["a"]},
            {"upstream": {"url": "http://127.0.0.1:1"}},
            "an upstream is named",
            id="an upstream as well",
        ),
        pytest.param({"run": ["a"]}, {"sessions": False}, "sessions: a command needs them", id="no sessions"),
        pytest.param(
            {"run": ["a"], "env": {"A B": "c"}}, {}, "'A B' is no name of a variable", id="a name with blanks"
        ),
        pytest.param(
            {"run": ["a"], "inherit": ["BEARERGATE_SEAL_KEYS"]},
            {},
            "BEARERGATE_SEAL_KEYS is for the gate",
            id="a secret",
        ),
        pytest.param({"run": ["a\0b"]}, {}, "holds a NUL character", id="a NUL"),
        pytest.param({"run": ["a"], "idle_seconds": 0}, {}, "idle_seconds", id="no time"),
        pytest.param({"run": ["a"], "shell": True}, {}, "shell", id="what is no setting"),
        pytest.param({}, {}, "run", id="nothing to run"),
    ],
)
def test_contradiction_is_a_sentence_that_names_its_key(
    command: dict[str, Any], resource: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(command, **resource)
    assert any(sentence in problem for problem in refused.value.problems), refused.value.problems


def test_command_is_run_with_what_the_settings_say() -> None:
    said = CommandSettings(
        run=["program", "argument"],
        env={"A": "b"},
        inherit=["API_KEY"],
        directory="/srv",
        shared=True,
        max_processes=3,
        max_processes_each=2,
        idle_seconds=60,
        start_seconds=5,
    )
    assert command_of(said) == Command(
        arguments=("program", "argument"),
        environment={"A": "b"},
        inherit=("API_KEY",),
        directory="/srv",
        shared=True,
        max_processes=3,
        max_processes_each=2,
        idle_seconds=60,
        start_seconds=5,
    )
    assert command_of(CommandSettings(run=["program"])) == Command(arguments=("program",))


def test_command_that_is_not_there_is_one_sentence_before_anything_is_served() -> None:
    with pytest.raises(PluginError, match=r"no-such-program is not there or may not be run: install it"):
        assemble(settings({"run": ["no-such-program"]}))


def test_command_takes_the_place_of_the_tools() -> None:
    assembly = assemble(settings({"run": [sys.executable]}))
    (resource,) = assembly.settings.resources
    assert assembly.plugins == {"/mcp": ()}
    assert isinstance(assembly.app(resource, None, None), StdioServer)


def test_secrets_of_a_command_are_not_in_its_words() -> None:
    said = CommandSettings(run=["program", "--key", "secret"], env={"KEY": "secret"})
    assert "secret" not in repr(said)
    assert "secret" not in repr(settings({"run": ["program", "secret"]}))
