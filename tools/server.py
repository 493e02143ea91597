"""Serves tool plugins as an MCP server of every protocol revision at once, on the SDK.

The app is there at once and the SDK is imported behind it, so that a gate can refuse and publish metadata while half
a second of imports is still under way. Behind the gate a tool author asks `get_access_token()` as in any MCP server.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import inspect
import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.principal import Principal
from tools.exchange import INTERNAL_ERROR, Refusal
from tools.registry import Offer, Plugin, PluginError, reason_of
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
        elif not isinstance(scope.get("state", {}).get("principal"), Principal):
            await _unavailable("This server is for requests that a gate has let through.").answer(send)
        elif self._loading is None:
            await _unavailable("This server was not started: run its lifespan.").answer(send)
        else:
            self._wanted.set()
            served = await asyncio.shield(self._loading)  # one client that goes away does not end it for all
            await served(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Say at once that all is ready, load behind that, and keep everything of the SDK in one task."""
        await receive()
        self._loading = asyncio.get_running_loop().create_future()
        await send({"type": "lifespan.startup.complete"})
        async with AsyncExitStack() as stack:
            self._loading.set_result(await self._start(stack))
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, stack: AsyncExitStack) -> ASGIApp:
        """What serves requests; where nothing can, what says so, since they must not wait for ever."""
        with contextlib.suppress(TimeoutError):  # refusals first: half a second of imports would slow them down
            await asyncio.wait_for(self._wanted.wait(), BEHIND_SECONDS)
        try:
            server = await asyncio.to_thread(load, self._plugins, self._name)
            from tools.sdk import AsUser, session_manager  # noqa: PLC0415 - the SDK, now that it is loaded

            manager = session_manager(server, sessions=self._sessions)
            await stack.enter_async_context(manager.run())
            return Revisions(AsUser(manager.asgi_app), sessions=self._sessions)
        except PluginError as error:
            log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        except Exception:
            log.exception("The tools cannot be loaded.")
        return _not_loaded


async def _not_loaded(_scope: Scope, _receive: Receive, send: Send) -> None:
    await _unavailable("The tools of this server cannot be loaded; its log says why.").answer(send)


def _unavailable(sentence: str) -> Refusal:
    return Refusal(503, sentence, code=INTERNAL_ERROR)


def load(plugins: tuple[Plugin, ...], name: str) -> MCPServer:
    """One MCP server with all that the plugins register, each checked against what it says.

    Raises:
        PluginError: the first thing that is wrong with one of them.
    """
    try:
        from tools.asked_prompts import AskedPrompts  # noqa: PLC0415 - half a second that only serving needs
        from tools.asked_tools import PlainServer  # noqa: PLC0415 - the same
        from tools.stated import Stated  # noqa: PLC0415 - the same
    except ImportError as error:
        raise PluginError("The MCP SDK cannot be imported: pip install 'bearergate[tools]'") from error

    # Where nobody has set up logging, the SDK does, for the whole process; so not with every request at INFO.
    server = PlainServer(name, version=importlib.metadata.version("bearergate"), log_level="WARNING")
    offers: dict[str, set[Offer]] = {}
    for plugin in plugins:
        before = asyncio.run(_registered(server))
        _register(plugin, server)
        offers[plugin.name] = asyncio.run(_registered(server)) - before
    for plugin in plugins:
        others = (offer for name, offered in offers.items() if name != plugin.name for offer in offered)
        plugin.check_covered(offers[plugin.name], others)
    # Innermost, since a plugin may add a prompt when it is asked for.
    server.middleware.extend([Stated(plugins), AskedPrompts(server)])
    return server


def _register(plugin: Plugin, server: MCPServer) -> None:
    register = plugin.registrar()
    try:
        made: object = register(server)
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # whatever a stranger's code does
        raise PluginError(
            f"The plugin {plugin.name} cannot register what it offers ({reason_of(error)}): correct or uninstall it."
        ) from error
    if inspect.iscoroutine(made) or inspect.isgenerator(made):
        made.close()
        raise PluginError(
            f"The plugin {plugin.name} registers with a coroutine or generator: make it a plain function."
        )


async def _registered(server: MCPServer) -> set[Offer]:
    """Everything a server offers, by kind and name."""
    found: set[Offer] = {("tool", tool.name) for tool in await server.list_tools()}
    found |= {("prompt", prompt.name) for prompt in await server.list_prompts()}
    found |= {("resource", str(resource.uri)) for resource in await server.list_resources()}
    found |= {("resource", template.uri_template) for template in await server.list_resource_templates()}
    return found
