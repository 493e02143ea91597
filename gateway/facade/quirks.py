"""What each kind of issuer does its own way, and what is done about it; one row each, with the reason."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from gateway.settings import COGNITO as COGNITO_ISSUERS

# How the resource that a client named is told to the issuer (RFC 8707).
ToldAs = Literal["resource", "audience", ""]


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How requests to one kind of issuer differ from what the client asked."""

    kind: str
    issuers: re.Pattern[str]  # identifiers of this kind
    resource: ToldAs = "resource"  # at the authorization endpoint
    resource_at_token: bool = True  # whether the same goes to the token endpoint
    drops: frozenset[str] = frozenset()  # scopes never asked for
    adds: tuple[str, ...] = ()  # scopes always asked for
    least: tuple[str, ...] = ()  # scopes asked for where there are no others
    prompts: frozenset[str] = frozenset({"none", "login", "select_account"})  # values of `prompt` that it takes
    extra: dict[str, str] = {}  # parameters of every authorization request
    why: str


COGNITO = Quirks(
    kind="cognito",
    issuers=COGNITO_ISSUERS,
    resource_at_token=False,
    drops=frozenset({"offline_access"}),
    least=("openid",),
    why=(
        "`resource` at /oauth2/authorize becomes `aud`; at /oauth2/token it is undocumented. An unknown scope such as "
        "offline_access fails the whole request; refresh tokens come with every code anyway. A request without scopes "
        "can bring a code that is of no use, so where no scope is needed openid is asked for: enable it then."
    ),
)
ENTRA = Quirks(
    kind="entra",
    issuers=re.compile(
        r"https://(login\.microsoftonline\.(com|us)|login\.partner\.microsoftonline\.cn|sts\.windows\.net"
        r"|[a-z0-9-]+\.(ciamlogin|b2clogin)\.com)/"
    ),
    resource="",
    resource_at_token=False,
    adds=("offline_access",),
    why=(
        "The v2.0 endpoints refuse `resource` beside scopes of another spelling (AADSTS9010010): there a scope names "
        "its API. Refresh tokens need offline_access."
    ),
)
AUTH0 = Quirks(
    kind="auth0",
    issuers=re.compile(r"https://[a-z0-9-]+(\.[a-z]{2})?\.auth0\.com/"),
    resource="audience",
    resource_at_token=False,
    adds=("offline_access",),
    why="The API is named by `audience`; without it access tokens are opaque. Refresh tokens need offline_access.",
)
OKTA = Quirks(
    kind="okta",
    issuers=re.compile(r"https://[a-z0-9-]+\.(okta|oktapreview|okta-emea|okta-gov)\.com(/|$)"),
    resource="",
    resource_at_token=False,
    adds=("offline_access",),
    prompts=frozenset({"none", "login"}),
    why="A custom authorization server has one fixed audience, set there. Refresh tokens need offline_access.",
)
KEYCLOAK = Quirks(
    kind="keycloak",
    issuers=re.compile(r"https?://[^/]+(/.+)?/realms/[^/]+$"),
    drops=frozenset({"offline_access"}),
    why=(
        "`resource` counts where its resource-indicators feature is on; else it does no harm, and an audience mapper "
        "decides. offline_access would make sessions that never end; refresh tokens come without it."
    ),
)
GOOGLE = Quirks(
    kind="google",
    issuers=re.compile(r"https://accounts\.google\.com$"),
    resource="",
    resource_at_token=False,
    drops=frozenset({"offline_access"}),
    prompts=frozenset({"none", "select_account"}),
    extra={"access_type": "offline"},
    why=(
        "Unknown parameters such as `resource` fail the request, offline_access is an unknown scope: refresh tokens "
        "come with access_type=offline. Its access tokens are opaque, so a gate can only refuse them."
    ),
)
OTHER = Quirks(kind="other", issuers=re.compile(""), why="RFC 8707: what the client names is passed on.")

KNOWN = (COGNITO, ENTRA, AUTH0, OKTA, KEYCLOAK, GOOGLE)


def quirks_of(issuer: str, kind: str = "auto") -> Quirks:
    """The row for an issuer: that of the named kind, or the one its identifier belongs to."""
    if kind != "auto":
        return next((row for row in KNOWN if row.kind == kind), OTHER)
    return next((row for row in KNOWN if row.issuers.match(issuer)), OTHER)
