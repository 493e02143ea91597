"""Serves tool plugins as an MCP server of every protocol revision at once, on the SDK.

The app is there at once and the SDK is imported behind it, so that a gate can refuse and publish metadata while half
a second of imports is still under way. Behind the gate a tool author asks `get_access_token()` as in any MCP server.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.principal import Principal
from tools.registry import Kind, Plugin, PluginError
from tools.revisions import Revisions

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

BEHIND_SECONDS = 0.3  # after the start that loading begins, unless a request wants it earlier

log = logging.getLogger("bearergate.tools")


def app(plugins: Iterable[Plugin], *, name: str = "bearergate", sessions: bool = True) -> ToolServer:
    """The plugins' tools, prompts and resources as an ASGI app that stands behind the gate.

    `name` is how the server introduces itself. With `sessions`, clients of revisions up to 2025-11-25 get one each;
    without, every request stands alone, and any replica can answer it.
    """
    return ToolServer(tuple(plugins), name, sessions=sessions)


def check(plugins: Iterable[Plugin]) -> None:
    """Load every plugin as serving would.

    Raises:
        PluginError: one cannot be imported, or registers something that it says nothing about.
    """
    load(tuple(plugins), "bearergate")


class ToolServer:
    """An MCP server behind the gate; requests that come before it is loaded wait for it."""

    def __init__(self, plugins: tuple[Plugin, ...], name: str, *, sessions: bool) -> None:
        self._plugins = plugins
        self._name = name
        self._sessions = sessions
        self._loading: asyncio.Future[ASGIApp] | None = None
        self._wanted = asyncio.Event()  # by a request that has passed the gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of the principal that the gate found, or run the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        principal = scope.get("state", {}).get("principal")
        if not isinstance(principal, Principal) or self._loading is None:
            await _unavailable(send, "This server is for requests that a gate has let through.")
            return
        self._wanted.set()
        try:
            served = await asyncio.shield(self._loading)
        except PluginError:
            await _unavailable(send, "The tools of this server cannot be loaded; its log says why.")
            return
        await served(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Say at once that all is ready, load behind that, and keep everything of the SDK in one task."""
        await receive()
        self._loading = asyncio.get_running_loop().create_future()
        await send({"type": "lifespan.startup.complete"})
        async with AsyncExitStack() as stack:
            try:
                self._loading.set_result(await self._start(stack))
            except PluginError as error:
                log.error("%s", error)  # noqa: TRY400 - the sentence says it all
                self._loading.set_exception(error)
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, stack: AsyncExitStack) -> ASGIApp:
        with contextlib.suppress(TimeoutError):  # refusals first: half a second of imports would slow them down
            await asyncio.wait_for(self._wanted.wait(), BEHIND_SECONDS)
        server = await asyncio.to_thread(load, self._plugins, self._name)
        from tools.sdk import AsUser, session_manager  # noqa: PLC0415 - the SDK, now that it is loaded

        manager = session_manager(server, sessions=self._sessions)
        await stack.enter_async_context(manager.run())
        return Revisions(AsUser(manager.asgi_app))


def load(plugins: tuple[Plugin, ...], name: str) -> MCPServer:
    """One MCP server with all that the plugins register, each checked against what it says."""
    from mcp.server.mcpserver import MCPServer  # noqa: PLC0415 - half a second that only serving needs

    # Left alone, the SDK would set up logging for the whole process.
    server = MCPServer(name, version=importlib.metadata.version("bearergate"), log_level="WARNING")
    taken: set[tuple[Kind, str]] = set()
    for plugin in plugins:
        plugin.registrar()(server)
        now = asyncio.run(_registered(server))
        plugin.check_covered(now - taken)
        taken = now
    return server


async def _registered(server: MCPServer) -> set[tuple[Kind, str]]:
    """Everything a server offers, by kind and name."""
    found: set[tuple[Kind, str]] = {("tool", tool.name) for tool in await server.list_tools()}
    found |= {("prompt", prompt.name) for prompt in await server.list_prompts()}
    found |= {("resource", str(resource.uri)) for resource in await server.list_resources()}
    found |= {("resource", template.uri_template) for template in await server.list_resource_templates()}
    return found


async def _unavailable(send: Send, sentence: str) -> None:
    body = f'{{"error":"{sentence}"}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
