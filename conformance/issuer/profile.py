"""What sets one kind of issuer apart from another; everything else is shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from authlib.oauth2.rfc6749 import OAuth2Error

    from .approval import Approval
    from .clients import Client

Claims = dict[str, Any]

OIDC_WORDS = {
    "openid": "Confirm who you are",
    "email": "See your email address",
    "phone": "See your telephone number",
    "profile": "See your name and profile",
}


@dataclass(frozen=True)
class Endpoints:
    """The URLs of one issuer."""

    authorize: str
    token: str
    revoke: str
    userinfo: str
    login: str
    jwks: str
    register: str | None = None
    error: str | None = None  # where refusals are shown; None shows them on the spot
    logout: str | None = None


@dataclass(frozen=True)
class ResourceServer:
    """A resource server of the pool; its scopes are asked for as `identifier/name`."""

    identifier: str
    scopes: Mapping[str, str]  # name, and what it allows in words for the login page

    def custom_scopes(self) -> dict[str, str]:
        """Full scope names with their words."""
        return {f"{self.identifier}/{name}": words for name, words in self.scopes.items()}


class Profile(Protocol):
    """The rules and shapes of one kind of issuer."""

    url: str  # the issuer identifier
    endpoints: Endpoints
    discovery: tuple[str, ...]  # the paths of its metadata
    sends_iss: bool  # in authorization responses (RFC 9207)
    requires_pkce: bool
    requires_redirect_uri: bool  # in both requests, even where only one is registered
    any_loopback_port: bool  # RFC 8252 §7.3
    rotates: bool  # every refresh answers with a new refresh token
    grace: float  # seconds in which a superseded refresh token still works
    reuse_revokes: bool  # a replayed code or refresh token ends everything that came of the login

    def metadata(self) -> dict[str, Any]:
        """The discovery document."""

    def add_resource(self, resource: str | ResourceServer) -> None:
        """Make a resource known; raises `TypeError` for one that is described in the other profile's way."""

    def scope_words(self, scope: str) -> str:
        """What a scope allows, in words for the login page."""

    def scopes_for(self, client: Client, asked: str | None, *, machine: bool = False) -> tuple[str, ...]:
        """The scopes a request gets; raises `OAuth2Error` for one that gets none."""

    def resources_for(self, asked: Sequence[str]) -> tuple[str, ...]:
        """What the tokens of a request will be for; raises `OAuth2Error` for a resource it may not name."""

    def narrowed(self, asked: Sequence[str], granted: tuple[str, ...]) -> tuple[str, ...]:
        """What one access token of a grant is for; raises `OAuth2Error` if that would widen the grant."""

    def response_type_error(self, asked: str | None) -> OAuth2Error:
        """Why a response type other than code is refused."""

    def redirect_mismatch(self) -> OAuth2Error:
        """Why a redirect URI at the token endpoint that is not the authorization's is refused."""

    def token_error(self, status: int, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """How an error of the token endpoint is answered: status and body."""

    def new_code(self) -> str:
        """A fresh authorization code."""

    def new_refresh_token(self) -> str:
        """A fresh refresh token."""

    def token_header(self) -> dict[str, str]:
        """The header of access tokens, without `kid` and `alg`."""

    def access_claims(self, approval: Approval, issued: int, expires: int) -> Claims:
        """The claims of an access token."""

    def id_claims(self, approval: Approval, issued: int, expires: int) -> Claims:
        """The claims of an ID token, without `nonce` and `at_hash`."""

    def answer_scope(self, approval: Approval) -> dict[str, str]:
        """What a token answer says about scopes."""


def check_base(base: str) -> str:
    """A base URL that OAuth can be offered at, unchanged.

    Raises:
        ValueError: it is neither https nor this computer, or is more than a scheme, a host and a path.
    """
    parts = urlsplit(base)
    local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not (local or (parts.scheme == "https" and parts.hostname)):
        raise ValueError(f"The issuer's URL {base!r} has to be https, or http at a loopback address.")
    if parts.query or parts.fragment or "@" in parts.netloc or base.endswith("/"):
        raise ValueError(f"The issuer's URL {base!r} may have no query, fragment, user or final slash.")
    return base
