"""The stock server as a process of its own, which can be stopped and started again at the same port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.deploy.laptop import ROOT


class Stock:
    """A server at a port."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self._variables = variables
        self.start()

    def start(self) -> None:
        """Start, and return when it listens."""
        command = [sys.executable, "-m", "tests.client.mcp_server", str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self._variables}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, "the stock server did not start"
                assert self.process.poll() is None
                time.sleep(0.05)  # another process; nothing tells that it listens
            else:
                return

    def stop(self) -> None:
        """Stop at once, as a crash would."""
        self.process.kill()
        self.process.wait()


@contextmanager
def stock_server(**variables: str) -> Iterator[Stock]:
    """A running stock server."""
    server = Stock(variables)
    try:
        yield server
    finally:
        server.stop()
