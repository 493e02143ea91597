"""The authorization endpoint: checks who asks for what, then sends the browser to the login page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from starlette.responses import RedirectResponse, Response

from .client_documents import ClientDocumentError
from .pages import error_page
from .requests import read_query

if TYPE_CHECKING:
    from starlette.requests import Request

    from .requests import IssuerRequest
    from .server import OAuthServer

# What the error page says, by the code that stands in its URL where the profile has such a page.
SENTENCES = {
    "invalid_request": "The app's request is malformed. Start again from the app.",
    "invalid_client": "The app that sent you here is not registered at this issuer. Check its client id.",
    "redirect_mismatch": "The app asked to be called back at an address that is not registered for it. "
    "Check its redirect URI.",
}


class UntrustedRequestError(Exception):
    """There is nobody to redirect to: the client or its redirect is not known to be good."""

    def __init__(self, code: str, sentence: str = "") -> None:
        super().__init__(sentence or SENTENCES[code])
        self.code = code


class Authorize:
    """Opens a login for a good request, and tells the client or the person about a bad one."""

    def __init__(self, server: OAuthServer) -> None:
        self._server = server
        self._endpoints = server.profile.endpoints

    async def start(self, request: Request) -> Response:
        """Answer an authorization request; no error is redirected until the redirect is trusted (RFC 6749 §4.1.2.1)."""
        try:
            asked = read_query(request, self._endpoints.authorize)
            redirect_uri = await self._trusted_redirect(asked)
        except InvalidRequestError:
            return self._refuse(UntrustedRequestError("invalid_request"), None)
        except UntrustedRequestError as error:
            return self._refuse(error, asked.get("client_id"))
        try:
            self._server.check_authorization(asked, redirect_uri)
        except OAuth2Error as error:
            error.redirect_uri = redirect_uri
            return self._server.refuse_authorization(asked, error)
        login_id = self._server.ledger.open_login(asked)
        location = f"{self._endpoints.login}?{urlencode({'request': login_id})}"
        return RedirectResponse(location, 302, {"Cache-Control": "no-store"})

    async def _trusted_redirect(self, asked: IssuerRequest) -> str:
        for name in ("client_id", "redirect_uri"):
            if len(asked.payload.datalist.get(name, ())) > 1:
                raise UntrustedRequestError("invalid_request")
        try:
            await self._server.clients.find(asked.get("client_id") or "")
        except ClientDocumentError as error:
            raise UntrustedRequestError("invalid_client", str(error)) from error
        client = self._server.query_client(asked.get("client_id") or "")
        if client is None:
            raise UntrustedRequestError("invalid_client")
        redirect_uri = asked.get("redirect_uri") or client.get_default_redirect_uri()
        if redirect_uri is None or not client.check_redirect_uri(redirect_uri):
            raise UntrustedRequestError("redirect_mismatch")
        return redirect_uri

    def _refuse(self, error: UntrustedRequestError, client_id: str | None) -> Response:
        if self._endpoints.error is None:
            return error_page(str(error))
        named = {"client_id": client_id} if client_id else {}
        location = f"{self._endpoints.error}?{urlencode({'error': error.code, **named})}"
        return RedirectResponse(location, 302, {"Cache-Control": "no-store"})


async def show_error(request: Request) -> Response:
    """The error page that refusals are redirected to; it says nothing that a stranger could choose."""
    code = request.query_params.get("error", "")
    return error_page(SENTENCES.get(code, SENTENCES["invalid_request"]))
