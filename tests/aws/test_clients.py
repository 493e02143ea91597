"""Stock clients at every front door: discovery, login, calls, the Bedrock report, refresh and step-up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.aws.clients import Journey, fastmcp_client, python_sdk, typescript_sdk
from tests.aws.deployed import BASIC, WAYS, WORDS, deployed

First = TypeVar("First")
Second = TypeVar("Second")
WAY = pytest.mark.parametrize("name", WAYS)


@pytest.mark.filterwarnings("ignore:Using in-memory token storage")  # the way FastMCP keeps tokens plays no part
@WAY
async def test_stock_clients_log_in_call_refresh_and_step_up(unpacked: Path, tmp_path: Path, name: str) -> None:
    """Where the challenge is renamed, step-up needs CloudFront before the door, or every scope in the first login."""
    way = WAYS[name]
    async with deployed(unpacked, tmp_path, way) as it:
        basic, every = it.scopes("/mcp", *BASIC), it.scopes("/mcp", *WORDS)
        seen, first = await both(
            python_sdk(f"{it.origin}/mcp", "legacy"), typescript_sdk(f"{it.origin}/all", 2, "2026-07-28")
        )
        check(seen)
        assert seen.logins == ([basic] if way.remaps else [basic, every])
        assert (bool(seen.many), "an error response" in seen.refusal) == (not way.remaps, way.remaps)
        assert first["requestsInReport"] > 10
        assert first["many"].count("Hello") == 3
        assert first["greetingAfterRefresh"] == "Hello, World!"
        assert [set(login["scope"].split()) for login in first["logins"]] == [it.scopes("/all", *WORDS)]

        it.front.on = way.remaps
        modern, second = await both(
            python_sdk(f"{it.origin}/mcp", "2026-07-28"), typescript_sdk(f"{it.origin}/mcp", 1, "2025-11-25")
        )
        fast = await fastmcp_client(f"{it.origin}/mcp")
        for stepped in (modern, fast):
            check(stepped)
            assert stepped.many.count("Hello, Ada!") == 3
            assert stepped.logins == [basic, every]
        assert second["toolsAfterStepUp"] == ["get_bedrock_usage_report", "greet", "multi-greet"]
        assert second["requestsInReport"] > 10
        assert second["greetingAfterRefresh"] == "Hello, World!"
        assert [set(login["scope"].split()) for login in second["logins"]] == [basic, every]


def check(seen: Journey) -> None:
    """What every client comes by on its way, whatever the door."""
    assert (seen.greeting, seen.requests > 10, seen.refreshed) == ("Hello, Ada!", True, True)


async def both(one: Awaitable[First], other: Awaitable[Second]) -> tuple[First, Second]:
    """Two clients at a time, so that requests of one reach several instances."""
    return await asyncio.gather(one, other)
