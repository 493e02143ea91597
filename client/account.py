"""The login of a server: had, ended, renewed and shown. The tokens themselves are never shown."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from client.errors import NotEnded
from client.output import Output
from client.plain import line
from client.server import LoggedOut, Server
from client.tokens import Login

MAX_ID = 50  # characters of a client id or a principal: registered ones can be long, and say nothing


async def log_in(server: Server, output: Output) -> None:
    """Log in anew."""
    login = await server.log_in()
    output.say(f"Logged in as {principal(login)} at {login.issuer}.")


async def log_out(server: Server, output: Output) -> None:
    """Forget the login, and revoke it.

    Raises:
        NotEnded: it lives on somewhere.
    """
    ended = await server.log_out()
    if ended and (ended.kept or (ended.untold and _is_of_use(ended.login))):
        raise NotEnded(_remains(ended))
    output.say("Logged out." if ended else "There was no login.")


async def refresh(server: Server, output: Output) -> None:
    """Renew the login now."""
    login = await server.renew()
    how_long = f"expires {_ends(login)}" if login.expires_at else "is good, its issuer does not say for how long"
    output.say(f"Renewed: the new token {how_long}.")


async def show_status(server: Server, output: Output) -> None:
    """Who is logged in where, for what and for how long."""
    facts = status(server)
    if output.as_json:
        output.json(facts)
    else:
        output.table(("", ""), [(name, value) for name, value in facts.items() if value])


def status(server: Server) -> dict[str, str | None]:
    """The facts of the login."""
    login = server.login
    facts: dict[str, str | None] = {"server": server.settings.url, "auth method": server.settings.auth_method}
    if server.settings.auth_method == "lambda" or (login is None and server.settings.access_token):
        return {**facts, "token": "that of ACCESS_TOKEN" if server.settings.access_token else "none: set ACCESS_TOKEN"}
    if login is None:
        return {**facts, "login": "none"}
    return {
        **facts,
        "issuer": login.issuer,
        "resource": login.resource,
        "principal": principal(login),
        "client": login.client_id if len(login.client_id) <= MAX_ID else f"{login.client_id[:MAX_ID]}...",
        "scopes": login.scope or "not said",
        "expires": _ends(login),
        "renewed by itself": "yes" if login.refresh_token or server.settings.client_credentials else "no",
    }


def principal(login: Login) -> str:
    """Who the token says it is for; not verified, which is the server's business."""
    claims = _claims(login.access_token)
    name = claims.get("username") or claims.get("preferred_username") or claims.get("sub") or claims.get("client_id")
    return line(str(name))[:MAX_ID] if name else "somebody (the token does not say)"


def _claims(token: str) -> dict[str, Any]:
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _remains(ended: LoggedOut) -> str:
    """What is left of a login that was not ended everywhere, and for how long it is of use."""
    login, issuer = ended.login, ended.login.issuer
    here = f"Logged out of this program only, for the tokens stay here: {ended.kept}." if ended.kept else ""
    if not ended.untold:
        return f"{here} {issuer} has ended them."
    lives = f"A copy of the access token works {_until(login)}"
    if login.refresh_token:
        lives += ", one of the refresh token for as long as the issuer takes it"
    if here:
        return f"{here} {issuer} was not told to end them: {ended.untold}. {lives}."
    return f"Logged out here, but {issuer} was not told to end the tokens: {ended.untold}. {lives}."


def _is_of_use(login: Login) -> bool:
    return bool(login.refresh_token) or login.expires_at is None or login.expires_at > time.time()


def _until(login: Login) -> str:
    if login.expires_at is None:
        return "until the issuer ends it"
    return f"until it expires {_ends(login)}" if login.expires_at > time.time() else "no more, for it has expired"


def _ends(login: Login) -> str:
    if login.expires_at is None:
        return "not said"
    left = login.expires_at - time.time()
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(login.expires_at))
    return f"at {at}, in {_duration(left)}" if left > 0 else f"at {at}, which is past"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
