"""The official suite's own server behind the gate: every check ends as it does without, and none fails."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.authority import Authority
from tests.official.gate import Door, gate_before, upstream
from tests.official.suite import Check, Checks, check_server

PASSED = {"2025-06-18": 56, "2025-11-25": 84, "2026-07-28": 152}
FIXTURE = [sys.executable, "-m", "tests.official.upstreams.fixture"]
# So that bodies are read and lists filtered, and nothing is refused or hidden for it.
RULES = [
    {"tools": ["test_*"], "scopes": ["mcp:use"]},
    {"prompts": ["*"], "scopes": ["mcp:use"]},
    {"resources": ["test://*"], "scopes": ["mcp:use"]},
]


@pytest.fixture(scope="module", params=["plain", "TLS"])
def upstream_settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The fixture as a process, and how the gate is told of it."""
    if request.param == "plain":
        with upstream(FIXTURE) as url:
            yield {"url": url}
        return
    authority = Authority(tmp_path_factory.mktemp("certificate"))
    with upstream([*FIXTURE, str(authority.issued(x509.DNSName("localhost")))]) as url:
        yield {"url": url, "ca_file": str(authority.file())}


@pytest.fixture(scope="module", params=["rules", "no rules"])
async def door(
    request: pytest.FixtureRequest, upstream_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    resource = {"upstream": upstream_settings, "rules": RULES if request.param == "rules" else []}
    async with gate_before(resource, tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Checks]]:
    """What the suite finds without a gate, by revision; each is asked for once."""
    with upstream(FIXTURE) as url:
        yield {revision: check_server(url, revision, tmp_path_factory.mktemp("direct")) for revision in PASSED}


@pytest.mark.parametrize("revision", PASSED)
async def test_every_check_ends_through_the_gate_as_it_does_direct(
    door: Door, direct: dict[str, Checks], revision: str, tmp_path: Path
) -> None:
    gated = await asyncio.to_thread(check_server, door.endpoint, revision, tmp_path, door.token())
    assert {name: statuses(checks) for name, checks in gated.items()} == {
        name: statuses(checks) for name, checks in direct[revision].items()
    }
    counted = Counter(check.status for checks in gated.values() for check in checks)
    del counted["INFO"]
    assert counted == {"SUCCESS": PASSED[revision]}


def statuses(checks: list[Check]) -> list[tuple[str, str, str]]:
    """How each check ended, in order."""
    return [(check.id, check.name, check.status) for check in checks if check.status != "INFO"]
