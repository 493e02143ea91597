"""Credentials and refusals: the 401, the 403 and its step-up, the 400, and where a token may stand."""

from __future__ import annotations

from .requirement import ALL, MODERN, SINCE_2025_06, SINCE_2025_11, Requirement

REQUIREMENTS = (
    Requirement(
        "RS-401-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="none",
        source="MCP Authorization, Error Handling / Token Handling; OAuth 2.1 §5.3.1; RFC 6750 §3; RFC 9110 §15.5.2",
        statement=(
            "Whoever asks for something protected without a token that can be used gets a 401 and a Bearer challenge "
            "that says at least one thing."
        ),
    ),
    Requirement(
        "RS-401-02",
        role="resource-server",
        level="MUST",
        versions=("2025-06-18",),
        basis="mcp",
        needs="none",
        source="MCP 2025-06-18 Authorization, Authorization Server Location; RFC 9728 §5.1",
        statement=(
            "To clients of 2025-06-18 the 401 itself must say where the resource metadata is; publishing it at the "
            "well-known place is not enough for them."
        ),
    ),
    Requirement(
        "RS-401-03",
        role="resource-server",
        level="MUST",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="none",
        source="MCP Authorization, Protected Resource Metadata Discovery Requirements; SEP-985",
        statement=(
            "Clients from 2025-11-25 on find the resource metadata by the challenge or at a well-known URI, with or "
            "without the path; offering all of them serves everyone."
        ),
    ),
    Requirement(
        "RS-401-04",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="rfc",
        needs="none",
        source="RFC 6750 §3.1; OAuth 2.1 §5.3.2",
        statement=(
            "A challenge to somebody who sent no credentials, or some of another scheme, names no error and describes "
            "none."
        ),
    ),
    Requirement(
        "RS-401-05",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="rfc",
        needs="none",
        source="RFC 6750 §3.1; OAuth 2.1 §5.3.1-5.3.2; RFC 9068 §4",
        statement=(
            "A token that was sent and is no good, for whatever reason, is answered by a 401 whose challenge says "
            "invalid_token."
        ),
    ),
    Requirement(
        "RS-401-06",
        role="resource-server",
        level="MUST",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="none",
        source="RFC 9728 §5.1, §3.2; OAuth 2.1 §1.5",
        statement=(
            "The challenge names its metadata by a full URL in quotes, https unless on loopback, and anybody can fetch "
            "the document there without a token."
        ),
    ),
    Requirement(
        "RS-401-07",
        role="resource-server",
        level="SHOULD",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="none",
        source="MCP 2025-11-25 Authorization Server Discovery / 2026-07-28 Scope Selection Strategy; RFC 6750 §3",
        statement="The challenge of a 401 says in `scope` which scopes the refused request would have needed.",
    ),
    Requirement(
        "RS-401-08",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="none",
        source="RFC 6750 §3; OAuth 2.1 §5.3.1; RFC 9110 §11.2",
        statement=(
            "A challenge says each of its parameters once and within the characters each may hold, and repeats nothing "
            "that a stranger sent."
        ),
    ),
    Requirement(
        "RS-401-09",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="none",
        source=(
            "MCP Security Best Practices, Session Hijacking / State Handle Hijacking mitigation; MCP Authorization, "
            "Token Requirements"
        ),
        statement=(
            "No request reaches the MCP endpoint without a token, whichever verb or JSON-RPC method it is, the opening "
            "ones, notifications and discovery included."
        ),
    ),
    Requirement(
        "RS-401-10",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="none",
        source="MCP Authorization, Error Handling",
        statement=(
            "A failed authorization is told by the HTTP status before any body: never by a 200 around an error, an "
            "event, a tool result, a redirect or a page of HTML."
        ),
    ),
    Requirement(
        "RS-401-12",
        role="resource-server",
        level="SHOULD",
        versions=MODERN,
        basis="mcp",
        needs="none",
        source="MCP 2026-07-28 Authorization, Refresh Tokens; SEP-2207",
        statement=(
            "A resource asks for no offline_access, neither in a challenge nor in its metadata: whether there is a "
            "refresh token does not concern it."
        ),
    ),
    Requirement(
        "RS-401-13",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="practice",
        needs="none",
        source="RFC 9111 §3.5; MCP 2026-07-28 Base Protocol, Error Codes",
        statement=(
            "Nobody may store a 401 or 403, and an error code in its JSON-RPC body is none of those that MCP keeps for "
            "itself."
        ),
    ),
    Requirement(
        "RS-403-01",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="mcp",
        needs="low-scope-token",
        source="MCP 2025-11-25 and 2026-07-28 Authorization, Runtime Insufficient Scope Errors; RFC 6750 §3.1",
        statement=(
            "A good token without enough scope gets a 403 whose Bearer challenge says insufficient_scope, the scopes "
            "to ask for, and where the metadata is."
        ),
    ),
    Requirement(
        "RS-403-03",
        role="resource-server",
        level="SHOULD",
        versions=MODERN,
        basis="mcp",
        needs="low-scope-token",
        source="MCP 2026-07-28 Authorization, Runtime Insufficient Scope Errors; SEP-2350",
        statement="One challenge names every scope the refused operation needs, so that one step-up is enough.",
    ),
    Requirement(
        "RS-403-04",
        role="resource-server",
        level="SHOULD",
        versions=("2025-11-25",),
        basis="mcp",
        needs="low-scope-token",
        source="MCP 2025-11-25 Authorization, Runtime Insufficient Scope Errors (recommended approach)",
        statement=(
            "The challenge to a 2025-11-25 client also names the scopes it already had, as such a client would "
            "otherwise trade the old ones for the new."
        ),
    ),
    Requirement(
        "RS-403-05",
        role="resource-server",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="token",
        source="MCP 2026-07-28 Authorization, Step-Up Authorization Flow (last paragraph)",
        statement=(
            "Where one scope includes another, the token that has the wider one may do what the narrower one allows."
        ),
    ),
    Requirement(
        "RS-403-06",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="token",
        source="RFC 6749 §3.3; RFC 9068 §2.2.3; OAuth 2.1 §1.4.1",
        statement=(
            "Scopes are whole words, told apart by blanks and by case; one that merely begins, ends or looks like the "
            "needed one opens nothing."
        ),
    ),
    Requirement(
        "RS-403-07",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="practice",
        needs="token",
        source="RFC 6750 §3.1 (meaning of insufficient_scope); MCP Authorization, Step-Up Authorization Flow",
        statement=(
            "Where no further scope would help, the 403 does not speak of insufficient_scope, lest clients log in "
            "again for nothing."
        ),
    ),
    Requirement(
        "RS-403-08",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="low-scope-token",
        source=(
            "OAuth 2.1 §5.2; MCP Security Best Practices, Scope Minimization (common mistakes); SEP-2567 (lists may "
            "vary by authorization)"
        ),
        statement="What a list hides is refused as well when it is called by its name.",
    ),
    Requirement(
        "RS-400-01",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="rfc",
        needs="token",
        source="RFC 6750 §3.1; MCP Authorization, Error Handling (400 row)",
        statement=(
            "A request that carries its token in two ways at once, or breaks the rules of OAuth otherwise, gets a 400 "
            "that says invalid_request."
        ),
    ),
    Requirement(
        "RS-400-02",
        role="resource-server",
        level="MUST NOT",
        versions=ALL,
        basis="rfc",
        needs="token",
        source="RFC 9110 §5.3 and §11.6.2 (single-valued field); RFC 6750 §3.1",
        statement=(
            "Nobody chooses between two Authorization fields, or between two credentials within one: such a request is "
            "not authenticated at all."
        ),
    ),
    Requirement(
        "RS-CRED-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="token",
        source="OAuth 2.1 §5.1; MCP Authorization, Token Requirements; RFC 9700 §4.3.2",
        statement="What looks like a token in the query of the URL authenticates nobody.",
    ),
    Requirement(
        "RS-CRED-02",
        role="gateway-proxy",
        level="MUST NOT",
        versions=ALL,
        basis="rfc",
        needs="upstream-control",
        source="OAuth 2.1 §5.1 and §7.1.3.7; RFC 9700 §4.3.2",
        statement=(
            "A token in the query is not used besides the one in the header, does not go upstream and is not written "
            "to a log."
        ),
    ),
    Requirement(
        "RS-CRED-03",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="token",
        source="RFC 9110 §11.1; OAuth 2.1 §5.1.1",
        statement="`Bearer` is understood in any mixture of upper and lower case.",
    ),
    Requirement(
        "RS-CRED-04",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="none",
        source="OAuth 2.1 §5.1.1 (credentials grammar); RFC 6750 §3.1",
        statement=(
            "Authorization fields that are empty, cut off or oddly spaced end in a 401 or 400, never in a fault of the "
            "server."
        ),
    ),
    Requirement(
        "RS-CRED-05",
        role="resource-server",
        level="MUST NOT",
        versions=ALL,
        basis="mcp",
        needs="token",
        source="MCP Authorization, Token Requirements; OAuth 2.1 §5.1, §7.1.3.4",
        statement=(
            "The Authorization header alone authenticates: no cookie, form field, header of another name, session id "
            "or part of the message does."
        ),
    ),
    Requirement(
        "RS-CRED-06",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="practice",
        needs="none",
        source="RFC 6585 §5; RFC 8725 §3.4 and §3.6; SEP-2243 (implementers may limit header size)",
        statement=(
            "Credentials of absurd size are turned away at once, by a 401, 400 or 431, and cost neither time nor "
            "memory."
        ),
    ),
)
