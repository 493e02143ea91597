"""The official suite's client mode: what it checks of our client, and that all of it passes."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.official.node import ROOT, node
from tests.official.suite import program

SECONDS = 400  # for all scenarios at once; on two cores they take 40
SCENARIO_MILLISECONDS = 120_000
# Scenarios, and checks that must pass: all that the SDK's own client passes. Ours usually passes 259 and 421; some
# scenarios count every request they see, and a slow machine sees fewer.
SUITES = [
    pytest.param(("--suite", "all", "--spec-version", "2025-11-25"), 19, 247, id="2025-11-25"),
    pytest.param(("--suite", "all", "--spec-version", "2026-07-28"), 33, 405, id="2026-07-28"),
    pytest.param(("--suite", "backcompat"), 2, 19, id="2025-03-26"),
    pytest.param(("--suite", "auth", "--spec-version", "2025-06-18"), 3, 57, id="2025-06-18"),
]
REFUSING_IS_RIGHT = (
    "resource-mismatch",
    "iss-supported-missing",
    "iss-wrong-issuer",
    "iss-unexpected",
    "iss-normalized",
    "metadata-issuer-mismatch",
)


def check_client(output: Path, *arguments: str) -> tuple[int, Counter[str], list[str]]:
    """The scenarios that ran, how their checks ended, and the checks that ended badly."""
    command = f"{sys.executable} -m client.conformance"
    timeout = ("--timeout", str(SCENARIO_MILLISECONDS))
    variables = {"PYTHONPATH": str(ROOT)}
    ended = node(
        program(),
        "client",
        "--command",
        command,
        *timeout,
        "-o",
        output,
        *arguments,
        seconds=SECONDS,
        variables=variables,
    )
    files = sorted(output.rglob("checks.json"))
    assert files, ended.stderr
    checks = [(file.parent.name, check) for file in files for check in json.loads(file.read_text())]
    bad = [f"{name}: {c['id']} {c.get('errorMessage')}" for name, c in checks if c["status"] in ("FAILURE", "WARNING")]
    return len(files), Counter(check["status"] for _, check in checks), bad


@pytest.mark.parametrize(("arguments", "scenarios", "passed"), SUITES)
def test_every_check_of_a_suite_passes(arguments: tuple[str, ...], scenarios: int, passed: int, tmp_path: Path) -> None:
    ran, ended, bad = check_client(tmp_path, *arguments)
    assert bad == []
    assert ran == scenarios
    assert ended["SUCCESS"] >= passed


@pytest.mark.parametrize(
    "scenario",
    [
        "auth/client-credentials-basic",
        "auth/client-credentials-jwt",
        "auth/enterprise-managed-authorization",
        "auth/wif-jwt-bearer",
    ],
)
def test_machines_log_in(scenario: str, tmp_path: Path) -> None:
    _, ended, bad = check_client(tmp_path, "--scenario", scenario)
    assert bad == []
    assert ended["SUCCESS"] >= 7


@pytest.mark.parametrize("scenario", REFUSING_IS_RIGHT)
def test_client_refuses_what_it_must(scenario: str, tmp_path: Path) -> None:
    _, ended, bad = check_client(tmp_path, "--scenario", f"auth/{scenario}", "--spec-version", "2026-07-28")
    assert bad == []
    assert ended["SUCCESS"] > 1
