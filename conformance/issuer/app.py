"""The issuer's routes: pages for people, and endpoints for clients that any origin may call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Error
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .authorize import Authorize, show_error
from .client_documents import ClientDocumentError
from .login import LoginPage
from .pages import error_page
from .registration import RegistrationRequest
from .requests import read_body, read_client_request
from .userinfo import UserInfo

if TYPE_CHECKING:
    from starlette.requests import Request

    from .accounts import Accounts
    from .keys import Keys
    from .publication import Publication
    from .requests import IssuerRequest
    from .server import OAuthServer

Handler = Callable[["Request"], Awaitable[Response]]

_MAX_REGISTRATION = 16 * 1024


def build(
    server: OAuthServer, accounts: Accounts, keys: Keys, key_server: Publication, metadata_server: Publication
) -> Starlette:
    """The issuer as an ASGI app."""
    urls = server.profile.endpoints
    clients = ClientEndpoints(server)

    async def metadata(_: Request) -> Response:
        return await metadata_server.answer(server.profile.metadata())

    async def key_set(_: Request) -> Response:
        return await key_server.answer(keys.document())

    endpoints = [
        *(_open_route(path, metadata, "GET") for path in server.profile.discovery),
        _open_route(urls.jwks, key_set, "GET"),
        _open_route(urls.token, clients.token, "POST"),
        _open_route(urls.revoke, clients.revoke, "POST"),
        _open_route(urls.userinfo, UserInfo(server, accounts).answer, "GET", "POST"),
        *([_open_route(urls.register, clients.register, "POST")] if urls.register else []),
    ]
    app = Starlette(routes=[*_pages(server, accounts), *endpoints])
    app.router.redirect_slashes = False  # it would redirect to whatever the Host header says
    return app


def _pages(server: OAuthServer, accounts: Accounts) -> list[Route]:
    urls = server.profile.endpoints
    login = LoginPage(server, accounts)
    routes = [
        _route(urls.authorize, Authorize(server).start, "GET"),
        _route(urls.login, login.show, "GET"),
        _route(urls.login, login.submit, "POST"),
    ]
    if urls.error:
        routes.append(_route(urls.error, show_error, "GET"))
    if urls.logout:
        routes.append(_route(urls.logout, Logout(server).leave, "GET"))
    return routes


def _route(url: str, handler: Handler, *methods: str) -> Route:
    return Route(urlsplit(url).path, handler, methods=methods)


def _open_route(url: str, handler: Handler, *methods: str) -> Route:
    """A route that scripts of any origin may call: nothing here goes by cookies or by where a request comes from."""
    anywhere = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=methods, allow_headers=["*"])
    return Route(urlsplit(url).path, handler, methods=[*methods, "OPTIONS"], middleware=[anywhere])


class ClientEndpoints:
    """What clients call directly, without a browser."""

    def __init__(self, server: OAuthServer) -> None:
        self._server = server

    async def token(self, request: Request) -> Response:
        """Tokens for a grant (RFC 6749 §3.2)."""
        try:
            asked = await self._read(request, self._server.profile.endpoints.token)
        except OAuth2Error as error:
            return self._server.handle_error_response(request, error)
        if not asked.get("grant_type"):
            return self._server.handle_error_response(asked, InvalidRequestError("Missing 'grant_type' in request."))
        answer: Response = self._server.create_token_response(asked)
        return answer

    async def revoke(self, request: Request) -> Response:
        """The end of a refresh token (RFC 7009)."""
        try:
            asked = await self._read(request, self._server.profile.endpoints.revoke)
        except OAuth2Error as error:
            return self._server.handle_error_response(request, error)
        answer: Response = self._server.create_endpoint_response("revocation", asked)
        return answer

    async def register(self, request: Request) -> Response:
        """A new client (RFC 7591)."""
        try:
            body = await read_body(request, _MAX_REGISTRATION)
        except OAuth2Error as error:
            return self._server.handle_error_response(request, error)
        answer: Response = self._server.create_endpoint_response("client_registration", RegistrationRequest(body))
        return answer

    async def _read(self, request: Request, url: str) -> IssuerRequest:
        asked = await read_client_request(request, url)
        try:
            await self._server.clients.find(asked.get("client_id") or "")
        except ClientDocumentError as error:
            raise InvalidClientError(str(error)) from error
        return asked


class Logout:
    """Cognito's logout. There is no session to end here, so it only sends the browser on."""

    def __init__(self, server: OAuthServer) -> None:
        self._server = server

    async def leave(self, request: Request) -> Response:
        """To a registered logout URI, or to a new login where a redirect URI is given."""
        query = request.query_params
        client = self._server.clients.get(query.get("client_id", ""))
        if client and query.get("logout_uri") in client.logout_uris:
            return RedirectResponse(query["logout_uri"], 302)
        if client and "redirect_uri" in query:
            return RedirectResponse(f"{self._server.profile.endpoints.authorize}?{urlencode(query.multi_items())}", 302)
        return error_page("The app asked to be called back at an address that is not registered for logging out.")
