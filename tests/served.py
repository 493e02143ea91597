"""An app on a real socket, served as `serve` does it, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from deploy.server import Server, configuration, listen


@asynccontextmanager
async def served(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """The origin at which the app answers, until the end of the block; `port` for an app that must know it before."""
    sockets = listen(["127.0.0.1"], port)
    server = Server(configuration(app, 1), lambda: None)
    running = asyncio.create_task(server._serve(sockets))
    while not server.started:
        assert not running.done(), "the app did not start"
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
