"""The issuer a resource names, and a facade in its place: metadata and behaviour."""

from __future__ import annotations

from .requirement import ALL, MODERN, SINCE_2025_06, SINCE_2025_11, Requirement

REQUIREMENTS = (
    Requirement(
        "ASM-01",
        role="authorization-server-metadata",
        level="MUST",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="none",
        source="MCP Authorization, Overview item 5",
        statement="An issuer publishes at least one of the two discovery documents, OAuth's or OpenID's.",
    ),
    Requirement(
        "ASM-02",
        role="authorization-server-metadata",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="none",
        source=(
            "RFC 8414 §2, §3.3; OpenID Connect Discovery §4.3; MCP 2026-07-28 Authorization Server Metadata Discovery"
        ),
        statement=(
            "The document calls its issuer by exactly the identifier its URL was made from, an https URL without query "
            "or fragment."
        ),
    ),
    Requirement(
        "ASM-03",
        role="authorization-server-metadata",
        level="MUST",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="none",
        source="MCP Authorization, Authorization Code Protection; RFC 8414 §2",
        statement="The document says that PKCE with S256 is offered, an OpenID one too.",
    ),
    Requirement(
        "ASM-04",
        role="authorization-server-metadata",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="none",
        source="RFC 8414 §2, §3.2; MCP Authorization, Communication Security",
        statement="The document is JSON with all that a code flow needs, and every endpoint in it is https.",
    ),
    Requirement(
        "ASM-05",
        role="authorization-server-metadata",
        level="MUST",
        versions=ALL,
        basis="practice",
        needs="as-access",
        source="RFC 8414 §3.3; RFC 9207 §2.3-2.4; RFC 7591",
        statement=(
            "A facade's document names the facade as issuer, as the resource metadata does, and promises only what the "
            "issuer behind it can do."
        ),
    ),
    Requirement(
        "ASM-06",
        role="authorization-server-metadata",
        level="SHOULD",
        versions=MODERN,
        basis="mcp",
        needs="as-access",
        source="MCP 2026-07-28 Authorization Response Validation; RFC 9207 §2, §2.3; SEP-2468",
        statement=(
            "Answers to the browser say which issuer they come from, errors too, and the metadata says that they do."
        ),
    ),
    Requirement(
        "ASM-07",
        role="authorization-server-metadata",
        level="SHOULD",
        versions=SINCE_2025_11,
        basis="mcp",
        needs="as-access",
        source="MCP Client Registration, Client ID Metadata Documents; draft-ietf-oauth-client-id-metadata-document",
        statement=(
            "Clients may identify themselves by the URL of their own metadata, which is fetched with care and has to "
            "agree with itself and with the request."
        ),
    ),
    Requirement(
        "ASM-08",
        role="authorization-server-metadata",
        level="MAY",
        versions=ALL,
        basis="mcp",
        needs="as-access",
        source="MCP Authorization, Client Registration (each version); RFC 7591 §3",
        statement="Dynamic registration may be offered; how much it is wanted shrinks from revision to revision.",
    ),
    Requirement(
        "ASM-09",
        role="authorization-server-metadata",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="as-access",
        source="OAuth 2.1 §4.1.1, §4.1.3, §7.5; RFC 9700 §2.1.1; MCP Authorization, Authorization Code Protection",
        statement=(
            "A code works once and only with the verifier of the challenge it was asked with, and S256 is offered."
        ),
    ),
    Requirement(
        "ASM-10",
        role="authorization-server-metadata",
        level="MUST",
        versions=SINCE_2025_06,
        basis="mcp",
        needs="as-access",
        source="MCP Authorization, Token Theft; OAuth 2.1 §4.3.1; RFC 9700 §2.2.2, §4.14.2",
        statement=(
            "A public client's refresh token is replaced at every use, and the one before it is refused from then on."
        ),
    ),
    Requirement(
        "ASM-11",
        role="authorization-server-metadata",
        level="SHOULD",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="as-access",
        source="RFC 8707 §2, §2.1-2.2; RFC 9700 §2.3",
        statement=(
            "The token is for the resource that was asked for, at every step; unknown resources are refused and a "
            "refresh widens nothing."
        ),
    ),
    Requirement(
        "ASM-12",
        role="authorization-server-metadata",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="as-access",
        source="OAuth 2.1 §4.1.1, §8.4.2; RFC 8252 §7.3; RFC 9700 §2.1, §4.1.3; MCP Authorization, Open Redirection",
        statement=(
            "A redirect URI fits as a whole, but for the port on loopback, and nothing is redirected to one that does "
            "not."
        ),
    ),
    Requirement(
        "ASM-13",
        role="authorization-server-metadata",
        level="SHOULD",
        versions=ALL,
        basis="rfc",
        needs="as-access",
        source="OAuth 2.1 §3.2.3, §7.1.3.5; RFC 7009 §2; MCP Authorization, Token Theft",
        statement="Tokens are never cached on their way, live for a short time, and can be revoked.",
    ),
    Requirement(
        "ASM-14",
        role="authorization-server-metadata",
        level="MUST",
        versions=("2025-03-26",),
        basis="mcp",
        needs="none",
        source="MCP 2025-03-26 Authorization, Authorization Base URL and Fallbacks",
        statement=(
            "A 2025-03-26 client looks for an issuer at the origin of the MCP server itself, and uses fixed paths "
            "there if it finds no metadata."
        ),
    ),
)
