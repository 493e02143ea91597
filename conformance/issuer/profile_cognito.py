"""The Cognito profile: an Amazon Cognito user pool as clients and gateways meet it, its gaps included."""

from __future__ import annotations

import base64
import json
import re
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import (
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    UnauthorizedClientError,
)

from .profile import OIDC_WORDS, Claims, Endpoints, ResourceServer, check_base

if TYPE_CHECKING:
    from .approval import Approval
    from .clients import Client

_ADMIN_SCOPE = "aws.cognito.signin.user.admin"
_POOL = re.compile(r"[\w-]+_[0-9a-zA-Z]+")
_LONGEST_GRACE = 60
# Refresh tokens look like a JWE; only the header of a real one can be read, and its length is about this.
_JWE_HEADER = {"cty": "JWT", "enc": "A256GCM", "alg": "RSA-OAEP"}
_JWE_PARTS = (256, 12, 1000, 16)  # bytes: encrypted key, nonce, text, tag


class InvalidScopeAsCognitoError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """How Cognito really refuses a scope: the code is in the description, and in an order of its own."""

    error = "invalid_request"
    description = "invalid_scope"

    def get_body(self) -> list[tuple[str, str]]:
        state = [("state", self.state)] if self.state else []
        return [("error_description", self.description), *state, ("error", self.error)]


class CognitoProfile:
    """A user pool with a domain: OIDC discovery only, PKCE optional, `aud` only where `resource` was sent."""

    sends_iss = requires_pkce = any_loopback_port = reuse_revokes = False
    requires_redirect_uri = True

    def __init__(
        self,
        base: str,
        *,
        pool: str,
        resource_servers: Iterable[ResourceServer],
        registration: bool,
        rotates: bool,
        grace: float,
        insecure_loopback_resources: bool,
    ) -> None:
        if not _POOL.fullmatch(pool):
            raise ValueError(f"A user pool is named like us-east-1_Example1, not {pool!r}.")
        if not 0 <= grace <= _LONGEST_GRACE:
            raise ValueError(f"Cognito's grace for refresh tokens is 0 to {_LONGEST_GRACE} seconds.")
        self.url = f"{check_base(base)}/{pool}"
        self.rotates, self.grace = rotates, grace
        self._insecure_loopback_resources = insecure_loopback_resources
        self.custom: dict[str, str] = {}
        for server in resource_servers:
            self.add_resource(server)
        self.endpoints = Endpoints(
            authorize=f"{base}/oauth2/authorize",
            token=f"{base}/oauth2/token",
            revoke=f"{base}/oauth2/revoke",
            userinfo=f"{base}/oauth2/userInfo",
            login=f"{base}/login",
            jwks=f"{self.url}/.well-known/jwks.json",
            register=f"{base}/oauth2/register" if registration else None,
            error=f"{base}/error",
            logout=f"{base}/logout",
        )
        self.discovery: tuple[str, ...] = (f"/{pool}/.well-known/openid-configuration",)
        if path := base.partition("://")[2].partition("/")[2]:
            self.discovery = (f"/{path}{self.discovery[0]}",)

    def add_resource(self, resource: str | ResourceServer) -> None:
        """Make the scopes of a resource server known."""
        if isinstance(resource, str):
            raise TypeError("A Cognito issuer knows its resources as ResourceServer(identifier, scopes).")
        self.custom |= resource.custom_scopes()

    def metadata(self) -> dict[str, Any]:
        """Exactly the members a pool publishes; what is missing here is missing there."""
        document: dict[str, Any] = {
            "authorization_endpoint": self.endpoints.authorize,
            "end_session_endpoint": self.endpoints.logout,
            "id_token_signing_alg_values_supported": ["RS256"],
            "issuer": self.url,
            "jwks_uri": self.endpoints.jwks,
            "response_types_supported": ["code", "token"],
            "revocation_endpoint": self.endpoints.revoke,
            "scopes_supported": ["openid", "email", "phone", "profile"],
            "subject_types_supported": ["public"],
            "token_endpoint": self.endpoints.token,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "userinfo_endpoint": self.endpoints.userinfo,
        }
        if self.endpoints.register:
            document["registration_endpoint"] = self.endpoints.register
        return document

    def scope_words(self, scope: str) -> str:
        words = OIDC_WORDS | {_ADMIN_SCOPE: "Manage your account here"} | self.custom
        return words.get(scope) or scope

    def scopes_for(self, client: Client, asked: str | None, *, machine: bool = False) -> tuple[str, ...]:
        """All of the client's scopes if none is asked for; one wrong scope fails the whole request."""
        known = self.custom if machine else OIDC_WORDS | {_ADMIN_SCOPE: ""} | self.custom
        allowed = [scope for scope in known if client.may_have(scope)]
        wanted = list(dict.fromkeys((asked or "").split())) or allowed
        lacks_openid = not {"openid"} & set(wanted) and {"email", "phone", "profile"} & set(wanted)
        if not wanted or not set(wanted) <= set(allowed) or lacks_openid:
            raise InvalidScopeAsCognitoError
        return tuple(wanted)

    def resources_for(self, asked: Sequence[str]) -> tuple[str, ...]:
        """One value, taken over verbatim; https, http://localhost or an app's own scheme."""
        if len(asked) > 1 or not all(map(self._may_be_resource, asked)):
            raise InvalidRequestError("Invalid resource.")
        return tuple(asked)

    def narrowed(self, asked: Sequence[str], granted: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG002 - as the profile says
        """What was granted: nothing is documented about `resource` at the token endpoint, so it is ignored."""
        return granted

    def _may_be_resource(self, resource: str) -> bool:
        scheme = resource.partition(":")[0].lower()
        if scheme == "http":
            hosts = r"localhost|127\.0\.0\.1|\[::1\]" if self._insecure_loopback_resources else "localhost"
            return re.match(rf"http://({hosts})([:/?]|$)", resource) is not None
        return re.match(r"https://.|(?!https:)[a-z][a-z0-9+.-]*:.", resource, re.IGNORECASE) is not None

    def response_type_error(self, asked: str | None) -> OAuth2Error:
        """No client of this issuer may use the implicit grant, which `token` would be."""
        return UnauthorizedClientError() if asked == "token" else InvalidRequestError()

    def redirect_mismatch(self) -> OAuth2Error:
        return UnauthorizedClientError("invalid_redirect")

    def token_error(self, status: int, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:  # noqa: ARG002 - as the profile says
        """Always 400 and hardly ever a description; a scope refused to a machine is an invalid grant."""
        if body["error"] == "unauthorized_client" and body.get("error_description") == "invalid_redirect":
            return 400, dict(body)
        if body.get("error_description") == InvalidScopeAsCognitoError.description:
            return 400, {"error": InvalidGrantError.error}
        return 400, {"error": body["error"]}

    def new_code(self) -> str:
        return str(uuid.uuid4())

    def new_refresh_token(self) -> str:
        header = base64.urlsafe_b64encode(json.dumps(_JWE_HEADER, separators=(",", ":")).encode())
        return ".".join([header.rstrip(b"=").decode(), *map(secrets.token_urlsafe, _JWE_PARTS)])

    def token_header(self) -> dict[str, str]:
        return {}  # no `typ`: only `kid` and `alg`

    def access_claims(self, approval: Approval, issued: int, expires: int) -> Claims:
        claims: Claims = {
            "sub": approval.subject,
            "iss": self.url,
            "version": 2,
            "client_id": approval.client_id,
            "token_use": "access",
            "scope": " ".join(approval.scopes),
            "auth_time": approval.auth_time,
            "exp": expires,
            "iat": issued,
            "jti": str(uuid.uuid4()),
        }
        if approval.user is None:
            return claims
        claims |= {
            "origin_jti": approval.origin,
            "event_id": approval.event,
            "username": approval.user.name,
        }
        claims |= _groups(approval)
        if approval.resources:
            claims["aud"] = approval.resources[0]
        return claims

    def id_claims(self, approval: Approval, issued: int, expires: int) -> Claims:
        return {
            "sub": approval.subject,
            "iss": self.url,
            "aud": approval.client_id,
            "token_use": "id",
            "auth_time": approval.auth_time,
            "exp": expires,
            "iat": issued,
            "jti": str(uuid.uuid4()),
            "origin_jti": approval.origin,
            "event_id": approval.event,
            "cognito:username": approval.user.name if approval.user else approval.client_id,
            **_groups(approval),
        }

    def answer_scope(self, approval: Approval) -> dict[str, str]:  # noqa: ARG002 - as the profile says
        return {}  # the token answer never names scopes


def _groups(approval: Approval) -> Claims:
    groups = approval.user.groups if approval.user else ()
    return {"cognito:groups": list(groups)} if groups else {}
