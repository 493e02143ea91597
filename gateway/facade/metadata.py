"""The facade's own authorization server metadata (RFC 8414), with nothing in it that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from gateway.facade.authorize import ENDPOINT as AUTHORIZE
from gateway.facade.errors import OAuthError
from gateway.facade.front import Front
from gateway.facade.registration import ENDPOINT as REGISTER
from gateway.facade.revocation import ENDPOINT as REVOKE
from gateway.facade.token import ENDPOINT as TOKEN

if TYPE_CHECKING:
    from starlette.requests import Request

PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


class Metadata:
    """Serves the document. Whether tokens can be revoked is for the issuer to say, so it is asked first."""

    def __init__(self, front: Front, *, registration: bool, documents: bool) -> None:
        self._front = front
        self._registration = registration
        self._documents = documents

    async def show(self, _: Request) -> Response:
        """The document; 503 while the issuer has never been reached, for then nobody could log in anyway."""
        try:
            revokes = bool((await self._front.issuer.metadata()).revocation_endpoint)
        except OAuthError as error:
            return self._front.tell(error, PATHS[0], "GET")
        body = msgspec.json.encode(self.document(revokes=revokes))
        return Response(body, headers={"cache-control": "public, max-age=300"}, media_type="application/json")

    def document(self, *, revokes: bool) -> dict[str, Any]:
        """The members of the document (RFC 8414 §2, RFC 9207 §3, RFC 9728 §4)."""
        front = self._front
        said: dict[str, Any] = {
            "issuer": front.url,
            "authorization_endpoint": front.url + AUTHORIZE,
            "token_endpoint": front.url + TOKEN,
            "scopes_supported": list(dict.fromkeys(scope for r in front.resources for scope in r.scopes)),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": self._documents,
            "protected_resources": [resource.url for resource in front.resources],
        }
        if self._registration:
            said["registration_endpoint"] = front.url + REGISTER
        if revokes:
            said["revocation_endpoint"] = front.url + REVOKE
            said["revocation_endpoint_auth_methods_supported"] = ["none"]
        return said
