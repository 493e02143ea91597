"""The way back from the issuer: to the client, with a code that only this deployment can read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.facade.authorize import START_AGAIN, read_query
from gateway.facade.errors import OAuthError, Shown
from gateway.facade.front import CALLBACK, Front
from gateway.facade.parameters import Parameters
from gateway.facade.sealed import CODE, CODE_SECONDS, STATE, Code, Flow, fingerprint
from gateway.seal import Unlasting, Unsealable

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MAX_CODE = 4096  # characters of an issuer's code
ERRORS = frozenset(
    {
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "invalid_target",
        "interaction_required",
        "login_required",
        "account_selection_required",
        "consent_required",
    }
)
UNSHOWN = re.compile(r"[^\x20\x21\x23-\x5B\x5D-\x7E]")  # not of an error_description (RFC 6749 §4.1.2.1)


class Callback:
    """Takes the issuer's answer, in the browser that asked for it and no other."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def come_back(self, request: Request) -> Response:
        """Send the browser on to the client, with a code or an error, and always with our `iss`."""
        front = self._front
        try:
            answer = read_query(request)
            flow = self._flow(request, answer)
        except Shown as error:
            return front.show(error, CALLBACK, "GET")
        wish = flow.wish
        try:
            code = await self._code(answer)
        except OAuthError as error:
            return front.redirect_error(wish.redirect_uri, wish.state, error, CALLBACK)
        front.note(CALLBACK, "GET", done="code")
        sealed = front.seal.seal(CODE, sealable(code, flow), CODE_SECONDS)
        return front.redirect(wish.redirect_uri, wish.state, {"code": sealed})

    def _flow(self, request: Request, answer: Parameters) -> Flow:
        """The login that this is the end of; raises `Shown` unless it began in this browser."""
        try:
            flow = self._front.seal.open(STATE, answer.get("state"), Flow)
        except Unlasting as error:
            raise Shown(f"This login took too long. {START_AGAIN}", detail=str(error)) from None
        except Unsealable as error:
            raise Shown(f"This login did not begin here. {START_AGAIN}", detail=str(error)) from None
        if not self._front.browsers.is_of(request.cookies, flow.wish):
            raise Shown(
                f"This login began in another browser, or its cookies are gone. {START_AGAIN}",
                status=403,
                detail="the browser's cookie is not the one the login began with",
            )
        return flow

    async def _code(self, answer: Parameters) -> str:
        """The issuer's code; raises the issuer's error as ours."""
        answer.check_single()
        await self._check_issuer(answer.get("iss"))
        if error := answer.get("error"):
            raise translated(error, answer.get("error_description"))
        code = answer.get("code")
        if not 0 < len(code) <= MAX_CODE:
            raise OAuthError("server_error", "The issuer sent no code.", detail="no code, or one that is too long")
        return code

    async def _check_issuer(self, iss: str) -> None:
        """RFC 9207 §2.4: the answer must be from the issuer that was asked, and say so if it always does."""
        front = self._front
        announced = (await front.issuer.metadata()).authorization_response_iss_parameter_supported
        if (iss or announced) and iss != front.issuer_url:
            raise OAuthError("server_error", "The answer came from another issuer.", detail="iss is not the issuer's")


def sealable(code: str, flow: Flow) -> Code:
    """What has to be known when the client redeems the issuer's code."""
    wish = flow.wish
    redirect = fingerprint(wish.redirect_uri)
    return Code(code, flow.verifier, wish.client, redirect, wish.challenge, wish.resource, wish.scopes)


def translated(error: str, description: str) -> OAuthError:
    """An issuer's error in OAuth's words. What is unknown to clients is a server_error to them."""
    said = UNSHOWN.sub("?", description)[:200]
    if error == "invalid_request" and "invalid_scope" in said:
        error = "invalid_scope"  # how Cognito spells it
    if error not in ERRORS:
        return OAuthError(
            "server_error", "The issuer refused the login.", detail=f"{UNSHOWN.sub('?', error)[:50]}: {said}"
        )
    return OAuthError(error, said or "The issuer refused the login.")
