"""What a requirement is: one thing the specifications ask of one party, with where it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["resource-server", "gateway-proxy", "client", "authorization-server-metadata", "transport"]
Level = Literal["MUST", "MUST NOT", "SHOULD", "MAY"]
Basis = Literal["mcp", "rfc", "extension", "practice"]
Needs = Literal[
    "none",
    "token",
    "low-scope-token",
    "second-principal",
    "issuer-control",
    "as-access",
    "upstream-control",
    "client-under-test",
]

# The revisions of MCP whose clients or servers a requirement concerns.
ALL = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "draft")
SINCE_2025_06 = ALL[1:]
SINCE_2025_11 = ALL[2:]
MODERN = ALL[3:]
HANDSHAKE = ALL[:3]


@dataclass(frozen=True)
class Requirement:
    """One requirement; the source decides in case of doubt, the statement only says what it comes to."""

    id: str  # never used for anything else
    role: Role  # the party it binds
    level: Level
    versions: tuple[str, ...]  # of MCP
    basis: Basis  # MCP's own text, a text it builds on, an optional extension, or the practice of this project
    needs: Needs  # what a test must have in its hands
    source: str  # document and section
    statement: str  # one sentence
