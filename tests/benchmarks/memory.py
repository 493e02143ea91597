"""Memory: what a verified token costs to remember, and that strangers and churn leave nothing behind."""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

from gateway.principal import Principal
from gateway.verified_tokens import VerifiedTokens
from tests.benchmarks.workload import gate, issuer, microseconds, request

TOKENS = 10_000
CHURN = 200_000
SIGNED = 5_000  # honest tokens through the whole gate; beyond that only minting them would be measured


async def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, bytes, budget."""
    return [
        ("memory per cached token", f"{per_token():.0f} B", "must 400, aim 324"),
        (f"growth over {CHURN:,} distinct tokens", f"{churn() / 1024:.0f} KiB", "flat"),
        (f"growth over {SIGNED:,} tokens and {CHURN:,} refusals", f"{await refusals() / 1024:.0f} KiB", "flat"),
    ]


def principal(number: int) -> Principal:
    """A principal as the verifier makes it: what many share is one object."""
    return Principal(ISSUER, f"{number:036d}", CLIENT, SCOPES, GROUPS, 2e9 + number)


ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example1"
CLIENT = "1example23456789"
SCOPES = frozenset({"mcp:use"})
GROUPS = frozenset({"staff"})


def per_token() -> float:
    """Bytes that one more remembered token takes, key and principal and all."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cache = VerifiedTokens(2 * TOKENS)
    for number in range(TOKENS):
        cache.put(number.to_bytes(32, "big"), principal(number), 0.0)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(cache) == TOKENS
    return (after - before) / TOKENS


def churn() -> int:
    """Bytes by which the process grows while tokens come and go through a full cache."""
    cache = VerifiedTokens(TOKENS)
    for number in range(2 * TOKENS):
        cache.put(number.to_bytes(32, "big"), principal(number), 0.0)
    before = resident()
    for number in range(CHURN):
        cache.put(number.to_bytes(32, "big"), principal(number), 0.0)
    return resident() - before


async def refusals() -> int:
    """Bytes by which the process grows over honest tokens beyond the cache and a flood of worthless ones."""
    minted = issuer()
    honest = [request(minted.token("alice", "c", ["mcp:use"], claims={"jti": str(number)})) for number in range(SIGNED)]
    worthless = [request(f"{number}.e30.e30") for number in range(1_000)]
    async with gate(minted, cache=1_000) as gated:
        await microseconds(gated, honest, SIGNED)
        await microseconds(gated, worthless, 10_000)
        gc.collect()
        before = resident()
        await microseconds(gated, honest, SIGNED)
        await microseconds(gated, worthless, CHURN)
        gc.collect()
        return resident() - before


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
