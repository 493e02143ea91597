"""What each known client demands, as data with its source, and what follows for it from what was found.

Of a fault that a client's row says nothing about, the verdict says that it is not known: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from discovery.address import Reach

if TYPE_CHECKING:
    from deploy.doctor.visit import Visit

Verdict = Literal["ready", "with help", "not known", "stops"]
Effects = Mapping[str, str]  # what a finding means for a client, by its id


@dataclass(frozen=True, eq=False)
class Client:
    """A client: what stops it, what a person must help with, what it does not mind, and where that is written."""

    name: str
    source: str
    stops: Effects
    helped: Effects
    passes: frozenset[str]
    unclear: Effects
    from_cloud: bool = False  # whether it calls from its makers' cloud


@dataclass(frozen=True)
class Judged:
    """What a client does at this server, why, and how that is known."""

    client: str
    verdict: Verdict
    why: str
    source: str


def each(ids: str, why: str) -> dict[str, str]:
    """The same effect of several findings."""
    return dict.fromkeys(ids.split(), why)


# Whoever it is: without a connection, a 401 or an issuer, no login begins.
NOBODY = {
    **each("certificate-expired certificate-host certificate-unknown", "its TLS library refuses the certificate"),
    **each("not-401", "no login begins without a 401"),
    **each("stage-unreachable metadata-missing", "it finds no issuer to log in at"),
    **each("issuer-unreachable", "the issuer does not answer"),
    **each("issuer-endpoints", "there is no endpoint to log in at"),
    **each("issuer-endpoint-unreachable", "it finds no way to an endpoint to log in at"),
}
# The server's matter or the token's: no client does anything else because of them.
NOT_THE_CLIENTS = frozenset(
    [
        "open",
        "bad-token-accepted",
        "token-expired",
        "token-early",
        "token-issuer",
        "token-audience",
        "token-kind",
        "token-refused",
        "token-forbidden",
        "token-error",
        "buffered",
    ]
)
BROWSERS_ALONE = frozenset(["metadata-cors", "origin-refused", "preflight", "cors-answer", "cors-expose"])
NO_CHALLENGE = frozenset(["challenge-renamed", "challenge-missing", "challenge-no-metadata", "challenge-not-bearer"])
READS_ON = frozenset(["metadata-type", "metadata-differs", "well-known-wrong"])  # it follows the challenge alone

MISMATCH = each(
    "resource-scheme resource-host resource-port resource-stage resource-path",
    "it compares resource with the URL: another origin or path is refused",
)
UNUSABLE = "metadata-unreachable metadata-redirected metadata-page metadata-not-json challenge-metadata-stage"
REGISTER = "issuer-no-registration issuer-registration-unreachable"

PYTHON = Client(
    "Python SDK 2.3",
    "mcp 2.3.0: client/auth/oauth2.py, client/auth/utils.py, shared/auth.py, shared/auth_utils.py",
    stops={
        **MISMATCH,
        **each("redirected", "it does not follow a redirect with a login"),
        **each("challenge-metadata-relative", "it cannot send a request to a relative URL"),
        **each("resource-missing issuers-missing", "the metadata does not fit its model, and it looks elsewhere"),
        **each("issuer-mismatch", "it compares the issuers as strings"),
    },
    helped=each(REGISTER, "give the program a client id (client_info in its token storage)"),
    passes=NOT_THE_CLIENTS
    | BROWSERS_ALONE
    | NO_CHALLENGE
    | READS_ON
    | frozenset(UNUSABLE.split())
    | {"plain-http", "resource-slash", "resource-parent", "issuer-no-s256", "issuer-other-pkce", "metadata-legacy"},
    unclear=each("issuer-no-metadata", "it guesses /authorize, /token and /register at the issuer's origin"),
)
TYPESCRIPT = Client(
    "TypeScript SDK v1 (1.32)",
    "@modelcontextprotocol/sdk 1.32.2: dist/esm/client/auth.js",
    stops={
        **MISMATCH,
        **each(UNUSABLE, "it looks nowhere else when the challenge names a URL"),
        **each("issuer-no-code", "it demands the response type code"),
        **each("issuer-other-pkce", "it demands S256 where methods are listed"),
        **each("issuers-missing resource-missing", "it takes the server's own origin for the issuer"),
    },
    helped=each(REGISTER, "give the program a client id (clientInformation of its provider)"),
    passes=NOT_THE_CLIENTS
    | BROWSERS_ALONE
    | NO_CHALLENGE
    | READS_ON
    | {"plain-http", "challenge-metadata-relative", "resource-slash", "resource-parent", "issuer-no-s256"}
    | {"issuer-mismatch", "metadata-legacy"},
    unclear=each("issuer-no-metadata", "it guesses /authorize, /token and /register at the issuer's origin"),
)
TYPESCRIPT_2 = Client(
    "TypeScript SDK v2 (2.4)",
    "@modelcontextprotocol/client 2.4.0: dist (client/auth)",
    stops={**TYPESCRIPT.stops, **each("issuer-mismatch", "it compares the issuers as strings")},
    helped=TYPESCRIPT.helped,
    passes=TYPESCRIPT.passes - {"issuer-mismatch"},
    unclear=TYPESCRIPT.unclear,
)
INSPECTOR = Client(
    "MCP Inspector",
    "built on the TypeScript SDK v1; its login runs in the browser: github.com/modelcontextprotocol/inspector #995, "
    "#1152",
    stops={
        **TYPESCRIPT.stops,
        **each("metadata-cors", "its login runs in a browser, which may not read the metadata"),
        **each("issuer-cors", "its login runs in a browser, which may not read the issuer's metadata"),
    },
    helped={
        **each(REGISTER, "type a client id under Authentication"),
        **each("origin-refused preflight cors-answer cors-expose", "choose Via Proxy as connection type"),
    },
    passes=TYPESCRIPT.passes - BROWSERS_ALONE,
    unclear=TYPESCRIPT.unclear,
)
FASTMCP = Client(
    "FastMCP 4.1",
    "fastmcp 4.1.2: client/auth/oauth.py, on the Python SDK's OAuth client",
    stops=PYTHON.stops,
    helped=each(REGISTER, "give it client_id: OAuth(client_id=…)"),
    passes=PYTHON.passes,
    unclear=PYTHON.unclear,
)
SHELL = Client(
    "bearergate shell",
    "client/find.py, client/authorization.py, client/clients.py",
    stops={
        **MISMATCH,
        **each("plain-http", "it talks plain http to loopback alone"),
        **each("redirected", "it does not follow a redirect with a login"),
        **each(UNUSABLE, "where the challenge names a URL, it looks nowhere else"),
        **each("challenge-metadata-relative challenge-metadata-http", "it follows whole https URLs alone"),
        **each("resource-missing issuers-missing issuers-wrong", "it refuses such metadata"),
        **each("issuer-mismatch issuer-no-metadata issuer-endpoint-insecure", "it refuses such an issuer"),
        **each("issuer-no-s256 issuer-other-pkce", "no word about S256, no login"),
    },
    helped=each(REGISTER, "give it --client-id"),
    passes=NOT_THE_CLIENTS
    | BROWSERS_ALONE
    | NO_CHALLENGE
    | READS_ON
    | {"challenge-malformed", "resource-slash", "resource-parent", "metadata-legacy"},
    unclear={},
)
VSCODE = Client(
    "VS Code",
    "github.com/microsoft/vscode: src/vs/base/common/oauth.ts, src/vs/workbench/api/common/extHostMcp.ts; #268210, "
    "#252892",
    stops={},
    helped=each(REGISTER, "type a client id when it asks for one"),
    passes=NOT_THE_CLIENTS | BROWSERS_ALONE | NO_CHALLENGE | READS_ON | {"issuer-mismatch"},
    unclear={
        **MISMATCH,
        **each(
            " ".join([*MISMATCH, UNUSABLE, "resource-slash resource-parent resource-missing metadata-legacy"]),
            "it puts the metadata aside, and looks for an issuer at the server's own origin",
        ),
        **each("issuers-missing issuer-no-metadata", "it looks for an issuer at the server's own origin, or guesses"),
    },
)
CLAUDE = Client(
    "Claude.ai, Claude Desktop",
    "claude.com/docs/connectors/building/authentication and …/lazy-authentication; support.anthropic.com 11503834",
    stops={},
    helped=each(REGISTER, "type a client id and secret under Advanced settings of the connector"),
    passes=NOT_THE_CLIENTS | BROWSERS_ALONE,
    unclear=each(" ".join(NO_CHALLENGE), "its documents speak of the challenge alone, not of looking without it"),
    from_cloud=True,
)
CLAUDE_CODE = Client(
    "Claude Code",
    "code.claude.com/docs/en/mcp; github.com/anthropics/claude-code #38102, #61376",
    stops={},
    helped=each(REGISTER, "claude mcp add --client-id … --callback-port …; some versions ask to register all the same"),
    passes=NOT_THE_CLIENTS | BROWSERS_ALONE,
    unclear=each(" ".join(NO_CHALLENGE), "a report says that it does not look without resource_metadata (#61376)"),
)
CURSOR = Client(
    "Cursor",
    "cursor.com/docs/mcp",
    stops={},
    helped=each(REGISTER, "put CLIENT_ID under auth of the server in mcp.json"),
    passes=NOT_THE_CLIENTS,
    unclear={},
)
CLIENTS = (CLAUDE, CLAUDE_CODE, VSCODE, CURSOR, INSPECTOR, PYTHON, TYPESCRIPT, TYPESCRIPT_2, FASTMCP, SHELL)


def verdicts(visit: Visit) -> list[Judged]:
    """What every known client does at this server."""
    return [judge(visit, client) for client in CLIENTS]


def judge(visit: Visit, client: Client) -> Judged:
    """What one client does: the gravest of what was found decides."""
    if client.from_cloud and visit.asker.near and Reach.PUBLIC not in visit.asker.near:
        return Judged(
            client.name, "stops", "it calls from the internet, where this address leads nowhere", client.source
        )
    found = [finding.id for finding in visit.findings.found if not finding.issuer]
    faults = [finding.id for finding in visit.findings.of("fault") if not finding.issuer]
    stops = {**NOBODY, **client.stops}
    for id_ in found:
        if id_ in stops:
            return Judged(client.name, "stops", f"{stops[id_]} ({id_})", client.source)
    for id_ in faults:
        if id_ not in client.passes and id_ not in client.helped:
            why = client.unclear.get(id_, "what it does then is written nowhere that we know")
            return Judged(client.name, "not known", f"{why} ({id_})", client.source)
    if not visit.issuer and "open" not in found:
        return Judged(client.name, "not known", "the issuer could not be tested", client.source)
    for id_ in found:
        if id_ in client.helped:
            return Judged(client.name, "with help", f"{client.helped[id_]} ({id_})", client.source)
    why = "it needs no login here" if "open" in found else "nothing that was found stops it"
    return Judged(client.name, "ready", why, client.source)
