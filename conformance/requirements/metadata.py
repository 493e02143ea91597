"""The metadata document of a protected resource (RFC 9728)."""

from __future__ import annotations

from .requirement import ALL, SINCE_2025_06, Requirement

REQUIREMENTS = (
    Requirement(
        "PRM-01",
        role="resource-server",
        level="MUST",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="none",
        source="RFC 9728 §3, §3.1-3.2",
        statement=(
            "Anybody may GET the resource metadata and receives a JSON object, without being sent to another origin."
        ),
    ),
    Requirement(
        "PRM-02",
        role="resource-server",
        level="MUST",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="none",
        source="RFC 9728 §3 and §3.1",
        statement="The metadata of a resource with a path is at the well-known path followed by that path.",
    ),
    Requirement(
        "PRM-03",
        role="resource-server",
        level="MAY",
        versions=SINCE_2025_06,
        basis="mcp",
        needs="none",
        source="MCP Authorization, Protected Resource Metadata Discovery Requirements; RFC 9728 §3.1, §3.3",
        statement="The well-known root may answer too, where it is clear which resource it is about.",
    ),
    Requirement(
        "PRM-04",
        role="resource-server",
        level="MUST",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="none",
        source="RFC 9728 §2, §3.3, §7.3; MCP Authorization, Canonical Server URI",
        statement=(
            "`resource` is, byte for byte, the https URL the client called, without a fragment, and the one the "
            "document's own URL is made of."
        ),
    ),
    Requirement(
        "PRM-05",
        role="resource-server",
        level="MUST",
        versions=SINCE_2025_06,
        basis="mcp",
        needs="none",
        source="MCP Authorization, Authorization Server Location; RFC 9728 §2",
        statement=(
            "`authorization_servers` lists at least one issuer, each as the identifier by which its own metadata calls "
            "itself."
        ),
    ),
    Requirement(
        "PRM-06",
        role="resource-server",
        level="MUST",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="none",
        source="RFC 9728 §2, §3.2; MCP Authorization, Token Requirements",
        statement=(
            "Members have the types the registry gives them, lists stay lists and are left out when empty, and a token "
            "is said to go into the header only."
        ),
    ),
    Requirement(
        "PRM-07",
        role="resource-server",
        level="SHOULD",
        versions=SINCE_2025_06,
        basis="mcp",
        needs="none",
        source=(
            "MCP Authorization, Scope Selection Strategy; MCP Security Best Practices, Scope Minimization; RFC 9728 "
            "§2, §7.2"
        ),
        statement="`scopes_supported` names the few scopes of ordinary use: not all there are, and no wildcard.",
    ),
    Requirement(
        "PRM-08",
        role="resource-server",
        level="MUST NOT",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="none",
        source="RFC 9728 §2",
        statement="A `jwks_uri` here would be the resource's own keys, never the issuer's.",
    ),
    Requirement(
        "PRM-10",
        role="resource-server",
        level="SHOULD",
        versions=SINCE_2025_06,
        basis="practice",
        needs="none",
        source="WHATWG Fetch, CORS protocol; RFC 9111 §5.2; RFC 9728 §5.2 (metadata may change)",
        statement=(
            "Pages of every origin may read the well-known documents, and caches may keep them for a while, the same "
            "for everyone."
        ),
    ),
    Requirement(
        "PRM-11",
        role="resource-server",
        level="SHOULD",
        versions=SINCE_2025_06,
        basis="rfc",
        needs="none",
        source="RFC 9110 §9.3.2, §15.5.6; RFC 9728 §3.1",
        statement=(
            "HEAD answers as GET does, other methods get a 405, and a resource that does not exist has no document."
        ),
    ),
    Requirement(
        "PRM-12",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="none",
        source="OAuth 2.1 §1.5; RFC 9728 §7.1; MCP Authorization, Communication Security",
        statement="Everything is served over TLS, but for development on loopback.",
    ),
)
