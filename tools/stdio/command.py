"""A local command that is an MCP server on its standard input and output: what is run, where, and with what."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tools.registry import PluginError

# What a command gets of the gate's own environment: nothing that could be a secret of the gate.
INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
MEBIBYTE = 1024 * 1024


class CannotStart(PluginError):
    """A command cannot be started; the text says what to do."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command, how long and how often it may run, and how much it may say."""

    arguments: tuple[str, ...]  # the program first
    environment: Mapping[str, str] = {}  # on top of INHERITED
    inherit: tuple[str, ...] = ()  # further variables of the gate's own environment
    directory: str | None = None  # where it runs; the gate's own when None
    shared: bool = False  # one process for every principal
    max_processes: int = 32
    max_processes_each: int = 4  # of one principal
    max_sessions: int = 10_000  # of a shared process
    max_requests: int = 200  # under way in one process
    max_message_bytes: int = 16 * MEBIBYTE  # of a message that it sends
    idle_seconds: float = 1800  # without a request or an open stream, until it is stopped
    start_seconds: float = 30  # that it may take to answer the first message, and to list its tools
    silence_seconds: float = 15  # of a stream, until a comment breaks it
    grace_seconds: float = 2  # between asking it to end, telling it to, and killing it

    @property
    def name(self) -> str:
        """The command in the log: its program, and no argument, since one may be a secret."""
        return Path(self.arguments[0]).name

    def variables(self) -> dict[str, str]:
        """The whole environment it runs in."""
        kept = {name: os.environ[name] for name in (*INHERITED, *self.inherit) if name in os.environ}
        return {**kept, **self.environment}

    def check(self) -> None:
        """Look whether it could be started.

        Raises:
            CannotStart: its program or its directory is not there, or is none.
        """
        program = self.arguments[0]
        folder = Path(self.directory or ".")
        if not folder.is_dir():
            raise CannotStart(
                f"The command {self.name} is to run in {folder}, which is no folder: create or correct it."
            )
        place = str(folder / program) if "/" in program else program
        if shutil.which(place, path=self.variables().get("PATH", os.defpath)) is None:
            raise CannotStart(
                f"The command {program} is not there or may not be run: install it, or give its whole path."
            )
