"""What a gateway before other servers does and keeps to itself."""

from __future__ import annotations

from .requirement import ALL, MODERN, Requirement

REQUIREMENTS = (
    Requirement(
        "GWP-01",
        role="gateway-proxy",
        level="MUST NOT",
        versions=ALL,
        basis="mcp",
        needs="upstream-control",
        source=(
            "MCP Authorization, Access Token Privilege Restriction; MCP Security Best Practices, Token Passthrough; "
            "RFC 8693; RFC 8707 §2"
        ),
        statement="The client's token never goes upstream; if the upstream wants one, the gateway gets its own for it.",
    ),
    Requirement(
        "GWP-03",
        role="gateway-proxy",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="upstream-control",
        source="RFC 9700 §4.13; RFC 9110 §7.6.1",
        statement=(
            "Headers by which an upstream would know the caller are taken out of every request, and only the gateway "
            "writes them."
        ),
    ),
    Requirement(
        "GWP-04",
        role="gateway-proxy",
        level="SHOULD",
        versions=ALL,
        basis="practice",
        needs="upstream-control",
        source="RFC 9728 §3.3, §7.3 (metadata would name another resource); RFC 9110 §15.6.3",
        statement=(
            "That the upstream refuses the gateway is no 401 for the client, and no challenge or metadata of the "
            "upstream gets through."
        ),
    ),
    Requirement(
        "GWP-05",
        role="gateway-proxy",
        level="MUST",
        versions=ALL,
        basis="practice",
        needs="none",
        source="RFC 9728 §7.3; RFC 9700 §4.13",
        statement=(
            "What the gateway calls itself comes from its settings; a Host or forwarding header changes nothing of it."
        ),
    ),
    Requirement(
        "GWP-06",
        role="gateway-proxy",
        level="MUST",
        versions=ALL,
        basis="practice",
        needs="upstream-control",
        source="RFC 3986 §6.2.2; RFC 9110 §4.2.3; OAuth 2.1 §5.2",
        statement=(
            "The path that decides about access is the path that is routed, so that no odd spelling leads around the "
            "gate."
        ),
    ),
    Requirement(
        "GWP-07",
        role="gateway-proxy",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="upstream-control",
        source="RFC 9112 §6.1, §6.3, §11.2",
        statement="A request whose length can be read in two ways is refused and goes no further.",
    ),
    Requirement(
        "GWP-08",
        role="gateway-proxy",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="upstream-control",
        source="MCP 2026-07-28 Streamable HTTP, Server Validation (with its intermediary notes); SEP-2243",
        statement=(
            "Headers that repeat what the body says are compared with it before anything is decided by them, and mean "
            "nothing in revisions that do not have them."
        ),
    ),
    Requirement(
        "GWP-10",
        role="gateway-proxy",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="upstream-control",
        source="MCP 2026-07-28 Streamable HTTP, Server Behavior for Custom Headers; RFC 9110 §5.1",
        statement=(
            "`Mcp-Param-` headers that mean nothing to the gateway are passed on as they are and change no decision."
        ),
    ),
    Requirement(
        "GWP-11",
        role="gateway-proxy",
        level="SHOULD",
        versions=ALL,
        basis="mcp",
        needs="upstream-control",
        source="MCP 2026-07-28 Streamable HTTP, Receiving Messages; RFC 9110 §7.6",
        statement=(
            "Every event goes on as soon as it is there: not held back, not compressed, with its comments, and with "
            "the header that keeps proxies from buffering."
        ),
    ),
    Requirement(
        "GWP-12",
        role="gateway-proxy",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="upstream-control",
        source="MCP 2026-07-28 Streamable HTTP, Cancellation; MCP 2025-11-25 Transports, Sending Messages",
        statement="When the client hangs up, a 2026-07-28 request is cancelled and an older one runs to its end.",
    ),
    Requirement(
        "GWP-13",
        role="gateway-proxy",
        level="MUST NOT",
        versions=MODERN,
        basis="mcp",
        needs="second-principal",
        source="MCP 2026-07-28 Caching, Cache Scope Field and Cache Key; RFC 9111 §3.5",
        statement=(
            "A private result is never shown to another authorization context, and what came of several round trips is "
            "not kept."
        ),
    ),
    Requirement(
        "GWP-14",
        role="gateway-proxy",
        level="MUST NOT",
        versions=ALL,
        basis="mcp",
        needs="token",
        source="MCP Authorization, Token Theft; RFC 9700 §4.9.3 and §4.3.2",
        statement="No token, code, assertion or proof is ever in a log, a trace, a metric, an error or a URL.",
    ),
    Requirement(
        "GWP-15",
        role="gateway-proxy",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="as-access",
        source="MCP Security Best Practices, Confused Deputy Problem; MCP Authorization, Confused Deputy Problem",
        statement=(
            "A facade with one client of its own upstream asks every person about every client on a page of its own, "
            "and ties the login to that answer."
        ),
    ),
    Requirement(
        "GWP-16",
        role="gateway-proxy",
        level="MUST",
        versions=ALL,
        basis="practice",
        needs="upstream-control",
        source="OAuth 2.1 §5.2; MCP Authorization, Access Token Privilege Restriction",
        statement="A fault in the authorization itself refuses the request; it never lets one through unchecked.",
    ),
)
