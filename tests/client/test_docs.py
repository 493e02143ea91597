"""The page about the client says what there is, and nothing else."""

from __future__ import annotations

import re

from client import errors
from client.commands import COMMANDS
from client.settings import from_environment
from deploy.cli import command_line
from tests.deploy.laptop import ROOT

PAGE = (ROOT / "docs" / "client.md").read_text()


def test_every_command_is_there() -> None:
    said = set(re.findall(r"`([a-z-]+)[ `]", PAGE))
    assert COMMANDS.keys() - said == set()


def test_every_exit_status_is_there() -> None:
    statuses = {each.exit for each in vars(errors).values() if isinstance(each, type) and hasattr(each, "exit")}
    said = {int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert said == (statuses - {1}) | {0, errors.CANCELLED}


def test_every_option_that_is_named_exists() -> None:
    known = command_line().format_help() + "".join(
        verb.format_help()
        for verb in command_line()._subparsers._group_actions[0].choices.values()  # type: ignore[union-attr]
    )
    for option in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert option in known, option


def test_every_variable_that_is_named_is_read() -> None:
    class Seen(dict[str, str]):
        """Notes what is asked for."""

        def __init__(self) -> None:
            super().__init__()
            self.asked: set[str] = set()

        def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
            self.asked.add(name)
            return default

    seen = Seen()
    from_environment(seen)
    named = set(re.findall(r"`((?:MCP|OAUTH|AUTH|ACCESS|SSL)_[A-Z_]+)`", PAGE))
    assert named == {name for name in seen.asked if not name.startswith("XDG")}
