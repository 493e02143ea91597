"""Sessions, state handles and streams that live long."""

from __future__ import annotations

from .requirement import ALL, HANDSHAKE, MODERN, Requirement

REQUIREMENTS = (
    Requirement(
        "SES-01",
        role="resource-server",
        level="MUST NOT",
        versions=HANDSHAKE,
        basis="mcp",
        needs="token",
        source="MCP Security Best Practices (2025-11-25), Session Hijacking",
        statement="Knowing a session id does not replace a token.",
    ),
    Requirement(
        "SES-02",
        role="resource-server",
        level="SHOULD",
        versions=HANDSHAKE,
        basis="mcp",
        needs="second-principal",
        source="MCP Security Best Practices (2025-11-25), Session Hijacking",
        statement="A session belongs to the principal that opened it; to everybody else it does not exist.",
    ),
    Requirement(
        "SES-03",
        role="resource-server",
        level="MUST",
        versions=HANDSHAKE,
        basis="mcp",
        needs="token",
        source="MCP 2025-11-25 Transports, Session Management; MCP Security Best Practices, Session Hijacking",
        statement=(
            "The server alone makes session ids, and nobody can guess one; what a client proposes does not become one."
        ),
    ),
    Requirement(
        "SES-04",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="issuer-control",
        source="MCP Authorization, Token Requirements (every request) and Token Handling",
        statement=(
            "A token that ran out is refused at the next request, also within a session, and the same principal's new "
            "token finds the session as it was."
        ),
    ),
    Requirement(
        "SES-05",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="practice",
        needs="issuer-control",
        source="OAuth 2.1 §5.2; MCP Security Best Practices (verify all inbound requests); RFC 9700 §4.10",
        statement=(
            "An event stream ends about when the token does that opened it, in a way that makes the client come back "
            "with a new one."
        ),
    ),
    Requirement(
        "SES-06",
        role="resource-server",
        level="MUST",
        versions=HANDSHAKE,
        basis="mcp",
        needs="token",
        source="MCP 2025-11-25 Transports, Session Management; RFC 9110 §15.5.6",
        statement=(
            "Ended and unknown sessions are both a 404, a missing id is a 400, only the owner ends a session, and the "
            "token is judged before any of that."
        ),
    ),
    Requirement(
        "SES-08",
        role="resource-server",
        level="MUST NOT",
        versions=MODERN,
        basis="mcp",
        needs="second-principal",
        source=(
            "MCP Security Best Practices (2026-07-28), State Handle Hijacking; SEP-2567; MCP 2026-07-28 Multi "
            "Round-Trip Requests, server requirements"
        ),
        statement=(
            "Holding the handle of some state, a task, a subscription or a requestState, gives no right to it: it "
            "works for the principal it was made for."
        ),
    ),
    Requirement(
        "SES-09",
        role="resource-server",
        level="SHOULD",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Streamable HTTP, Earlier Streamable HTTP Revisions; RFC 9110 §15.5.6",
        statement=(
            "Where 2026-07-28 is spoken, GET and DELETE are not allowed, and session and event ids are neither read "
            "nor given out."
        ),
    ),
)
