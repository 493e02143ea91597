"""How soon a gate is there: what importing it costs, and how long from process start to the first 401."""

from __future__ import annotations

import http.client
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.server import listen

ROUNDS = 9
PARTS = "import starlette.applications, starlette.routing, joserfc.jwt"
GATE = "import gateway.app"
SETTINGS = (
    "public_url: http://127.0.0.1:{port}\nissuers: [{{issuer: 'http://127.0.0.1:9'}}]\nport: {port}\naudit_log: 'off'\n"
)


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, budget."""
    imports = {
        code: min(cpu_of(code) for _ in range(ROUNDS)) - min(cpu_of("pass") for _ in range(3)) for code in (PARTS, GATE)
    }
    first = [first_refusal() for _ in range(5)]
    return [
        ("import gateway.app, by Starlette + joserfc", f"{imports[GATE] / imports[PARTS]:.2f} times", "must 1.4"),
        ("serve: process start to first 401", f"{statistics.median(first) * 1000:.0f} ms", "must 150, aim 105"),
    ]


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
