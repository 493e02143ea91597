"""The authorization endpoint and the consent page: who asks for what, and whether the person agrees."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import msgspec

from gateway.facade.client import Client
from gateway.facade.clients import UNNAMED, UnknownClient
from gateway.facade.errors import OAuthError, Shown
from gateway.facade.front import Front, leave_for, scopes_for
from gateway.facade.pages import ConsentPage, consent_page
from gateway.facade.parameters import Parameters, read, read_form
from gateway.facade.redirects import destination, is_native, with_parameters
from gateway.facade.sealed import (
    CONSENT,
    CONSENT_SECONDS,
    STATE,
    STATE_SECONDS,
    Consent,
    Flow,
    Wish,
    fingerprint,
    s256,
)
from gateway.seal import Unlasting, Unsealable

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gateway.facade.quirks import Quirks

ENDPOINT = "/oauth/authorize"
CONSENT_ENDPOINT = "/oauth/consent"
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in Base64url (RFC 7636 §4.2)
MAX_STATE = 2048  # characters of a client's state as it travels: in URLs, and as JSON in ours
MAX_HINT = 256  # characters of a login_hint
# What scopes of OpenID Connect allow, where the settings have no words for them.
WORDS = {"openid": "Know who you are", "offline_access": "Stay logged in while you are away"}
ONCE_MORE = "Please answer once more: this page was not opened here just now. If it comes again, allow cookies here."
START_AGAIN = "Go back to the app and start again."


class Authorize:
    """Takes the browser from the client to the issuer, past the person's consent."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def start(self, request: Request) -> Response:
        """Answer an authorization request; it may be repeated, nothing is used up by it (OAuth 2.1 §4.1.1)."""
        front = self._front
        try:
            asked = read_query(request)
            client, redirect_uri = await self._trusted(asked)
        except Shown as error:
            return front.show(error, ENDPOINT, "GET")
        state = asked.get("state") or None
        try:
            wish = self._wish(asked, client, redirect_uri)
            name = front.browsers.name(request.cookies)
            wish = msgspec.structs.replace(wish, browser=fingerprint(name))
            response = await self._onwards(request, asked, client, wish)
        except OAuthError as error:
            return front.redirect_error(redirect_uri, state, error, ENDPOINT)
        front.browsers.keep_name(response, name)
        return response

    async def come_back(self, request: Request) -> Response:
        """What a person gets who goes to the address of a page that was the answer to a form."""
        gone = Shown(f"There is nothing to come back to here. {START_AGAIN}", status=404, detail="not a form")
        return self._front.show(gone, CONSENT_ENDPOINT, request.method)

    async def decide(self, request: Request) -> Response:
        """Take the answer of the consent page: on to the issuer, or back to the client with access_denied."""
        front = self._front
        try:
            self._check_origin(request)
            form = await read_form(request)
            consent = self._open(form.get("consent"))
            client = await self._client(consent.client_id)
            front.resource((consent.wish.resource,))  # which a newer release may not have any more
        except Shown as error:
            return front.show(error, CONSENT_ENDPOINT, "POST")
        except OAuthError as error:
            shown = Shown(f"This form is of no use any more. {START_AGAIN}", status=error.status, detail=str(error))
            return front.show(shown, CONSENT_ENDPOINT, "POST")
        return await self._answer(request, client, consent, form.get("decision"))

    async def _onwards(self, request: Request, asked: Parameters, client: Client, wish: Wish) -> Response:
        """To the issuer where the person has agreed before, else to the page that asks."""
        prompts, hints = asked.get("prompt").split(), hints_for(asked, self._front.quirks)
        if "consent" not in prompts and self._front.browsers.approved(request.cookies, client.client_id, wish):
            return await self._to_issuer(wish, hints)
        if "none" in prompts:
            raise OAuthError("consent_required", "The person has to agree first: ask without prompt=none.")
        return self._ask(client, wish, hints)

    async def _answer(self, request: Request, client: Client, consent: Consent, decision: str) -> Response:
        front, wish = self._front, consent.wish
        if not front.browsers.is_of(request.cookies, wish):
            # Another tab gave this browser its name, or another browser made the page: only a new answer counts.
            name = front.browsers.name(request.cookies)
            wish = msgspec.structs.replace(wish, browser=fingerprint(name))
            response = self._ask(client, wish, consent.hints, alert=ONCE_MORE)
            front.browsers.keep_name(response, name)
            return response
        if decision != "approve":
            denied = OAuthError("access_denied", "The person did not agree.")
            return front.redirect_error(wish.redirect_uri, wish.state, denied, CONSENT_ENDPOINT, method="POST")
        try:
            response = await self._to_issuer(wish, consent.hints)
        except OAuthError as error:
            return front.redirect_error(wish.redirect_uri, wish.state, error, CONSENT_ENDPOINT, method="POST")
        front.note(CONSENT_ENDPOINT, "POST", done="consent", client=client.name)
        front.browsers.keep_approval(response, request.cookies, client.client_id, wish)
        return response

    async def _trusted(self, asked: Parameters) -> tuple[Client, str]:
        """The client and a redirect URI that it registered: until both are known, errors are only shown."""
        if asked.repeated & {"client_id", "redirect_uri"}:
            raise Shown(f"The app's request is malformed. {START_AGAIN}", detail="client_id or redirect_uri repeated")
        client = await self._client(asked.get("client_id"))
        redirect_uri = asked.get("redirect_uri")
        if not redirect_uri and len(client.redirect_uris) == 1:
            redirect_uri = client.redirect_uris[0]  # OAuth 2.1 §4.1.1
        if not client.redirects_to(redirect_uri):
            raise Shown(
                "The app asked to be called back at an address that is not registered for it. Tell its developers.",
                detail="redirect_uri is not among those the client registered",
            )
        return client, redirect_uri

    async def _client(self, client_id: str) -> Client:
        try:
            return await self._front.clients.find(client_id)
        except OAuthError as error:
            status = error.status if error.status == 503 else 400
            raise Shown(_client_sentence(error), status=status, detail=str(error)) from None

    def _wish(self, asked: Parameters, client: Client, redirect_uri: str) -> Wish:
        """What is asked, once every part of it is allowed; raises `OAuthError`."""
        asked.check_single()
        state = asked.get("state")
        if max(len(quote_plus(state)), len(msgspec.json.encode(state))) > MAX_STATE:
            raise OAuthError("invalid_request", f"state has at most {MAX_STATE} characters, as URLs and JSON spell it.")
        if asked.get("response_type") != "code":
            given = "unsupported_response_type" if asked.get("response_type") else "invalid_request"
            raise OAuthError(given, "response_type must be code.")
        if asked.get("response_mode") not in ("", "query"):
            raise OAuthError("invalid_request", "response_mode must be query, or left out.")
        if asked.get("request") or asked.get("request_uri"):
            raise OAuthError("request_not_supported", "Send the parameters themselves, not as a request object.")
        if asked.get("code_challenge_method") != "S256" or CHALLENGE.fullmatch(asked.get("code_challenge")) is None:
            raise OAuthError("invalid_request", "PKCE is needed: a code_challenge with code_challenge_method=S256.")
        resource = self._front.resource(asked.resources)
        return Wish(
            client=fingerprint(client.client_id),
            redirect_uri=redirect_uri,
            challenge=asked.get("code_challenge"),
            resource=resource.url,
            scopes=scopes_for(asked.get("scope"), resource, self._front.quirks),
            state=state or None,
        )

    def _ask(self, client: Client, wish: Wish, hints: dict[str, str], alert: str = "") -> Response:
        front = self._front
        consent = front.seal.seal(CONSENT, Consent(wish, client.client_id, hints), CONSENT_SECONDS)
        resource = front.spelled[wish.resource]
        return consent_page(
            ConsentPage(
                client=client.name,
                note=_note(client),
                server=resource.name,
                resource=resource.url,
                wishes=[(front.words.get(scope) or WORDS.get(scope, ""), scope) for scope in wish.scopes],
                destination=destination(wish.redirect_uri),
                elsewhere=not is_native(wish.redirect_uri),
                action=CONSENT_ENDPOINT,
                consent=consent,
                alert=alert,
            )
        )

    def _check_origin(self, request: Request) -> None:
        """Refuse a form that another site sent, as every current browser says of it."""
        site, origin = request.headers.get("sec-fetch-site", "same-origin"), request.headers.get("origin")
        if site != "same-origin" or origin not in (None, self._front.url):
            raise Shown(f"This form was sent from another site. {START_AGAIN}", status=403, detail="cross-site consent")

    def _open(self, sealed: str) -> Consent:
        try:
            return self._front.seal.open(CONSENT, sealed, Consent)
        except Unlasting as error:
            raise Shown(f"This page was open for too long. {START_AGAIN}", detail=str(error)) from None
        except Unsealable as error:
            raise Shown(f"This form cannot be read. {START_AGAIN}", detail=str(error)) from None

    async def _to_issuer(self, wish: Wish, hints: dict[str, str]) -> Response:
        """The browser's way to the issuer's own login, everything we need to remember sealed in `state`."""
        front = self._front
        endpoint = (await front.issuer.metadata()).authorization_endpoint
        if not endpoint:
            raise OAuthError("server_error", "The issuer offers no login: tell whoever runs this server.")
        verifier = secrets.token_urlsafe(32)
        parameters = {
            "response_type": "code",
            "client_id": front.issuer.client_id,
            "redirect_uri": front.callback,
            "scope": " ".join(dict.fromkeys((*wish.scopes, *front.quirks.adds)) or front.quirks.least),
            "state": front.seal.seal(STATE, Flow(wish, verifier), STATE_SECONDS),
            "code_challenge": s256(verifier),
            "code_challenge_method": "S256",
            **hints,
            **front.quirks.extra,
        }
        if front.quirks.resource:
            parameters[front.quirks.resource] = wish.resource
        if not parameters["scope"]:
            del parameters["scope"]
        return leave_for(with_parameters(endpoint, parameters))


def read_query(request: Request) -> Parameters:
    """The parameters of the address; raises `Shown`, since nobody is known yet who could be told."""
    try:
        return read(request.scope["query_string"])
    except OAuthError as error:
        raise Shown(f"The app's request cannot be read. {START_AGAIN}", detail=str(error)) from None


def hints_for(asked: Parameters, quirks: Quirks) -> dict[str, str]:
    """What a client may say of the issuer's login: who is expected, and whether to ask (OpenID Connect §3.1.2.1).

    Without it nobody could leave an account that the issuer still remembers. To ask for consent is ours.
    """
    prompt = " ".join(word for word in asked.get("prompt").split() if word in quirks.prompts)
    hints = {"prompt": prompt, "login_hint": asked.get("login_hint")[:MAX_HINT]}
    return {name: value for name, value in hints.items() if value}


def _client_sentence(error: OAuthError) -> str:
    if isinstance(error, UnknownClient):
        return "The app is not registered here, or not any more. In the app, remove this server and add it again."
    return error.description


def _note(client: Client) -> str:
    """Where the name comes from, if nobody here has checked it."""
    if client.vouched:
        return ""
    if client.described_at:
        return f"The app describes itself so at {client.described_at}."
    if client.name == UNNAMED:
        return "The app did not say what it is called; nobody has checked it."
    return "The app gave this name itself; nobody has checked it."
