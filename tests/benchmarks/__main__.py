"""What the gate costs, as one table: `python -m tests.benchmarks`. Compare figures of one run only.

CPU is this process's own time per request; the app with and without the gate take turns, round by round, so that what
else the machine does falls on both. The best round counts: the others had company.

What takes minutes has a table of its own: `python -m tests.benchmarks.bedrock`, half a million records in one report,
and `python -m tests.benchmarks.proxying`, which has FastMCP's proxy beside the other fronts.
"""

from __future__ import annotations

import asyncio

from tests.benchmarks import aws, exchange, memory, proxying, requests, sessions, starting, streams


def main() -> None:
    """Run every benchmark and print one table."""
    rows = [
        *asyncio.run(requests.measure()),
        *asyncio.run(exchange.measure()),
        *sessions.measure(),
        *asyncio.run(memory.measure()),
        *starting.measure(),
        *proxying.measure(),
        *streams.measure(),
        *aws.measure(),
    ]
    width = max(len(name) for name, _, _ in rows)
    for name, figure, budget in rows:
        print(f"{name:<{width}}  {figure:>12}  {budget}")


if __name__ == "__main__":
    main()
