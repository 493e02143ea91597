"""The plain profile: an issuer that offers all that OAuth 2.1 and MCP ask of one."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    UnsupportedResponseTypeError,
)

from .client_metadata import AUTH_METHODS
from .clients import CODE, MACHINE, REFRESH
from .profile import OIDC_WORDS, Claims, Endpoints, ResourceServer, check_base

if TYPE_CHECKING:
    from .approval import Approval
    from .clients import Client


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The resource is unknown, malformed, or wider than the grant (RFC 8707 §2)."""

    error = "invalid_target"


class PlainProfile:
    """Spec-complete: RFC 8414 metadata, S256 required, `iss`, CIMD, DCR, rotation, RFC 8707 and RFC 9068."""

    sends_iss = requires_pkce = any_loopback_port = rotates = reuse_revokes = True
    requires_redirect_uri = False

    def __init__(
        self,
        base: str,
        *,
        scopes: Mapping[str, str],
        resources: Iterable[str] | None,
        registration: bool,
        grace: float,
    ) -> None:
        self.url = check_base(base)
        self.grace = grace
        self.scopes = {"openid": OIDC_WORDS["openid"], **scopes}
        self.resources = None if resources is None else list(resources)
        self.endpoints = Endpoints(
            authorize=f"{base}/authorize",
            token=f"{base}/token",
            revoke=f"{base}/revoke",
            userinfo=f"{base}/userinfo",
            login=f"{base}/login",
            jwks=f"{base}/jwks",
            register=f"{base}/register" if registration else None,
        )
        path = urlsplit(base).path
        # RFC 8414 §3.1 inserts the well-known part before the path; OpenID Connect Discovery §4 appends it.
        inserted = [f"/.well-known/{name}{path}" for name in ("oauth-authorization-server", "openid-configuration")]
        self.discovery = tuple(dict.fromkeys([*inserted, f"{path}/.well-known/openid-configuration"]))

    def metadata(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "issuer": self.url,
            "authorization_endpoint": self.endpoints.authorize,
            "token_endpoint": self.endpoints.token,
            "revocation_endpoint": self.endpoints.revoke,
            "userinfo_endpoint": self.endpoints.userinfo,
            "jwks_uri": self.endpoints.jwks,
            "scopes_supported": list(self.scopes),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": [CODE, REFRESH, MACHINE],
            "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        if self.endpoints.register:
            document["registration_endpoint"] = self.endpoints.register
        return document

    def add_resource(self, resource: str | ResourceServer) -> None:
        """Make a resource known; from then on only known ones can be asked for."""
        if not isinstance(resource, str):
            raise TypeError("A plain issuer knows its resources by their URLs.")
        self.resources = [*(self.resources or ()), resource]

    def scope_words(self, scope: str) -> str:
        return self.scopes.get(scope) or scope

    def scopes_for(self, client: Client, asked: str | None, *, machine: bool = False) -> tuple[str, ...]:
        """RFC 6749 §3.3: without a wish everything but `openid`; what this client may not have is left out."""
        known = [scope for scope in self.scopes if not (machine and scope == "openid")]
        wanted = list(dict.fromkeys((asked or "").split()))
        if not wanted:
            return tuple(scope for scope in known if scope != "openid" and client.may_have(scope))
        granted = tuple(scope for scope in wanted if client.may_have(scope))
        if not granted or not set(wanted) <= set(known):
            raise InvalidScopeError
        return granted

    def resources_for(self, asked: Sequence[str]) -> tuple[str, ...]:
        """RFC 8707 §2; who names no resource gets the first one the issuer knows (RFC 9068 §3)."""
        if not asked:
            return tuple(self.resources[:1]) if self.resources else ()
        for resource in asked:
            _check_resource(resource)
            if self.resources is not None and resource not in self.resources:
                raise InvalidTargetError("The resource is not known to this issuer.")
        return tuple(dict.fromkeys(asked))

    def narrowed(self, asked: Sequence[str], granted: tuple[str, ...]) -> tuple[str, ...]:
        if not set(asked) <= set(granted):
            raise InvalidTargetError("The resource was not part of the authorization.")
        return tuple(dict.fromkeys(asked)) or granted

    def response_type_error(self, asked: str | None) -> OAuth2Error:
        return UnsupportedResponseTypeError(asked) if asked else InvalidRequestError("Missing 'response_type'.")

    def redirect_mismatch(self) -> OAuth2Error:
        return InvalidGrantError("Invalid 'redirect_uri' in request.")

    def token_error(self, status: int, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        return status, dict(body)

    def new_code(self) -> str:
        return secrets.token_urlsafe(32)

    def new_refresh_token(self) -> str:
        return secrets.token_urlsafe(48)

    def token_header(self) -> dict[str, str]:
        return {"typ": "at+jwt"}  # RFC 9068 §2.1

    def access_claims(self, approval: Approval, issued: int, expires: int) -> Claims:
        audience = approval.resources or (self.url,)
        claims: Claims = {
            "iss": self.url,
            "sub": approval.subject,
            "aud": audience[0] if len(audience) == 1 else list(audience),
            "exp": expires,
            "iat": issued,
            "jti": str(uuid.uuid4()),
            "client_id": approval.client_id,
            "scope": " ".join(approval.scopes),
        }
        if approval.user and approval.user.groups:
            claims["groups"] = list(approval.user.groups)  # RFC 9068 §2.2.3.1
        return claims

    def id_claims(self, approval: Approval, issued: int, expires: int) -> Claims:
        return {
            "iss": self.url,
            "sub": approval.subject,
            "aud": approval.client_id,
            "exp": expires,
            "iat": issued,
            "auth_time": approval.auth_time,
        }

    def answer_scope(self, approval: Approval) -> dict[str, str]:
        return {"scope": " ".join(approval.scopes)}


def _check_resource(resource: str) -> None:
    """An absolute URI without a fragment (RFC 8707 §2)."""
    try:
        absolute = bool(urlsplit(resource).scheme)
    except ValueError:
        absolute = False
    if not absolute or "#" in resource:
        raise InvalidTargetError("The resource has to be an absolute URI without a fragment.")
