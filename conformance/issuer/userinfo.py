"""The user-info endpoint (OpenID Connect Core §5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

    from .accounts import Accounts, User
    from .server import OAuthServer

_REFUSED = 'Bearer error="invalid_token", error_description="A valid access token with the scope openid is needed."'


class UserInfo:
    """Tells who an access token of this issuer speaks for, if it has the scope openid."""

    def __init__(self, server: OAuthServer, accounts: Accounts) -> None:
        self._server = server
        self._accounts = accounts

    async def answer(self, request: Request) -> Response:
        """The claims about the user, or 401."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        claims = self._server.mint.opened(token.strip()) if scheme.lower() == "bearer" else None
        scopes = str((claims or {}).get("scope", "")).split()
        if claims is None or "openid" not in scopes or self._server.clock.now() >= claims["exp"]:
            return self._refuse()
        user = self._accounts.of_subject(claims["sub"])
        return self._about(user, scopes) if user else self._refuse()

    def _about(self, user: User, scopes: list[str]) -> Response:
        about: dict[str, object] = {"sub": user.sub, "username": user.name}
        if user.email and "email" in scopes:
            about |= {"email": user.email, "email_verified": True}
        return JSONResponse(about, headers={"Cache-Control": "no-store"})

    def _refuse(self) -> Response:
        return Response(status_code=401, headers={"WWW-Authenticate": _REFUSED, "Cache-Control": "no-store"})
