"""docs/stdio.md: its settings are good ones, and its numbers those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gateway.settings import CommandSettings
from gateway.sources import parse
from tools.stdio.back_off import MAX_BACK_OFF_SECONDS, PATIENCE_SECONDS
from tools.stdio.command import INHERITED, MEBIBYTE, Command
from tools.stdio.process import LINE_OF_LOG, LINES_A_SECOND
from tools.stdio.sessions import MAX_WANTED, UNHEARD

PAGE = (Path(__file__).parents[2] / "docs" / "stdio.md").read_text("utf-8")
WORDS = " ".join(PAGE.split())
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_good_settings(example: str) -> None:
    (resource,) = parse(yaml.safe_load(example)).resources
    assert resource.command is not None
    assert resource.command.run


def test_examples_are_found() -> None:
    assert len(EXAMPLES) == 2


def test_numbers_are_those_of_the_code() -> None:
    command, settings = Command(arguments=("program",)), CommandSettings(run=["program"])
    assert f"`max_processes_each` ({settings.max_processes_each})" in WORDS
    assert f"`max_processes` ({settings.max_processes})" in WORDS
    assert f"up to {UNHEARD} messages wait" in WORDS
    assert f"{MAX_WANTED} may wait for an answer" in WORDS
    assert f"Of more than {LINES_A_SECOND} such lines" in WORDS
    assert f"over {command.max_message_bytes // MEBIBYTE} MiB" in WORDS
    assert f"up to {PATIENCE_SECONDS:.0f} seconds" in WORDS
    assert f"up to every {MAX_BACK_OFF_SECONDS:.0f} seconds" in WORDS
    assert f"after {LINE_OF_LOG:,} characters" in WORDS
    assert WORDS.count(f"{command.grace_seconds:.0f} seconds") >= 2
    listed = ", ".join(f"`{name}`" for name in INHERITED[:-1])
    assert f"{listed} and `{INHERITED[-1]}`" in WORDS
