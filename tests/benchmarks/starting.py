"""How soon a gate is there, and how large: what importing it costs, process start to the first 401, and, before an
upstream, to the first proxied answer.
"""

from __future__ import annotations

import http.client
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.server import listen
from tests.benchmarks.fronts import ROOT, Front, Machine, machine
from tests.benchmarks.load import requests
from tests.benchmarks.proxying import load

ROUNDS = 9
PARTS = "import starlette.applications, starlette.routing, joserfc.jwt"
GATE = "import gateway.app"
PACKAGES = ("gateway", "discovery", "tools", "deploy")
SETTINGS = (
    "public_url: http://127.0.0.1:{port}\nissuers: [{{issuer: 'http://127.0.0.1:9'}}]\nport: {port}\naudit_log: 'off'\n"
)


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, budget."""
    compiled()
    imports = {
        code: min(cpu_of(code) for _ in range(ROUNDS)) - min(cpu_of("pass") for _ in range(3)) for code in (PARTS, GATE)
    }
    first = [first_refusal() for _ in range(5)]
    return [
        ("import gateway.app, by Starlette + joserfc", f"{imports[GATE] / imports[PARTS]:.2f} times", "must 1.4"),
        ("serve: process start to first 401", f"{statistics.median(first) * 1000:.0f} ms", "must 150, aim 105"),
        *before_an_upstream(),
    ]


def compiled() -> None:
    """Leave our modules as an installation does: compiled, whatever the environment says of that."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", *PACKAGES], cwd=ROOT, check=True)


def before_an_upstream() -> list[tuple[str, str, str]]:
    """What a front needs until its first answer, and what it holds once it is warm."""
    with TemporaryDirectory() as folder, machine(Path(folder)) as on:
        on.behind()
        (call,) = requests([on.token()])
        first = []
        for _ in range(5):
            front, seconds = first_proxied(on, call)
            first.append(seconds)
            load(front, 32, 3_000, on.tokens(100))
            resident, own = front.resident / 2**20, own_bytes(front) / 2**20
            front.process.kill()
            front.process.wait()
    return [
        ("serve: process start to first proxied answer", f"{statistics.median(first) * 1000:.0f} ms", "must 200"),
        ("memory of a front, 32 connections", f"{resident:.0f} MiB", f"must 35, aim 24; {own:.0f} MiB are its own"),
    ]


def first_proxied(on: Machine, call: bytes) -> tuple[Front, float]:
    """A front, and the seconds from its start to its first answer of the server behind."""
    started = time.perf_counter()
    front = on.bearergate()
    while answered(front.port, call) != 200:
        time.sleep(0.002)
    return front, time.perf_counter() - started


def answered(port: int, call: bytes) -> int:
    """The status of the answer to a request as it stands."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(call)
        return int(client.recv(65536)[9:12])


def own_bytes(front: Front) -> int:
    """Bytes in memory that are no library's or program's file, which all processes share."""
    lines = Path(f"/proc/{front.process.pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def cpu_of(code: str) -> float:
    """CPU seconds of a Python process that runs this code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_refusal() -> float:
    """Seconds from starting `bearergate serve` to its first 401."""
    (opened,) = listen(["127.0.0.1"], 0)
    port = opened.getsockname()[1]
    opened.close()
    with TemporaryDirectory() as folder:
        Path(folder, "bearergate.yaml").write_text(SETTINGS.format(port=port))
        started = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "serve"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path.cwd())},
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                while status(port) != 401:
                    time.sleep(0.002)
                return time.perf_counter() - started
            finally:
                process.kill()


def status(port: int) -> int:
    """The status of a request without a token; 0 while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("POST", "/mcp")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


if __name__ == "__main__":
    for row in measure():
        print(*row, sep="  ")
