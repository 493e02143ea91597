"""The official suite's server scenarios: what passes through the gate, and that the gate changes nothing."""

from __future__ import annotations

import asyncio
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.deploy.laptop import Laptop, Person
from tests.official.suite import Check, Checks, check_server
from tests.official.ungated import ungated

# Checks that must pass, of the scenarios that ask for no tool, prompt or resource of the suite's own.
PASSED = {
    "2025-06-18": {
        "server-initialize": 3,
        "server-session-lifecycle": 3,
        "ping": 2,
        "tools-list": 2,
        "resources-list": 2,
        "prompts-list": 2,
    },
    "2025-11-25": {
        "server-initialize": 3,
        "server-session-lifecycle": 3,
        "server-sse-multiple-streams": 2,
        "dns-rebinding-protection": 2,
        "ping": 2,
        "tools-list": 3,
        "resources-list": 2,
        "prompts-list": 2,
    },
    "2026-07-28": {
        "server-stateless": 26,
        "server-sse-multiple-streams": 1,
        "dns-rebinding-protection": 2,
        "http-header-validation": 14,
        "caching": 8,
        "sep-2164-resource-not-found": 4,
        "tools-list": 4,
        "resources-list": 2,
        "prompts-list": 2,
    },
}
# What is left of those scenarios for servers with the suite's tools.
NEEDS_FIXTURE = {
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-server-sends-tools-list-changed-on-subscription",
    "sep-2575-server-sends-prompts-list-changed-on-subscription",
}
BAD = ("FAILURE", "WARNING", "SKIPPED")
# The gate's own business, which the tools leave to it.
OF_THE_GATE = {"dns-rebinding-protection"}
# Passes through the gate alone: httptools leaves blanks behind a header's value, and the gate takes them off.
MENDED = "sep-2243-server-accepts-whitespace-header-value"


@pytest.fixture(scope="module")
async def token(running: Laptop) -> str:
    """A token with every scope there is, so that nothing is hidden from the suite."""
    alice = Person(running.user, running.password)
    async with alice.connected(running.endpoint, "2026-07-28") as client:
        await client.list_tools()
        await client.call_tool("multi-greet")
    assert alice.storage.tokens is not None
    return alice.storage.tokens.access_token


@pytest.fixture(scope="module", params=PASSED)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
async def gated(running: Laptop, token: str, revision: str, tmp_path_factory: pytest.TempPathFactory) -> Checks:
    """What the suite finds through the gate."""
    return await asyncio.to_thread(check_server, running.endpoint, revision, tmp_path_factory.mktemp("gated"), token)


async def test_scenarios_that_need_no_fixture_pass_through_the_gate(gated: Checks, revision: str) -> None:
    bad = {name: [check for check in gated[name] if is_bad(check)] for name in PASSED[revision]}
    assert {name: checks for name, checks in bad.items() if checks} == {}
    passed = {name: sum(check.status == "SUCCESS" for check in gated[name]) for name in PASSED[revision]}
    assert passed == PASSED[revision]


async def test_every_check_ends_through_the_gate_as_it_does_direct(
    gated: Checks, revision: str, tmp_path: Path
) -> None:
    with ungated() as endpoint:
        direct = await asyncio.to_thread(check_server, endpoint, revision, tmp_path)
    assert gated.keys() == direct.keys()
    compared = {name: zip_longest(statuses(gated[name]), statuses(direct[name])) for name in gated}
    changed = {name: [(a, b) for a, b in both if a != b and (a or b)[0] != MENDED] for name, both in compared.items()}
    assert {name: checks for name, checks in changed.items() if checks and name not in OF_THE_GATE} == {}


def is_bad(check: Check) -> bool:
    return check.status in BAD and check.id not in NEEDS_FIXTURE


def statuses(checks: list[Check]) -> list[tuple[str, str, str]]:
    """How each check ended, in order."""
    return [(check.id, check.name, check.status) for check in checks]
