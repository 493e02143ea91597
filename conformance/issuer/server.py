"""Authlib's authorization server on Starlette: how it reads requests, answers them and finds what it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Error
from authlib.oauth2.rfc9207 import IssuerParameter
from starlette.responses import Response

from .grants import CodeGrant, KnownClient, MachineGrant, ProofKey, RefreshGrant, RequestRules
from .registration import Registration
from .revocation import Revocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .clients import Clients
    from .clock import Clock
    from .ledger import Ledger
    from .profile import Profile
    from .requests import IssuerRequest
    from .tokens import Mint


class OAuthAnswer(Response):
    """An answer of Authlib's, with the redirect where its extensions look for it."""

    @property
    def location(self) -> str | None:
        """The URL the browser is sent to."""
        return self.headers.get("location")

    @location.setter
    def location(self, url: str) -> None:
        self.headers["location"] = url


class SendIssuer(IssuerParameter):  # type: ignore[misc]  # Authlib ships no types
    """Puts `iss` into authorization responses, errors included (RFC 9207 §2)."""

    def __init__(self, server: OAuthServer) -> None:
        self._url = server.profile.url if server.profile.sends_iss else None
        super().__call__(server)

    def get_issuer(self) -> str | None:
        return self._url


class LoginRequiredError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The client asked for no page, and there is no session that could do without (OpenID Connect Core §3.1.2.6)."""

    error = "login_required"


class OAuthServer(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """The protocol core of one issuer; it takes `IssuerRequest`s and answers Starlette responses."""

    def __init__(self, profile: Profile, clients: Clients, ledger: Ledger, mint: Mint, clock: Clock) -> None:
        super().__init__()
        self.profile = profile
        self.clients = clients
        self.ledger = ledger
        self.mint = mint
        self.clock = clock
        self.register_grant(CodeGrant, [RequestRules(), ProofKey(required=profile.requires_pkce)])
        self.register_grant(RefreshGrant)
        self.register_grant(MachineGrant)
        self.register_endpoint(Revocation)
        self.register_endpoint(Registration)
        self.register_extension(SendIssuer)

    def query_client(self, client_id: str) -> KnownClient | None:
        client = self.clients.get(client_id)
        return KnownClient(client, self.profile) if client else None

    def save_token(self, token: Mapping[str, Any], request: IssuerRequest) -> None:
        """Nothing: access tokens are JWTs, and the ledger keeps the refresh tokens."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nothing listens."""

    def create_oauth2_request(self, request: IssuerRequest) -> IssuerRequest:
        return request

    def create_json_request(self, request: Any) -> Any:
        return request

    def handle_response(self, status: int, body: Any, headers: Iterable[tuple[str, str]]) -> OAuthAnswer:
        content = json.dumps(body) if isinstance(body, dict) else body
        return OAuthAnswer(content, status, {"Cache-Control": "no-store", **dict(headers)})

    def handle_error_response(self, request: Any, error: OAuth2Error) -> OAuthAnswer:  # noqa: ARG002 - Authlib's signature
        """A redirect to the client where one is trusted, else a JSON error in the profile's way."""
        status, body, headers = error(None)
        if error.redirect_uri is None:
            status, body = self.profile.token_error(status, body)
        # A challenge belongs to a 401, which Cognito never answers here.
        sent = [(name, value) for name, value in headers if status == 401 or name != "WWW-Authenticate"]
        return self.handle_response(status, body, sent)

    def refuse_authorization(self, request: IssuerRequest, error: OAuth2Error) -> OAuthAnswer:
        """The redirect that tells a client why its authorization request failed (RFC 6749 §4.1.2.1)."""
        error.state = request.payload.state
        answer = self.handle_error_response(request, error)
        self.execute_hook("after_create_authorization_response", answer)
        return answer

    def check_authorization(self, request: IssuerRequest, redirect_uri: str) -> None:
        """Raise the `OAuth2Error` for an authorization request whose client and redirect are trusted already."""
        response_type = request.get("response_type")
        if response_type != "code":
            # Authlib would put the value into a description that may not hold every character.
            error = self.profile.response_type_error(response_type)
            error.redirect_uri = redirect_uri
            raise error
        self.get_consent_grant(request)
        if "none" in (request.get("prompt") or "").split():
            raise LoginRequiredError(redirect_uri=redirect_uri)

    def finish_authorization(self, request: IssuerRequest, user: Any) -> OAuthAnswer:
        """The redirect back to the client: with a code for `user`, or with access_denied for None."""
        grant = self.get_authorization_grant(request)
        answer: OAuthAnswer = self.create_authorization_response(request, user, grant)
        return answer
