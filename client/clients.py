"""Which client to be at an issuer: one registered beforehand, one with a document, one registered now, or none.

Source: MCP Authorization, Client Registration Approaches (the order); RFC 7591.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx2
from mcp.client.auth import OAuthRegistrationError
from mcp.client.auth.oauth2 import check_registration_usable
from mcp.client.auth.utils import handle_registration_response
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

from client.errors import BadInput, Misbehaved, NotAuthorized
from client.find import Found
from client.outbound import Outbound
from client.plain import line
from client.settings import Settings
from client.tokens import Logins

METHODS = ("none", "client_secret_basic", "client_secret_post")  # in order of preference


@dataclass(frozen=True)
class Choice:
    """Chooses the client. `logins` remembers at which issuer a given client id belongs."""

    settings: Settings
    logins: Logins
    outbound: Outbound

    async def client(self, found: Found, metadata: OAuthClientMetadata) -> OAuthClientInformationFull:
        """The client to be; `metadata` is what it says of itself where it registers.

        Raises:
            ClientError: there is no way to be one.
        """
        if self.settings.client_id:
            return self.given(found)
        if self.settings.client_metadata_url and found.issuer.client_id_metadata_document_supported:
            return OAuthClientInformationFull(
                client_id=self.settings.client_metadata_url,
                redirect_uris=metadata.redirect_uris,
                token_endpoint_auth_method="none",  # noqa: S106 - the name of a method
            )
        if found.issuer.registration_endpoint:
            return await self._registered(found, metadata)
        raise NotAuthorized(
            f"{found.issuer.issuer} registers no clients by itself: "
            "ask its operator for a client id, and give it with --client-id or OAUTH_CLIENT_ID"
        )

    def given(self, found: Found) -> OAuthClientInformationFull:
        """The client of the settings, at the issuer where it belongs and at no other (SEP-2352)."""
        issuer = found.issuer.issuer
        belongs = self.settings.issuer or self.logins.bound_issuer()
        if belongs not in (None, issuer):
            raise NotAuthorized(
                f"The client id belongs to {belongs}, but the server now names {issuer}: "
                "if that is right, say so with OAUTH_ISSUER"
            )
        self.logins.bind(issuer)
        supported = found.issuer.token_endpoint_auth_methods_supported
        with_secret = next((method for method in METHODS[1:] if method in supported), METHODS[1])
        return OAuthClientInformationFull(
            client_id=self.settings.client_id,
            client_secret=self.settings.client_secret or None,
            token_endpoint_auth_method=with_secret if self.settings.client_secret else "none",
        )

    async def _registered(self, found: Found, metadata: OAuthClientMetadata) -> OAuthClientInformationFull:
        """A client made now (RFC 7591); the issuer may change what it was asked for."""
        supported = found.issuer.token_endpoint_auth_methods_supported
        method = next((each for each in METHODS if each in supported), None) if found.published else None
        said = metadata.model_copy(update={"token_endpoint_auth_method": method})
        document = said.model_dump(by_alias=True, mode="json", exclude_none=True)
        answer = await self.outbound.send(httpx2.Request("POST", found.issuer.registration_endpoint, json=document))
        try:
            made = await handle_registration_response(answer)
        except OAuthRegistrationError:  # which repeats what it got, and there may be a secret in it
            if answer.status_code in (200, 201):
                raise Misbehaved(f"What {found.issuer.issuer} answers to a registration is none") from None
            raise NotAuthorized(
                f"{found.issuer.issuer} does not register this client (status {answer.status_code}): "
                "ask its operator for a client id, and give it with --client-id"
            ) from None
        try:
            check_registration_usable(made)
        except OAuthRegistrationError as error:
            raise Misbehaved(f"The registration at {found.issuer.issuer} cannot be used: {line(str(error))}") from None
        if made.client_secret and made.token_endpoint_auth_method is None:  # RFC 7591 §2: the default
            made.token_endpoint_auth_method = METHODS[1]
        return made


def metadata_for(redirect_uri: str) -> OAuthClientMetadata:
    """What the client says of itself: a native application that a person uses (OpenID Connect Registration §2)."""
    try:
        return OAuthClientMetadata.model_validate({"client_name": "bearergate", "redirect_uris": [redirect_uri]})
    except ValueError:
        raise BadInput("The redirect URI is no URL") from None
