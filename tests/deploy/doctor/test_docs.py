"""docs/doctor.md names every finding, every client and every option, and its commands are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from deploy.cli import command_line
from deploy.doctor.clients import CLIENTS
from deploy.doctor.findings import RULES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "doctor.md").read_text("utf-8")


def test_table_of_findings_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (fault|advice) \| (.+\.) \| (.+) \|$", PAGE, re.MULTILINE)
    assert {(id_, level, source) for id_, level, _, source in rows} == {
        (id_, rule.level, rule.source) for id_, rule in RULES.items()
    }


def test_table_of_clients_is_that_of_the_code() -> None:
    table = PAGE.partition("| client |")[2]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    assert rows == [
        (client.name, "; ".join(dict.fromkeys(client.helped.values())), client.source) for client in CLIENTS
    ]


def test_options_and_commands_shown_are_understood() -> None:
    commands = [part for each in re.findall(r"^    (bearergate .+)$", PAGE, re.MULTILINE) for part in each.split(" | ")]
    assert len(commands) == 4
    for command in commands:
        said = command_line().parse_args(shlex.split(command)[1:])
        assert said.url == "https://mcp.example.com/mcp"
    shown = set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE))
    assert shown == {"--token", "--token-file", "--origin", "--tool", "--timeout", "--json"}


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
