"""What the issuer remembers between requests: logins under way, codes and refresh tokens, all bounded."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, TokenMixin

from .bounded import Bounded

if TYPE_CHECKING:
    from .approval import Approval
    from .clock import Clock
    from .profile import Profile
    from .requests import IssuerRequest
    from .tokens import Lifetimes

_LOGINS = 1000
_CODES = 10_000
_REFRESH_TOKENS = 50_000
ATTEMPTS = 10  # wrong passwords before a login has to be started anew


@dataclass
class Login:
    """An authorization request whose user has yet to say who they are."""

    request: IssuerRequest
    expires_at: float
    attempts_left: int = ATTEMPTS


@dataclass
class Family:
    """One login's refresh tokens: each one but the last is superseded, and they end together."""

    approval: Approval
    expires_at: float
    revoked: bool = False


@dataclass
class Code(AuthorizationCodeMixin):  # type: ignore[misc]  # Authlib ships no types
    """An authorization code, good for one presentation by its client."""

    approval: Approval
    redirect_uri: str
    code_challenge: str | None = field(repr=False)
    code_challenge_method: str | None
    expires_at: float
    presented: bool = False
    family: Family | None = None  # what came of it

    def get_redirect_uri(self) -> None:
        """Nothing for Authlib to compare: `CodeGrant` did, in the profile's way."""

    def get_scope(self) -> str:
        return " ".join(self.approval.scopes)


@dataclass
class RefreshToken(TokenMixin):  # type: ignore[misc]  # Authlib ships no types
    """One refresh token of a family."""

    family: Family
    superseded_at: float | None = None

    def check_client(self, client: Any) -> bool:
        return bool(self.family.approval.client_id == client.get_client_id())

    def get_scope(self) -> str:
        return " ".join(self.family.approval.scopes)


class Ledger:
    """The memory of one issuer. The oldest entries make room; expired ones are refused when they are read."""

    def __init__(self, profile: Profile, clock: Clock, lifetimes: Lifetimes) -> None:
        self._profile = profile
        self._clock = clock
        self._lifetimes = lifetimes
        self._logins: Bounded[Login] = Bounded(_LOGINS)
        self._codes: Bounded[Code] = Bounded(_CODES)
        self._refresh_tokens: Bounded[RefreshToken] = Bounded(_REFRESH_TOKENS)

    def open_login(self, request: IssuerRequest) -> str:
        """A random value that stands for this authorization request until its user has logged in."""
        login_id = secrets.token_urlsafe(32)
        self._logins[login_id] = Login(request, self._clock.now() + self._lifetimes.login)
        return login_id

    def login(self, login_id: str) -> Login | None:
        """The login under way of this id; None once it is over or out of time."""
        login = self._logins.get(login_id)
        return login if login and self._clock.now() < login.expires_at else None

    def close_login(self, login_id: str) -> None:
        """The login is over, whatever came of it."""
        self._logins.pop(login_id, None)

    def save_code(self, code: str, approval: Approval, redirect_uri: str, proof: tuple[str | None, str | None]) -> None:
        """Remember a code with its challenge and the challenge's method."""
        expires_at = self._clock.now() + self._lifetimes.code
        self._codes[code] = Code(approval, redirect_uri, *proof, expires_at)

    def present_code(self, code: str, client_id: str) -> Code | None:
        """The code's entry if its client presents it in time and for the first time (OAuth 2.1 §4.1.3).

        A second presentation revokes what came of the first one, where the profile does that.
        """
        entry = self._codes.get(code)
        if entry is None or entry.approval.client_id != client_id:
            return None
        if entry.presented:
            if entry.family and self._profile.reuse_revokes:
                entry.family.revoked = True
            return None
        entry.presented = True
        return entry if self._clock.now() < entry.expires_at else None

    def start_family(self, approval: Approval) -> Family:
        """The family of refresh tokens that a login begins."""
        return Family(approval, self._clock.now() + self._lifetimes.refresh)

    def add_refresh_token(self, family: Family) -> str:
        """A new refresh token, as long-lived as what is left of its family's life."""
        token = self._profile.new_refresh_token()
        self._refresh_tokens[token] = RefreshToken(family)
        return token

    def refresh_token(self, token: str) -> RefreshToken | None:
        """The entry of a refresh token of this issuer, usable or not."""
        return self._refresh_tokens.get(token)

    def accept(self, token: RefreshToken) -> bool:
        """Whether a refresh token still works; replaying a superseded one ends its family where that is the rule."""
        now = self._clock.now()
        if token.family.revoked or now >= token.family.expires_at:
            return False
        if token.superseded_at is None or now - token.superseded_at < self._profile.grace:
            return True
        if self._profile.reuse_revokes:
            token.family.revoked = True
        return False

    def supersede(self, token: RefreshToken) -> None:
        """A newer token took this one's place; the first time counts for the grace."""
        if token.superseded_at is None:
            token.superseded_at = self._clock.now()

    def revoke_user(self, name: str) -> None:
        """End every login of a user: codes not yet presented, and every refresh token."""
        for code in self._codes.values():
            if code.approval.user and code.approval.user.name == name:
                code.presented = True
        for token in self._refresh_tokens.values():
            if token.family.approval.user and token.family.approval.user.name == name:
                token.family.revoked = True
