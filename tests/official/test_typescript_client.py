"""Clients on the official TypeScript SDK, both generations, against `bearergate dev`, whatever revision they speak."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.deploy.laptop import Laptop
from tests.official.node import HERE, node

SECONDS = 60  # it takes three
SPOKEN = [
    pytest.param(1, "2025-11-25", "2025-11-25", id="first generation, which speaks its last revision only"),
    pytest.param(2, "2025-03-26", "2025-03-26", id="second generation, 2025-03-26"),
    pytest.param(2, "2025-06-18", "2025-06-18", id="second generation, 2025-06-18"),
    pytest.param(2, "2025-11-25", "2025-11-25", id="second generation, 2025-11-25"),
    pytest.param(2, "2026-07-28", "2026-07-28", id="second generation, 2026-07-28"),
    pytest.param(2, "auto", "2026-07-28", id="second generation, which finds the newest out"),
]


@pytest.mark.parametrize(("generation", "asked", "revision"), SPOKEN)
def test_client_logs_in_calls_steps_up_and_refreshes(
    running: Laptop, generation: int, asked: str, revision: str
) -> None:
    seen = run(running, generation, asked)
    assert seen["revision"] == revision
    assert seen["session"] is (revision != "2026-07-28")
    assert seen["tools"] == ["greet"]
    assert seen["greeting"] == "Hello, Ada!"
    assert seen["prompt"] == 1
    assert seen["loginsBeforeStepUp"] == 1
    assert seen["many"].count("Hello, World!") == 3
    assert seen["progress"] == [1, 2, 3]
    assert seen["toolsAfterStepUp"] == ["greet", "multi-greet"]
    assert seen["greetingAfterRefresh"] == "Hello, World!"
    first, second = seen["logins"]  # and none for the refresh
    assert first["resource"] == second["resource"] == running.endpoint
    assert first["code_challenge_method"] == second["code_challenge_method"] == "S256"
    assert {first["scope"]} == running.scopes("greetings:read")
    assert set(second["scope"].split()) == running.scopes("greetings:read", "greetings:many")


def run(running: Laptop, generation: int, revision: str) -> dict[str, Any]:
    """What the client printed at its end."""
    asked = {
        "generation": generation,
        "revision": revision,
        "endpoint": running.endpoint,
        "user": running.user,
        "password": running.password,
    }
    ended = node(json.dumps(asked), script=HERE / "typescript_client.mjs", seconds=SECONDS)
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen
