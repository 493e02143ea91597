"""The grants of the issuer: Authlib's, told where things are kept and what the profile says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc7636 import CodeChallenge

from .approval import Approval
from .clients import CODE

if TYPE_CHECKING:
    from .accounts import User
    from .clients import Client
    from .ledger import Code, RefreshToken
    from .profile import Profile
    from .requests import IssuerRequest
    from .server import OAuthServer
    from .tokens import TokenAnswer

_SECRETS = ["client_secret_basic", "client_secret_post"]
_ANY_CLIENT = [*_SECRETS, "none"]


class KnownClient(ClientMixin):  # type: ignore[misc]  # Authlib ships no types
    """A client as Authlib's code asks about it, under the rules of a profile."""

    def __init__(self, client: Client, profile: Profile) -> None:
        self.client = client
        self._profile = profile

    def get_client_id(self) -> str:
        return self.client.client_id

    def get_default_redirect_uri(self) -> str | None:
        """The only registered redirect URI, which a request may leave out (OAuth 2.1 §4.1.1)."""
        uris = self.client.redirect_uris
        return uris[0] if len(uris) == 1 and not self._profile.requires_redirect_uri else None

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(self._profile.scopes_for(self.client, scope))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return self.client.redirects_to(redirect_uri, any_loopback_port=self._profile.any_loopback_port)

    def check_client_secret(self, client_secret: str) -> bool:
        return self.client.check_secret(client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - the same at each endpoint
        return (method == "none") == (self.client.secret is None)

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and CODE in self.client.grants

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.client.grants


class ProofKey(CodeChallenge):  # type: ignore[misc]  # Authlib ships no types
    """PKCE with S256 and nothing else (RFC 7636, OAuth 2.1 §7.5)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        asked: IssuerRequest = grant.request
        if self.required and not asked.get("code_challenge"):
            raise InvalidRequestError("Missing 'code_challenge'")
        if asked.get("code_challenge") and not asked.get("code_challenge_method"):
            raise InvalidRequestError("Missing 'code_challenge_method', which has to be S256.")
        super().validate_code_challenge(grant, redirect_uri)


class RequestRules:
    """What is checked once the redirect is trusted, so that the client learns of it: repetition and resource."""

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self.check)

    def check(self, grant: Any, _redirect_uri: str) -> None:
        asked: IssuerRequest = grant.request
        if asked.payload.repeated():
            raise InvalidRequestError("A parameter is there more than once.")
        asked.resources = grant.server.profile.resources_for(asked.asked_resources())


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib ships no types
    """The authorization code grant; a code is spent by its first presentation."""

    TOKEN_ENDPOINT_AUTH_METHODS = _ANY_CLIENT
    server: OAuthServer
    request: IssuerRequest

    def create_authorization_response(self, redirect_uri: str, grant_user: User | None) -> Any:
        self.request.redirect_uri_used = redirect_uri
        return super().create_authorization_response(redirect_uri, grant_user)

    def generate_authorization_code(self) -> str:
        return self.server.profile.new_code()

    def save_authorization_code(self, code: str, request: IssuerRequest) -> None:
        approval = Approval(
            client_id=request.client.get_client_id(),
            user=request.user,
            scopes=tuple(request.scope.split()),
            resources=request.resources,
            auth_time=int(self.server.clock.now()),
            nonce=request.get("nonce") or "",
        )
        proof = request.get("code_challenge"), request.get("code_challenge_method")
        self.server.ledger.save_code(code, approval, request.redirect_uri_used, proof)

    def query_authorization_code(self, code: str, client: KnownClient) -> Code | None:
        profile = self.server.profile
        entry = self.server.ledger.present_code(code, client.get_client_id())
        if entry is None:
            return None
        # OAuth 2.1 leaves redirect_uri out here, since PKCE binds the code; where it is sent it has to match.
        sent = self.request.get("redirect_uri")
        if sent != entry.redirect_uri and (sent or profile.requires_redirect_uri):
            raise profile.redirect_mismatch()
        return entry

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Nothing: it was spent when it was presented, and is remembered to notice a second time."""

    def authenticate_user(self, authorization_code: Code) -> User | None:
        return authorization_code.approval.user

    def generate_token(self, *, include_refresh_token: bool, **_: Any) -> TokenAnswer:
        code: Code = self.request.authorization_code
        ledger = self.server.ledger
        resources = self.server.profile.narrowed(self.request.asked_resources(), code.approval.resources)
        refresh_token = None
        if include_refresh_token:
            code.family = ledger.start_family(code.approval)
            refresh_token = ledger.add_refresh_token(code.family)
        return self.server.mint.answer(replace(code.approval, resources=resources), refresh_token)


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]  # Authlib ships no types
    """The refresh token grant, rotating where the profile does."""

    TOKEN_ENDPOINT_AUTH_METHODS = _ANY_CLIENT
    server: OAuthServer
    request: IssuerRequest

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
        entry = self.server.ledger.refresh_token(refresh_token)
        # Another client's token is not even looked at, or it could end a family that is not its own.
        if entry is None or not entry.check_client(self.request.client):
            return None
        return entry if self.server.ledger.accept(entry) else None

    def authenticate_user(self, refresh_token: RefreshToken) -> User | None:
        return refresh_token.family.approval.user

    def issue_token(self, user: User, refresh_token: RefreshToken) -> TokenAnswer:  # noqa: ARG002 - Authlib's signature
        granted = refresh_token.family.approval
        profile, ledger = self.server.profile, self.server.ledger
        asked = self.request.payload.scope
        approval = replace(
            granted,
            scopes=tuple(dict.fromkeys(asked.split())) if asked else granted.scopes,
            resources=profile.narrowed(self.request.asked_resources(), granted.resources),
        )
        new_token = ledger.add_refresh_token(refresh_token.family) if profile.rotates else None
        return self.server.mint.answer(approval, new_token)

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        if self.server.profile.rotates:
            self.server.ledger.supersede(refresh_token)


class MachineGrant(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib ships no types
    """The client credentials grant: no user, no refresh token."""

    TOKEN_ENDPOINT_AUTH_METHODS = _SECRETS
    server: OAuthServer
    request: IssuerRequest

    def generate_token(self, *, scope: str | None, **_: Any) -> TokenAnswer:
        client: Client = self.request.client.client
        profile = self.server.profile
        approval = Approval(
            client_id=client.client_id,
            user=None,
            scopes=profile.scopes_for(client, scope, machine=True),
            resources=profile.resources_for(self.request.asked_resources()),
            auth_time=int(self.server.clock.now()),
        )
        return self.server.mint.answer(approval, None)
