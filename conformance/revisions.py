"""How each revision of MCP writes a message, and which header fields go with it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
REVISIONS = (*HANDSHAKE, MODERN)  # the draft is 2026-07-28 to the letter, so far
META = "io.modelcontextprotocol"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

Message = dict[str, Any]


def meta(version: str = MODERN, **capabilities: Any) -> dict[str, Any]:
    """The envelope of a 2026-07-28 request."""
    return {
        f"{META}/protocolVersion": version,
        f"{META}/clientInfo": {"name": "mcp-conformance", "version": "1"},
        f"{META}/clientCapabilities": capabilities,
    }


def message(revision: str, method: str, params: Mapping[str, Any] | None = None, number: int = 1) -> Message:
    """A request as the revision writes it."""
    given = dict(params or {})
    if revision == MODERN:
        given = {"_meta": meta(), **given}
    elif method == "initialize":
        client = {"name": "mcp-conformance", "version": "1"}
        given = {"protocolVersion": revision, "capabilities": {}, "clientInfo": client, **given}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": given}


def notification(revision: str, method: str = "notifications/initialized") -> Message:
    """A notification as the revision writes it."""
    sent: Message = {"jsonrpc": "2.0", "method": method}
    return sent | {"params": {"_meta": meta(), "requestId": "none"}} if revision == MODERN else sent


def opening(revision: str) -> Message:
    """The smallest request of a revision that can be sent first."""
    return message(revision, "server/discover" if revision == MODERN else "initialize")


def headers(revision: str, sent: Any) -> dict[str, str]:
    """The header fields that go with a message of a revision."""
    fields = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    method = str(sent.get("method", "")) if isinstance(sent, dict) else ""
    if revision == MODERN:
        fields |= {"MCP-Protocol-Version": revision, "Mcp-Method": method}
        if method in NAMED:
            fields["Mcp-Name"] = encoded(str(sent.get("params", {}).get(NAMED[method], "")))
    elif revision != HANDSHAKE[0] and method != "initialize":
        fields["MCP-Protocol-Version"] = revision
    return fields


def encoded(text: str) -> str:
    """A text as 2026-07-28 puts it into a header field: as it is, or in Base64 where a field cannot hold it."""
    plain = text.isascii() and text.isprintable() and text == text.strip() and not text.startswith("=?")
    return text if plain else sentinel(text.encode())


def sentinel(data: bytes) -> str:
    """Bytes in the Base64 form of 2026-07-28."""
    return f"=?base64?{base64.b64encode(data).decode()}?="
