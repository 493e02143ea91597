"""How long a person and a script wait for the client: the first prompt, and `call` beside the SDK's minimal script.

python -m tests.benchmarks.client
"""

from __future__ import annotations

import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.client.browser import variable
from tests.deploy.laptop import ROOT, laptop

ROUNDS = 9
MINIMAL = """
import asyncio, sys
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
async def main(url, token):
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            print((await client.call_tool("greet", {"name": "Ada"})).content[0].text)
asyncio.run(main(*sys.argv[1:]))
"""


def seconds(action: Callable[[], object]) -> float:
    """How long something takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def prompt(url: str, environment: dict[str, str]) -> float:
    """Seconds from the start of the shell to its first prompt."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 80))
    command = [sys.executable, "-m", "deploy.cli", "shell", url]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        drawn = b""
        while b"\x1b[0m>" not in drawn:
            assert select.select([ours], [], [], 10)[0], drawn
            drawn += os.read(ours, 65536)
        taken = time.perf_counter() - begun
        process.kill()
    os.close(ours)
    os.close(theirs)
    return taken


def main() -> None:
    """Print the figures."""
    with laptop() as running, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **variable(running), "XDG_STATE_HOME": folder, "TERM": "xterm"}
        ours = [sys.executable, "-m", "deploy.cli"]

        def run(*command: str) -> str:
            return subprocess.run(
                command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
            ).stdout.strip()

        run(*ours, "login", running.endpoint)
        token = run(*ours, "token", running.endpoint)
        script = Path(folder) / "minimal.py"
        script.write_text(MINIMAL)
        rows: dict[str, list[float]] = {"first prompt": [], "bearergate call": [], "the SDK's minimal script": []}
        for _ in range(ROUNDS):  # in turns, so that what else the machine does falls on all
            rows["first prompt"].append(prompt(running.endpoint, environment))
            call = (*ours, "call", running.endpoint, "greet", '{"name": "Ada"}')
            rows["bearergate call"].append(seconds(lambda call=call: run(*call)))  # type: ignore[misc]
            rows["the SDK's minimal script"].append(
                seconds(lambda: run(sys.executable, str(script), running.endpoint, token))
            )
        for name, taken in rows.items():
            print(f"{name:26} {statistics.median(taken):.2f} s   (best {min(taken):.2f})")
        ratio = statistics.median(rows["bearergate call"]) / statistics.median(rows["the SDK's minimal script"])
        print(f"{'call / minimal':26} {ratio:.2f}")


if __name__ == "__main__":
    main()
