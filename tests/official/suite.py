"""The official conformance suite against a server: what it checked, and how that ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.official.node import HERE, node, packages

SECONDS = 120  # for all scenarios of one revision; they take 6
SCENARIO_MILLISECONDS = 20_000


class Check(NamedTuple):
    """One check of a scenario; several may have the same id."""

    id: str
    name: str
    status: str  # SUCCESS, FAILURE, WARNING, INFO or SKIPPED
    error: str


Checks = dict[str, list[Check]]  # by scenario


def program() -> Path:
    """The suite's command line, to be run with node."""
    return packages() / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


def check_server(url: str, revision: str, output: Path, token: str | None = None) -> Checks:
    """What all scenarios of a revision found at a server; every request carries the token."""
    arguments = ("--url", url, "--suite", "all", "--spec-version", revision, "--timeout", str(SCENARIO_MILLISECONDS))
    bearer = {"NODE_OPTIONS": f'--require "{HERE / "add_bearer.cjs"}"', "TOKEN": token} if token else {}
    # The exit code is of no use here: scenarios that need the suite's fixture fail.
    ended = node(program(), "server", *arguments, "-o", output, seconds=SECONDS, variables=bearer)
    found = dict(read(output))
    assert found, ended.stderr
    return found


def read(output: Path) -> Iterator[tuple[str, list[Check]]]:
    """The checks of each scenario, from the files the suite wrote."""
    for file in output.glob("*/checks.json"):
        scenario = re.sub(r"^(authorization-)?server-|-\d{4}-\d\d-\d\dT[\d-]+Z$", "", file.parent.name)
        written = json.loads(file.read_text())
        yield scenario, [Check(c["id"], c["name"], c["status"], c.get("errorMessage", "")) for c in written]
