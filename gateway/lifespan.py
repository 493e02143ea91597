"""Starts and stops the gate and the apps behind it, the way a server would (ASGI lifespan protocol)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message

if TYPE_CHECKING:
    from gateway.app import Gate
    from gateway.facade.routes import Facade
    from gateway.issuers import TrustedIssuers

log = logging.getLogger("bearergate")


@asynccontextmanager
async def started(gates: Mapping[str, Gate], issuers: TrustedIssuers, facade: Facade | None) -> AsyncIterator[None]:
    """Everything that has to be started with the server, and is stopped with it in the opposite order."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(issuers.close)
        if facade is not None:
            stack.push_async_callback(facade.close)
        issuers.fetch_ahead()
        for gate in gates.values():
            stack.callback(gate.audit.flush)
            gate.state = await stack.enter_async_context(lifespan_of(gate.app))
        yield


@asynccontextmanager
async def lifespan_of(app: ASGIApp) -> AsyncIterator[dict[str, Any]]:
    """The state an app's own start-up yields, while the app runs; empty for apps that know no lifespan.

    Raises:
        RuntimeError: the app says that it cannot start, with its reason.
    """
    state: dict[str, Any] = {}
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    running = asyncio.ensure_future(_run(app, scope, to_app, from_app))
    to_app.put_nowait({"type": "lifespan.startup"})
    started = await from_app.get()
    if started["type"] == "lifespan.startup.failed":
        await asyncio.gather(running, return_exceptions=True)  # many raise as well, to say it once more
        raise RuntimeError(f"the app behind the gate cannot start: {started.get('message') or 'it gives no reason'}")
    try:
        yield state
    finally:
        to_app.put_nowait({"type": "lifespan.shutdown"})
        await running


async def _run(
    app: ASGIApp, scope: dict[str, Any], to_app: asyncio.Queue[Message], from_app: asyncio.Queue[Message]
) -> None:
    spoke = False

    async def send(message: Message) -> None:
        nonlocal spoke
        spoke = True
        await from_app.put(message)

    try:
        await app(scope, to_app.get, send)
    except Exception as error:
        if spoke:
            raise
        # An app that raises at a scope it does not know has no lifespan: servers read it the same way.
        log.warning("the app behind the gate has no lifespan, or failed in it: %s", type(error).__name__)
    finally:
        from_app.put_nowait({"type": "lifespan.unsupported"})
