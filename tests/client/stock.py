"""The stock server as a process of its own, which can be stopped and started again at the same port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.laptop import ROOT
from tests.ports import free_port

Process = subprocess.Popen[bytes]
SECONDS = 60  # that a loaded machine may take to start a program


class Stock:
    """A server at a port."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self._variables = variables
        self.start()

    def start(self) -> None:
        """Start, and return when it listens."""
        self.process = started([sys.executable, "-m", "tests.client.mcp_server", str(self.port)], self._variables)
        wait_for(self.process, self.port)

    def stop(self) -> None:
        """Stop at once, as a crash would."""
        self.process.kill()
        self.process.wait()


def started(command: Sequence[str | Path], variables: Mapping[str, str], folder: Path = ROOT) -> Process:
    """A program that says nothing."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    quiet = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
    return subprocess.Popen(command, cwd=folder, env=environment, **quiet)  # type: ignore[call-overload,no-any-return]


def wait_for(process: Process, port: int) -> None:
    """Return when a program listens at a port."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            assert process.poll() is None
            time.sleep(0.05)  # another process; nothing tells that it listens
        else:
            return


@contextmanager
def listening(command: Sequence[str | Path], *ports: int, folder: Path = ROOT, **variables: str) -> Iterator[Process]:
    """A program that listens at these ports until the end of the block."""
    process = started(command, variables, folder)
    try:
        for port in ports:
            wait_for(process, port)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def stock_server(**variables: str) -> Iterator[Stock]:
    """A running stock server."""
    server = Stock(variables)
    try:
        yield server
    finally:
        server.stop()
