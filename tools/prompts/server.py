"""The library on an MCP server: its prompts as they are when they are asked for, their completion, and its changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import Message, Prompt, PromptArgument, UserMessage
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    PromptReference,
)

from tools.prompts import editing
from tools.prompts.editing import TEMPLATE_URI
from tools.prompts.library import Library
from tools.prompts.listeners import SECONDS, Listeners
from tools.prompts.names import PREFIX
from tools.prompts.refusals import Refusal, Unreachable, Unusable
from tools.prompts.settings import store_of
from tools.prompts.template import Template

MAX_COMPLETIONS = 100  # in one answer (MCP 2025-11-25, Completion)


class LibraryPrompt(Prompt):
    """A template as a prompt of the SDK, which validates what it puts in by itself."""

    @classmethod
    def of(cls, name: str, template: Template) -> LibraryPrompt:
        """The prompt of a template."""
        arguments = [
            PromptArgument(name=one.name, description=one.said or None, required=one.default is None)
            for one in template.arguments
        ]
        return cls(  # type: ignore[call-arg] # what is left out has a default that mypy does not see
            name=PREFIX + name,
            title=template.title,
            description=template.description,
            arguments=arguments,
            fn=template.render,
        )

    async def render(self, arguments: Mapping[str, Any] | None, context: Context) -> list[Message]:  # type: ignore[override] # narrower
        """The text as one message. Raises `MCPError` where an argument does not fit."""
        del context
        try:
            return [UserMessage(str(self.fn(arguments or {})))]
        except Unusable as refusal:
            raise MCPError(INVALID_PARAMS, str(refusal)) from None


def register(server: MCPServer) -> None:
    """Put the library that the environment names on a server."""
    put(Library(store_of(os.environ)), server)


def put(library: Library, server: MCPServer, seconds: float = SECONDS) -> None:
    """Put a library on a server; `seconds` lie between two looks for changes while somebody listens."""
    Prompts(library, server, seconds)
    editing.put(library, server)


class Prompts:
    """Keeps a server's prompts those of the library, and completes their arguments."""

    def __init__(self, library: Library, server: MCPServer, seconds: float) -> None:
        self._library = library
        self._server = server
        self._shown: set[str] = set()
        self._known = False  # once the library was seen, what it was before it changed
        self._listeners = Listeners(server, library, seconds)
        library.on_change = self._changed
        server.middleware.append(self)
        lowlevel = server._lowlevel_server  # noqa: SLF001 - the decorator would replace the completion of other plugins
        self._others = lowlevel.get_request_handler("completion/complete")
        lowlevel.add_request_handler("completion/complete", CompleteRequestParams, self._complete)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Look at the library before its prompts are asked for; take note of who wants to hear of changes."""
        if ctx.method == "prompts/list":
            await self._library.try_to_look()
        elif ctx.method == "prompts/get":
            await self._fetch((ctx.params or {}).get("name"))
        elif ctx.method == "subscriptions/listen":
            async with self._listeners.listening():
                return await call_next(ctx)
        elif ctx.method == "initialize":
            return await self._initialize(ctx, call_next)
        return await call_next(ctx)

    async def _initialize(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """A session that can be told of changes is told so, and is told of them until it ends."""
        result = await call_next(ctx)
        connection = ctx.session._connection  # noqa: SLF001 - what lives as long as the session does
        if connection.session_id is not None and isinstance(result, dict):
            await connection.exit_stack.enter_async_context(self._listeners.listening(connection))
            capabilities = {**result["capabilities"], "prompts": {"listChanged": True}}
            return {**result, "capabilities": capabilities}
        return result

    async def _fetch(self, name: object) -> None:
        """See to it that the server has the prompt as it is now."""
        if isinstance(name, str) and name.startswith(PREFIX):
            try:
                await self._library.template(name)
            except Refusal as refusal:
                raise _protocol_error(refusal) from None

    def _changed(self) -> None:
        for name in self._shown:
            self._server.remove_prompt(name)
        prompts = [LibraryPrompt.of(name, template) for name, template in self._library.templates.items()]
        for prompt in prompts:
            self._server.add_prompt(prompt)
        self._shown = {prompt.name for prompt in prompts}
        if self._known:
            self._listeners.tell()
        self._known = True

    async def _complete(self, ctx: ServerRequestContext[Any, Any], params: CompleteRequestParams) -> HandlerResult:
        """The values of an argument that fit what was typed so far, or the names of prompts."""
        try:
            found = await self._values(params)
        except Refusal as refusal:
            raise _protocol_error(refusal) from None
        if found is None:
            return (
                await self._others.handler(ctx, params)
                if self._others
                else CompleteResult(completion=Completion(values=[]))
            )
        shown = found[:MAX_COMPLETIONS]
        return CompleteResult(completion=Completion(values=shown, total=len(found), has_more=len(found) > len(shown)))

    async def _values(self, params: CompleteRequestParams) -> list[str] | None:
        """None where the reference is about something else."""
        asked, typed = params.argument.name, params.argument.value
        if isinstance(params.ref, PromptReference):
            if not params.ref.name.startswith(PREFIX):
                return None
            argument = (await self._library.template(params.ref.name)).argument(asked)
            return argument.completions(typed) if argument else []
        if params.ref.uri != TEMPLATE_URI:
            return None
        await self._library.look()
        wanted = typed.casefold().removeprefix(PREFIX)
        return [name for name in self._library.templates if name.startswith(wanted)]


def _protocol_error(refusal: Refusal) -> MCPError:
    code = INTERNAL_ERROR if isinstance(refusal, Unreachable) else INVALID_PARAMS
    return MCPError(code, str(refusal))
