"""What a browser carries between the pages of a login: a random name of its own, and what its person has approved.

On https the cookies have the `__Host-` prefix, so that no other host and no plain http can set them. On loopback
they cannot have it: browsers and command-line clients differ about `Secure` there.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from gateway.facade.redirects import without_port
from gateway.facade.sealed import APPROVALS, Wish, fingerprint
from gateway.seal import Seal, Unsealable

if TYPE_CHECKING:
    from starlette.responses import Response

DAY = 86_400
REMEMBERED = 24  # consents
NAME = re.compile(r"[A-Za-z0-9_-]{32}")  # 24 random bytes in Base64url
MAX_COOKIE = 1_800  # characters; the head of an answer is to fit into the 4 KB that nginx reads of one by default


class Approval(msgspec.Struct, frozen=True, array_like=True):
    """One consent: that a client, at one redirect, gets some scopes for one resource."""

    client: str  # fingerprint of client, redirect and resource
    scopes: tuple[str, ...]
    given_at: int  # seconds since the epoch


class Approvals(msgspec.Struct, frozen=True, array_like=True):
    """The consents one browser remembers."""

    browser: str
    approvals: tuple[Approval, ...] = ()


class Browsers:
    """Reads and writes the two cookies."""

    def __init__(self, seal: Seal, *, secure: bool, consent_days: int, now: Callable[[], float] = time.time) -> None:
        prefix = "__Host-" if secure else ""
        self.name_cookie = f"{prefix}bearergate-browser"
        self.approvals_cookie = f"{prefix}bearergate-approvals"
        self._secure = secure
        self._seal = seal
        self._seconds = consent_days * DAY
        self._now = now

    def name(self, cookies: Mapping[str, str]) -> str:
        """The browser's name: the one it has, or a new one."""
        given = cookies.get(self.name_cookie, "")
        return given if NAME.fullmatch(given) else secrets.token_urlsafe(24)

    def is_of(self, cookies: Mapping[str, str], wish: Wish) -> bool:
        """Whether a wish was made in this very browser."""
        return secrets.compare_digest(fingerprint(cookies.get(self.name_cookie, "")), wish.browser)

    def approved(self, cookies: Mapping[str, str], client_id: str, wish: Wish) -> bool:
        """Whether the person has approved all of this before, in this browser and lately."""
        key = _key(client_id, wish)
        return any(
            approval.client == key and set(wish.scopes) <= set(approval.scopes)
            for approval in self._approvals(cookies, wish.browser)
        )

    def keep_name(self, response: Response, name: str) -> None:
        """Have the browser keep its name."""
        self._set(response, self.name_cookie, name, max(self._seconds, DAY))

    def keep_approval(self, response: Response, cookies: Mapping[str, str], client_id: str, wish: Wish) -> None:
        """Have the browser remember a consent, and forget the oldest ones where there are too many."""
        if not self._seconds:
            return
        key = _key(client_id, wish)
        others = [approval for approval in self._approvals(cookies, wish.browser) if approval.client != key]
        approvals = [Approval(key, wish.scopes, int(self._now())), *others][:REMEMBERED]
        value = self._sealed(wish.browser, approvals)
        while len(value) > MAX_COOKIE and approvals:
            approvals.pop()
            value = self._sealed(wish.browser, approvals)
        self._set(response, self.approvals_cookie, value, self._seconds)

    def _sealed(self, browser: str, approvals: list[Approval]) -> str:
        return self._seal.seal(APPROVALS, Approvals(browser, tuple(approvals)), self._seconds)

    def _approvals(self, cookies: Mapping[str, str], browser: str) -> list[Approval]:
        try:
            kept = self._seal.open(APPROVALS, cookies.get(self.approvals_cookie, ""), Approvals)
        except Unsealable:
            return []
        oldest = self._now() - self._seconds
        return [approval for approval in kept.approvals if kept.browser == browser and approval.given_at > oldest]

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        # Lax, not Strict: the way back from the issuer is a navigation that another site began.
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax")


def _key(client_id: str, wish: Wish) -> str:
    return fingerprint("\n".join((client_id, without_port(wish.redirect_uri), wish.resource)))
