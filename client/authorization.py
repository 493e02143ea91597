"""Every request with a token: kept from last time, renewed ahead of its end, or asked for when the server wants one.

It is the SDK's OAuth provider: that builds the authorization, token and refresh requests and reads their answers. What
is ours is where the requests may go, whose metadata is believed, when a token is renewed and by whom, and what is kept.
"""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthFlowError, OAuthTokenError
from mcp.client.auth.utils import validate_authorization_response_iss

from client.clients import Choice, metadata_for
from client.demand import Demand, demand_of, scopes_to_ask
from client.errors import ClientError, Misbehaved, NotAuthorized, NotLoggedIn, Unreachable
from client.exchange import current, to_its_end, while_wanted
from client.find import Found, find
from client.holding import Holding
from client.login import Person, Visit, check_endpoint
from client.machine import grant
from client.outbound import Outbound
from client.plain import line
from client.settings import Settings
from client.token_answer import bounded_lifetime, check_given, is_refusal
from client.tokens import Login, Logins
from client.vault import Closed

ATTEMPTS = 3  # to satisfy a server, per request
RETRY_SECONDS = 30  # between tries to renew ahead of the end, while the token is good
STEP_UPS = 2  # for the same scopes, per connection: who has them and is asked again is not helped by a third time


@dataclass
class Tried:
    """What was done for one request already."""

    renewed: bool = False
    logged_in: bool = False
    stepped_up: frozenset[str] | None = None  # the scopes that were asked for


class Authorization(Holding):
    """Puts the token of one server into its requests. Without a `person` nobody can be asked to log in."""

    def __init__(
        self,
        settings: Settings,
        logins: Logins,
        outbound: Outbound,
        person: Person | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(settings.url, logins, now)
        self.settings = settings
        self.outbound = outbound
        self.person = person
        self._choice = Choice(settings, logins, outbound)
        self._retry_at = 0.0  # when a renewal ahead of the end that failed is tried again
        self._step_ups: Counter[frozenset[str]] = Counter()

    async def _auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        tried = Tried()
        await self._prepare()
        for _ in range(ATTEMPTS):
            used = self._present(request)
            response = yield request
            demand = demand_of(response)
            if tried.stepped_up is not None and response.status_code not in (401, 403):
                del self._step_ups[tried.stepped_up]  # they were what it needed, and may end with their token
            if demand is None and response.status_code == 403:
                current().refusal = NotAuthorized("The server forbids this, and does not say what would help")
            if demand is None or current().refusal:
                return
            try:
                async with self.context.lock:
                    await self._satisfy(demand, used, tried)
            except ClientError as refusal:
                current().refusal = refusal
                return
        self._present(request)
        if demand_of((yield request)):
            current().refusal = NotAuthorized("The server goes on asking for more, whatever token it gets")

    @property
    def token(self) -> str | None:
        """The access token that requests carry now."""
        if self.login and self.settings.auth_method != "lambda":
            return self.login.access_token
        return self.settings.access_token or None

    def _present(self, request: httpx2.Request) -> str | None:
        """Put the token where it belongs, and nowhere else (MCP, Token Requirements)."""
        if self.token is None:
            request.headers.pop("Authorization", None)
        else:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return self.token

    async def _prepare(self) -> None:
        """Load what is kept, and renew it before it ends. What fails here fails again, and is said, at the 401."""
        async with self.context.lock:
            if not self._initialized:
                self._initialized = True
                if self.settings.auth_method != "lambda":
                    self.adopt(self.logins.find(self.settings.url))
            now = self._now()
            if self.login and not self.login.is_fresh(now) and now >= self._retry_at:
                try:
                    await self.renew(self.login.access_token)
                except ClientError:
                    self._retry_at = now + RETRY_SECONDS

    async def _satisfy(self, demand: Demand, used: str | None, tried: Tried) -> None:
        """Have a token that the server may like better, or say why there is none."""
        if used != self.token:
            return  # another request of this program was faster
        if self.settings.auth_method == "lambda":
            given = self.settings.access_token
            raise NotAuthorized(
                "The server refuses the token of ACCESS_TOKEN"
                if given
                else "The server wants a token, and with the auth method lambda that is ACCESS_TOKEN, which is not set"
            )
        if self._has_newer(used):
            return
        if self.found is None or not demand.more_scopes:
            self.found = await self._find(demand)
        issuer = self.found.issuer.issuer
        if self.login and (self.login.issuer, self.login.resource) != (issuer, self.found.resource):
            self.adopt(None)  # SEP-2352: nothing that one issuer gave is shown to another
        if not demand.more_scopes and not tried.renewed and used:
            tried.renewed = True
            if await self.renew(used):
                return
        await self._authorize_again(demand, self.found, tried)

    async def _find(self, demand: Demand) -> Found:
        preferred = self.settings.issuer or (self.login.issuer if self.login else "")
        found = await find(self.settings.url, demand.challenge, self.outbound, preferred)
        if self.settings.auth_method == "auto" and not found.published and demand.challenge is None:
            if self.settings.access_token:
                raise NotAuthorized("The server refuses the token of ACCESS_TOKEN, and names no issuer of others")
            if self.settings.client_id == "" and not self.found:
                raise NotAuthorized(
                    "The server wants a token but names no issuer: behind a Lambda authorizer, set ACCESS_TOKEN; "
                    "if it is of revision 2025-03-26, use AUTH_METHOD=oauth"
                )
        return found

    def _has_newer(self, used: str | None) -> bool:
        """Whether another program logged in, renewed or asked for more meanwhile; its login is then used."""
        kept = self.logins.find(self.settings.url)
        if kept is None or kept.access_token == used or not kept.is_fresh(self._now()):
            return False
        self.adopt(kept)
        return True

    async def renew(self, used: str) -> bool:
        """Whether there is a newer token than `used` now; no other process renews it at the same time.

        Raises:
            ClientError: the issuer cannot be asked.
        """
        if self.login is None:
            return False
        async with self.logins.alone(self.login.issuer, self.login.resource):
            kept = self.logins.find(self.settings.url)
            if kept and kept.access_token != used and kept.issuer == self.login.issuer:
                self.adopt(kept)  # another process was here first
                if kept.is_fresh(self._now()):
                    return True
            if self.settings.client_credentials:
                await self._authorize_machine(self.login.scope)
                return True
            if kept is None and self.logins.is_gone(self.settings.url):
                self.adopt(None)  # another program logged out: what it could not revoke does not come back
                return False
            self.adopt(self.login)  # a login that failed since may have left another client, or issuer, with the SDK
            return self.login.refresh_token is not None and await to_its_end(self._refresh(self.login))

    async def _refresh(self, login: Login) -> bool:
        response = await self.outbound.send(await self._refresh_token())
        if not is_refusal(response):
            if response.status_code != HTTPStatus.OK:
                said = f"The issuer renews no token now (status {response.status_code})"
                raise Unreachable(f"{said}: try again later, or log in")
            with bounded_lifetime():
                if await self._handle_refresh_response(response):
                    return True
            raise Misbehaved("What the issuer answers to a renewal is no token: try again later, or log in")
        with suppress(Closed):  # who finds it there tries it in vain
            self.logins.forget(self.settings.url, login)
        self.adopt(None)  # revoked, rotated elsewhere, or too old: it will never work again (OAuth 2.1 §4.3)
        return False

    async def _authorize_again(self, demand: Demand, found: Found, tried: Tried) -> None:
        if demand.more_scopes:
            self._count(demand, tried)
        elif tried.logged_in:
            raise NotAuthorized("The server refuses the token that its issuer gave just now")
        tried.logged_in = True
        await self.authorize(demand, found)

    def _count(self, demand: Demand, tried: Tried) -> None:
        asked = demand.scopes
        self._step_ups[asked] += 1
        tried.stepped_up = asked
        if self._step_ups[asked] > STEP_UPS:
            raise NotAuthorized(f"You may not do this: it needs {_listed(asked)}, which your login does not get")

    async def authorize(self, demand: Demand, found: Found) -> None:
        """Get a token for what the server demands, from a person or with the client's own secret.

        Raises:
            ClientError: there is none to be had.
        """
        granted = self.login.scope if self.login else None
        scope = scopes_to_ask(demand, found, self.settings.scope, granted)
        self.found = found
        self.believe(found)
        if self.settings.client_credentials:
            await self._authorize_machine(scope)
        else:
            await self._authorize_person(found, scope, demand)

    async def _authorize_machine(self, scope: str | None) -> None:
        """Client credentials (OAuth 2.1 §4.2)."""
        found = self.found
        if found is None:
            found = self.found = await find(self.settings.url, None, self.outbound, self.settings.issuer)
            self.believe(found)
        self.context.client_info = self._choice.given(found)
        self.context.client_metadata.scope = scope
        form = await grant(self.settings, found.issuer.issuer)
        form["resource"] = self.context.get_resource_url()
        form |= {"scope": scope} if scope else {}
        form, headers = self.context.prepare_token_auth(form, {})
        request = httpx2.Request("POST", self._get_token_endpoint(), data=form, headers=headers)
        await self._redeem(request)

    async def _authorize_person(self, found: Found, scope: str | None, demand: Demand) -> None:
        """The authorization code flow (OAuth 2.1 §4.1) in a person's browser."""
        here = current()
        if self.person is None or here.unattended or here.over.is_set():  # over: a stream that the SDK keeps open
            raise _not_logged_in(self.settings.url, demand)
        # MCP, Authorization Code Protection: no word about S256, no login
        if found.published and "S256" not in found.issuer.code_challenge_methods_supported:
            raise Misbehaved("The issuer does not say that it checks PKCE with S256, so nobody should log in there")
        if not (found.issuer.authorization_endpoint and found.issuer.token_endpoint):
            raise Misbehaved("The issuer names no place to log in")
        check_endpoint(found.issuer.authorization_endpoint, self.settings.permitted_hosts)
        async with self.person.visit(self._redirect_uri(), self._why(demand)) as visit:
            try:
                with _in_a_sentence():
                    await while_wanted(self._log_in(found, scope, visit), current())
            except ClientError:
                visit.finish("The login did not succeed. The terminal says why.")
                raise
            visit.finish("You are logged in. You can close this page and go back to the terminal.")

    def _why(self, demand: Demand) -> str:
        """What to tell somebody who has logged in before; nothing at the first login."""
        if not demand.more_scopes:
            return ""
        granted = frozenset((self.login.scope or "").split()) if self.login else frozenset()
        return f"This needs {_listed(demand.scopes - granted)}, which your login does not have."

    async def _log_in(self, found: Found, scope: str | None, visit: Visit) -> None:
        here = (found.issuer.issuer, visit.redirect_uri)
        if self.registered != here or self.context.client_info is None:
            self.context.client_metadata = metadata_for(visit.redirect_uri)
            self.context.client_info = await self._choice.client(found, self.context.client_metadata)
            self.registered = here
        self.context.client_metadata.scope = scope
        self._go(visit)
        request = await self._perform_authorization()
        async with self.logins.alone(found.issuer.issuer, self.context.get_resource_url()):  # nobody renews over it
            await self._redeem(request)

    def _redirect_uri(self) -> str:
        """The one that the client was registered with in this program, else the configured one, else none."""
        uris = self.context.client_metadata.redirect_uris
        return str(uris[0]) if uris else self.settings.redirect_uri

    def _go(self, visit: Visit) -> None:
        """Have the SDK send this visitor, and take what the browser brings back."""
        opened: list[str] = []

        async def remember(url: str) -> None:
            endpoint = self.context.oauth_metadata.authorization_endpoint if self.context.oauth_metadata else ""
            if "?" in str(endpoint):  # the SDK begins a second query (RFC 6749 §3.1: the first one stays)
                url = f"{endpoint}&{url.removeprefix(f'{endpoint}?')}"
            opened.append(url)

        async def come_back() -> AuthorizationCodeResult:
            url = opened.pop()
            answer = await visit.go(url)
            if "code" not in answer:
                self._refuse(url, answer)
            return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

        self.context.redirect_handler = remember
        self.context.callback_handler = come_back

    def _refuse(self, url: str, answer: dict[str, str]) -> None:
        """An error, which is shown only if it is from the issuer that was asked (RFC 9207 §2.4)."""
        if answer.get("state") != parse_qs(urlsplit(url).query)["state"][0]:
            raise NotAuthorized("The browser came back with something that does not belong to this login")
        validate_authorization_response_iss(answer.get("iss"), self.context.oauth_metadata)
        why = answer.get("error_description") or answer.get("error") or "no reason given"
        raise NotAuthorized(f"The issuer refused the login: {line(why)[:300]}")

    async def _redeem(self, request: httpx2.Request) -> None:
        response = await self.outbound.send(request)
        check_given(response)
        try:
            with bounded_lifetime():
                await self._handle_token_response(response)
        except OAuthTokenError:  # which repeats what it got, and there may be tokens in it
            raise NotAuthorized("The issuer gives no token: what it answers is none that can be used") from None


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    """What the SDK raises about an answer, as one of ours."""
    try:
        yield
    except OAuthFlowError:  # which repeats what a stranger sent
        raise NotAuthorized(
            "The browser came back with an answer that is not from the issuer that was asked, so it is not used"
        ) from None


def _not_logged_in(url: str, demand: Demand) -> NotAuthorized:
    if demand.more_scopes:
        scope = shlex.quote(line(demand.scope or ""))
        return NotAuthorized(f"Your login is not enough for this: run bearergate login --scope {scope} {line(url)}")
    return NotLoggedIn(f"You are not logged in: run bearergate login {line(url)} (in the shell: auth login)")


def _listed(scopes: frozenset[str]) -> str:
    return ", ".join(line(scope) for scope in sorted(scopes)) or "more scopes"
