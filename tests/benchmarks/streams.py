"""Event streams through the gate: what an event is late, and how many idle streams it holds at which memory."""

from __future__ import annotations

import re
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.events import EVENTS
from tests.benchmarks.fronts import ROOT, Front, Machine, machine
from tests.benchmarks.load import requests
from tests.benchmarks.proxying import main

STREAMS = 10_000
SPARE = 150  # descriptors of a process that are no stream
ROUNDS = 5


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, budget."""
    with TemporaryDirectory() as folder, machine(Path(folder)) as on:
        return [*started(on), *late(on), *held(on)]


def started(on: Machine) -> list[tuple[str, str, str]]:
    """How soon a front that is started passes its first call on."""
    on.behind()
    token = on.tokens(1).read_text()
    took = []
    for _ in range(ROUNDS):
        since = time.perf_counter()
        front = on.bearergate()
        while not answered(front.port, token):
            time.sleep(0.002)
        took.append(time.perf_counter() - since)
        memory = front.resident
        front.process.kill()
        front.process.wait()
    return [
        ("front: start to first proxied answer", f"{statistics.median(took) * 1e3:.0f} ms", "must 200"),
        ("front: memory after the first answer", f"{memory / 2**20:.0f} MiB", "must 35, aim 24"),
    ]


def answered(port: int, token: str) -> bool:
    """Whether a call is answered; keys may still be on their way."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(requests([token])[0])
        return client.recv(65536).startswith(b"HTTP/1.1 200")


def late(on: Machine) -> list[tuple[str, str, str]]:
    """What the gate adds to the way of an event, beside the way without it."""
    source, front = streaming(on)
    token = on.tokens(1).read_text()
    other = on.haproxy(verify=True, upstream=source)
    direct, through, beside = [], [], []
    for _ in range(ROUNDS):
        direct += delays(source, token)
        through += delays(front.port, token)
        beside += delays(other.port, token)
    front.process.kill()
    front.process.wait()
    added = statistics.median(through) - statistics.median(direct)
    reference = (statistics.median(beside) - statistics.median(direct)) / 1e3
    told = f"must 20, aim 14; HAProxy+JWT {reference:.0f} µs"
    return [("event of a stream, added delay at the median", f"{added / 1e3:.0f} µs", told)]


def streaming(on: Machine) -> tuple[int, Front]:
    """A source of events, and the gate before it."""
    port = on.ports["events"]
    source = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.events", str(port)], cwd=ROOT)
    on.stack.callback(source.wait)
    on.stack.callback(source.kill)
    return port, on.bearergate(upstream=port)


def delays(port: int, token: str) -> list[int]:
    """Nanoseconds that each event of one stream took."""
    took: list[int] = []
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(requests([token])[0])
        while len(took) < EVENTS:
            data = client.recv(65536)
            now = time.monotonic_ns()
            took += [now - int(sent) for sent in re.findall(rb"data: (\d+)\n\n", data)]
    return took


def held(on: Machine) -> list[tuple[str, str, str]]:
    """As many idle streams as the limit on open files allows; each is two descriptors of the gate."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(STREAMS, (hard - SPARE) // 2)
    front = on.bearergate(upstream=on.ports["events"])
    answered(front.port, on.tokens(1).read_text())
    before = front.resident
    head = b"GET /mcp HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer %b\r\n\r\n" % on.tokens(1).read_bytes()
    clients = []
    try:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", front.port), timeout=30)
            client.sendall(head)
            clients.append(client)
        for client in clients:
            said = b""
            while b"data: " not in said:
                part = client.recv(65536)
                if not part:
                    raise SystemExit(f"stream {len(clients)} ended: {said!r}")
                said += part
        each = (front.resident - before) / count
        cpu = front.cpu
        time.sleep(3)
        idle = (front.cpu - cpu) / 3
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return [
        (
            f"{count:,} idle event streams held",
            f"{each / 1024:.1f} KiB",
            f"memory each; CPU {idle:.1%} while they wait",
        ),
    ]


if __name__ == "__main__":
    main(measure)
