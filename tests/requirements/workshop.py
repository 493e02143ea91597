"""A tool plugin for tests: tools that tell who called, wait, ask, announce or hang up, and notes of what they did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import anyio
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from pydantic import BaseModel, WithJsonSchema

from tools.registry import Needs, Plugin

ADMIN = ("mcp:admin", "mcp:write")
LOOKS_ENCODED = "=?base64?Zm9v?="  # the name of a prompt that reads like an encoded header
Region = Annotated[int | None, WithJsonSchema({"type": "integer", "x-mcp-header": "Region"})]


class Answer(BaseModel):
    """What a person is asked for."""

    colour: str


def question() -> Elicit[Answer]:
    """The question that `ask` has for whoever sits before the client."""
    return Elicit("Which colour?", Answer)


@dataclass
class Workshop:
    """The plugin, and what its tools have done so far."""

    done: list[str] = field(default_factory=list)  # tools that ran to their end
    started: anyio.Event = field(default_factory=anyio.Event)  # `wait` has begun
    release: anyio.Event = field(default_factory=anyio.Event)  # lets `wait` go on
    ended: anyio.Event = field(default_factory=anyio.Event)  # `wait` is over, one way or the other
    cancelled: bool = False  # `wait` was cancelled
    tokens: list[str] = field(default_factory=list)  # what tools were given as the caller's token

    def plugin(self) -> Plugin:
        """The plugin as the tool server takes it."""
        needs = [
            Needs("tool", "admin-reset", ADMIN),
            *(Needs("tool", tool) for tool in ("whoami", "wait", "ask", "place", "announce", "hang-up", "report")),
            Needs("prompt", LOOKS_ENCODED),
            Needs("resource", "note://*"),
            Needs("resource", "secret://plans", ADMIN),
        ]
        return Plugin("workshop", self.register, needs)

    def register(self, server: MCPServer) -> None:
        """Put everything on a server."""
        tools = (self.whoami, self.admin_reset, self.wait, self.ask, self.place, self.announce, self.hang_up)
        for tool in (*tools, self.report):
            server.tool(tool.__name__.replace("_", "-"), description=tool.__doc__)(tool)
        server.prompt(LOOKS_ENCODED, description="A prompt with an odd name.")(lambda: "Say foo.")
        server.resource("note://{name}", name="note", description="A note.")(note)
        server.resource("secret://plans", name="plans", description="For few.")(lambda: "the plans")

    def whoami(self, ctx: Context) -> str:
        """Who calls."""
        token = get_access_token()
        assert token is not None
        self.tokens.append(token.token + (ctx.headers or {}).get("authorization", ""))
        return f"{(token.claims or {})['iss']} {token.subject} {token.client_id}"

    def admin_reset(self) -> str:
        """Something that few may do."""
        self.done.append("admin-reset")
        return "reset"

    async def wait(self, ctx: Context) -> str:
        """Wait until the test says so."""
        await ctx.report_progress(1, 2)
        self.started.set()
        try:
            await self.release.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        finally:
            self.ended.set()
        self.done.append("wait")
        return "waited"

    def ask(self, answer: Annotated[Answer, Resolve(question)]) -> str:
        """Ask the person before the client."""
        self.done.append("ask")
        return answer.colour

    def place(self, region: Region = None) -> str:
        """Do something in a region."""
        return f"in {region}"

    async def announce(self, ctx: Context) -> str:
        """Tell subscribers that everything changed."""
        await ctx.notify_tools_changed()
        await ctx.notify_prompts_changed()
        await ctx.notify_resource_updated("note://mine")
        await ctx.notify_resource_updated("secret://plans")
        return "announced"

    async def hang_up(self, ctx: Context) -> str:
        """End the connection, not the call."""
        await ctx.close_sse_stream()
        self.started.set()
        return "still there"

    async def report(self, ctx: Context) -> str:
        """Report one step before the answer."""
        await ctx.report_progress(1, 2)
        return "reported"


def note(name: str) -> str:
    """A note by its name."""
    return f"about {name}"
