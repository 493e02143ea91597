"""A proxied call, beside HAProxy and nginx: CPU of the front per request, from the operating system.

All fronts stand before the same server and take turns, round by round, so that what else the machine does falls on
all of them; the best round of each counts. `python -m tests.benchmarks.proxying` prints this table alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.fronts import ROOT, Front, Machine, machine

ROUNDS = 3
WORKLOADS = [  # connections, tokens, requests
    (32, 100, 12_000),
    (32, 10_000, 20_000),
    (1_000, 100, 12_000),
]
NAMES = {
    "bearergate": "bearergate, cached token",
    "jwt": "HAProxy 2.6, jwt_verify",
    "haproxy": "HAProxy 2.6, no auth",
    "nginx": "nginx, no auth",
}


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, budget."""
    with TemporaryDirectory() as folder, machine(Path(folder)) as on:
        on.behind()
        fronts = [on.bearergate(), on.haproxy(verify=True), on.haproxy(verify=False), on.nginx()]
        rows = []
        for workload in WORKLOADS:
            rows += compared(on, fronts, *workload)
        rows += [(f"memory of {NAMES[front.name]}", f"{front.resident / 2**20:.0f} MiB", "") for front in fronts]
        return rows


def compared(on: Machine, fronts: list[Front], connections: int, tokens: int, count: int) -> list[tuple[str, str, str]]:
    """One workload on every front."""
    file = on.tokens(tokens)
    for front in fronts:
        load(front, connections, max(tokens, connections, 1_000), file)  # every token is known now, and all is warm
    best: dict[str, tuple[float, dict[str, float]]] = {}
    for _ in range(ROUNDS):
        for front in fronts:
            before = front.cpu
            told = load(front, connections, count, file)
            cost = (front.cpu - before) / count * 1e6
            if front.name not in best or cost < best[front.name][0]:
                best[front.name] = cost, told
    what = f"{connections:,} connections, {tokens:,} tokens"
    reference = best["jwt"][0]
    return [
        (
            f"{what}: {NAMES[name]}",
            f"{cost:.1f} µs",
            f"{reference / cost:.2f} of HAProxy+JWT's capacity; p99 {told['p99']:.0f} ms, worst {told['worst']:.0f} ms",
        )
        for name, (cost, told) in best.items()
    ]


def load(front: Front, connections: int, count: int, tokens: Path) -> dict[str, float]:
    """What the load says about one run."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.load",
        str(front.port),
        str(connections),
        str(count),
        str(tokens),
    ]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{front.name}: {done.stderr.decode()}")
    told: dict[str, float] = json.loads(done.stdout)
    return told


def main(measured: Callable[[], list[tuple[str, str, str]]] = measure) -> None:
    """Print the table."""
    rows = measured()
    width = max(len(name) for name, _, _ in rows)
    for name, figure, budget in rows:
        print(f"{name:<{width}}  {figure:>12}  {budget}")


if __name__ == "__main__":
    main()
