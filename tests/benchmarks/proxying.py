"""A proxied call, beside HAProxy, nginx and FastMCP's proxy: CPU of the front per request, from the operating system.

All fronts take turns, round by round, so that what else the machine does falls on all of them; the best round of each
counts. All stand before the same server, which answers a call at once, but for FastMCP's proxy: it needs a real one,
has one of its own, and gets one round with fewer requests and a minute for them, as it would take an hour otherwise.

`python -m tests.benchmarks.proxying` takes six minutes on a machine of its own, and prints a table in Markdown.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.fronts import ROOT, Front, Machine, machine

ROUNDS = 6
WORKLOADS = [  # connections, tokens, requests
    (32, 100, 12_000),
    (32, 10_000, 20_000),
    (1_000, 100, 12_000),
    (1_000, 10_000, 20_000),
]
SLOW = {32: 400, 1_000: 1_000}  # requests, by connections, of a front that is slow,
SLOW_SECONDS = 60.0  # and the time that they may take
SLOW_WARM = 32  # requests before
IDLE = 0.1  # CPU seconds in a second, below which a front does nothing
LOST = "requests lost"
NAMES = {
    "bearergate": "bearergate, cached token, compiled",
    "source": "bearergate, cached token, as source",
    "jwt": "HAProxy 2.6, `jwt_verify`",
    "haproxy": "HAProxy 2.6, no auth",
    "nginx": "nginx, no auth",
    "fastmcp": "FastMCP 4.1's proxy, `JWTVerifier`",
}


@dataclass(frozen=True)
class Figure:
    """What one workload cost one front, in its best round."""

    cost: float  # CPU, µs per request
    p99: float  # ms, as the client saw it
    worst: float

    def __str__(self) -> str:
        return LOST if math.isnan(self.cost) else f"{self.cost:,.0f} µs; {self.p99:,.0f} ms"


NONE = Figure(math.nan, math.nan, math.nan)  # of a front that did not answer everything


@dataclass(frozen=True)
class Figures:
    """One run: figures of each workload by name of the front, and bytes of memory at its end."""

    workloads: dict[str, dict[str, Figure]]
    memory: dict[str, int]

    def rows(self) -> list[tuple[str, str, str]]:
        """Rows of the table of all benchmarks: what, figure, beside what."""
        rows = []
        for what, figures in self.workloads.items():
            reference = figures["jwt"].cost
            for name, figure in figures.items():
                capacity = f"{reference / figure.cost:.2f} of HAProxy+JWT's capacity"
                told = f"{capacity}; p99 {figure.p99:.0f} ms, worst {figure.worst:.0f} ms"
                rows.append((f"{what}: {NAMES[name]}", f"{figure.cost:.1f} µs", told))
        return rows + [(f"memory of {NAMES[name]}", f"{mebibytes(size)} MiB", "") for name, size in self.memory.items()]

    def markdown(self) -> str:
        """A table with a line for each front."""
        lines = [
            f"| CPU per request; p99 at | {' | '.join(self.workloads)} | memory |",
            f"|---|{'--:|' * (len(self.workloads) + 1)}",
        ]
        for name, size in self.memory.items():
            figures = [workload[name] for workload in self.workloads.values()]
            lines.append(f"| {NAMES[name]} | {' | '.join(map(str, figures))} | {mebibytes(size)} MiB |")
        return "\n".join(lines)


def mebibytes(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 2**20:.0f}"


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, budget; without the front that takes minutes."""
    return figures(slow=False).rows()


def figures(*, slow: bool) -> Figures:
    """Every workload on every front, FastMCP's proxy included if `slow`."""
    with TemporaryDirectory() as folder, machine(Path(folder)) as on:
        on.behind()
        fronts = [
            on.bearergate(),
            on.bearergate(compiled=False),
            on.haproxy(verify=True),
            on.haproxy(verify=False),
            on.nginx(),
        ]
        if slow:
            fronts.append(on.fastmcp())
        found = {
            f"{connections:,} connections, {tokens:,} tokens": compared(on, fronts, connections, tokens, count)
            for connections, tokens, count in WORKLOADS
        }
        return Figures(found, {front.name: front.resident for front in fronts})


def compared(on: Machine, fronts: list[Front], connections: int, tokens: int, count: int) -> dict[str, Figure]:
    """One workload on every front."""
    file = on.tokens(tokens)
    for front in fronts:
        if not front.slow:  # every token is known after that, and all is warm
            load(front, connections, max(tokens, connections, 1_000), file)
    found: dict[str, list[Figure]] = {front.name: [] for front in fronts}
    for turn in range(ROUNDS):
        for front in fronts:
            if not front.slow:
                found[front.name].append(measured(front, connections, count, file))
            elif turn == 0:
                found[front.name].append(measured_once(front, connections, file))
    return {name: min(each, key=lambda figure: figure.cost) for name, each in found.items()}


def measured(front: Front, connections: int, count: int, tokens: Path) -> Figure:
    """One run of the load."""
    before = front.cpu
    told = load(front, connections, count, tokens)
    return Figure((front.cpu - before) / count * 1e6, told["p99"], told["worst"])


def measured_once(front: Front, connections: int, tokens: Path) -> Figure:
    """One run of the load on a front that is slow, and perhaps does not answer everything; then it is idle again."""
    try:
        load(front, SLOW_WARM, SLOW_WARM, tokens)
        return measured(front, connections, SLOW[connections], tokens)
    except (SystemExit, subprocess.TimeoutExpired):
        return NONE
    finally:
        before, until = -1.0, time.monotonic() + SLOW_SECONDS
        while front.cpu - before > IDLE and time.monotonic() < until:
            before = front.cpu
            time.sleep(1)


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
    seconds = SLOW_SECONDS if front.slow else None
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=seconds)
    if done.returncode:
        raise SystemExit(f"{front.name}: {done.stderr.decode()}")
    told: dict[str, float] = json.loads(done.stdout)
    return told


def main(measured: Callable[[], list[tuple[str, str, str]]]) -> None:
    """Print rows as a table."""
    rows = measured()
    width = max(len(name) for name, _, _ in rows)
    for name, figure, budget in rows:
        print(f"{name:<{width}}  {figure:>12}  {budget}")


if __name__ == "__main__":
    print(figures(slow=True).markdown())
