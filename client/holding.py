"""The SDK's OAuth provider, holding what we found and what we keep in place of what it would find and keep itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mcp.client.auth import OAuthClientProvider, OAuthTokenError
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
)
from mcp.shared.auth import ProtectedResourceMetadata as SdkResourceMetadata

from client.tokens import Login, Logins

if TYPE_CHECKING:
    from client.find import Found

MAX_LIFETIME = 10 * 365 * 86400  # seconds: whoever says more may mean what no clock can show


class Holding(OAuthClientProvider):
    """What is known about one server's issuer, and the login there. It is also the SDK's token storage."""

    def __init__(self, url: str, logins: Logins, now: Callable[[], float]) -> None:
        super().__init__(url, OAuthClientMetadata(redirect_uris=None), self)
        self.url = url
        self.logins = logins
        self.found: Found | None = None
        self.login: Login | None = None
        self._now = now
        self.registered: tuple[str, str] | None = None  # issuer and redirect URI that the client was chosen for

    def believe(self, found: Found) -> None:
        """Tell the SDK what was found; unvalidated, for `discovery` has checked it and keeps it byte for byte."""
        issuer = found.issuer
        self.context.auth_server_url = issuer.issuer
        self._name(found.resource)
        self.context.oauth_metadata = _sdk_metadata(
            issuer.issuer,
            issuer.token_endpoint,
            authorization_endpoint=issuer.authorization_endpoint,
            authorization_response_iss_parameter_supported=issuer.authorization_response_iss_parameter_supported,
        )

    def adopt(self, login: Login | None) -> None:
        """Use a login, or none."""
        self.login = login
        self.registered = None
        if login is None:
            self.context.clear_tokens()
            self.context.client_info = None
            self.context.client_metadata = OAuthClientMetadata(redirect_uris=None)
            return
        self.context.client_info = OAuthClientInformationFull(
            client_id=login.client_id,
            client_secret=login.client_secret,
            token_endpoint_auth_method=login.client_method,
        )
        self.context.current_tokens = OAuthToken(
            access_token=login.access_token, refresh_token=login.refresh_token, scope=login.scope
        )
        self._name(login.resource)
        self.context.oauth_metadata = _sdk_metadata(login.issuer, login.token_endpoint)

    def _name(self, resource: str) -> None:
        """Have the SDK ask for tokens for this resource, which it else compares to the URL, port by port."""
        self.context.server_url = resource
        self.context.protected_resource_metadata = SdkResourceMetadata.model_construct(resource=resource)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """What the SDK got; it is written before the older login is forgotten."""
        metadata, client = self.context.oauth_metadata, self.context.client_info
        if metadata is None or client is None:
            raise OAuthTokenError("a token without an issuer")
        before = self.login
        self.login = Login(
            issuer=str(metadata.issuer),
            resource=self.context.get_resource_url(),
            client_id=client.client_id,
            client_secret=client.client_secret,
            client_method=client.token_endpoint_auth_method,
            access_token=tokens.access_token,
            obtained_at=self._now(),
            lifetime=None if tokens.expires_in is None else min(max(tokens.expires_in, 0), MAX_LIFETIME),
            refresh_token=tokens.refresh_token,
            scope=tokens.scope,
            token_endpoint=str(metadata.token_endpoint),
            revocation_endpoint=self._revocation_endpoint(str(metadata.issuer), before),
        )
        self.logins.keep(self.url, self.login)

    def _revocation_endpoint(self, issuer: str, before: Login | None) -> str:
        if self.found and self.found.issuer.issuer == issuer:  # a login that failed may have found another
            return self.found.issuer.revocation_endpoint
        return before.revocation_endpoint if before else ""

    async def get_tokens(self) -> OAuthToken | None:
        """What the SDK holds; loading is `_prepare`'s."""
        return self.context.current_tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Likewise."""
        return self.context.client_info

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Likewise; it is kept with the tokens."""
        self.context.client_info = client_info


def _sdk_metadata(issuer: str, token_endpoint: str, **more: Any) -> OAuthMetadata:
    return OAuthMetadata.model_construct(issuer=issuer, token_endpoint=token_endpoint, **more)
