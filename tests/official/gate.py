"""`bearergate serve` before an upstream that is a process of its own, with an issuer in the test, all on loopback."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from conformance.issuer import Issuer, User
from tests.official.node import ROOT
from tests.ports import free_port
from tests.served import served

STOP_SECONDS = 20
CLIENT = "a-client"
SCOPES = ("mcp:use",)


@dataclass
class Door:
    """A running gate: where it is, and who may mint tokens for it."""

    endpoint: str
    issuer: Issuer
    log: Path

    def token(self, user: str = "alice", scopes: Sequence[str] = SCOPES) -> str:
        """A valid token."""
        return self.issuer.token(user, CLIENT, scopes, self.endpoint)


@asynccontextmanager
async def gate_before(resource: dict[str, Any], folder: Path, **settings: Any) -> AsyncIterator[Door]:
    """`bearergate serve` with one resource at /mcp, until the end of the block; it must leave cleanly."""
    port, issuer_port = free_port(), free_port()
    origin = f"http://localhost:{port}"
    issuer = Issuer.plain(
        f"http://127.0.0.1:{issuer_port}", users=[User("alice", "x"), User("bob", "y")], resources=[f"{origin}/mcp"]
    )
    values = {
        "public_url": origin,
        "issuers": [{"issuer": issuer.url, "token_type": "at+jwt"}],
        "port": port,
        "audit_log": "off",
        "resources": [{"path": "/mcp", "scopes": list(SCOPES), **resource}],
    }
    (folder / "bearergate.yaml").write_text(yaml.safe_dump(values | settings))
    async with served(issuer.app, issuer_port):
        log = folder / "gate.log"
        with log.open("wb") as errors:
            command = [sys.executable, "-m", "deploy.cli", "serve", "-f", str(folder / "bearergate.yaml")]
            variables = {**os.environ, "PYTHONPATH": str(ROOT)}
            process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=variables, stderr=errors)
            try:
                await ready(f"{origin}/readyz", process)
                yield Door(f"{origin}/mcp", issuer, log)
                process.send_signal(signal.SIGTERM)
                status = await asyncio.wait_for(process.wait(), STOP_SECONDS)
                assert status == 0, log.read_text()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


async def ready(url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until the gate has its keys."""
    async with httpx.AsyncClient() as http:
        while True:
            assert process.returncode is None, "the gate did not start"
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)


@contextmanager
def upstream(command: Sequence[str | Path], *, folder: Path = ROOT, script: Path | None = None) -> Iterator[str]:
    """A server that prints its endpoint as the first line with a URL in it, until the end of the block.

    A `script` is what it reads from standard input.
    """
    with (
        (script or Path(os.devnull)).open() as read,
        subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            stdin=read,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            while not (found := re.search(r"https?://\S+", line := process.stdout.readline())):
                assert line, f"{command[-1]} ended with status {process.wait()}"
            yield found[0]
        finally:
            process.kill()
