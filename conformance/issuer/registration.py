"""Dynamic client registration (RFC 7591): open to everyone, as a development issuer may be."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint

from .client_metadata import ClientMetadata, ClientMetadataError, parse_object, read_metadata
from .clients import Client

if TYPE_CHECKING:
    from .server import OAuthServer


class Registration(ClientRegistrationEndpoint):  # type: ignore[misc]  # Authlib ships no types
    """Registers whoever asks; the answer says what was registered, which may be less than was asked for."""

    server: OAuthServer

    def authenticate_token(self, request: Any) -> bool:  # noqa: ARG002 - Authlib's signature
        """Anybody may register."""
        return True

    def extract_client_metadata(self, request: RegistrationRequest) -> dict[str, Any]:
        try:
            metadata = read_metadata(parse_object(request.body))
        except ClientMetadataError as error:
            raise OAuth2Error(str(error), error=error.error) from error
        request.metadata = metadata
        answer = {
            "redirect_uris": list(metadata.redirect_uris),
            "grant_types": list(metadata.grants),
            "response_types": ["code"],
            "token_endpoint_auth_method": metadata.auth_method,
            "client_name": metadata.name,
            "application_type": metadata.application_type,
        }
        return {name: value for name, value in answer.items() if value}

    def generate_client_info(self, request: RegistrationRequest) -> dict[str, Any]:
        info: dict[str, Any] = {
            "client_id": uuid.uuid4().hex,
            "client_id_issued_at": int(self.server.clock.now()),
        }
        if request.metadata.auth_method != "none":
            info |= {"client_secret": secrets.token_urlsafe(32), "client_secret_expires_at": 0}
        return info

    def save_client(self, client_info: dict[str, Any], client_metadata: Any, request: RegistrationRequest) -> None:  # noqa: ARG002 - Authlib's signature
        metadata = request.metadata
        self.server.clients.register(
            Client(
                client_info["client_id"],
                metadata.redirect_uris,
                client_info.get("client_secret"),
                metadata.name,
                grants=metadata.grants,
                self_described=True,
            )
        )

    def generate_client_registration_info(self, client: Any, request: Any) -> None:
        """Nothing: registrations cannot be read or changed (RFC 7592)."""


class RegistrationRequest:
    """The body of a registration, and what it came to."""

    metadata: ClientMetadata

    def __init__(self, body: bytes) -> None:
        self.body = body
