"""Who is told that the library has changed, on both wires; and looks for changes as long as there is anybody.

Up to 2025-11-25 it is every session with its standing stream, from 2026-07-28 on whoever listens to subscriptions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context as Variables

import anyio
from mcp.server.connection import Connection
from mcp.server.mcpserver import MCPServer
from mcp.shared.subscriptions import PromptsListChanged

from tools.prompts.library import Library

SECONDS = 30.0  # between two looks
SEND_SECONDS = 5.0  # that a client may take to be told

log = logging.getLogger("bearergate.prompts")


class Listeners:
    """Those who want to hear of changes; `seconds` lie between two looks at the store."""

    def __init__(self, server: MCPServer, library: Library, seconds: float = SECONDS) -> None:
        self._server = server
        self._library = library
        self._seconds = seconds
        self._count = 0
        self._sessions: set[Connection] = set()
        self._polling: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, session: Connection | None = None) -> AsyncIterator[None]:
        """Somebody listens, until the end of the block; a session of an older revision is told by itself."""
        self._count += 1
        if session is not None:
            self._sessions.add(session)
        if self._polling is None:
            self._polling = _task(self._poll())
        try:
            yield
        finally:
            if session is not None:
                self._sessions.discard(session)
            self._count -= 1
            if self._count == 0:
                self._polling.cancel()
                self._polling = None

    def tell(self) -> None:
        """Tell everybody, behind whatever goes on: a client that does not read holds up nobody."""
        for coroutine in (self._tell_subscribers(), *map(self._tell_session, self._sessions)):
            task = _task(coroutine)
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _poll(self) -> None:
        while True:
            await self._library.try_to_look()
            await asyncio.sleep(self._seconds)

    async def _tell_subscribers(self) -> None:
        bus = self._server._subscriptions  # noqa: SLF001 - there is no other way outside a request
        await bus.publish(PromptsListChanged())

    async def _tell_session(self, session: Connection) -> None:
        if session.initialized.is_set():
            with anyio.move_on_after(SEND_SECONDS):
                await session.send_prompt_list_changed()


def _task(coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
    """A task that knows nothing of the request during which it began, nor who made that."""
    return asyncio.get_running_loop().create_task(coroutine, context=Variables())
