"""The issuer behind the facade: where its endpoints are, and the requests that our own client makes there."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import msgspec

from gateway.facade.errors import OAuthError, issuer_unavailable

if TYPE_CHECKING:
    import httpx

    from discovery.issuer import IssuerMetadata

FRESH = 3600.0  # seconds its metadata is used
RETRY = 30.0  # seconds before metadata that could not be had is asked for again, while an older one serves
TIMEOUT = 10.0  # seconds for one answer of the token endpoint
MAX_ANSWER = 256 * 1024  # bytes
# What ends a login: Entra, for one, asks for a second factor at a refresh in these words of OpenID Connect.
LOGIN_AGAIN = frozenset({"invalid_grant", "interaction_required", "login_required", "consent_required"})
SECRETS = ("code", "code_verifier", "refresh_token", "token")  # fields of a request

Discover = Callable[[], Awaitable["IssuerMetadata"]]


class Answer(msgspec.Struct, kw_only=True):
    """What a token endpoint answers (RFC 6749 §5.1, §5.2)."""

    access_token: str = ""
    token_type: str = ""
    expires_in: int | float | str | None = None
    refresh_token: str = ""
    scope: str | None = None
    error: str = ""
    error_description: str = ""


class Issuer:
    """Talks to the issuer as the client that the facade is there. One pool of connections, opened at the first use."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        discover: Discover,
        *,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client_id = client_id
        self._secret = client_secret
        self._discover = discover
        self._make_transport = transport
        self._transport: httpx.AsyncBaseTransport | None = None
        self._metadata: IssuerMetadata | None = None
        self._fresh_until = float("-inf")
        self._failed_at = float("-inf")
        self._failure = ""
        self._turn = asyncio.Lock()
        self._now = now

    async def metadata(self) -> IssuerMetadata:
        """What the issuer publishes, an hour old at most; older while it cannot be asked.

        Raises:
            OAuthError: temporarily_unavailable; it never could be asked.
        """
        from discovery.issuer import IssuerError  # noqa: PLC0415 - with the first login, not at start

        asked_at = self._now()
        if self._metadata is not None and (asked_at < self._fresh_until or self._turn.locked()):
            return self._metadata  # what it said last will do while somebody else asks again
        async with self._turn:
            if self._metadata is None and self._failed_at > asked_at:  # while this one waited for its turn
                raise issuer_unavailable(self._failure)
            if self._metadata is None or self._now() >= self._fresh_until:
                try:
                    self._metadata = await self._discover()
                    self._fresh_until = self._now() + FRESH
                except IssuerError as error:
                    if self._metadata is None:
                        self._failed_at, self._failure = self._now(), str(error)
                        raise issuer_unavailable(self._failure) from None
                    self._fresh_until = self._now() + RETRY
            return self._metadata

    async def tokens(self, form: dict[str, str]) -> Answer:
        """The issuer's answer to a grant, its errors already in the words of ours.

        Raises:
            OAuthError: invalid_grant and other errors that are the client's; server_error where it is our client
                that was refused; temporarily_unavailable where nothing was lost.
        """
        endpoint = (await self.metadata()).token_endpoint
        if not endpoint:
            raise _broken("its metadata names no token_endpoint")
        status, answer = await self._post(endpoint, form)
        if status == 200 and answer.access_token:
            return answer
        raise _refusal(status, answer, form)

    async def revoke(self, token: str) -> None:
        """End a refresh token at the issuer; raises as `tokens` does."""
        endpoint = (await self.metadata()).revocation_endpoint
        if not endpoint:
            raise OAuthError("unsupported_token_type", "The issuer cannot revoke tokens.")
        form = {"token": token, "token_type_hint": "refresh_token"}
        status, answer = await self._post(endpoint, form)
        if status != 200:
            raise _refusal(status, answer, form)

    async def close(self) -> None:
        """Close the connections to the issuer."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def _post(self, url: str, form: dict[str, str]) -> tuple[int, Answer]:
        import httpx  # noqa: PLC0415 - costs 50 ms, which a cold start need not pay

        request = self._request(url, await self._authenticated(form))
        try:
            async with asyncio.timeout(TIMEOUT):
                # A transport, not a client: no redirect, cookie, proxy or log line, and a third of the time.
                response = await self._open().handle_async_request(request)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, OSError) as error:
            raise issuer_unavailable(f"{url}: no answer ({type(error).__name__})") from None
        return response.status_code, _answer(response.status_code, body, url)

    def _request(self, url: str, given: tuple[dict[str, str], dict[str, str]]) -> httpx.Request:
        import httpx  # noqa: PLC0415 - see _post

        form, headers = given
        return httpx.Request(
            "POST",
            url,
            content=urlencode(form).encode(),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "bearergate",
                **headers,
            },
            extensions={"timeout": httpx.Timeout(TIMEOUT).as_dict()},
        )

    async def _authenticated(self, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """The form and headers with our client's id and secret, in the way the issuer takes them (RFC 6749 §2.3.1)."""
        if not self._secret:
            return {**form, "client_id": self.client_id}, {}
        methods = (await self.metadata()).token_endpoint_auth_methods_supported
        if "client_secret_basic" in methods or "client_secret_post" not in methods:
            # As %20 a blank is read by those who decode a form, and by those who decode no more than a URL.
            pair = f"{quote(self.client_id, safe='')}:{quote(self._secret, safe='')}"
            return form, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {**form, "client_id": self.client_id, "client_secret": self._secret}, {}

    def _open(self) -> httpx.AsyncBaseTransport:
        if self._transport is None:
            import httpx  # noqa: PLC0415 - see _post

            make = self._make_transport or httpx.AsyncHTTPTransport
            self._transport = make()
        return self._transport


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise _broken(f"its answer is larger than {MAX_ANSWER} bytes")
    return bytes(body)


def _answer(status: int, body: bytes, url: str) -> Answer:
    try:
        members = msgspec.json.decode(body or b"{}", type=dict[str, object])
        return msgspec.convert({name: value for name, value in members.items() if value is not None}, Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        if status >= 500 or status == 429:
            return Answer()
        raise _broken(f"{url} answers {status} with something that is no token answer") from None


def _refusal(status: int, answer: Answer, form: dict[str, str]) -> OAuthError:
    """What an error of the issuer means to the client (RFC 6749 §5.2)."""
    said = answer.error_description
    for value in (form[name] for name in SECRETS if name in form):
        said = said.replace(value, "...")  # some issuers repeat what they were sent, and this is for the log
    detail = f"the issuer answers {status} {answer.error[:100]} {said[:200]}".strip()
    if status == 429 or status >= 500:
        return issuer_unavailable(detail)
    if answer.error in LOGIN_AGAIN:
        sentence = "The code or refresh token is used, over or revoked: log in again."
        return OAuthError("invalid_grant", sentence, detail=detail)
    if answer.error in ("invalid_scope", "invalid_target"):
        return OAuthError(answer.error, "The issuer does not grant this: log in again.", detail=detail)
    return _broken(detail)


def _broken(detail: str) -> OAuthError:
    return OAuthError(
        "server_error", "The issuer refused this server: tell whoever runs it.", status=502, detail=detail
    )
