"""An app on a real socket, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from deploy.server import listen


@asynccontextmanager
async def served(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """The origin at which the app answers, until the end of the block; `port` for an app that must know it before."""
    sockets = listen(["127.0.0.1"], port)
    config = uvicorn.Config(app, lifespan="on", ws="none", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve(sockets))
    while not server.started:
        assert not running.done(), "the app did not start"
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
