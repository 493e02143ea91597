"""The transport: origins and browsers, revisions and envelopes, verbs, streams and headers."""

from __future__ import annotations

from .requirement import ALL, HANDSHAKE, MODERN, SINCE_2025_06, Requirement

REQUIREMENTS = (
    Requirement(
        "TRN-ORIG-01",
        role="transport",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="token",
        source="MCP Transports, Security Warning (2025-11-25) / Security & Endpoint (2026-07-28)",
        statement=(
            "A foreign Origin is refused on every request, by a 403 from 2025-11-25 on; a request without Origin is no "
            "browser's and goes on."
        ),
    ),
    Requirement(
        "TRN-ORIG-02",
        role="transport",
        level="SHOULD",
        versions=ALL,
        basis="mcp",
        needs="token",
        source="MCP Transports, Security Warning; MCP Security Best Practices, Local MCP Server Compromise",
        statement=(
            "A local server listens on loopback alone and checks Host too, so that a name that was rebound to it gets "
            "nothing."
        ),
    ),
    Requirement(
        "TRN-CORS-01",
        role="transport",
        level="SHOULD",
        versions=ALL,
        basis="practice",
        needs="none",
        source="WHATWG Fetch, CORS preflight; MCP 2026-07-28 Streamable HTTP, Request Metadata",
        statement=(
            "A preflight from an allowed origin needs no token, and allows the verbs and every header that MCP uses, "
            "those of its tools included."
        ),
    ),
    Requirement(
        "TRN-CORS-02",
        role="transport",
        level="SHOULD",
        versions=ALL,
        basis="practice",
        needs="none",
        source="WHATWG Fetch, CORS-exposed headers; MCP authorization tutorial (exposedHeaders)",
        statement=(
            "A page of an allowed origin can read every answer, refusals too, and the headers it needs to go on from "
            "there."
        ),
    ),
    Requirement(
        "TRN-CORS-03",
        role="transport",
        level="MUST NOT",
        versions=ALL,
        basis="practice",
        needs="none",
        source="WHATWG Fetch, CORS protocol and credentials; RFC 9110 §12.5.5",
        statement=(
            "Only listed origins are allowed, by the same list as before, never with cookies, and caches are told that "
            "the answer depends on it."
        ),
    ),
    Requirement(
        "TRN-VER-01",
        role="transport",
        level="MUST",
        versions=("2025-06-18", "2025-11-25"),
        basis="mcp",
        needs="token",
        source="MCP 2025-06-18 and 2025-11-25 Transports, Protocol Version Header",
        statement="A version header that no revision knows is a 400.",
    ),
    Requirement(
        "TRN-VER-02",
        role="transport",
        level="SHOULD",
        versions=HANDSHAKE,
        basis="mcp",
        needs="token",
        source=(
            "MCP 2025-06-18 and 2025-11-25 Transports, Protocol Version Header; MCP 2026-07-28 Streamable HTTP, "
            "Protocol Version Header (MAY)"
        ),
        statement="Without a version header the session's own revision counts, and outside a session 2025-03-26.",
    ),
    Requirement(
        "TRN-VER-03",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Streamable HTTP, Protocol Version Header and Server Validation",
        statement=(
            "A 2026-07-28 request names its revision in the header and inside, alike; where one is missing or differs "
            "it is a 400 with code -32020."
        ),
    ),
    Requirement(
        "TRN-VER-04",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Versioning, Protocol Version Negotiation",
        statement="A revision that is not served is a 400 with code -32022, which says which ones are.",
    ),
    Requirement(
        "TRN-VER-05",
        role="transport",
        level="MUST",
        versions=HANDSHAKE,
        basis="mcp",
        needs="token",
        source="MCP 2025-11-25 Lifecycle, Version Negotiation",
        statement="`initialize` is answered with the revision that was asked for, or with another one that is served.",
    ),
    Requirement(
        "TRN-VER-06",
        role="transport",
        level="SHOULD",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Versioning, Backward Compatibility with Initialization-Based Versions",
        statement=(
            "A server of the new era alone says so to an `initialize`; a server of both eras tells them apart request "
            "by request."
        ),
    ),
    Requirement(
        "TRN-META-01",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Base Protocol, General fields (_meta)",
        statement=(
            "A 2026-07-28 request without its envelope is a 400 with code -32602, and what it needs but does not "
            "declare in this very request is a 400 with -32021."
        ),
    ),
    Requirement(
        "TRN-RPC-01",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Streamable HTTP, Protocol Version Header",
        statement="In 2026-07-28 a method that nobody implements is a 404 with code -32601 and the id of the request.",
    ),
    Requirement(
        "TRN-POST-01",
        role="transport",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="token",
        source="MCP Transports, Sending Messages",
        statement=(
            "A request is answered by one JSON object or an event stream, a notification by an empty 202, and what "
            "cannot be accepted by a 4xx."
        ),
    ),
    Requirement(
        "TRN-POST-02",
        role="transport",
        level="SHOULD",
        versions=ALL,
        basis="practice",
        needs="token",
        source=(
            "MCP Transports, Sending Messages (client MUST); RFC 9110 §15.5.7, §15.5.16, §15.5.14; JSON-RPC 2.0 §5.1"
        ),
        statement=(
            "What a client cannot read, or a server cannot, has its own status: 406, 415, 413, or a 400 for what is no "
            "JSON."
        ),
    ),
    Requirement(
        "TRN-BATCH-01",
        role="transport",
        level="MUST",
        versions=("2025-03-26",),
        basis="mcp",
        needs="token",
        source="MCP 2025-03-26 Base Protocol, Batching; Lifecycle, Initialization; Transports",
        statement="2025-03-26 has batches, without `initialize` in them, and each member needs its own permission.",
    ),
    Requirement(
        "TRN-BATCH-02",
        role="transport",
        level="MUST NOT",
        versions=SINCE_2025_06,
        basis="mcp",
        needs="token",
        source="MCP 2025-06-18 changelog item 1; Transports, Sending Messages",
        statement="Every later revision refuses a body that is a list.",
    ),
    Requirement(
        "TRN-GET-01",
        role="transport",
        level="MUST",
        versions=HANDSHAKE,
        basis="mcp",
        needs="token",
        source="MCP 2025-11-25 Transports, Listening for Messages",
        statement="A GET opens an event stream or is a 405, and so is every other verb that is not offered.",
    ),
    Requirement(
        "TRN-SSE-01",
        role="transport",
        level="MUST",
        versions=HANDSHAKE,
        basis="mcp",
        needs="second-principal",
        source=(
            "MCP 2025-11-25 Transports, Resumability and Redelivery, Multiple Connections; MCP Security Best "
            "Practices, Session Hijacking"
        ),
        statement=(
            "An event id names one event of one session, and resuming after it repeats nothing but its own stream, to "
            "its owner."
        ),
    ),
    Requirement(
        "TRN-SSE-02",
        role="transport",
        level="SHOULD",
        versions=("2025-11-25",),
        basis="mcp",
        needs="token",
        source="MCP 2025-11-25 Transports, Sending Messages; SEP-1699",
        statement=(
            "A stream of 2025-11-25 begins with an id and no data, so that it can be resumed, and says when to come "
            "back before it is cut."
        ),
    ),
    Requirement(
        "TRN-SSE-03",
        role="transport",
        level="MUST NOT",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Streamable HTTP, Receiving Messages; changelog items 7 and 9",
        statement=(
            "A stream of 2026-07-28 asks the client nothing, tells it only of its own request, and is not resumed."
        ),
    ),
    Requirement(
        "TRN-SUB-01",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Subscriptions",
        statement=(
            "A subscription is confirmed first, marks everything with its id, and delivers what was asked for and is "
            "allowed, nothing else."
        ),
    ),
    Requirement(
        "TRN-HDR-01",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Streamable HTTP, Standard Request Headers and Server Validation; SEP-2243",
        statement=(
            "A 2026-07-28 request says its method, and the name it is about, in headers that equal the body; otherwise "
            "it is a 400 with code -32020."
        ),
    ),
    Requirement(
        "TRN-HDR-02",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Streamable HTTP, Value Encoding and Server Validation",
        statement=(
            "What a header cannot hold is written in Base64 between marks, and is decoded before it is compared; what "
            "cannot be decoded is a 400."
        ),
    ),
    Requirement(
        "TRN-HDR-03",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Streamable HTTP, Custom Headers from Tool Parameters",
        statement=(
            "An argument that a tool's schema marks for a header is in that header exactly if it has a value, and both "
            "say the same."
        ),
    ),
    Requirement(
        "TRN-DISC-01",
        role="transport",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Discovery; Caching; Base Protocol, Result Responses",
        statement=(
            "`server/discover` says which revisions work and what the server can do, and results say how long and by "
            "whom they may be kept."
        ),
    ),
    Requirement(
        "TRN-STATE-01",
        role="transport",
        level="MUST NOT",
        versions=MODERN,
        basis="mcp",
        needs="second-principal",
        source="MCP 2026-07-28 Base Protocol, Statelessness",
        statement="A connection has no memory: every request on it is judged by what it brings itself.",
    ),
)
