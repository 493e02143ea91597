"""Every setting, declared once: a typed field with its sentence, default and unit.

`gateway.sources` reads `bearergate.yaml` and the environment, `gateway.consistency` checks what the fields mean
together; nothing else does either.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from discovery.resource import canonical

COGNITO = re.compile(r"https://(issuer-)?cognito-idp\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/")
POOL = re.compile(r"[\w-]+_[0-9A-Za-z]+", re.ASCII)  # the id of a user pool, as Cognito's API declares it


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What some operations need beyond the scopes of their resource. Every rule that fits an operation applies."""

    tools: Annotated[list[str], Meta(description="Tools it is about, by name or glob (`admin-*`).")] = []
    prompts: Annotated[list[str], Meta(description="Prompts it is about, by name or glob.")] = []
    resources: Annotated[list[str], Meta(description="Resources it is about, by URI or glob (`s3://reports/*`).")] = []
    scopes: Annotated[list[str], Meta(description="Scopes a token must have, all of them.")] = []
    groups: Annotated[list[str], Meta(description="Groups of which the principal must be in at least one.")] = []
    claims: Annotated[
        dict[str, str | int | bool], Meta(description="Claims the token must carry with exactly these values.")
    ] = {}


class IssuerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer whose tokens are accepted."""

    issuer: Annotated[str, Meta(description="The issuer's identifier, exactly as in its tokens' `iss`.")]
    kind: Annotated[
        Literal["auto", "cognito", "oidc"],
        Meta(description="`cognito` or any other, `oidc`; told from the identifier when `auto`."),
    ] = "auto"
    jwks_uri: Annotated[str, Meta(description="Where its key set is; found through its metadata when empty.")] = ""
    jwks_file: Annotated[
        str, Meta(description="A copy of its key set to begin with, so that the first token waits for no fetch.")
    ] = ""
    algorithms: Annotated[
        list[str], Meta(description="Algorithms its tokens may be signed with: RS256, PS256, ES256, EdDSA and kin.")
    ] = msgspec.field(default_factory=lambda: ["RS256"])
    token_type: Annotated[
        Literal["", "at+jwt"],
        Meta(description="`at+jwt` for issuers that stamp access tokens as RFC 9068 says; empty for others."),
    ] = ""
    client_ids: Annotated[
        list[str],
        Meta(description="Cognito only: clients whose tokens are accepted without `aud`, given a scope of ours."),
    ] = []
    resource_server: Annotated[
        str,
        Meta(
            description="Cognito only: resource server a token without `aud` must have a scope of; the resource's URL."
        ),
    ] = ""
    resource_binding: Annotated[
        bool, Meta(description="Cognito only: every client asks with `resource`, so every token has an `aud`.")
    ] = False
    groups_claim: Annotated[
        str, Meta(description="Claim that lists a principal's groups; `cognito:groups` or `groups` when empty.")
    ] = ""

    @property
    def is_cognito(self) -> bool:
        """Whether its tokens look like Cognito's; both forms of its issuers are known."""
        return self.kind == "cognito" or (self.kind == "auto" and COGNITO.match(self.issuer) is not None)


class CredentialSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gate's own credential at an upstream. The secret itself is in the environment or a file, never here."""

    header: Annotated[str, Meta(description="Header it is sent in.")] = "Authorization"
    prefix: Annotated[str, Meta(description="What stands before the secret, blank included; empty for a bare key.")] = (
        "Bearer "
    )
    username: Annotated[str, Meta(description="Makes it Basic credentials: the name; the secret is the password.")] = ""
    variable: Annotated[str, Meta(description="Environment variable that holds the secret.")] = ""
    file: Annotated[str, Meta(description="File that holds the secret.")] = ""


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A short-lived JWT of the gate that tells the upstream who calls."""

    header: Annotated[str, Meta(description="Header it is sent in.")] = "X-Bearergate-Identity"
    audience: Annotated[str, Meta(description="Its `aud`; the URL of the upstream when empty.")] = ""
    lifetime: Annotated[int, Meta(ge=10, le=3600, description="Seconds it is valid.")] = 60


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An MCP server behind the gate, reached by HTTP/1.1."""

    url: Annotated[str, Meta(description="Its MCP endpoint, http:// or https://, without a query.")]
    preserve_host: Annotated[
        bool, Meta(description="Whether it sees the public `Host`, and the `Origin` of web pages.")
    ] = False
    ca_file: Annotated[str, Meta(description="CA certificates to verify it with; the system's when empty.")] = ""
    client_certificate_file: Annotated[str, Meta(description="Certificate the gate shows to it, PEM.")] = ""
    client_key_file: Annotated[str, Meta(description="Private key of that certificate, if in another file.")] = ""
    credential: Annotated[CredentialSettings | None, Meta(description="The gate's own credential there.")] = None
    identity: Annotated[IdentitySettings | None, Meta(description="A signed header that says who calls.")] = None
    connect_seconds: Annotated[float, Meta(gt=0, description="Seconds to connect in, TLS included.")] = 5.0
    first_byte_seconds: Annotated[float, Meta(gt=0, description="Seconds until an answer begins.")] = 300.0
    idle_seconds: Annotated[
        float,
        Meta(gt=0, description="Seconds between two pieces of an answer; event streams may be silent for ever."),
    ] = 60.0
    keep_alive_seconds: Annotated[
        float, Meta(ge=0, description="Seconds an unused connection is kept; less than the upstream keeps it.")
    ] = 4.0
    detached_seconds: Annotated[
        float, Meta(ge=0, description="Seconds an answer is still read whose client has gone, in older revisions.")
    ] = 300.0
    max_connections: Annotated[int, Meta(ge=1, description="Connections that may be open at once.")] = 10_000
    max_header_bytes: Annotated[int, Meta(ge=1024, description="Bytes of headers, either way.")] = 65_536


class CommandSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A local command that is an MCP server on its standard input and output."""

    run: Annotated[list[str], Meta(description="The program and its arguments; no shell reads them.")]
    env: Annotated[dict[str, str], Meta(description="Variables it gets, on top of a minimal environment.")] = {}
    inherit: Annotated[
        list[str], Meta(description="Variables of the gate's own environment it gets too, such as its API key.")
    ] = []
    directory: Annotated[str, Meta(description="Folder it runs in; that of the gate when empty.")] = ""
    shared: Annotated[
        bool, Meta(description="Whether one process serves everybody; else nobody shares one with anybody.")
    ] = False
    max_processes: Annotated[int, Meta(ge=1, description="Processes there may be at once.")] = 32
    max_processes_each: Annotated[int, Meta(ge=1, description="Processes one principal may have at once.")] = 4
    idle_seconds: Annotated[
        float, Meta(gt=0, description="Seconds without a request or an open stream, until a process is stopped.")
    ] = 1800.0
    start_seconds: Annotated[
        float, Meta(gt=0, description="Seconds it may take to answer the first message, or to list its tools.")
    ] = 30.0

    def __repr__(self) -> str:  # arguments and variables may be secrets, which must not come out with a traceback
        return f"CommandSettings(run={self.run[:1]!r}, …)"


CedarType = Literal["String", "Long", "Bool", "decimal", "Set<String>", "Set<Long>"]


class CedarSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cedar policies that decide about every request of a resource, after its scopes and rules."""

    file: Annotated[str, Meta(description="File that holds the policies.")] = ""
    policies: Annotated[str, Meta(description="The policies themselves, instead.")] = ""
    arguments: Annotated[
        dict[str, dict[str, CedarType]],
        Meta(description="Arguments that policies may ask about, with their types, by name or glob of tool or prompt."),
    ] = {}
    claims: Annotated[
        dict[str, CedarType], Meta(description="Claims that policies may ask about, with their types.")
    ] = {}
    dry_run: Annotated[bool, Meta(description="Whether the audit log tells what would be refused, and it passes.")] = (
        False
    )


class ResourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One protected MCP server: its path on the public URL, and what it needs."""

    path: Annotated[str, Meta(description="Path of the MCP endpoint on the public URL.")] = "/mcp"
    name: Annotated[str, Meta(description="Name shown to people who are asked for consent.")] = "MCP server"
    documentation: Annotated[str, Meta(description="URL of a page about it, for people.")] = ""
    scopes: Annotated[list[str], Meta(description="Scopes every request needs, all of them.")] = []
    scope_prefix: Annotated[
        str, Meta(description="Put before the scopes that tool plugins state; Cognito: the resource server and `/`.")
    ] = ""
    rules: Annotated[list[Rule], Meta(description="What single tools, prompts and resources need beyond that.")] = []
    issuers: Annotated[list[str], Meta(description="Issuers whose tokens it takes; all of them when empty.")] = []
    aliases: Annotated[list[str], Meta(description="Further values of `aud` that mean this resource.")] = []
    upstream: Annotated[
        UpstreamSettings | None, Meta(description="MCP server it is passed on to; the gate's own tools when absent.")
    ] = None
    tools: Annotated[
        list[str] | None, Meta(description="Tool plugins served by `bearergate serve`; all installed ones when absent.")
    ] = None
    command: Annotated[
        CommandSettings | None, Meta(description="Local MCP server that stands behind it, in place of tools.")
    ] = None
    sessions: Annotated[
        bool, Meta(description="Whether clients of older revisions get sessions; needs one process, or sticky routing.")
    ] = True
    cedar: Annotated[
        CedarSettings | None, Meta(description="Policies about arguments, time and attributes; see docs/policies.md.")
    ] = None
    forward_auth: Annotated[
        Literal["off", "head", "body"],
        Meta(description="Whether proxies may ask `/authz` about it, with the head or also the body of a request."),
    ] = "off"
    subpaths: Annotated[
        bool, Meta(description="Whether everything below the path is this resource too, for apps of several routes.")
    ] = False


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client that is known to the facade beforehand. It is a public client: PKCE protects it, no secret does."""

    client_id: Annotated[str, Meta(description="Its client id, of letters, digits and `._~-`.")]
    name: Annotated[str, Meta(description="Its name for the person who is asked for consent.")]
    redirect_uris: Annotated[
        list[str], Meta(description="Where its logins may end; a loopback address stands for all of its ports.")
    ]


class FacadeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The authorization server that clients see, before an issuer that cannot serve them itself."""

    client_id: Annotated[str, Meta(description="The gate's own client at the issuer.")]
    client_secret: Annotated[
        str, Meta(description="Its secret; better in a file. Empty with `client_secret_file` too: a public client.")
    ] = ""
    client_secret_file: Annotated[str, Meta(description="File that holds its secret.")] = ""
    issuer: Annotated[str, Meta(description="The issuer it stands before; the only one of `issuers` when empty.")] = ""
    kind: Annotated[
        Literal["auto", "cognito", "entra", "auth0", "okta", "keycloak", "google", "other"],
        Meta(description="What the issuer does its own way; told from its identifier when `auto`."),
    ] = "auto"
    registration: Annotated[bool, Meta(description="Whether clients may register themselves (RFC 7591).")] = True
    registrations_per_minute: Annotated[
        int, Meta(ge=1, description="Registrations taken from one address, per process; twenty times that from all.")
    ] = 60
    client_documents: Annotated[
        bool, Meta(description="Whether a client id may be the URL of a client id metadata document.")
    ] = True
    insecure_client_document_hosts: Annotated[
        list[str], Meta(description="Private or loopback hosts that such a document may be fetched from.")
    ] = []
    clients: Annotated[list[ClientSettings], Meta(description="Clients known beforehand.")] = []
    scopes: Annotated[dict[str, str], Meta(description="What scopes allow, in words for the consent page.")] = {}
    consent_days: Annotated[
        int, Meta(ge=0, le=365, description="Days a browser remembers a consent; 0 asks every time.")
    ] = 30

    def __repr__(self) -> str:  # a secret must not come out with a traceback or a log line
        return f"FacadeSettings(client_id={self.client_id!r}, …)"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the gate is told."""

    public_url: Annotated[
        str, Meta(description="Origin under which clients reach the gate: https, or http on a loopback address.")
    ]
    issuers: Annotated[list[IssuerSettings], Meta(description="Issuers whose tokens are accepted.")]
    resources: Annotated[
        list[ResourceSettings], Meta(description="The protected servers; one at `/mcp` when absent.")
    ] = msgspec.field(default_factory=lambda: [ResourceSettings()])
    facade: Annotated[
        FacadeSettings | Literal["off"],
        Meta(description="The gate as authorization server before an issuer; `off` publishes the issuer itself."),
    ] = "off"
    seal_keys: Annotated[
        list[str],
        Meta(description="Keys of 32 bytes in Base64 that seal what clients carry: the first seals, all open."),
    ] = []
    seal_keys_file: Annotated[str, Meta(description="File that holds them instead, one per line.")] = ""
    identity_key_file: Annotated[
        str,
        Meta(description="Private keys in PEM that sign `identity`: the first signs, all are published."),
    ] = ""
    scope_hierarchy: Annotated[
        dict[str, list[str]], Meta(description="Which scopes a broader scope implies, transitively.")
    ] = {}
    allowed_origins: Annotated[
        list[str], Meta(description="Origins whose web pages may call, besides the public URL's own.")
    ] = []
    allowed_hosts: Annotated[
        list[str], Meta(description="Values of `Host` to answer for, besides the public URL's own.")
    ] = []
    private_hosts: Annotated[
        list[str], Meta(description="Hosts on private addresses that metadata and keys may be fetched from.")
    ] = []
    leeway: Annotated[float, Meta(ge=0, le=300, description="Seconds by which clocks may disagree.")] = 30.0
    token_cache_size: Annotated[int, Meta(ge=2, description="Verified tokens remembered per resource.")] = 10_000
    token_cache_seconds: Annotated[
        float, Meta(ge=0, le=3600, description="Seconds a verified token is remembered, and never beyond its expiry.")
    ] = 300.0
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Bytes a request body may have.")] = 4 * 1024 * 1024
    forward_auth_peers: Annotated[
        list[str], Meta(description="Addresses or networks of the proxies that may ask `/authz`.")
    ] = msgspec.field(default_factory=lambda: ["127.0.0.1", "::1"])
    audit_log: Annotated[
        str,
        Meta(description="Where every decision is written as a line of JSON: `stdout`, `stderr`, a file, or `off`."),
    ] = "stderr"
    host: Annotated[str, Meta(description="Address `bearergate serve` listens on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port `bearergate serve` listens on.")] = 8000
    metrics_host: Annotated[str, Meta(description="Address `bearergate serve` shows its metrics on.")] = "127.0.0.1"
    metrics_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port `bearergate serve` shows its metrics on; 0 shows none.")
    ] = 0
    drain_seconds: Annotated[
        int, Meta(ge=0, description="Seconds that requests under way get to finish after SIGTERM.")
    ] = 30

    def __repr__(self) -> str:  # see FacadeSettings
        return f"Settings(public_url={self.public_url!r}, …)"

    @property
    def facade_issuer(self) -> str:
        """The issuer that the facade stands before; "" where there is none, or it is not said which."""
        if isinstance(self.facade, str):
            return ""
        return self.facade.issuer or (self.issuers[0].issuer if len(self.issuers) == 1 else "")

    def behind_facade(self) -> list[ResourceSettings]:
        """The resources whose clients log in at the facade."""
        issuer = self.facade_issuer
        return [r for r in self.resources if issuer and (not r.issuers or issuer in r.issuers)]

    def authorization_servers(self, resource: ResourceSettings) -> list[str]:
        """The issuers that clients of a resource are sent to: the facade in place of the issuer behind it."""
        issuers = resource.issuers or [issuer.issuer for issuer in self.issuers]
        return [self.public_url if issuer == self.facade_issuer else issuer for issuer in issuers]

    def url_of(self, resource: ResourceSettings) -> str:
        """The canonical URI of a resource: what tokens must name, and what clients are told."""
        return canonical(self.public_url + resource.path)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `bearergate.yaml`, for editors and CI (JSON Schema 2020-12)."""
    return msgspec.json.schema(Settings)
