"""The tools as the gate would serve them, on the same server, to whoever comes: `python -m tests.official.ungated`.

It prints its endpoint, and serves until it is told to stop.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.local import LOOPBACK
from deploy.server import listen, run
from gateway.principal import Principal
from tests.official.node import ROOT
from tools.registry import find
from tools.server import app


class Ungated:
    """Every request comes from one principal who may do everything, and nobody asks for a token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.principal = Principal(
            issuer="http://localhost",
            subject="alice",
            client_id="suite",
            scopes=frozenset({"greetings:read", "greetings:many"}),
            groups=frozenset(),
            expires_at=time.time() + 3600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"] = {**scope.get("state", {}), "principal": self.principal}
        await self.app(scope, receive, send)


@contextmanager
def ungated() -> Iterator[str]:
    """The endpoint of a process that serves the tools, until the end of the block."""
    command = [sys.executable, "-m", "tests.official.ungated"]
    # The SDK logs a traceback for everything of the suite's own that it does not have.
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            endpoint = process.stdout.readline().strip()
            assert endpoint, f"it ended with status {process.wait()}"
            yield endpoint
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


def main() -> None:
    sockets = listen(LOOPBACK, 0)
    sys.stdout.write(f"http://localhost:{sockets[0].getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    run(Ungated(app(find())), sockets, drain=lambda: None, drain_seconds=1)


if __name__ == "__main__":
    main()
