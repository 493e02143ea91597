"""The revocation endpoint (RFC 7009): a refresh token ends at the issuer, and with it the login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from gateway.facade.errors import OAuthError
from gateway.facade.front import NO_STORE, Front
from gateway.facade.parameters import read_form
from gateway.facade.sealed import REFRESH, Refresh
from gateway.facade.token import identified
from gateway.seal import Unsealable

if TYPE_CHECKING:
    from starlette.requests import Request

ENDPOINT = "/oauth/revoke"


class Revocation:
    """Ends refresh tokens."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def revoke(self, request: Request) -> Response:
        """200 once the token is of no use, which one that never was any already is (RFC 7009 §2.2)."""
        front = self._front
        try:
            asked = await read_form(request)
            client = await identified(front, request, asked)
            await self._end(asked.get("token"), client)
        except OAuthError as error:
            return front.tell(error, ENDPOINT)
        front.note(ENDPOINT, "POST", done="revoke")
        return Response(status_code=200, headers=NO_STORE)

    async def _end(self, sealed: str, client: str) -> None:
        if not sealed:
            raise OAuthError("invalid_request", "token is missing.")
        if sealed.count(".") == 2:  # a JWS: an access token, and at the issuer all of our clients are one
            raise OAuthError("unsupported_token_type", "Access tokens end by themselves: revoke the refresh token.")
        try:
            refresh = self._front.seal.open(REFRESH, sealed, Refresh)
        except Unsealable:
            return
        if refresh.client != client:
            raise OAuthError("invalid_client", "The token is another client's.", status=401)
        try:
            await self._front.issuer.revoke(refresh.token)
        except OAuthError as error:
            if error.code != "invalid_grant":  # that one is over already
                raise
