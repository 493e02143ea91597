"""What a client does with a protected server."""

from __future__ import annotations

from .requirement import ALL, MODERN, SINCE_2025_06, SINCE_2025_11, Requirement

REQUIREMENTS = (
    Requirement(
        "CLI-01",
        role="client",
        level="MUST",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="client-under-test",
        source="MCP Authorization, Protected Resource Metadata Discovery Requirements",
        statement=(
            "The client takes the metadata's place from the challenge, and only without one tries the well-known URI "
            "with the path and then the root."
        ),
    ),
    Requirement(
        "CLI-02",
        role="client",
        level="MUST",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="client-under-test",
        source="RFC 9728 §3.3, §7.3; MCP Canonical Server URI",
        statement="The client stops at metadata that is about another resource than the one it called.",
    ),
    Requirement(
        "CLI-03",
        role="client",
        level="MUST",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="client-under-test",
        source="MCP Authorization Server Metadata Discovery; RFC 8414 §3.3, §5; OpenID Connect Discovery §4.3",
        statement=(
            "The client tries the places of the issuer's metadata in their order, and drops a document of another "
            "issuer."
        ),
    ),
    Requirement(
        "CLI-04",
        role="client",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="client-under-test",
        source="MCP Authorization, Authorization Code Protection; OAuth 2.1 §4.1.1",
        statement=(
            "The client always uses PKCE with S256, and from 2025-11-25 on not at all an issuer that does not say it "
            "has it."
        ),
    ),
    Requirement(
        "CLI-05",
        role="client",
        level="MUST",
        versions=SINCE_2025_06,
        basis="mcp",
        needs="client-under-test",
        source="MCP Authorization, Resource Parameter Implementation; RFC 8707 §2",
        statement="The client names the resource when it asks for a code and at every token request after it.",
    ),
    Requirement(
        "CLI-06",
        role="client",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="client-under-test",
        source="MCP 2026-07-28 Authorization Response Validation; RFC 9207 §2.4",
        statement=(
            "The client remembers which issuer it sends the browser to and compares `iss` in the answer to the letter, "
            "before it believes anything else of it."
        ),
    ),
    Requirement(
        "CLI-07",
        role="client",
        level="SHOULD",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="client-under-test",
        source=(
            "MCP Client Registration (priority list; Client ID Metadata Documents); "
            "draft-ietf-oauth-client-id-metadata-document"
        ),
        statement=(
            "The client prefers a registration it has, then its metadata document, then dynamic registration, then to "
            "ask; the document keeps to its rules."
        ),
    ),
    Requirement(
        "CLI-09",
        role="client",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="client-under-test",
        source=(
            "MCP 2026-07-28 Client Registration, Authorization Server Binding and Application Type; SEP-2352; SEP-837"
        ),
        statement=(
            "What the client got from one issuer it never shows to another, and it says at registration what kind of "
            "application it is."
        ),
    ),
    Requirement(
        "CLI-10",
        role="client",
        level="SHOULD",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="client-under-test",
        source="MCP Authorization, Scope Selection Strategy and Step-Up Authorization Flow; SEP-2350",
        statement=(
            "The client asks for the scopes of the challenge, else those of the metadata, else for none by name, adds "
            "up at a step-up, and gives up after a few."
        ),
    ),
    Requirement(
        "CLI-11",
        role="client",
        level="MUST NOT",
        versions=ALL,
        basis="mcp",
        needs="client-under-test",
        source="MCP Authorization, Token Requirements and Token Handling; OAuth 2.1 §5.1",
        statement=(
            "The client sends its token in the header of every request to its own server, and to nobody else in any "
            "way."
        ),
    ),
    Requirement(
        "CLI-12",
        role="client",
        level="MUST NOT",
        versions=MODERN,
        basis="mcp",
        needs="client-under-test",
        source="MCP 2026-07-28 Authorization, Refresh Tokens; SEP-2207; OAuth 2.1 §4.3",
        statement=(
            "The client can do without refresh tokens, replaces each by its successor in one step, and logs in again "
            "when one is refused."
        ),
    ),
    Requirement(
        "CLI-13",
        role="client",
        level="SHOULD",
        versions=SINCE_2025_06,
        basis="mcp",
        needs="client-under-test",
        source="MCP Security Best Practices, SSRF and OAuth Authorization URL Validation; RFC 9728 §7.7",
        statement=(
            "The client does not go wherever a document tells it to: no private addresses, no schemes but the web's, "
            "no shell."
        ),
    ),
    Requirement(
        "CLI-14",
        role="client",
        level="MUST",
        versions=MODERN,
        basis="mcp",
        needs="client-under-test",
        source="MCP 2026-07-28 Streamable HTTP, Backward Compatibility; Versioning",
        statement=(
            "A client of both eras asks in the new way first, and falls back to the old handshake only when the "
            "refusal is not one of the new way."
        ),
    ),
)
