"""Revocation of refresh tokens (RFC 7009); access tokens verify without the issuer, so they cannot be revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc7009 import RevocationEndpoint

if TYPE_CHECKING:
    from .grants import KnownClient
    from .ledger import RefreshToken
    from .requests import IssuerRequest
    from .server import OAuthServer


class UnsupportedTokenTypeError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """The token is one that this issuer cannot revoke (RFC 7009 §2.2.1)."""

    error = "unsupported_token_type"
    description = "Only refresh tokens can be revoked; an access token lasts until it expires."


class Revocation(RevocationEndpoint):  # type: ignore[misc]  # Authlib ships no types
    """Ends the login a refresh token belongs to; an unknown token counts as revoked already (RFC 7009 §2.2)."""

    CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")
    server: OAuthServer

    def check_params(self, request: IssuerRequest, client: KnownClient) -> None:  # noqa: ARG002 - Authlib's signature
        """The token has to be there; its type is seen from it, so the hint may be ignored (RFC 7009 §2.1)."""
        if not request.get("token"):
            raise InvalidRequestError("Missing 'token' in request.")

    def query_token(self, token_string: str, token_type_hint: str | None) -> RefreshToken | None:  # noqa: ARG002 - see above
        if self.server.mint.opened(token_string):
            raise UnsupportedTokenTypeError
        return self.server.ledger.refresh_token(token_string)

    def revoke_token(self, token: RefreshToken, request: Any) -> None:  # noqa: ARG002 - Authlib's signature
        token.family.revoked = True
