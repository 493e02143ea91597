"""The issuer that the target trusts, in the hands of the judge: it makes every token, the broken ones included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import ECKey, RSAKey
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .issuer import Client, Issuer, Keys, User, rsa_key
from .issuer.instrument import Changes
from .issuer.tokens import ABSENT

FIRST, SECOND = "conformance-first", "conformance-second"
PASSWORD = "conformance-password"  # noqa: S105 - of users that exist only in this process, on loopback

__all__ = ["ABSENT", "FIRST", "PASSWORD", "SECOND", "Control", "Late"]


@dataclass
class Late:
    """Keys that are published only after the target has fetched the key set once, and what is wrong with each."""

    good: RSAKey
    short: RSAKey  # 1024 bits
    encryption: RSAKey  # published for encryption
    curve: ECKey  # P-384


class Control:
    """A plain issuer at `url`, and the shape of tokens that the target is to accept."""

    def __init__(
        self, url: str, client: str, claims: dict[str, Any], clients: Iterable[str] = (), scopes: Iterable[str] = ()
    ) -> None:
        users = [User(FIRST, PASSWORD), User(SECOND, PASSWORD)]
        self.issuer = Issuer.plain(
            url,
            users=users,
            keys=_keys().copy(),
            clients=map(_client, clients),
            scopes=dict.fromkeys(scopes, "Judge it"),
        )
        self.port = urlsplit(url).port or 443
        self.elsewhere = b""  # what is answered where key sets must not be fetched from
        self.visits: list[str] = []  # the paths that somebody asked for
        self.client = client
        self.usual = claims
        self.audience = ""
        self.scopes: tuple[str, ...] = ()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The issuer as an ASGI app that remembers which paths are asked for."""
        self.visits.append(scope["path"])
        if scope["path"] == "/conformance-elsewhere":
            await Response(self.elsewhere, media_type="application/json")(scope, receive, send)
            return
        await self.issuer.app(scope, receive, send)

    def token(
        self,
        user: str | None = FIRST,
        *,
        scopes: Iterable[str] | None = None,
        header: dict[str, Any] | bytes | None = None,
        claims: dict[str, Any] | bytes | None = None,
        **changes: Any,
    ) -> str:
        """A token that the target has to accept, but for what is changed.

        `changes` may hold `key`, `alg` and `signature`, as for the issuer itself.
        """
        made: Changes = {"claims": claims if isinstance(claims, bytes) else {**self.usual, **(claims or {})}}
        if header is not None:
            made["header"] = header
        made |= changes  # type: ignore[typeddict-item]  # the members of Changes
        wanted = self.scopes if scopes is None else scopes
        return self.issuer.token(user, self.client, wanted, self.audience, **made)

    def publish_late(self) -> None:
        """Publish keys that the target cannot know yet."""
        self.late: Late = self._late()

    def _late(self) -> Late:
        curve = ECKey.generate_key("P-384", {"kid": "conformance-p384"}, private=True)
        made = Late(*_late_keys(), curve)
        for key in (made.good, made.short, made.curve):
            self.issuer.keys.publish(key)
        self.issuer.keys.publish({**made.encryption.as_dict(private=False), "use": "enc"})
        return made

    def claims(self, user: str | None = FIRST, **changes: Any) -> dict[str, Any]:
        """The claims of a token that the target has to accept, but for the changes."""
        made = self.issuer.claims(user, self.client, self.scopes, self.audience, **{**self.usual, **changes})
        return dict(made)

    def header(self, **changes: Any) -> dict[str, Any]:
        """The header of a token that the target has to accept, but for the changes."""
        usual = {"alg": "RS256", "kid": self.issuer.keys.access.kid, "typ": "at+jwt", **changes}
        return {name: value for name, value in usual.items() if value is not ABSENT}


@cache
def _late_keys() -> tuple[RSAKey, RSAKey, RSAKey]:
    return rsa_key(), rsa_key(1024), rsa_key()


@cache
def _keys() -> Keys:
    """Two keys for as long as the process lives: making them takes a moment."""
    return Keys()


def _client(text: str) -> Client:
    credentials, _, redirects = text.partition("=")
    name, _, secret = credentials.partition(":")
    return Client(name, tuple(filter(None, redirects.split(","))), secret or None)
