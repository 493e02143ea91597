"""Makes the tokens of a login: the claims come from the profile, the time from the clock, the keys from the set."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError

from .signing import SigningKey, sign, usual_algorithm

if TYPE_CHECKING:
    from .approval import Approval
    from .clock import Clock
    from .keys import Keys
    from .profile import Claims, Profile

ABSENT: Final[EllipsisType] = ...  # as a value among changes: the member is left out


@dataclass(frozen=True)
class Lifetimes:
    """How long what the issuer hands out is good for, in seconds."""

    access: int = 3600
    refresh: int = 30 * 24 * 3600
    code: int = 300
    login: int = 600


class TokenAnswer(dict[str, Any]):
    """The members of a token answer; Authlib logs it, so it does not show what it holds."""

    def __repr__(self) -> str:
        return "<token answer>"


def changed(original: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The same members with `changes` made; those changed to `ABSENT` are left out."""
    merged = {**original, **changes}
    return {name: value for name, value in merged.items() if value is not ABSENT}


class Mint:
    """Access and ID tokens of one issuer, signed with its current keys."""

    def __init__(self, profile: Profile, keys: Keys, clock: Clock, lifetimes: Lifetimes) -> None:
        self._profile = profile
        self._keys = keys
        self._clock = clock
        self._lifetimes = lifetimes

    def access_claims(self, approval: Approval) -> Claims:
        """The claims of an access token issued now."""
        now = int(self._clock.now())
        return self._profile.access_claims(approval, now, now + self._lifetimes.access)

    def id_claims(self, approval: Approval, access_token: str | None = None) -> Claims:
        """The claims of an ID token issued now, with the hash of the access token beside it."""
        now = int(self._clock.now())
        claims = self._profile.id_claims(approval, now, now + self._lifetimes.access)
        if access_token is not None:
            # OpenID Connect Core §3.1.3.6: the left half of the hash.
            half = hashlib.sha256(access_token.encode()).digest()[:16]
            claims["at_hash"] = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
        if approval.nonce:
            claims["nonce"] = approval.nonce
        if approval.user and approval.user.email and "email" in approval.scopes:
            claims |= {"email": approval.user.email, "email_verified": True}
        return claims

    def header(self, key: SigningKey, alg: str | None, *, access: bool) -> dict[str, Any]:
        """The header of a token signed with `key`; one without a name of its own goes by the access key's."""
        kid = self._keys.access.kid if isinstance(key, bytes) else key.kid
        named = {} if kid is None else {"kid": kid}
        kind = self._profile.token_header() if access else {}
        return {**named, "alg": alg or usual_algorithm(key), **kind}

    def access_token(self, approval: Approval) -> str:
        """A signed access token."""
        key = self._keys.access
        return sign(self.header(key, None, access=True), self.access_claims(approval), key)

    def id_token(self, approval: Approval, access_token: str | None = None) -> str:
        """A signed ID token, bound to the access token beside it."""
        key = self._keys.id
        return sign(self.header(key, None, access=False), self.id_claims(approval, access_token), key)

    def opened(self, token: str) -> Claims | None:
        """The claims of a token that this issuer signed with a key it still publishes, expired or not; else None."""
        try:
            header = jws.extract_compact(token.encode()).headers()
            key = self._keys.verifier(str(header.get("kid")))
            return jwt.decode(token, key, algorithms=["RS256"]).claims if key else None
        except (JoseError, ValueError):
            return None

    def answer(self, approval: Approval, refresh_token: str | None) -> TokenAnswer:
        """The members of a successful token answer (RFC 6749 §5.1)."""
        access_token = self.access_token(approval)
        answer = TokenAnswer(
            access_token=access_token,
            token_type="Bearer",  # noqa: S106 - a word of the protocol
            expires_in=self._lifetimes.access,
            **self._profile.answer_scope(approval),
        )
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        if approval.user and "openid" in approval.scopes:
            answer["id_token"] = self.id_token(approval, access_token)
        return answer
