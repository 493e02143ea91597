"""Requests of 2026-07-28, each of which stands alone: checked against their headers, and given to a command that
speaks that revision.

The checks are those of the SDK, which is imported when the first such request comes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from tools.exchange import INTERNAL_ERROR, PARSE_ERROR, Refusal
from tools.stdio.command import Command
from tools.stdio.connection import Connection
from tools.stdio.messages import LOG_LEVEL, Members, error, found, members_of, method_of, raw, request
from tools.stdio.sessions import METHOD_NOT_FOUND, our_introduction
from tools.stdio.stream import Exchange

if TYPE_CHECKING:
    from mcp.shared.inbound import InboundLadderRejection

REVISION = "2026-07-28"
UNSUPPORTED_VERSION = -32022
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": REVISION,
    "io.modelcontextprotocol/clientInfo": our_introduction()["clientInfo"],
    "io.modelcontextprotocol/clientCapabilities": {},
}
SCHEMA_SECONDS = 60.0  # that a tool's schema is believed
MAX_PAGES = 100  # of a list of tools

Schemas = dict[str, Any]  # by name of the tool


class _Tool(msgspec.Struct):
    name: str
    schema: Any = msgspec.field(default=None, name="inputSchema")


class _Page(msgspec.Struct):
    tools: list[_Tool] = []
    cursor: str | None = msgspec.field(default=None, name="nextCursor")


class _Listed(msgspec.Struct):
    result: _Page = msgspec.field(default_factory=_Page)


_page = msgspec.json.Decoder(_Listed).decode


class NotSpoken(Refusal):
    """The command does not speak 2026-07-28 but others (MCP 2026-07-28, Protocol Version Negotiation)."""

    def __init__(self, supported: list[str]) -> None:
        spoken = ", ".join(supported) or "none that it names"
        data = {"supported": supported, "requested": REVISION}
        sentence = f"This server does not speak {REVISION}; it speaks {spoken}."
        super().__init__(400, sentence, code=UNSUPPORTED_VERSION, data=data)
        self.supported = supported


class Stateless:
    """Who is at the other end of a process of 2026-07-28: nobody in particular."""

    is_idle = True  # nobody waits for anything but an answer

    def __init__(self, command: Command) -> None:
        self._command = command
        self._schemas: Schemas = {}
        self._listed = self._failed = -SCHEMA_SECONDS
        self._listing = asyncio.Lock()

    def greeted(self, answer: Members) -> None:
        """Take the versions that the command speaks; raise NotSpoken where this one is not among them."""
        listed = found(answer, "result", "supportedVersions") or found(answer, "error", "data", "supported")
        supported = strings(listed)
        if REVISION not in supported:
            raise NotSpoken(supported)

    def asked(self, connection: Connection, message: Members) -> None:
        """Servers of this revision ask within their results."""
        sentence = "Clients of 2026-07-28 are asked within results alone."
        connection.reply(error(message["id"], METHOD_NOT_FOUND, sentence))

    def told(self, connection: Connection, message: Members) -> None:
        """What names no request can only be a line of the log: it goes to the only one who wants any."""
        wanting = [
            each
            for each in connection.exchanges.values()
            if not each.closed and found(each.asked, *LOG_LEVEL) is not None
        ]
        is_one = len(wanting) == 1 or not self._command.shared
        if method_of(message) == "notifications/message" and wanting and is_one:
            connection.deliver(wanting[-1], message)

    async def check_parameters(self, connection: Connection, exchange: Exchange, headers: Mapping[str, str]) -> None:
        """The headers that repeat arguments of a tool say what the arguments say (MCP 2026-07-28, Custom Headers).

        Raises:
            Refusal: they do not, or the command does not say which those are.
        """
        from mcp.shared.inbound import validate_mcp_param_headers  # noqa: PLC0415 - see the module

        arguments = found(exchange.asked, "params", "arguments")
        if arguments is None and not any(name.startswith("mcp-param-") for name in headers):
            return
        name = json.loads(bytes(found(exchange.asked, "params", "name") or b"null"))
        schema = await self._schema(connection, exchange, name)
        if schema is not None:
            given = json.loads(bytes(arguments or b"{}"))
            refuse(validate_mcp_param_headers(schema, given if isinstance(given, dict) else {}, headers), exchange.id)

    async def _schema(self, connection: Connection, exchange: Exchange, name: object) -> Any:
        began = time.monotonic()
        async with self._listing:
            if self._failed > began:  # while this one waited, and would again
                raise self._unlisted()
            if time.monotonic() - self._listed > SCHEMA_SECONDS:
                await self._list(connection, members_of(found(exchange.asked, "params")).get("_meta"))
        return self._schemas.get(name) if isinstance(name, str) else None

    async def _list(self, connection: Connection, envelope: Any) -> None:
        try:
            async with asyncio.timeout(self._command.start_seconds):
                self._schemas = await listed(connection, envelope)
        except TimeoutError:
            self._failed = time.monotonic()
            raise self._unlisted() from None
        self._listed = time.monotonic()

    def _unlisted(self) -> Refusal:
        return Refusal(504, f"The command {self._command.name} does not answer tools/list.", code=INTERNAL_ERROR)


async def listed(connection: Connection, envelope: Any) -> Schemas:
    """The schemas of all tools, as the command lists them for a request like this one; as far as they can be read."""
    schemas: Schemas = {}
    params: dict[str, Any] = {"_meta": envelope}
    for _ in range(MAX_PAGES):
        exchange = Exchange({**request("tools/list", params), "id": raw(0)}, None)
        try:
            page = _page(await last_of(connection, exchange)).result
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            break
        schemas |= {tool.name: tool.schema for tool in page.tools}
        if page.cursor is None:
            break
        params["cursor"] = page.cursor
    return schemas


async def last_of(connection: Connection, exchange: Exchange) -> bytes:
    """What a command answers in the end; it may tell of its progress, or log, before."""
    said = b"{}"
    try:
        await connection.ask(exchange)
        while (line := await exchange.next()) is not None:
            said = line
    finally:
        connection.cancel(exchange)  # unless it was answered
    return said


def discovery() -> Members:
    """What a process is asked first, so that it speaks this revision or says that it does not."""
    return {**request("server/discover", {"_meta": ENVELOPE}), "id": raw(0)}


def check_stateless(message: Members, headers: Mapping[str, str]) -> None:
    """A message of this revision says what its headers say (MCP 2026-07-28, Server Validation).

    Raises:
        Refusal: it does not, or is no message of this revision.
    """
    from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request  # noqa: PLC0415 - see the module

    try:
        decoded = {name: json.loads(bytes(value)) for name, value in message.items()}
    except (ValueError, RecursionError):  # numbers of thousands of digits, and nesting that others can still read
        raise Refusal(400, "The body is beyond what can be read.", code=PARSE_ERROR) from None
    if not isinstance(decoded.get("method"), str) or decoded.get("jsonrpc") != "2.0":
        raise Refusal(400, "The body is no request of JSON-RPC 2.0.")
    if "id" in decoded:
        if not isinstance(decoded["id"], str | int) or isinstance(decoded["id"], bool):
            raise Refusal(400, "The id of a request is a string or a whole number.")
        verdict = classify_inbound_request(decoded, headers=headers, supported_modern_versions=[REVISION])
        refuse(verdict if isinstance(verdict, InboundLadderRejection) else None, message["id"])


def refuse(rejection: InboundLadderRejection | None, request_id: Any) -> None:
    """Raise what the SDK rejects as a Refusal of ours."""
    if rejection is not None:
        from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS  # noqa: PLC0415 - see the module

        status = ERROR_CODE_HTTP_STATUS.get(rejection.code, 400)
        known = json.loads(bytes(request_id))
        raise Refusal(status, rejection.message, code=rejection.code, request_id=known, data=rejection.data)


def strings(listed: Raw | None) -> list[str]:
    """A list of strings; an empty one for anything else."""
    try:
        return msgspec.json.decode(listed or b"[]", type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
