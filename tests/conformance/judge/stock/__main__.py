"""Judges the stock servers and prints the rows of conformance/RESULTS.md: python -m tests.conformance.judge.stock."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from conformance import page
from conformance.judge import judge
from conformance.options import Options
from conformance.report import Report
from tests.official.node import NODE, PACKAGES, packages
from tests.ports import free_port

HERE = Path(__file__).parent
SECONDS = 30  # until a server has to be up
SERVERS = {
    "python_sdk": f"`mcp` {version('mcp')}, bearer middleware, PyJWT {version('pyjwt')}",
    "fast_mcp": f"FastMCP {version('fastmcp')}, `JWTVerifier`",
    "typescript_sdk": f"TypeScript SDK {PACKAGES['@modelcontextprotocol/sdk']}, `requireBearerAuth`, jose",
}


@contextmanager
def running(name: str, port: int, issuer: str) -> Iterator[None]:
    """A stock server at a port, until the end of the block."""
    command: list[str | Path] = [sys.executable, HERE / f"{name}.py", str(port), issuer]
    folder, script = HERE.parents[3], None
    if name == "typescript_sdk":
        command, folder = [NODE, "--input-type=module", "-", str(port), issuer], packages()
        script = (HERE / f"{name}.mjs").open()
    quiet = None if os.environ.get("SHOW") else subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdin=script, stdout=quiet, stderr=quiet) as process:
        try:
            wait_for(port)
            yield
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    """Until somebody listens at a port."""
    ends = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
        else:
            return


def judged(name: str) -> Report:
    """What is said of a stock server with issuer control."""
    port, issuer_port = free_port(), free_port()
    with running(name, port, f"http://127.0.0.1:{issuer_port}"):
        return judge(Options(f"http://127.0.0.1:{port}/mcp", issuer_port=issuer_port, scopes=("mcp:use",)))


def main() -> None:
    """Print the rows; with a folder as argument, write the pages there."""
    for name, words in SERVERS.items():
        report = judged(name)
        counts = report.counts()
        failed = [each.id for each in report.requirements() if report.verdict(each.id) == "failed"]
        numbers = " | ".join(str(counts[each]) for each in ("passed", "failed", "warned", "informed", "not tested"))
        print(f"| {words} | {numbers} | {', '.join(failed) or 'none'} |", flush=True)  # noqa: T201 - a table
        if len(sys.argv) > 1:
            (Path(sys.argv[1]) / f"{name}.html").write_text(page.write(report), "utf-8")
            for each in report.requirements():
                for problem, revisions in report.problems(each.id):
                    print(f"  {each.id} {problem.outcome} {revisions}: {problem.what}")  # noqa: T201 - the details
                    if problem.answer and problem.outcome == "failed":
                        print(f"      {report.exchange(problem.answer)}"[:1500])  # noqa: T201 - the raw exchange


if __name__ == "__main__":
    main()
