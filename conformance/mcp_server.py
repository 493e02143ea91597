"""A small MCP server without state that speaks every revision to the letter; what it is asked decides which."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .revisions import HANDSHAKE, META, MODERN, NAMED

PARSE, INVALID, METHOD, PARAMS = -32700, -32600, -32601, -32602
HEADERS, CAPABILITY, VERSION = -32020, -32021, -32022
ECHO, REGION, SLOW, STATE, ASK = (
    "conformance_echo",
    "conformance_region",
    "conformance_slow",
    "conformance_state",
    "conformance_ask",
)
PRIVILEGED = "conformance_privileged"
SLOW_EVENTS = 3
PAUSE = 0.15  # seconds before each of them
_SENTINEL = re.compile(r"=\?base64\?([A-Za-z0-9+/]*={0,2})\?=")

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A request: header names are in lower case, and a field that is there twice is there twice."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""

    def get(self, name: str) -> str | None:
        """The value of a field; None without one."""
        return next((value for key, value in self.fields if key == name), None)

    def count(self, name: str) -> int:
        """How often a field is there."""
        return sum(key == name for key, _ in self.fields)


@dataclass(frozen=True)
class Reply:
    """What is answered: a body at once, or events with the seconds to wait before each."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[tuple[float, bytes], ...] | None = None


class Refused(Exception):
    """A message that is answered with an error."""

    def __init__(self, status: int, code: int, text: str, data: Json | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.data = status, code, data


def as_json(status: int, value: Any) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, json.dumps(value).encode(), {"content-type": "application/json"})


def event(value: Any, number: str = "") -> bytes:
    """One event of a stream."""
    named = f"id: {number}\n" if number else ""
    return f"{named}data: {json.dumps(value)}\n\n".encode()


def decoded(value: str) -> str:
    """What a header field of 2026-07-28 means.

    Raises:
        ValueError: it is in the form of Base64, but is none.
    """
    if not value.startswith("=?") or not value.lower().startswith("=?base64?"):
        return value
    if (match := _SENTINEL.fullmatch(value)) is None:
        raise ValueError("no Base64 form")
    return base64.b64decode(match[1], validate=True).decode("utf-8")


class McpServer:
    """Answers messages. Every rule is a method, so that a test can break one of them."""

    supported = (*HANDSHAKE, MODERN)

    def reply(self, request: Request, principal: str = "") -> Reply:
        """The answer to a request of `principal`."""
        if request.method != "POST":
            return self.other_verb(request)
        if (request.get("content-type") or "").partition(";")[0].strip().lower() != "application/json":
            return as_json(415, {})
        try:
            said = json.loads(request.body)
        except (ValueError, RecursionError):
            return as_json(400, self.failure(None, PARSE, "This is no JSON."))
        if isinstance(said, list):
            return self.batch(said, request, principal)
        return self.single(said, request, principal)

    def other_verb(self, request: Request) -> Reply:  # noqa: ARG002 - a server that offers more looks at it
        """GET and DELETE, which a server without streams and sessions does not offer."""
        return Reply(405, headers={"allow": "POST"})

    def batch(self, said: list[Any], request: Request, principal: str) -> Reply:
        """A list of messages, which only 2025-03-26 knows."""
        named = request.get("mcp-protocol-version") or HANDSHAKE[0]
        openings = [one for one in said if not isinstance(one, dict) or one.get("method") == "initialize"]
        if named != HANDSHAKE[0] or not said or openings:
            return as_json(400, self.failure(None, INVALID, "One message at a time, please."))
        replies = [self.single(one, request, principal) for one in said]
        bodies = [json.loads(reply.body) for reply in replies if reply.body]
        return as_json(200, bodies) if bodies else Reply(202)

    def single(self, said: Any, request: Request, principal: str) -> Reply:
        """One message."""
        number = said.get("id") if isinstance(said, dict) else None
        try:
            self.check_form(said)
            modern = self.is_modern(said, request)
            if modern:
                self.check_modern(said, request)
            else:
                self.check_version(request)
            if "method" not in said or "id" not in said:
                return self.accepted(said, modern)
            return self.dispatch(said, modern, principal)
        except Refused as why:
            return as_json(why.status, self.failure(number, why.code, str(why), why.data))

    def failure(self, number: Any, code: int, text: str, data: Json | None = None) -> Json:
        """A JSON-RPC error."""
        error: Json = {"code": code, "message": text} | ({"data": data} if data else {})
        return {"jsonrpc": "2.0", "id": number, "error": error}

    def check_form(self, said: Any) -> None:
        """JSON-RPC 2.0."""
        if not isinstance(said, dict) or said.get("jsonrpc") != "2.0":
            raise Refused(400, INVALID, "This is no JSON-RPC message.")
        method, number = said.get("method"), said.get("id", 0)
        response = "result" in said or "error" in said
        if not (isinstance(method, str) or (method is None and response)) or not isinstance(number, (str, int)):
            raise Refused(400, INVALID, "This is no JSON-RPC message.")

    def accepted(self, said: Json, modern: bool) -> Reply:
        """A notification, or a client's response in older revisions."""
        if modern and "method" not in said:
            raise Refused(400, INVALID, "This revision knows no responses of clients.")
        return Reply(202)

    def is_modern(self, said: Json, request: Request) -> bool:
        """Whether a message is of 2026-07-28, by its header or its body."""
        if said.get("method") == "initialize":
            return False
        meta = self.meta(said)
        return request.get("mcp-protocol-version") == MODERN or f"{META}/protocolVersion" in meta

    def meta(self, said: Json) -> Json:
        """The envelope of a message."""
        params = said.get("params")
        found = params.get("_meta") if isinstance(params, dict) else None
        return found if isinstance(found, dict) else {}

    def check_version(self, request: Request) -> None:
        """2025-06-18 and later: the header names a revision that is spoken."""
        named = request.get("mcp-protocol-version")
        if named is not None and (named not in self.supported or request.count("mcp-protocol-version") > 1):
            raise Refused(400, INVALID, "This revision is not spoken here.")

    def check_modern(self, said: Json, request: Request) -> None:
        """What a message of 2026-07-28 and its header fields have to be."""
        if "id" not in said:
            return
        self.check_modern_version(said, request)
        self.check_meta(said)
        self.check_method(said, request)
        self.check_name(said, request)
        self.check_params(said, request)

    def check_modern_version(self, said: Json, request: Request) -> None:
        """The header and the envelope name the same revision, which is spoken."""
        header, meta = request.get("mcp-protocol-version"), self.meta(said)
        named = meta.get(f"{META}/protocolVersion", header)
        if header != named or request.count("mcp-protocol-version") != 1:
            raise Refused(400, HEADERS, "MCP-Protocol-Version is not what the body says.")
        if named != MODERN:
            data = {"supported": list(self.supported), "requested": named}
            raise Refused(400, VERSION, "This revision is not spoken here.", data)

    def check_meta(self, said: Json) -> None:
        """The envelope is whole."""
        meta = self.meta(said)
        for name in ("protocolVersion", "clientCapabilities"):
            if f"{META}/{name}" not in meta:
                raise Refused(400, PARAMS, f"_meta lacks {name}.")

    def check_method(self, said: Json, request: Request) -> None:
        """Mcp-Method is the method."""
        if request.get("mcp-method") != said["method"] or request.count("mcp-method") != 1:
            raise Refused(400, HEADERS, "Mcp-Method is not what the body says.")

    def check_name(self, said: Json, request: Request) -> None:
        """Mcp-Name is what is asked for."""
        if said["method"] not in NAMED:
            return
        wanted = said.get("params", {}).get(NAMED[said["method"]])
        if request.count("mcp-name") != 1 or self.value(request.get("mcp-name") or "") != wanted:
            raise Refused(400, HEADERS, "Mcp-Name is not what the body says.")

    def value(self, text: str) -> str:
        """What a header field means."""
        try:
            return decoded(text)
        except (ValueError, binascii.Error):
            raise Refused(400, HEADERS, "A header field is no Base64.") from None

    def check_params(self, said: Json, request: Request) -> None:
        """Mcp-Param-Region is the region, for the one tool that has such a parameter."""
        params = said.get("params", {})
        if said["method"] != "tools/call" or params.get("name") != REGION:
            return
        wanted = (params.get("arguments") or {}).get("region")
        header = request.get("mcp-param-region")
        if (wanted is None) != (header is None) or (header is not None and self.value(header) != wanted):
            raise Refused(400, HEADERS, "Mcp-Param-Region is not what the body says.")

    def dispatch(self, said: Json, modern: bool, principal: str) -> Reply:
        """The answer to a request."""
        number, method, params = said["id"], said["method"], said.get("params") or {}
        if method == "tools/call" and params.get("name") == SLOW:
            return self.slow(number, params, modern)
        if method == "subscriptions/listen" and modern:
            return self.listen(number, params)
        result = self.result(method, params, modern, principal)
        if result is None:
            text = f"There is no method {method[:40]!r}."
            return as_json(404 if modern else 200, self.failure(number, METHOD, text))
        if modern:
            result = {"resultType": "complete", **result}
        return as_json(200, {"jsonrpc": "2.0", "id": number, "result": result})

    def result(self, method: str, params: Json, modern: bool, principal: str) -> Json | None:
        """The result of a method; None if there is no such method."""
        cache = {"ttlMs": 0, "cacheScope": "private"} if modern else {}
        info = {"name": "conformance", "version": "1"}
        if method == "server/discover" and modern:
            return {
                "supportedVersions": list(self.supported),
                "capabilities": {"tools": {}},
                "serverInfo": info,
            } | cache
        if method == "initialize" and not modern:
            return {"protocolVersion": self.negotiated(params), "capabilities": {"tools": {}}, "serverInfo": info}
        if method == "tools/list":
            return {"tools": self.tools(principal), **cache}
        if method == "tools/call":
            return self.call(params, principal)
        return {} if method == "ping" and not modern else None

    def negotiated(self, params: Json) -> str:
        """The revision asked for, or the newest one of the handshake."""
        wanted = params.get("protocolVersion")
        return wanted if wanted in HANDSHAKE else HANDSHAKE[-1]

    def tools(self, principal: str) -> list[Json]:  # noqa: ARG002 - a server may show each principal other tools
        """What can be called."""
        text = {"type": "object", "properties": {"text": {"type": "string"}}}
        region = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
        schemas = {ECHO: text, REGION: region, SLOW: {"type": "object"}, STATE: text, ASK: text, PRIVILEGED: text}
        calm = {"readOnlyHint": True}
        words = "A tool of the conformance suite."
        return [{"name": n, "description": words, "inputSchema": s, "annotations": calm} for n, s in schemas.items()]

    def call(self, params: Json, principal: str) -> Json:
        """What a tool answers."""
        name, arguments = params.get("name"), params.get("arguments") or {}
        known = {tool["name"] for tool in self.tools(principal)} | {PRIVILEGED}
        if name not in known:
            raise Refused(200, PARAMS, "There is no such tool.")
        if name == ASK and "elicitation" not in self.capabilities(params):
            data: Json = {"requiredCapabilities": {"elicitation": {}}}
            raise Refused(400, CAPABILITY, "This needs a client that can ask a person.", data)
        if name == STATE:
            return self.stateful(params, principal)
        text = str(arguments.get("text", arguments.get("region", name)))
        return {"content": [{"type": "text", "text": text}], "isError": False}

    def capabilities(self, params: Json) -> Json:
        """What the client of this very request can do."""
        found = (params.get("_meta") or {}).get(f"{META}/clientCapabilities", {"elicitation": {}})
        return found if isinstance(found, dict) else {}

    def stateful(self, params: Json, principal: str) -> Json:
        """Asks for input first, and goes on with a state that is good for the principal who was given it."""
        state = params.get("requestState")
        if state is None:
            asked = {
                "method": "elicitation/create",
                "params": {"message": "Go on?", "requestedSchema": {"type": "object"}},
            }
            handed = base64.urlsafe_b64encode(principal.encode()).decode()
            return {"resultType": "input_required", "inputRequests": {"go": asked}, "requestState": handed}
        self.check_state(str(state), principal)
        return {"content": [{"type": "text", "text": f"the data of {principal}"}], "isError": False}

    def check_state(self, state: str, principal: str) -> None:
        """The state was given to this principal."""
        if state != base64.urlsafe_b64encode(principal.encode()).decode():
            raise Refused(200, PARAMS, "This state is nobody's.")

    def slow(self, number: Any, params: Json, modern: bool) -> Reply:
        """Three notes of progress, then the result."""
        token = (params.get("_meta") or {}).get("progressToken", 0)
        notes = [
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": n}}
            for n in range(SLOW_EVENTS)
        ]
        result: Json = {"content": [{"type": "text", "text": "done"}], "isError": False}
        if modern:
            result["resultType"] = "complete"
        last = {"jsonrpc": "2.0", "id": number, "result": result}
        events = (*((PAUSE, event(note)) for note in notes), (PAUSE, event(last)))
        return Reply(200, events=events)

    def listen(self, number: Any, params: Json) -> Reply:
        """The acknowledgement of a subscription; nothing ever changes here."""
        wanted = params.get("notifications") or {}
        agreed = {name: True for name in ("toolsListChanged",) if wanted.get(name)}
        tagged = {"_meta": {f"{META}/subscriptionId": number}, "notifications": agreed}
        first = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": tagged}
        return Reply(200, events=((0, event(first)), (30, b": still here\n\n")))
