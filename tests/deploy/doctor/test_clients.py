"""What is said of each client follows from its row, the row from a source, and nothing is said that is not known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from deploy.doctor.asking import Asker, home_of
from deploy.doctor.clients import (
    CLAUDE,
    CLIENTS,
    CURSOR,
    FASTMCP,
    INSPECTOR,
    NOBODY,
    PYTHON,
    SHELL,
    TYPESCRIPT,
    TYPESCRIPT_2,
    VSCODE,
    Client,
    judge,
)
from deploy.doctor.findings import RULES
from deploy.doctor.visit import Question, Visit
from tests.deploy.doctor.mutants import MUTANTS
from tests.deploy.doctor.server import running
from tests.deploy.doctor.test_findings import examined

ROOT = Path(__file__).resolve().parents[3]
PYTHON_PACKAGES = next((ROOT / ".venv").glob("lib/python3*/site-packages"), Path())


def visit_of(*findings: str) -> Visit:
    """A visit in which this was found, and the issuer is well."""
    url = "https://gw.example.com/mcp"
    visit = Visit(Question(url), home_of(url), Asker(home_of(url)), issuer={"issuer": "https://a.example"})
    for finding in findings:
        visit.findings.add(finding, "What.", "Change.")
    return visit


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_row_of_a_client_names_findings_that_there_are_each_once(client: Client) -> None:
    named = [*client.stops, *client.helped, *client.passes, *client.unclear]
    assert set(named) <= RULES.keys()
    assert not set(client.stops) & (client.passes | set(client.unclear)), "it stops, or it does not"
    assert not client.passes & set(client.unclear)
    assert not client.passes & set(NOBODY)
    assert client.source


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_fault_is_never_passed_over_in_silence(client: Client) -> None:
    for finding in RULES:
        judged = judge(visit_of(finding), client)
        if RULES[finding].level == "fault" and finding not in client.passes:
            assert judged.verdict != "ready"
            assert finding in judged.why


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client_works_where_nothing_was_found(client: Client) -> None:
    assert judge(visit_of(), client).verdict == "ready"
    assert judge(visit_of("open"), client).why == "it needs no login here"


def test_client_is_not_known_to_work_where_the_issuer_was_not_tested() -> None:
    visit = visit_of()
    visit.issuer = {}
    assert judge(visit, PYTHON).verdict == "not known"


async def test_client_in_a_cloud_does_not_reach_a_private_address() -> None:
    async def private(_: str, __: int) -> Sequence[str]:
        return ["10.0.0.1"]

    visit = visit_of()
    visit.asker = Asker(visit.home, resolver=private)
    await visit.asker.addresses(visit.home)
    assert judge(visit, CLAUDE).verdict == "stops"
    assert judge(visit, VSCODE).verdict == "ready"


@pytest.mark.parametrize(
    ("mutant", "expected"),
    [
        ("renamed challenge", {PYTHON: "ready", TYPESCRIPT: "ready", CURSOR: "not known", SHELL: "ready"}),
        ("a relative resource_metadata", {PYTHON: "stops", TYPESCRIPT: "ready", SHELL: "stops"}),
        ("a slash more", {PYTHON: "ready", TYPESCRIPT: "ready", FASTMCP: "ready", VSCODE: "not known"}),
        ("another host", {PYTHON: "stops", TYPESCRIPT_2: "stops", VSCODE: "not known", INSPECTOR: "stops"}),
        ("an issuer of another name", {PYTHON: "stops", TYPESCRIPT: "ready", TYPESCRIPT_2: "stops"}),
        ("no S256", {PYTHON: "ready", TYPESCRIPT: "ready", SHELL: "stops", VSCODE: "not known"}),
        ("plain PKCE", {PYTHON: "ready", TYPESCRIPT: "stops", SHELL: "stops"}),
        ("no registration", {PYTHON: "with help", VSCODE: "with help", SHELL: "with help", CURSOR: "with help"}),
        ("metadata that pages cannot read", {PYTHON: "ready", INSPECTOR: "stops"}),
        ("an issuer that pages cannot read", {PYTHON: "ready", INSPECTOR: "stops"}),
        ("a preflight that is refused", {PYTHON: "ready", INSPECTOR: "with help", CURSOR: "not known"}),
        ("no metadata", {PYTHON: "stops", VSCODE: "stops", CURSOR: "stops"}),
        ("an expired token", {PYTHON: "ready", VSCODE: "ready", CURSOR: "ready"}),
    ],
)
async def test_verdicts_follow_from_what_a_server_does(mutant: str, expected: dict[Client, str]) -> None:
    async with running() as server:
        visit = await examined(server, **(MUTANTS[mutant].change(server) or {}))
        assert {client: judge(visit, client).verdict for client in expected} == expected


@pytest.mark.parametrize("client", [PYTHON, FASTMCP, SHELL], ids=lambda client: client.name)
def test_sources_in_python_are_there(client: Client) -> None:
    """A release that moves them says that the row must be read again."""
    for name in re.findall(r"\b(?:client|shared)/[a-z_/]+\.py", client.source):
        packages = ("mcp", "fastmcp", "..")
        assert any((PYTHON_PACKAGES / package / name).is_file() for package in packages) or (ROOT / name).is_file()


def test_versions_in_the_rows_are_those_that_are_installed() -> None:
    assert f"mcp {version('mcp')}:" in PYTHON.source
    assert f"fastmcp {version('fastmcp')}:" in FASTMCP.source
