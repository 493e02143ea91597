"""Servers that are right but for one thing, each with the requirement that it breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Setting = Literal["server", "gateway", "issuer"]


@dataclass(frozen=True)
class Mutant:
    """One fault, in a server, a gateway or an authorization server."""

    fault: str
    breaks: str
    setting: Setting = "server"
    due: str = ""  # the verdict, where it is another than that of the requirement's level

    @property
    def id(self) -> str:
        """How the mutant is called among tests."""
        return f"{self.breaks} {self.fault}"


def _server(breaks: str, *faults: str) -> list[Mutant]:
    return [Mutant(fault, breaks) for fault in faults]


def _gateway(breaks: str, *faults: str) -> list[Mutant]:
    return [Mutant(fault, breaks, "gateway") for fault in faults]


def _issuer(breaks: str, *faults: str) -> list[Mutant]:
    return [Mutant(fault, breaks, "issuer") for fault in faults]


MUTANTS = [
    *_server("RS-401-01", "no WWW-Authenticate", "bare Bearer", "refusals are 403"),
    *_server("RS-401-02", "no metadata url"),
    *_server("RS-401-03", "no metadata anywhere"),
    *_server("RS-401-04", "missing tokens are called invalid"),
    *_server("RS-401-05", "bad tokens have no error"),
    *_server("RS-401-06", "metadata url is relative", "metadata url answers 404"),
    *_server("RS-401-07", "no scope in challenges"),
    *_server("RS-401-08", "values are not in quotes", "a parameter is there twice"),
    *_server(
        "RS-401-09",
        "discover needs no token",
        "initialize needs no token",
        "ping needs no token",
        "notifications need no token",
        "GET needs no token",
    ),
    *_server("RS-401-10", "refusals are hidden in 200", "refusals are redirects", "html gets a login page"),
    *_server("RS-401-12", "offline_access in challenges", "offline_access is supported"),
    *_server("RS-401-13", "refusals may be stored"),
    *_server("RS-403-01", "low scope is 401", "low scope without challenge"),
    *_server("RS-403-03", "one scope at a time"),
    *_server("RS-403-04", "one scope at a time"),
    *_server("RS-403-06", "scopes are prefixes", "scopes are in any case", "odd scopes crash"),
    *_server("RS-403-08", "the list hides it, the call does not"),
    *_server("RS-400-01", "a form beside the header is taken"),
    *_server(
        "RS-400-02",
        "the first of two credentials counts",
        "the last of two credentials counts",
        "a folded pair counts as its first",
    ),
    *_server("RS-CRED-01", "tokens in the query count"),
    *_server("RS-CRED-03", "the scheme is case-sensitive"),
    *_server("RS-CRED-04", "odd credentials crash"),
    *_server("RS-CRED-06", "long credentials take long"),
    *_server("RS-CRED-05", "cookies count", "X-Access-Token counts", "form bodies count"),
    *_server("JWT-FMT-01", "five parts crash", "bad tokens crash"),
    *_server("JWT-FMT-02", "the first of two members counts"),
    *_server("JWT-ALG-01", "none is an algorithm", "an empty signature is fine"),
    *_server("JWT-ALG-02", "public keys make MACs"),
    *_server("JWT-ALG-03", "every algorithm goes"),
    *_server("JWT-ALG-04", "short keys are fine", "zeros are a signature"),
    *_server("JWT-ALG-05", "signatures are not checked"),
    *_server("JWT-HDR-01", "keys in the header count", "jku is fetched"),
    *_server("JWT-HDR-02", "crit is ignored"),
    *_server("JWT-TYP-01", "any JWT is an access token", "typ is case-sensitive"),
    *_server("JWT-TYP-02", "typ is not looked at"),
    *_server("JWT-KID-01", "every unknown key is fetched", "odd kids crash"),
    *_server("JWT-KID-02", "a missing kid is any key"),
    *_server("JWT-KID-03", "keys are fetched once"),
    *_server("JWT-JWKS-01", "redirects of keys are followed"),
    Mutant("slow keys are waited for", "JWT-JWKS-01", due="warned"),
    *_server("JWT-JWKS-02", "without keys everyone comes in"),
    *_server("JWT-ISS-01", "the issuer is not compared", "the issuer is a prefix"),
    *_server("JWT-AUD-01", "the audience is not compared"),
    *_server("JWT-AUD-02", "aud may be an object", "aud has to be a string"),
    *_server("JWT-AUD-03", "the audience is a prefix", "the origin is audience enough"),
    *_server("JWT-AUD-04", "aud may be missing"),
    *_server("JWT-AUD-07", "resource has a slash"),
    *_server("JWT-USE-01", "ID tokens count"),
    *_server("JWT-EXP-01", "exp is not looked at", "exp may be missing", "exp may be a string"),
    Mutant("exp has to be whole", "JWT-EXP-01", due="warned"),
    *_server("JWT-EXP-02", "an hour of leeway", "nbf is not looked at"),
    *_server("JWT-SUB-01", "a missing sub crashes"),
    *_server("JWT-CACHE-01", "the cache leaves the signature out", "the cache forgets expiry"),
    *_server("EXT-DPOP-02", "bound tokens are plain ones"),
    *_server("SES-01", "a session id is a token"),
    *_server("SES-02", "sessions are anybody's"),
    *_server("SES-03", "session ids are counted", "session ids of clients are taken"),
    *_server("SES-04", "the cache forgets expiry"),
    *_server("SES-05", "streams outlive tokens"),
    *_server("SES-06", "ended sessions go on", "unknown sessions are fine", "the session is judged before the token"),
    Mutant("a missing session id crashes", "SES-06", due="warned"),
    *_server("SES-08", "state is good for everyone"),
    *_server("SES-09", "modern answers carry sessions"),
    *_server("PRM-01", "metadata need a token", "metadata redirect away", "metadata are html", "metadata need Accept"),
    *_server("PRM-02", "only the root has metadata"),
    *_server("PRM-04", "resource is the origin", "resource has a slash"),
    *_server("PRM-05", "no authorization servers", "authorization servers are objects", "issuer has a slash"),
    *_server("PRM-06", "scopes_supported is a string", "scopes_supported is empty", "query is a bearer method"),
    *_server("PRM-07", "scopes_supported has a wildcard"),
    *_server("PRM-10", "metadata without CORS"),
    *_server("PRM-11", "every suffix has metadata"),
    *_server("GWP-05", "the host header is believed"),
    *_server("GWP-14", "tokens are repeated", "tokens are logged"),
    *_server("TRN-ORIG-01", "every origin may call", "origins are prefixes"),
    *_server("TRN-ORIG-02", "the host is not looked at"),
    *_server("TRN-CORS-01", "preflight needs a token"),
    *_server("TRN-CORS-02", "nothing is exposed"),
    *_server("TRN-CORS-03", "every origin is reflected"),
    *_server("TRN-VER-01", "any protocol version goes"),
    *_server("TRN-VER-02", "a version header is needed"),
    *_server("TRN-VER-06", "eras do not take turns"),
    *_server("TRN-VER-03", "version header need not match", "mismatch with another code"),
    *_server("TRN-VER-04", "unknown version without data"),
    *_server("TRN-VER-05", "any revision is answered"),
    *_server("TRN-META-01", "_meta is optional", "capabilities are not looked at", "clientInfo is needed"),
    *_server("TRN-RPC-01", "unknown methods are 200", "unknown methods are 404 without a body"),
    *_server(
        "TRN-POST-01", "notifications are answered 200", "results are plain text", "what is no message is accepted"
    ),
    *_server("TRN-POST-02", "any content type goes", "only one Accept will do", "bodies that are no JSON crash"),
    *_server(
        "TRN-BATCH-01",
        "batches are refused in 2025-03-26",
        "members of a batch are not looked at",
        "batches may initialize",
    ),
    *_server("TRN-BATCH-02", "batches are taken in every revision"),
    *_server("TRN-GET-01", "GET is 200 without a stream", "other verbs crash"),
    *_server("TRN-SSE-01", "event ids repeat", "events are replayed to everyone", "every stream is replayed"),
    *_server("TRN-SSE-02", "no priming event"),
    *_server("TRN-SSE-03", "a request is put into a stream"),
    *_server(
        "TRN-SUB-01",
        "subscriptions are not tagged",
        "subscriptions are not acknowledged",
        "subscriptions deliver what was not asked for",
    ),
    *_server("TRN-HDR-01", "Mcp-Method is not compared", "Mcp-Name is not compared"),
    *_server("TRN-HDR-02", "Base64 is not decoded", "what cannot be decoded is let be"),
    *_server("TRN-HDR-03", "Mcp-Param is not compared"),
    *_server("TRN-DISC-01", "results lack cacheScope", "discover lists too much"),
    *_server("TRN-STATE-01", "connections are remembered"),
    *_gateway("JWT-AUD-06", "the audience is not compared"),
    *_gateway("RS-CRED-02", "the query is passed on"),
    *_gateway("GWP-01", "the token is passed on"),
    *_gateway("GWP-03", "identity headers are passed on"),
    *_gateway("GWP-04", "the upstream's 401 is passed on"),
    *_gateway("GWP-06", "paths are matched loosely"),
    *_gateway("GWP-07", "lengths are believed"),
    *_gateway("GWP-08", "the header decides about tools"),
    *_gateway("GWP-10", "parameters are dropped"),
    *_gateway("GWP-11", "streams are buffered"),
    *_gateway("GWP-12", "disconnects are misread"),
    *_gateway("GWP-13", "private results are shared"),
    *_gateway("GWP-16", "without keys everyone comes in", "what cannot be verified comes in"),
    *_server("EXT-CC-01", "machines need no audience"),
    *_server("JWT-ISS-02", "keys of every issuer are one set"),
    *_issuer("PRM-08", "jwks_uri is the issuer's"),
    *_issuer("ASM-01", "no discovery document"),
    *_issuer("ASM-02", "another issuer in the document"),
    *_issuer("ASM-03", "no S256 in the document"),
    *_issuer("ASM-04", "no token endpoint in the document", "plain endpoints in the document"),
    *_issuer("ASM-05", "iss is advertised and not sent"),
    *_issuer("ASM-06", "iss is advertised and not sent"),
    *_issuer("ASM-07", "documents are not supported", "documents are not fetched"),
    Mutant("registrations are answered 200", "ASM-08", "issuer", due="informed"),
    *_issuer("ASM-09", "verifiers are not compared", "codes work again"),
    *_issuer("ASM-10", "refresh tokens do not rotate", "used refresh tokens work"),
    *_issuer("ASM-11", "any resource is granted"),
    *_issuer("ASM-12", "redirects are compared by their beginning"),
    Mutant("ports are compared", "ASM-12", "issuer", due="warned"),
    *_issuer("ASM-13", "answers may be stored", "revocation does nothing"),
    *_issuer("ASM-14", "another issuer at the origin"),
    *_issuer("GWP-15", "the facade does not ask"),
    *_issuer("EXT-CC-01", "no methods for machines"),
]

# MUST requirements that a mutant would break in a way no server here can be made to.
WITHOUT = {
    "PRM-12": "The servers of these tests are on loopback, where plain http is allowed.",
}

# Tests of the suite that no server can be made to fail here.
NEVER_CAUGHT = {
    "test_request_without_origin_is_served": "A server that does not serve those is not judged at all.",
    "test_initialize_is_answered_with_the_revision_asked_for": "A revision that is not answered so is not spoken.",
    "test_names_of_headers_are_read_in_any_case": "The web server here puts them into lower case.",
    "test_everything_is_served_over_tls": WITHOUT["PRM-12"],
}
