"""CPU per request that the gate adds: verified lately, never seen, refused."""

from __future__ import annotations

from itertools import count

from tests.benchmarks.workload import RULES, app, best_of, gate, issuer, microseconds, request

ROUNDS = 9
MANY = 20_000
FRESH = 400  # tokens of each kind that costs a signature, per round


async def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, µs, budget."""
    minted = issuer()
    serial = count()

    def tokens(**claims: object) -> list[str]:
        return [
            minted.token("alice", "c", ["mcp:use"], claims={"jti": str(next(serial)), **claims}) for _ in range(FRESH)
        ]

    async with gate(minted) as plain, gate(minted, rules=RULES) as ruled:
        known = [request(minted.token("alice", "c", ["mcp:use"]))]
        await microseconds(plain, known, 10)
        await microseconds(ruled, known, 10)
        expired = [request(token) for token in tokens(exp=1_000)]
        forged = [request(token[:-10] + "AAAAAAAAAA") for token in tokens()]

        async def unseen() -> float:
            return await microseconds(plain, [request(token) for token in tokens()], FRESH)

        best = await best_of(
            ROUNDS,
            {
                "app": lambda: microseconds(app, known, MANY),
                "cached": lambda: microseconds(plain, known, MANY),
                "ruled": lambda: microseconds(ruled, known, MANY),
                "none": lambda: microseconds(plain, [request(None)], MANY),
                "unseen": unseen,
                "expired": lambda: microseconds(plain, expired, FRESH),
                "forged": lambda: microseconds(plain, forged, FRESH),
            },
        )
    alone = best["app"]
    return [
        ("cached token, added per request", f"{best['cached'] - alone:.1f} µs", "must 8, aim 4"),
        ("cached token, with rules about tools", f"{best['ruled'] - alone:.1f} µs", "body decoded; no budget"),
        ("uncached token, added per request", f"{best['unseen'] - alone:.1f} µs", "must 50, aim 32"),
        ("expired token refused", f"{best['expired']:.1f} µs", "no dearer than uncached"),
        ("forged token refused", f"{best['forged']:.1f} µs", "no dearer than uncached"),
        ("no token refused", f"{best['none']:.1f} µs", ""),
    ]
