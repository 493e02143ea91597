"""What a token says of itself: decoded, never verified, and a hint alone. Nothing here shows the token."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

from deploy.doctor.connection import LEEWAY
from deploy.doctor.findings import quoted
from deploy.doctor.visit import Visit

ID_TOKEN = {"at_hash", "c_hash", "nonce"}  # OpenID Connect Core §3.1.3.6, §3.3.2.11: of ID tokens alone
OTHER_TYPES = ("dpop+jwt", "logout+jwt", "secevent+jwt", "oauth-id-jag+jwt", "client-authentication+jwt")
Doubt = tuple[str, str, str]  # id, what, change


def read_claims(token: str) -> dict[str, Any] | None:
    """The claims of a JWT with the `typ` of its header; None where it is none that can be read."""
    head, payload = (_segment(each) for each in (*token.split("."), "", "")[:2])
    if token.count(".") != 2 or head is None or payload is None:
        return None
    return {**payload, "typ": head.get("typ")}


def _segment(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def audiences(claims: dict[str, Any]) -> list[str]:
    """The audiences that a token names."""
    said = claims.get("aud")
    return [each for each in (said if isinstance(said, list) else [said]) if isinstance(each, str)]


def granted(claims: dict[str, Any]) -> list[str]:
    """The scopes that a token holds; some issuers call them scp, and write a list."""
    said = claims.get("scope", claims.get("scp"))
    if isinstance(said, str):
        return said.split()
    return [each for each in said if isinstance(each, str)] if isinstance(said, list) else []


def number(claims: dict[str, Any], name: str) -> float | None:
    """A time of a token, in seconds since the epoch."""
    said = claims.get(name)
    if isinstance(said, bool) or not isinstance(said, (int, float)):
        return None
    try:
        return float(said) if math.isfinite(said) else None
    except OverflowError:
        return None


def span(seconds: float) -> str:
    """A time in words."""
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"


def in_words(claims: dict[str, Any], now: float) -> str:
    """Whose token it is, for whom and until when; not who logged in."""
    ends = number(claims, "exp")
    until = (
        "no end" if ends is None else f"ended {span(now - ends)} ago" if ends < now else f"ends in {span(ends - now)}"
    )
    client = claims.get("client_id") or claims.get("azp")
    return (
        f"issuer {quoted(claims.get('iss'))}, audience {quoted(claims.get('aud'))}, client {quoted(client)}, "
        f"scope {quoted(' '.join(granted(claims)))}, {until}"
    )


def doubts(visit: Visit) -> Iterator[Doubt]:
    """What the claims of a refused token suggest."""
    if (claims := visit.claims) is not None:
        parts = _times(visit, claims), _kind(claims), _issuer(visit, claims), _audience(visit, claims)
        yield from itertools.chain(*parts, _scopes(visit, claims))


def _times(visit: Visit, claims: dict[str, Any]) -> Iterator[Doubt]:
    now = visit.now()
    ends = number(claims, "exp")
    if ends is None:
        yield "token-expired", "The token has no exp that is a number.", "Let the issuer write exp into access tokens."
    elif ends < now:
        yield (
            "token-expired",
            f"The token ended {span(now - ends)} ago, by this machine's clock.",
            "Obtain a fresh one: bearergate token URL, or refresh it; if it is fresh, set the issuer's clock by NTP.",
        )
    for name in ("nbf", "iat"):
        begins = number(claims, name)
        if begins is not None and begins > now + LEEWAY:
            yield (
                "token-early",
                f"{name} of the token is {span(begins - now)} ahead of this machine's clock.",
                "Set the clock of the issuer, or this one, by NTP.",
            )


def _kind(claims: dict[str, Any]) -> Iterator[Doubt]:
    use, kind = claims.get("token_use"), claims.get("typ")
    change = "Send the access token of the same answer (access_token, not id_token or refresh_token)."
    if use is not None and use != "access":
        yield "token-kind", f"token_use of the token is {quoted(use)}: it is no access token.", change
    elif isinstance(kind, str) and kind.lower() in OTHER_TYPES:
        yield "token-kind", f"typ of the token is {quoted(kind)}: it is no access token.", change
    elif use is None and (marks := sorted(ID_TOKEN & claims.keys())):
        yield "token-kind", f"The token has {' and '.join(marks)}, as ID tokens do and access tokens do not.", change
    if isinstance(claims.get("cnf"), dict):
        yield (
            "token-bound",
            "The token is bound to a key (cnf), so it is worth nothing as a bearer token.",
            "Let the client ask for a plain bearer token: switch off DPoP or mTLS binding for it at the issuer.",
        )


def _issuer(visit: Visit, claims: dict[str, Any]) -> Iterator[Doubt]:
    said, named = claims.get("iss"), visit.metadata.get("authorization_servers")
    if not isinstance(named, list) or any(isinstance(each, str) and visit.asker.is_home(each) for each in named):
        return  # a facade: its issuer is not the tokens'
    if said not in named:
        yield (
            "token-issuer",
            f"iss of the token is {quoted(said)}, and the resource names {', '.join(map(quoted, named[:3]))}.",
            (
                "Log in at the issuer that the resource names. Behind a facade they differ by design: then iss must "
                "stand under issuers, to the letter."
            ),
        )


def _audience(visit: Visit, claims: dict[str, Any]) -> Iterator[Doubt]:
    found = audiences(claims)
    if visit.url in found or visit.metadata.get("resource") in found:
        return
    if found:
        yield (
            "token-audience",
            f"The token is for {', '.join(map(quoted, found[:3]))}, and {visit.url} was asked.",
            (
                f"Let the client ask with resource={visit.url}; what the issuer writes instead can be put under "
                "aliases of the resource."
            ),
        )
        return
    client = claims.get("client_id") or claims.get("azp")
    yield (
        "token-audience",
        (
            f"The token names no audience. Cognito writes aud only where the client asked with resource; without, the "
            f"gate wants the client ({quoted(client)}) under client_ids, and a scope of its own resource server."
        ),
        (
            f"Let the client ask with resource={visit.url} (managed login, Essentials or Plus), or add the client to "
            "client_ids of the issuer."
        ),
    )


def _scopes(visit: Visit, claims: dict[str, Any]) -> Iterator[Doubt]:
    lacks = [scope for scope in visit.scopes if scope not in granted(claims)]
    if lacks:
        yield (
            "token-scope",
            f"The token lacks {', '.join(map(quoted, lacks[:5]))}, which the server asks for.",
            "Log in again with these scopes; the issuer must grant them to the client (Cognito: AllowedOAuthScopes).",
        )
