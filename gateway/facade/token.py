"""The token endpoint: a code or refresh token of ours, redeemed at the issuer for the client it belongs to."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from gateway.facade.errors import OAuthError
from gateway.facade.front import Front, json_answer
from gateway.facade.issuer import Answer
from gateway.facade.parameters import Parameters, read_form
from gateway.facade.sealed import CODE, REFRESH, Code, Refresh, fingerprint, s256
from gateway.seal import Unlasting, Unsealable

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ENDPOINT = "/oauth/token"
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1


class Token:
    """Answers grants. The access token is the issuer's own; the refresh token is sealed to the client."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def grant(self, request: Request) -> Response:
        """Tokens for a grant (OAuth 2.1 §3.2), or the exact error."""
        try:
            asked = await read_form(request)
            client = await identified(self._front, request, asked)
            answer = await self._redeem(asked, client)
        except OAuthError as error:
            return self._front.tell(error, ENDPOINT)
        self._front.note(ENDPOINT, "POST", done=asked.get("grant_type"))
        return json_answer(answer)

    async def _redeem(self, asked: Parameters, client: str) -> dict[str, object]:
        match asked.get("grant_type"):
            case "authorization_code":
                return await self._code(asked, client)
            case "refresh_token":
                return await self._refresh(asked, client)
            case "":
                raise OAuthError("invalid_request", "grant_type is missing.")
            case _:
                raise OAuthError("unsupported_grant_type", "grant_type is authorization_code or refresh_token.")

    async def _code(self, asked: Parameters, client: str) -> dict[str, object]:
        """Everything that is ours to check is checked before the issuer's code is spent."""
        front = self._front
        code = self._opened_code(asked.get("code"))
        if client != code.client:
            raise _used("the code is another client's")
        redirect_uri = asked.get("redirect_uri")  # OAuth 2.1 leaves it out, OAuth 2.0 sends it
        if redirect_uri and fingerprint(redirect_uri) != code.redirect_uri:
            raise _used("redirect_uri is not the one of the authorization request")
        verifier = asked.get("code_verifier")
        if VERIFIER.fullmatch(verifier) is None or not secrets.compare_digest(s256(verifier), code.challenge):
            raise _used("code_verifier does not fit the code_challenge")
        self._check_resource(asked, code.resource)
        form = {
            "grant_type": "authorization_code",
            "code": code.code,
            "redirect_uri": front.callback,
            "code_verifier": code.verifier,
        }
        answer = await front.issuer.tokens({**form, **self._target(code.resource)})
        return self._answer(answer, client, code.resource, code.scopes)

    async def _refresh(self, asked: Parameters, client: str) -> dict[str, object]:
        """A refresh is relayed, so rotation, and the grace for two that race, are the issuer's."""
        refresh = opened_refresh(self._front, asked.get("refresh_token"), client)
        self._check_resource(asked, refresh.resource)
        scopes = tuple(dict.fromkeys(asked.get("scope").split())) or refresh.scopes
        if not set(scopes) <= set(refresh.scopes):  # RFC 6749 §6
            raise OAuthError("invalid_scope", "A refresh cannot widen the scopes: log in again for more.")
        form = {"grant_type": "refresh_token", "refresh_token": refresh.token}
        if set(scopes) < set(refresh.scopes):
            form["scope"] = " ".join(scopes)
        answer = await self._front.issuer.tokens({**form, **self._target(refresh.resource)})
        return self._answer(answer, client, refresh.resource, scopes, refresh.scopes)

    def _answer(
        self, answer: Answer, client: str, resource: str, scopes: tuple[str, ...], granted: tuple[str, ...] = ()
    ) -> dict[str, object]:
        """The issuer's answer as the client gets it. An ID token is for our own client alone, so it stays here."""
        said: dict[str, object] = {"access_token": answer.access_token, "token_type": "Bearer"}
        if answer.expires_in is not None:
            said["expires_in"] = answer.expires_in
        if granted_scope := answer.scope or " ".join(scopes):
            said["scope"] = granted_scope
        if answer.refresh_token:
            refresh = Refresh(answer.refresh_token, client, resource, granted or scopes)
            said["refresh_token"] = self._front.seal.seal(REFRESH, refresh)
        return said

    def _check_resource(self, asked: Parameters, granted: str) -> None:
        if asked.resources and self._front.resource(asked.resources).url != granted:
            raise OAuthError("invalid_target", "The grant is for another resource: log in for this one.")

    def _target(self, resource: str) -> dict[str, str]:
        quirks = self._front.quirks
        return {quirks.resource: resource} if quirks.resource and quirks.resource_at_token else {}

    def _opened_code(self, sealed: str) -> Code:
        if not sealed:
            raise OAuthError("invalid_request", "code is missing.")
        try:
            return self._front.seal.open(CODE, sealed, Code)
        except Unlasting as error:
            raise OAuthError("invalid_grant", "The code is over: log in again.", detail=str(error)) from None
        except Unsealable as error:
            raise _used(str(error)) from None


async def identified(front: Front, request: Request, asked: Parameters) -> str:
    """The fingerprint of the client that calls; raises `OAuthError` invalid_client where it is none of ours."""
    if "authorization" in request.headers:
        raise OAuthError(
            "invalid_client",
            "Clients are public here: send client_id in the form and no Authorization header.",
            status=401,
        )
    client_id = asked.get("client_id")
    if not client_id:
        raise OAuthError("invalid_client", "client_id is missing.", status=401)
    return fingerprint((await front.clients.find(client_id)).client_id)


def opened_refresh(front: Front, sealed: str, client: str) -> Refresh:
    """A refresh token of this client; raises `OAuthError` for any other."""
    if not sealed:
        raise OAuthError("invalid_request", "refresh_token is missing.")
    try:
        refresh = front.seal.open(REFRESH, sealed, Refresh)
    except Unsealable as error:
        raise _used(str(error)) from None
    if client != refresh.client:
        raise _used("the refresh token is another client's")
    return refresh


def _used(detail: str) -> OAuthError:
    """One answer for everything that is wrong with a grant; the log says what it is."""
    return OAuthError("invalid_grant", "The grant is not valid for this client: log in again.", detail=detail)
