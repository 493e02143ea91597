"""What the doctor may find: every finding by its id, how much it matters, and the rule behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from discovery import document

Level = Literal["fault", "advice"]  # a fault stops or misleads some client; what is advised costs comfort or safety

# Documents that are cited often, with their section.
CHALLENGE = "RFC 9728 §5.1; MCP Authorization, Protected Resource Metadata Discovery Requirements"
PLACES = "RFC 9728 §3.1; MCP Authorization, Protected Resource Metadata Discovery Requirements"
DOCUMENT = "RFC 9728 §3.2"
SAME_RESOURCE = "RFC 9728 §3.3"
ISSUER_PLACES = "RFC 8414 §3.1; MCP Authorization, Authorization Server Metadata Discovery"
ISSUER_MEMBERS = "RFC 8414 §2"
REGISTERING = "MCP Authorization, Client Registration Approaches"
TLS = "OAuth 2.1 §1.5; MCP Authorization, Communication Security"
CORS = "WHATWG Fetch, CORS protocol"
CHECK = "RFC 9110 §4.3.4"
TOKENS = "MCP Authorization, Token Handling; RFC 6750 §3.1"
CLAIMS = "RFC 9068 §4; RFC 7519 §4.1"


MAX_TEXT = 1500  # characters of one sentence or two, in which a stranger may have a word


@dataclass(frozen=True)
class Rule:
    """How much a finding matters, and the document and section it is judged by."""

    level: Level
    source: str


RULES: dict[str, Rule] = {
    # the connection
    "plain-http": Rule("fault", TLS),
    "certificate-expired": Rule("fault", "RFC 5280 §4.1.2.5"),
    "certificate-host": Rule("fault", CHECK),
    "certificate-unknown": Rule("fault", "RFC 5280 §6.1"),
    "certificate-expiring": Rule("advice", "RFC 5280 §4.1.2.5"),
    "clock": Rule("fault", "RFC 9110 §6.6.1; RFC 7519 §4.1.4"),
    # the first answer
    "open": Rule("fault", "MCP Authorization, Access Token Usage; OAuth 2.1 §5.2"),
    "redirected": Rule("fault", "MCP Authorization, Error Handling"),
    "not-401": Rule("fault", "MCP Authorization, Error Handling; RFC 6750 §3.1"),
    "get": Rule("advice", "MCP Transports, Listening for Messages from the Server"),
    "challenge-renamed": Rule("fault", CHALLENGE),
    "challenge-missing": Rule("fault", CHALLENGE),
    "challenge-not-bearer": Rule("fault", "RFC 6750 §3; OAuth 2.1 §5.3.1"),
    "challenge-malformed": Rule("fault", "RFC 9110 §11.6.1; RFC 6750 §3"),
    "challenge-error": Rule("advice", "RFC 6750 §3.1"),
    "challenge-no-metadata": Rule("fault", CHALLENGE),
    "challenge-metadata-relative": Rule("fault", "RFC 9728 §5.1"),
    "challenge-metadata-http": Rule("fault", "RFC 9728 §5.1; OAuth 2.1 §1.5"),
    "challenge-metadata-elsewhere": Rule("advice", PLACES),
    "challenge-metadata-stage": Rule("fault", PLACES),
    # the resource's metadata
    "metadata-missing": Rule("fault", PLACES),
    "metadata-legacy": Rule("fault", PLACES),
    "metadata-unreachable": Rule("fault", DOCUMENT),
    "metadata-redirected": Rule("fault", DOCUMENT),
    "metadata-page": Rule("fault", DOCUMENT),
    "metadata-type": Rule("fault", DOCUMENT),
    "metadata-not-json": Rule("fault", DOCUMENT),
    "well-known-wrong": Rule("fault", PLACES),
    "root-wrong": Rule("advice", "MCP Authorization, Protected Resource Metadata Discovery Requirements"),
    "metadata-differs": Rule("fault", SAME_RESOURCE),
    "metadata-cors": Rule("fault", CORS),
    "stage-unreachable": Rule("fault", PLACES),
    "resource-missing": Rule("fault", "RFC 9728 §2"),
    "resource-slash": Rule("fault", SAME_RESOURCE + "; MCP Authorization, Canonical Server URI"),
    "resource-scheme": Rule("fault", SAME_RESOURCE),
    "resource-host": Rule("fault", SAME_RESOURCE),
    "resource-port": Rule("fault", SAME_RESOURCE),
    "resource-stage": Rule("fault", SAME_RESOURCE),
    "resource-path": Rule("fault", SAME_RESOURCE),
    "resource-spelling": Rule("fault", SAME_RESOURCE),
    "resource-parent": Rule("fault", SAME_RESOURCE),
    "issuers-missing": Rule("fault", "MCP Authorization, Authorization Server Location; RFC 9728 §2"),
    "issuers-wrong": Rule("fault", "RFC 9728 §2; RFC 8414 §2"),
    "scopes-unnamed": Rule("advice", "MCP Authorization, Scope Selection Strategy"),
    # the issuer
    "issuer-unreachable": Rule("fault", ISSUER_PLACES),
    "issuer-no-metadata": Rule("fault", ISSUER_PLACES),
    "issuer-openid-only": Rule("advice", "MCP Authorization 2025-06-18, Authorization Server Metadata Discovery"),
    "issuer-path-inserted": Rule("advice", ISSUER_PLACES),
    "issuer-mismatch": Rule("fault", "RFC 8414 §3.3"),
    "issuer-endpoints": Rule("fault", ISSUER_MEMBERS),
    "issuer-endpoint-insecure": Rule("fault", TLS),
    "issuer-endpoint-unreachable": Rule("fault", ISSUER_MEMBERS),
    "issuer-registration-unreachable": Rule("advice", REGISTERING),
    "issuer-no-code": Rule("fault", ISSUER_MEMBERS),
    "issuer-no-s256": Rule("fault", "MCP Authorization, Authorization Code Protection; RFC 8414 §2"),
    "issuer-other-pkce": Rule("fault", "MCP Authorization, Authorization Code Protection; RFC 8414 §2"),
    "issuer-no-registration": Rule("advice", REGISTERING),
    "issuer-no-public-clients": Rule("advice", "RFC 8414 §2 (token_endpoint_auth_methods_supported); RFC 7591 §2"),
    "issuer-no-iss": Rule("advice", "RFC 9207 §3; MCP Authorization, Mix-Up Attacks"),
    "issuer-cors": Rule("advice", CORS),
    # browsers
    "origin-refused": Rule("fault", "MCP Transports, Security Warning"),
    "preflight": Rule("fault", CORS),
    "cors-answer": Rule("fault", CORS),
    "cors-expose": Rule("fault", CORS),
    # tokens
    "bad-token-accepted": Rule("fault", TOKENS),
    "bad-token-error": Rule("fault", TOKENS),
    "bad-token-unnamed": Rule("advice", "RFC 6750 §3.1"),
    "token-expired": Rule("fault", CLAIMS),
    "token-early": Rule("fault", CLAIMS),
    "token-issuer": Rule("fault", CLAIMS),
    "token-audience": Rule("fault", "RFC 8707 §2; MCP Authorization, Access Token Usage"),
    "token-no-audience": Rule("advice", "RFC 8707 §2; MCP Authorization, Access Token Usage"),
    "token-bound": Rule("fault", "RFC 9449 §7.2; RFC 8705 §3"),
    "foreign-audience-accepted": Rule("advice", "RFC 8707 §2; MCP Authorization, Access Token Usage"),
    "token-kind": Rule("fault", "RFC 8725 §3.11; RFC 9068 §2.1"),
    "token-scope": Rule("advice", "RFC 6750 §3.1"),
    "token-refused": Rule("fault", TOKENS),
    "token-forbidden": Rule("fault", "MCP Authorization, Scope Challenge Handling; RFC 6750 §3.1"),
    "token-error": Rule("fault", TOKENS),
    "no-revision": Rule("fault", "MCP Lifecycle, Version Negotiation"),
    "buffered": Rule("fault", "MCP Transports, Streamable HTTP; WHATWG HTML §9.2"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what was asked and what came, and the line to change."""

    id: str
    what: str
    change: str
    issuer: str = ""  # the one it is about, where that is not the first, which all known clients take

    @property
    def rule(self) -> Rule:
        """The rule it is judged by."""
        return RULES[self.id]


@dataclass(frozen=True)
class Untested:
    """Something that could not be tested, and what would be needed."""

    what: str
    needs: str


@dataclass
class Findings:
    """All that was found, what is well, and what could not be tested, in the order of a client's steps."""

    found: list[Finding] = field(default_factory=list)
    well: list[str] = field(default_factory=list)
    untested: list[Untested] = field(default_factory=list)
    about: str = ""  # a further issuer, while that is looked at

    def add(self, finding: str, what: str, change: str) -> None:
        """Note something that is wrong; the same thing once."""
        made = Finding(finding, what[:MAX_TEXT], change[:MAX_TEXT], self.about)
        if made not in self.found:
            self.found.append(made)

    def good(self, what: str) -> None:
        """Note something that is as it should be."""
        self.well.append(f"{what} ({self.about})" if self.about else what)

    def skip(self, what: str, needs: str) -> None:
        """Note something that could not be tested."""
        self.untested.append(Untested(what, needs))

    def has(self, *ids: str) -> bool:
        """Whether one of these was found."""
        return any(each.id in ids for each in self.found)

    def of(self, level: Level) -> Iterator[Finding]:
        """What was found at a level."""
        return (each for each in self.found if each.rule.level == level)


def quoted(value: object) -> str:
    """A stranger's value for a sentence: escaped, and no longer than a line."""
    try:
        return document.quoted(value)
    except RecursionError:
        return "a value that is nested too deeply"
