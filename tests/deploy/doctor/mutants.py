"""Servers that are wrong in one thing each: what is changed, and the findings that it must lead to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.doctor.server import ISSUER, OPENID, RESOURCE, SCOPE, Reply, Request, Server, said, stream

Change = Callable[[Server], Mapping[str, Any] | None]  # gives what the question holds beside the URL
HTML = Reply(200, {"content-type": "text/html"}, b"<!doctype html><p>Welcome")
FORBIDDEN = said({"message": "Forbidden"}, 403)
AMAZON = {"apigw-requestid": "one"}


@dataclass(frozen=True)
class Mutant:
    """One wrong server."""

    finds: set[str]
    change: Change
    says: str = ""  # something that stands in what is said or in what is to change
    name: str = field(default="", compare=False)


def sets(**values: Any) -> Change:
    """Changes members of the server."""

    def change(server: Server) -> None:
        for name, value in values.items():
            setattr(server, name, value)

    return change


def answers(*paths: str, **over: Any) -> Change:
    """Answers paths with the same reply."""

    def change(server: Server) -> None:
        server.over |= {path.format(path=server.path): lambda _: Reply(**over) for path in paths}

    return change


def replies(path: str, reply: Reply) -> Change:
    def change(server: Server) -> None:
        server.over[path] = lambda _: reply

    return change


def metadata(**members: Any) -> Change:
    """Changes members of the resource's metadata, in which {origin} stands for the server's."""

    def change(server: Server) -> None:
        server.metadata = filled(members, server)

    return change


def issuer(**members: Any) -> Change:
    def change(server: Server) -> None:
        server.issuer = filled(members, server)

    return change


def filled(members: Mapping[str, Any], server: Server) -> dict[str, Any]:
    port = server.origin.rpartition(":")[2]
    return {
        name: value.format(origin=server.origin, port=port) if isinstance(value, str) else value
        for name, value in members.items()
    }


def leads_to(url: str) -> Change:
    return sets(challenge=f'Bearer scope="{SCOPE}", resource_metadata="{url}"')


def token(reply: Callable[[Server], Reply | None] = lambda _: None, **claims: Any) -> Change:
    """Asks with a token."""

    def change(server: Server) -> Mapping[str, Any]:
        return {"token": server.token(reply(server), **claims)}

    return change


def refused(**claims: Any) -> Change:
    """Asks with a token that is refused as no good."""
    return token(lambda server: server.invalid(), **claims)


def both(*changes: Change) -> Change:
    def change(server: Server) -> Mapping[str, Any]:
        return {name: value for each in changes for name, value in (each(server) or {}).items()}

    return change


def as_page(origin: str = "https://app.example.com") -> Change:
    return lambda _: {"origin": origin}


def cors(**headers: str) -> Change:
    """Answers pages of every origin with these headers instead."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}

    def change(server: Server) -> Mapping[str, Any]:
        server.cors = lambda request: {} if request.method == "OPTIONS" else fields  # type: ignore[method-assign]
        return {"origin": "https://app.example.com"}

    return change


def progress(*pauses: float) -> Change:
    """Asks with a tool that tells its progress with these pauses, and then ends."""

    def change(server: Server) -> Mapping[str, Any]:
        made = server.served

        def served(request: Request) -> Reply:
            if request.rpc != "tools/call":
                return made(request)
            told = [(pause, {"jsonrpc": "2.0", "method": "notifications/progress"}) for pause in pauses]
            return stream(*told, (0, {"jsonrpc": "2.0", "id": request.body["id"], "result": {"content": []}}))

        server.served = served  # type: ignore[method-assign]
        return {"token": server.token(), "tool": "slow"}

    return change


def streams(get: Reply | None = None, subscription: Reply | None = None, **more: Any) -> Change:
    """Answers what opens a stream otherwise, and asks with a token; without a subscription, none is known."""

    def change(server: Server) -> Mapping[str, Any]:
        made = server.served
        sets(**more)(server)

        def served(request: Request) -> Reply:
            if request.rpc == "subscriptions/listen":
                return subscription or said({}, 404)
            return get if get and request.method == "GET" else made(request)

        server.served = served  # type: ignore[method-assign]
        return {"token": server.token()}

    return change


def no_get_without_token(server: Server) -> None:
    server.over[f"GET {server.path}"] = lambda _: said({}, 404)


def now() -> int:
    return int(time.time())


def only_openid(*paths: str) -> Change:
    """An issuer that publishes no RFC 8414 document."""

    def change(server: Server) -> None:
        document = json.dumps(server.issuer_document()).encode()
        reply = Reply(200, {"content-type": "application/json", "access-control-allow-origin": "*"}, document)
        server.over |= {ISSUER + server.issuer_path: lambda _: said({}, 404)}
        server.over |= {path: lambda _: reply for path in paths}

    return change


def at_stage(challenge: str = "") -> Change:
    """An endpoint below a stage of API Gateway."""

    def change(server: Server) -> None:
        server.path, server.more = "/prod/mcp", AMAZON
        server.challenge = challenge or None

    return change


def unserved(server: Server) -> None:
    """Answers every well-known place as API Gateway does for a stage that is not there."""
    server.over |= {place: lambda _: FORBIDDEN for place in (RESOURCE, RESOURCE + "/mcp", RESOURCE + "/prod/mcp")}


def metadata_at(path: str) -> Change:
    """Serves the right document at one more path."""

    def change(server: Server) -> None:
        server.over[path] = lambda _: Reply(200, *server.documents()[RESOURCE])

    return change


def initialized() -> Reply:
    return said({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25"}})


ROOTS = (RESOURCE, RESOURCE + "/mcp")
PLACE = "{origin}/.well-known/elsewhere"

MUTANTS: dict[str, Mutant] = {
    # the first answer
    "no token is asked for": Mutant({"open"}, replies("/mcp", initialized())),
    "a page in place of an endpoint": Mutant({"not-401", "get"}, replies("/mcp", HTML), "no MCP endpoint"),
    "200 with an error": Mutant({"not-401", "get"}, replies("/mcp", said({"error": {"code": 1}})), "Answer a request"),
    "a redirect to a login page": Mutant(
        {"redirected"}, answers("POST /mcp", status=302, headers={"location": "/login"})
    ),
    "403 of a front": Mutant({"not-401", "get"}, replies("/mcp", FORBIDDEN), "ApiKey"),
    "404": Mutant({"not-401", "get"}, answers("/mcp", status=404), "path under resources"),
    "405": Mutant({"not-401"}, answers("/mcp", status=405), "POST is answered 401"),
    "421": Mutant({"not-401", "get"}, answers("/mcp", status=421), "allowed_hosts"),
    "500": Mutant({"not-401", "get"}, answers("/mcp", status=500), "log of the server"),
    "418": Mutant({"not-401", "get"}, answers("/mcp", status=418), "Answer a request"),
    "GET is somebody else's": Mutant({"get"}, no_get_without_token),
    # the challenge
    "renamed challenge": Mutant({"challenge-renamed"}, sets(challenge_name="x-amzn-Remapped-www-authenticate")),
    "renamed behind an HTTP API": Mutant(
        {"challenge-renamed"},
        sets(challenge_name="x-amzn-Remapped-www-authenticate", more=AMAZON),
        "Lambda@Edge function at origin response",
    ),
    "no challenge": Mutant({"challenge-missing"}, sets(challenge=""), "proxy_hide_header"),
    "no challenge behind nginx": Mutant(
        {"challenge-missing"}, sets(challenge="", more={"server": "nginx/1.29"}), "the front takes it away. At nginx:"
    ),
    "a challenge of another scheme": Mutant({"challenge-not-bearer"}, sets(challenge='Basic realm="x"')),
    "a challenge that breaks the grammar": Mutant(
        {"challenge-malformed"},
        sets(challenge='Bearer scope="a", resource_metadata="{origin}' + RESOURCE + '/mcp", realm=a b'),
    ),
    "a challenge whose URL is not in quotes": Mutant(
        {"challenge-malformed"}, sets(challenge="Bearer resource_metadata={origin}" + RESOURCE + "/mcp")
    ),
    "an error without a token": Mutant(
        {"challenge-error"},
        sets(challenge='Bearer error="invalid_token", resource_metadata="{origin}' + RESOURCE + '/mcp"'),
    ),
    "no resource_metadata": Mutant({"challenge-no-metadata"}, sets(challenge=f'Bearer scope="{SCOPE}"')),
    "a relative resource_metadata": Mutant({"challenge-metadata-relative"}, leads_to(RESOURCE + "/mcp")),
    "resource_metadata by plain http": Mutant(
        {"challenge-metadata-http"}, leads_to("http://gw.example.com" + RESOURCE + "/mcp")
    ),
    "resource_metadata that is no URL": Mutant(
        {"challenge-metadata-elsewhere", "metadata-unreachable"}, leads_to("ftp://gw.example.com/x")
    ),
    "resource_metadata of another host": Mutant(
        {"challenge-metadata-elsewhere", "metadata-unreachable"}, leads_to("https://127.0.0.1:1/x")
    ),
    "resource_metadata at an address that nobody reaches": Mutant(
        {"challenge-metadata-elsewhere", "metadata-unreachable"}, leads_to("https://169.254.1.1/x")
    ),
    "resource_metadata without the stage": Mutant(
        {"challenge-metadata-stage"},
        both(
            at_stage(f'Bearer scope="{SCOPE}", resource_metadata="{{origin}}{RESOURCE}/mcp"'),
            metadata_at(RESOURCE + "/mcp"),
        ),
        "without the stage /prod",
    ),
    "a stage whose metadata cannot be reached": Mutant(
        {"stage-unreachable"}, both(at_stage(), unserved), "stage $default"
    ),
    # the metadata
    "no metadata": Mutant(
        {"metadata-unreachable", "root-wrong", "metadata-missing"}, answers(*ROOTS, ISSUER, status=404)
    ),
    "no metadata, but an issuer at the origin": Mutant(
        {"metadata-unreachable", "root-wrong", "metadata-legacy"},
        both(answers(*ROOTS, status=404), sets(issuer_path="")),
    ),
    "metadata behind a login": Mutant({"metadata-unreachable"}, replies(RESOURCE + "/mcp", FORBIDDEN), "by a gateway"),
    "metadata that redirects": Mutant(
        {"metadata-redirected"}, answers(RESOURCE + "/mcp", status=301, headers={"location": "/x"})
    ),
    "a page for every path": Mutant(
        {"metadata-page", "root-wrong", "metadata-missing"}, both(*(replies(each, HTML) for each in (*ROOTS, ISSUER)))
    ),
    "metadata as a download": Mutant(
        {"metadata-type"},
        lambda server: replies(
            RESOURCE + "/mcp", Reply(200, {"access-control-allow-origin": "*"}, server.documents()[RESOURCE][1])
        )(server),
        "no media type",
    ),
    "metadata that is no JSON": Mutant(
        {"metadata-not-json"}, answers(RESOURCE + "/mcp", body=b"{", headers={"content-type": "application/json"})
    ),
    "metadata that never comes": Mutant({"metadata-unreachable"}, answers(RESOURCE + "/mcp", silent=True)),
    "no metadata at the root": Mutant({"root-wrong"}, answers(RESOURCE, status=404)),
    "another document at the well-known place": Mutant(
        {"metadata-differs"},
        both(
            leads_to(PLACE),
            lambda server: replies(
                "/.well-known/elsewhere",
                said(server.resource_document() | {"resource_name": "x"}, access_control_allow_origin="*"),
            )(server),
        ),
    ),
    "nothing at the well-known place": Mutant(
        {"well-known-wrong"},
        both(leads_to(PLACE), metadata_at("/.well-known/elsewhere"), answers(RESOURCE + "/mcp", status=404)),
    ),
    "metadata that pages cannot read": Mutant(
        {"metadata-cors"}, lambda server: replies(RESOURCE + "/mcp", said(server.resource_document()))(server)
    ),
    "a preflight for metadata that is refused": Mutant(
        {"metadata-cors"}, answers(f"OPTIONS {RESOURCE}/mcp", status=405), "the preflight is answered 405"
    ),
    "no resource": Mutant({"resource-missing"}, metadata(resource=None)),
    "a slash more": Mutant({"resource-slash"}, metadata(resource="{origin}/mcp/")),
    "plain http as resource": Mutant({"resource-scheme"}, metadata(resource="http://gw.example.com/mcp")),
    "another scheme": Mutant({"resource-scheme"}, metadata(resource="https://127.0.0.1:{port}/mcp")),
    "another host": Mutant({"resource-host"}, metadata(resource="https://gw.example.com/mcp")),
    "another port": Mutant({"resource-port"}, metadata(resource="http://127.0.0.1:1/mcp")),
    "another path": Mutant({"resource-path"}, metadata(resource="{origin}/other")),
    "a resource with a query": Mutant({"resource-path"}, metadata(resource="{origin}/mcp?a=b")),
    "a resource in capitals": Mutant({"resource-spelling"}, metadata(resource="HTTP://127.0.0.1:{port}/mcp")),
    "no URL as resource": Mutant({"resource-path"}, metadata(resource="mcp")),
    "the origin as resource": Mutant({"resource-parent"}, metadata(resource="{origin}")),
    "a resource without the stage": Mutant(
        {"resource-stage"},
        both(at_stage(), metadata(resource="{origin}/mcp")),
        "it lacks /prod",
    ),
    "no issuers": Mutant({"issuers-missing"}, metadata(authorization_servers=None)),
    "issuers that are none": Mutant(
        {"issuers-wrong"},
        lambda server: setattr(
            server,
            "metadata",
            {"authorization_servers": [server.origin, 5, "mcp", f"{server.origin}?a=b", f"{server.origin}{ISSUER}"]},
        ),
    ),
    "no scopes anywhere": Mutant(
        {"scopes-unnamed"},
        both(
            metadata(scopes_supported=None),
            sets(challenge='Bearer resource_metadata="{origin}' + RESOURCE + '/mcp"'),
        ),
    ),
    "an issuer that no URL can name": Mutant(
        {"issuers-wrong"}, metadata(authorization_servers=["http://localhost:1/\0"])
    ),
    # the issuer
    "a second issuer that is not there": Mutant(
        {"issuer-unreachable"},
        lambda server: setattr(server, "metadata", {"authorization_servers": [server.origin, "http://localhost:1"]}),
    ),
    "an issuer that is not there": Mutant(
        {"issuer-unreachable"}, metadata(authorization_servers=["http://localhost:1"])
    ),
    "an issuer without metadata": Mutant({"issuer-no-metadata"}, answers(ISSUER, OPENID, status=404)),
    "an issuer of OpenID alone": Mutant({"issuer-openid-only"}, only_openid(OPENID)),
    "an issuer with a path and metadata behind it": Mutant(
        {"issuer-openid-only", "issuer-path-inserted"}, both(sets(issuer_path="/pool"), only_openid("/pool" + OPENID))
    ),
    "an issuer with a path and OpenID metadata before it": Mutant(
        {"issuer-openid-only"}, both(sets(issuer_path="/pool"), only_openid(OPENID + "/pool"))
    ),
    "an issuer of another name": Mutant({"issuer-mismatch"}, issuer(issuer="{origin}/")),
    "no endpoints": Mutant({"issuer-endpoints"}, issuer(authorization_endpoint=None, token_endpoint=None)),
    "an endpoint by plain http": Mutant({"issuer-endpoint-insecure"}, issuer(token_endpoint="http://a.example/token")),
    "no code": Mutant({"issuer-no-code"}, issuer(response_types_supported=["token"])),
    "no S256": Mutant({"issuer-no-s256"}, issuer(code_challenge_methods_supported=None), "Or switch on facade"),
    "plain PKCE": Mutant({"issuer-other-pkce"}, issuer(code_challenge_methods_supported=["plain"])),
    "no registration": Mutant({"issuer-no-registration"}, issuer(registration_endpoint=None)),
    "no public clients": Mutant(
        {"issuer-no-public-clients"}, issuer(token_endpoint_auth_methods_supported=["client_secret_basic"])
    ),
    "no iss": Mutant({"issuer-no-iss"}, issuer(authorization_response_iss_parameter_supported=None)),
    "an issuer that pages cannot read": Mutant(
        {"issuer-cors"}, lambda server: replies(ISSUER, said(server.issuer_document()))(server)
    ),
    # pages
    "a page that is refused": Mutant(
        {"origin-refused"},
        both(
            as_page(),
            lambda server: server.over.update(
                {"POST /mcp": lambda request: FORBIDDEN if "origin" in request.headers else server.endpoint(request)}
            ),
        ),
    ),
    "a page that cannot read the answer": Mutant({"cors-answer"}, cors(vary="Origin")),
    "a page that cannot read the challenge": Mutant(
        {"cors-expose"}, cors(access_control_allow_origin="*", access_control_expose_headers="Mcp-Session-Id")
    ),
    "a preflight that is refused": Mutant({"preflight"}, both(as_page(), answers("OPTIONS /mcp", status=401))),
    "a preflight that allows too little": Mutant(
        {"preflight"},
        both(as_page(), answers("OPTIONS /mcp", status=204, headers={"access-control-allow-headers": "*"})),
        "does not allow authorization",
    ),
    # tokens
    "any token is taken": Mutant(
        {"bad-token-accepted"}, sets(bad_token=said({"jsonrpc": "2.0", "id": 1, "result": {}}))
    ),
    "a bad token breaks the server": Mutant({"bad-token-error"}, sets(bad_token=said({}, 500))),
    "a bad token is not named": Mutant(
        {"bad-token-unnamed"}, sets(bad_token=said({}, 401, www_authenticate='Bearer realm="x"'))
    ),
    "an expired token": Mutant({"token-refused", "token-expired"}, refused(exp=1), "days ago"),
    "a token without end": Mutant({"token-refused", "token-expired"}, refused(exp=None), "no exp"),
    "a token of tomorrow": Mutant({"token-refused", "token-early"}, refused(iat=now() + 86400)),
    "a token of another issuer": Mutant(
        {"token-refused", "token-issuer", "issuer-unreachable"},
        both(metadata(authorization_servers=["http://localhost:1"]), refused(iss="https://other.example")),
    ),
    "429": Mutant({"not-401"}, answers("POST /mcp", status=429), "limits how often"),
    "a token for another server": Mutant({"token-refused", "token-audience"}, refused(aud="https://other.example")),
    "a token without audience that is refused": Mutant(
        {"token-refused", "token-audience"}, refused(aud=None), "Cognito writes aud only where"
    ),
    "a token without audience that is taken": Mutant({"token-no-audience"}, token(aud=None), "resource_binding"),
    "a token for another server that is taken": Mutant({"foreign-audience-accepted"}, token(aud=["https://a.example"])),
    "an expired token that is taken": Mutant({"bad-token-accepted"}, token(exp=1)),
    "an ID token by its use": Mutant({"token-refused", "token-kind"}, refused(token_use="id")),
    "an ID token by its claims": Mutant({"token-refused", "token-kind"}, refused(nonce="n", at_hash="h")),
    "a logout token": Mutant(
        {"token-refused", "token-kind"}, refused(header={"alg": "RS256", "typ": "logout+jwt"}), "logout+jwt"
    ),
    "a token bound to a key": Mutant({"token-refused", "token-bound"}, refused(cnf={"jkt": "x"})),
    "a token without the scopes": Mutant({"token-refused", "token-scope"}, refused(scope="other")),
    "a token that is refused for nothing one sees": Mutant({"token-refused"}, refused(), "error='invalid_token'"),
    "a token that lacks a scope": Mutant(
        {"token-forbidden"}, token(lambda server: server.invalid(403, scope="mcp:use mcp:admin")), "mcp:admin"
    ),
    "a token that is forbidden without a word": Mutant({"token-forbidden"}, token(lambda _: FORBIDDEN), "no challenge"),
    "a token that is forbidden for scopes it has": Mutant(
        {"token-forbidden"}, token(lambda server: server.invalid(403)), "for scopes it has"
    ),
    "a token that breaks the server": Mutant({"token-error"}, token(lambda _: said({}, 502))),
    "a server that speaks something else": Mutant({"no-revision"}, token(lambda _: HTML)),
    # streams
    "a stream that never begins": Mutant({"buffered"}, streams(Reply(silent=True)), "waits for the stream's end"),
    "a subscription that is gathered by nginx": Mutant(
        {"buffered"}, streams(subscription=stream((30, {})), more={"server": "nginx"}), "proxy_buffering off"
    ),
    "progress that arrives at the end": Mutant({"buffered"}, progress(0.6, 0, 0), "arrive together"),
}
