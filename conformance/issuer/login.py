"""The login: one form, bound to one authorization request, that works without a script."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc6749 import InvalidRequestError
from starlette.responses import Response

from .pages import LoginForm, error_page, login_page
from .redirects import destination
from .requests import IssuerRequest, read_form

if TYPE_CHECKING:
    from starlette.requests import Request

    from .accounts import Accounts
    from .clients import Client
    from .ledger import Login
    from .server import OAuthServer

_UNREADABLE = "The form could not be read. Go back to the app and start again."
_OVER = "This sign-in is over or took too long. Go back to the app and start again."
_FOREIGN = "This form was sent from another site. Go back to the app and start again."
_TOO_MANY = "There were too many wrong passwords. Go back to the app and start again."
_WRONG = "User name or password is wrong. Try again."


class LoginPage:
    """Shows the form and takes its answer.

    The random value in the form's address stands for the authorization request and is known only to the browser
    that made it; there is no cookie and no session, so every authorization asks for the password.
    """

    def __init__(self, server: OAuthServer, accounts: Accounts) -> None:
        self._server = server
        self._accounts = accounts

    async def show(self, request: Request) -> Response:
        """The form."""
        login_id = request.query_params.get("request", "")
        login = self._under_way(login_id)
        if login is None:
            return error_page(_OVER)
        return login_page(self._form(login_id, login, name=login.request.get("login_hint") or ""))

    async def submit(self, request: Request) -> Response:
        """The way back to the client, or the form again with what is wrong."""
        # Browsers say where a form comes from; with no-referrer, as here, their Origin would say null.
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return error_page(_FOREIGN, 403)
        login_id = request.query_params.get("request", "")
        login = self._under_way(login_id)
        if login is None:
            return error_page(_OVER)
        try:
            sent = await read_form(request, self._server.profile.endpoints.login)
        except InvalidRequestError:
            return error_page(_UNREADABLE)
        if sent.get("cancel"):
            self._server.ledger.close_login(login_id)
            return self._server.finish_authorization(login.request, None)
        return self._check(login_id, login, sent)

    def _under_way(self, login_id: str) -> Login | None:
        """The login of this id, unless its client has been forgotten meanwhile."""
        login = self._server.ledger.login(login_id)
        return login if login and self._server.clients.get(login.request.get("client_id") or "") else None

    def _check(self, login_id: str, login: Login, sent: IssuerRequest) -> Response:
        name = sent.get("username") or ""
        if user := self._accounts.login(name, sent.get("password") or ""):
            self._server.ledger.close_login(login_id)
            return self._server.finish_authorization(login.request, user)
        login.attempts_left -= 1
        if login.attempts_left <= 0:
            self._server.ledger.close_login(login_id)
            return error_page(_TOO_MANY, 403)
        return login_page(self._form(login_id, login, name=name, alert=_WRONG), 403)

    def _form(self, login_id: str, login: Login, *, name: str, alert: str = "") -> LoginForm:
        profile, asked = self._server.profile, login.request
        client = asked.client.client
        return LoginForm(
            client=client.name or client.client_id,
            note=_note(client),
            wishes=[profile.scope_words(scope) for scope in asked.scope.split()],
            destination=destination(asked.get("redirect_uri") or asked.client.get_default_redirect_uri() or ""),
            issuer=profile.url,
            action=f"{profile.endpoints.login}?{urlencode({'request': login_id})}",
            name=name,
            alert=alert,
        )


def _note(client: Client) -> str:
    if not client.self_described:
        return ""
    host = urlsplit(client.client_id).netloc
    return (
        f"The app describes itself so at {host}." if host else "The app gave this name itself; nobody has checked it."
    )
