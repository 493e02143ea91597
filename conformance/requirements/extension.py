"""Authorization extensions, which bind those who advertise them."""

from __future__ import annotations

from .requirement import ALL, Requirement

REQUIREMENTS = (
    Requirement(
        "EXT-CC-01",
        role="authorization-server-metadata",
        level="MUST",
        versions=ALL,
        basis="extension",
        needs="as-access",
        source="ext-auth OAuth Client Credentials (draft); RFC 7523 §2.2; RFC 9068 §2.2, §5",
        statement=(
            "A machine gets its token with a key or a secret of its own, and is held to the same rules as anybody, as "
            "itself."
        ),
    ),
    Requirement(
        "EXT-EMA-01",
        role="authorization-server-metadata",
        level="MUST",
        versions=ALL,
        basis="extension",
        needs="as-access",
        source="ext-auth Enterprise-Managed Authorization (stable) §5-7; RFC 7523; RFC 8693",
        statement=(
            "An enterprise's assertion buys a token for the one server it names after every part of it was checked, "
            "and is no token itself."
        ),
    ),
    Requirement(
        "EXT-DPOP-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="extension",
        needs="issuer-control",
        source="RFC 9449 §4.3, §7.1, §9, §11.1; ext-auth DPoP profile (draft, SEP-1932)",
        statement=(
            "Where DPoP is offered, every part of the proof counts, and a wrong one gets a 401 with a challenge of "
            "that scheme."
        ),
    ),
    Requirement(
        "EXT-DPOP-02",
        role="resource-server",
        level="MUST NOT",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 9449 §7.2; RFC 8705 §3",
        statement="A token that is bound to a key is worth nothing without proof of that key.",
    ),
    Requirement(
        "EXT-WIF-01",
        role="authorization-server-metadata",
        level="MUST",
        versions=ALL,
        basis="extension",
        needs="as-access",
        source="ext-auth Workload Identity Federation (draft, SEP-1933); RFC 7523 §2.1, §3",
        statement="A platform's own JWT may be traded for a token at the issuer, and is no token at the resource.",
    ),
)
