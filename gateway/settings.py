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
    tools: Annotated[
        list[str] | None, Meta(description="Tool plugins served by `bearergate serve`; all installed ones when absent.")
    ] = None
    sessions: Annotated[
        bool, Meta(description="Whether clients of older revisions get sessions; needs one process, or sticky routing.")
    ] = True
    subpaths: Annotated[
        bool, Meta(description="Whether everything below the path is this resource too, for apps of several routes.")
    ] = False


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the gate is told."""

    public_url: Annotated[
        str, Meta(description="Origin under which clients reach the gate: https, or http on a loopback address.")
    ]
    issuers: Annotated[list[IssuerSettings], Meta(description="Issuers whose tokens are accepted.")]
    resources: Annotated[
        list[ResourceSettings], Meta(description="The protected servers; one at `/mcp` when absent.")
    ] = msgspec.field(default_factory=lambda: [ResourceSettings()])
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
    audit_log: Annotated[
        str,
        Meta(description="Where every decision is written as a line of JSON: `stdout`, `stderr`, a file, or `off`."),
    ] = "stderr"
    host: Annotated[str, Meta(description="Address `bearergate serve` listens on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port `bearergate serve` listens on.")] = 8000
    drain_seconds: Annotated[
        int, Meta(ge=0, description="Seconds that requests under way get to finish after SIGTERM.")
    ] = 30

    def url_of(self, resource: ResourceSettings) -> str:
        """The canonical URI of a resource: what tokens must name, and what clients are told."""
        return canonical(self.public_url + resource.path)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `bearergate.yaml`, for editors and CI (JSON Schema 2020-12)."""
    return msgspec.json.schema(Settings)
