"""A token becomes a principal, or the first refusal in an order that is the documentation.

Until the signature holds nothing of a token is read but its header and `iss`, so a stranger's token never costs
more than one look-up of a key. After that everything is checked, and then remembered: the same token again costs
one hash and one look-up.
"""

from __future__ import annotations

import binascii
import json
import sys
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import msgspec
from cachetools import LRUCache

from gateway.errors import (
    BadSignature,
    BoundToken,
    ClientNotAllowed,
    ExpiredToken,
    MalformedToken,
    NotYetValid,
    OversizedToken,
    UnknownIssuer,
    UnsupportedAlgorithm,
    WrongAudience,
    WrongTokenKind,
)
from gateway.keys import KeySet
from gateway.principal import Principal
from gateway.verified_tokens import VerifiedTokens

MAX_TOKEN = 16_384  # bytes; the largest honest tokens, with hundreds of groups, stay below
MAX_NAME = 1_024  # characters of a subject, client or key id
END_OF_TIME = 253_402_300_800.0  # the year 10000: an `exp` beyond it is no date (RFC 7519 §4.1.4)
MEMO = 1_024  # headers and scope strings remembered; tokens of one key and client share them

# Access tokens say so (RFC 9068 §2.1), say JWT, or say nothing; every other declared kind is something else.
ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
PLAIN_TYPES = frozenset({"", "jwt", "application/jwt"})

Claims = dict[str, Any]


class Header(msgspec.Struct, frozen=True, gc=False):
    """What the protected header of a token says, as far as the gate believes it before the signature holds."""

    alg: str
    kid: str | None = None
    typ: str = ""
    crit: Any = msgspec.UNSET  # of these three even null asks for what is not offered
    b64: Any = msgspec.UNSET
    zip: Any = msgspec.UNSET


class _UnverifiedClaims(msgspec.Struct):
    iss: str


class TrustedIssuer(msgspec.Struct, frozen=True):
    """One issuer whose tokens are accepted, and what its tokens look like."""

    url: str
    keys: KeySet
    cognito: bool = False  # `token_use` must say access, and tokens may come without `aud`
    at_jwt: bool = False  # the issuer follows RFC 9068: `typ` must be at+jwt
    client_ids: frozenset[str] = frozenset()  # whose tokens are accepted without `aud`
    scope_prefix: str = ""  # and how one of their scopes must then begin: the resource server and a slash
    groups_claim: str = "groups"


class Verifier:
    """Turns tokens into principals for one resource.

    `audiences` are the exact values one of which `aud` must contain. `claim_names` are the claims a principal
    keeps for the policy. `now` is seconds since the epoch; `leeway` is for clocks that disagree.
    """

    def __init__(
        self,
        audiences: frozenset[str],
        issuers: Mapping[str, TrustedIssuer],
        *,
        claim_names: frozenset[str] = frozenset(),
        leeway: float = 30.0,
        cache: VerifiedTokens | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.audiences = audiences
        self.issuers = issuers
        self.claim_names = claim_names
        self.leeway = leeway
        self.verified = cache if cache is not None else VerifiedTokens()
        self.now = now
        self._headers: LRUCache[bytes, Header] = LRUCache(MEMO)
        self._sets: LRUCache[tuple[str, ...], frozenset[str]] = LRUCache(MEMO)

    def remembered(self, token: bytes) -> Principal | None:
        """The principal of a token that was verified lately; costs a hash and a look-up."""
        return self.verified.get(sha256(token).digest(), self.now())

    async def verify(self, token: bytes) -> Principal:
        """The principal of a token, or the first refusal in this order.

        Raises:
            InvalidToken: one of its subclasses, for the first check that fails.
            KeysUnavailable: the issuer's keys cannot be had.
        """
        signing_input, payload, signature = split(token)
        header = self.header(signing_input)
        issuer = self.issuer(payload)
        check_kind(header, issuer)
        key = await issuer.keys.get(header.kid, check_algorithm(header, issuer))
        if not key.signed(signing_input, decode_base64url(signature)):
            raise BadSignature(f"the key {header.kid!a} does not verify it")
        claims = read_claims(payload)
        check_token_use(claims, issuer)
        check_times(claims, self.now(), self.leeway)
        check_audience(claims, self.audiences, issuer)
        check_unbound(claims)
        principal = self.principal(claims, issuer)
        self.remember(token, principal, signing_input, header)
        return principal

    def header(self, signing_input: bytes) -> Header:
        """The protected header; tokens of one key share their first part to the letter, so it is read once."""
        segment = signing_input[: signing_input.index(b".")]
        return self._headers.get(segment) or read_header(decode_base64url(segment))

    def issuer(self, payload: bytes) -> TrustedIssuer:
        """The trusted issuer that `iss` names, to the letter; nothing else of the payload is read."""
        try:
            name = _decode_iss(payload).iss
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise MalformedToken("its payload is no JSON object with an iss") from None
        if issuer := self.issuers.get(name):
            return issuer
        raise UnknownIssuer(f"issued by {name[:200]!a}")

    def principal(self, claims: Claims, issuer: TrustedIssuer) -> Principal:
        """Whom these verified claims speak for."""
        client = name_of(claims, "client_id") or name_of(claims, "azp") or name_of(claims, "cid")
        subject = name_of(claims, "sub") or client
        if not subject:
            raise MalformedToken("it names neither a sub nor a client")
        groups = claims.get(issuer.groups_claim)
        return Principal(
            issuer=issuer.url,
            subject=subject,
            client_id=sys.intern(client),
            scopes=self.shared(granted_scopes(claims)),
            groups=self.shared([g for g in groups if isinstance(g, str)] if isinstance(groups, list) else []),
            expires_at=float(claims["exp"]),
            is_client=subject == client,
            claims=tuple((claim, claims[claim]) for claim in sorted(self.claim_names & claims.keys())),
        )

    def shared(self, values: list[str]) -> frozenset[str]:
        """One set for all tokens that hold the same scopes or groups: most do, and it is most of a principal."""
        key = tuple(values)
        if (known := self._sets.get(key)) is not None:
            return known
        self._sets[key] = made = frozenset(key)
        return made

    def remember(self, token: bytes, principal: Principal, signing_input: bytes, header: Header) -> None:
        """Keep what a verified token costs to find out; only verified ones, so that strangers fill no memory."""
        self._headers[signing_input[: signing_input.index(b".")]] = header
        self.verified.put(sha256(token).digest(), principal, self.now())


# What base64url and base64 write differently; what only base64 proper has becomes something it refuses.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_decode_iss = msgspec.json.Decoder(_UnverifiedClaims).decode
_decode_header = msgspec.json.Decoder(Header).decode


def split(token: bytes) -> tuple[bytes, bytes, bytes]:
    """Signing input, decoded payload and encoded signature of a compact JWS (RFC 7515 §7.1)."""
    if len(token) > MAX_TOKEN:
        raise OversizedToken(f"it is {len(token)} bytes long, more than {MAX_TOKEN}")
    signing_input, _, signature = token.rpartition(b".")
    if signing_input.count(b".") != 1 or not signature:
        raise MalformedToken("it has not three parts")
    return signing_input, decode_base64url(signing_input[signing_input.index(b".") + 1 :]), signature


def decode_base64url(segment: bytes) -> bytes:
    """The bytes of unpadded base64url, in its only spelling (RFC 7515 §2): no padding, no stray bits, no blanks."""
    try:
        padded = segment.translate(_TO_BASE64) + b"=" * (-len(segment) % 4)
        decoded = binascii.a2b_base64(padded, strict_mode=True)
    except ValueError:
        raise MalformedToken("a part of it is not base64url") from None
    # The strict mode lets bits pass that no byte uses; two spellings of one token are one too many.
    if len(segment) % 4 and binascii.b2a_base64(decoded, newline=False) != padded:
        raise MalformedToken("a part of it ends in stray bits")
    return decoded


def read_header(document: bytes) -> Header:
    """The protected header, each member of its type (RFC 7515 §4.1) and none twice (§4)."""
    try:
        header = _decode_header(document)
        json.loads(document.decode(), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):  # ValueError: what msgspec, json and UTF-8 raise
        raise MalformedToken("its header is no JSON object of the right types") from None
    if not (header.crit is header.b64 is header.zip is msgspec.UNSET):
        raise MalformedToken("its header asks for an extension that is not offered (RFC 7515 §4.1.11)")
    if header.kid is not None and len(header.kid) > MAX_NAME:
        raise MalformedToken("its key id is too long")
    return header


def read_claims(payload: bytes) -> Claims:
    """The claims of a payload whose signature holds: strict JSON, no member twice (RFC 7519 §4)."""
    try:
        claims = json.loads(payload.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedToken("its payload is not strict JSON") from None
    if not isinstance(claims, dict):
        raise MalformedToken("its payload is no JSON object")
    return claims


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Claims:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _no_constant(_: str) -> None:
    raise ValueError


def check_kind(header: Header, issuer: TrustedIssuer) -> None:
    """`typ` says access token, or nothing where the issuer does not follow RFC 9068 (RFC 8725 §3.11)."""
    kind = header.typ.lower()  # RFC 7515 §4.1.9: media types compare without regard to case
    if kind in ACCESS_TOKEN_TYPES or (kind in PLAIN_TYPES and not issuer.at_jwt):
        return
    raise WrongTokenKind(f"its typ is {header.typ[:100]!a}")


def check_algorithm(header: Header, issuer: TrustedIssuer) -> str:
    """The algorithm, if the settings allow it for this issuer; the token never decides (RFC 8725 §3.1)."""
    if header.alg not in issuer.keys.algorithms:
        raise UnsupportedAlgorithm(f"its alg is {header.alg[:100]!a}, not {' or '.join(issuer.keys.algorithms)}")
    return header.alg


def check_token_use(claims: Claims, issuer: TrustedIssuer) -> None:
    """Cognito says in `token_use` what a token is for; a claim of that name elsewhere must not say otherwise."""
    use = claims.get("token_use", None if issuer.cognito else "access")
    if use != "access":
        raise WrongTokenKind(f"its token_use is {str(use)[:100]!a}")


def check_times(claims: Claims, now: float, leeway: float) -> None:
    """`exp` is there and ahead, `nbf` and `iat` are behind, give or take the leeway (RFC 7519 §4.1.4 to §4.1.6)."""
    if "exp" not in claims:
        raise MalformedToken("it has no exp")
    expires = date(claims, "exp")
    if expires + leeway <= now:
        raise ExpiredToken(f"it expired {now - expires:.0f} s ago")
    for claim in ("nbf", "iat"):
        if claim in claims and date(claims, claim) > now + leeway:
            raise NotYetValid(
                f"its {claim} lies {date(claims, claim) - now:.0f} s ahead of this clock: set the clock right"
            )


def date(claims: Claims, claim: str) -> float:
    """A NumericDate in seconds since the epoch (RFC 7519 §2); anything else is no date."""
    value = claims[claim]
    if type(value) not in (int, float) or not 0 <= value < END_OF_TIME:
        raise MalformedToken(f"its {claim} is no date")
    return float(value)


def check_audience(claims: Claims, audiences: frozenset[str], issuer: TrustedIssuer) -> None:
    """The token is meant for this resource: `aud` says so, to the letter, and where it is there it decides.

    Cognito leaves `aud` out unless the client asked for a resource. Then, and only where the settings list clients,
    the client must be on the list and hold a scope of this resource's own resource server.
    """
    if "aud" in claims:
        named = claims["aud"]
        values = [named] if isinstance(named, str) else named
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise MalformedToken("its aud is neither a string nor a list of strings")
        if audiences.isdisjoint(values):
            raise WrongAudience(f"issued for {str(named)[:300]!a}")
        return
    if not issuer.client_ids:
        raise WrongAudience("it names no audience")
    client, scope = claims.get("client_id"), claims.get("scope")
    if not isinstance(client, str) or client not in issuer.client_ids:
        raise ClientNotAllowed(f"it names no audience and its client {str(client)[:100]!a} is not on the list")
    if not isinstance(scope, str) or not any(is_under(issuer.scope_prefix, one) for one in scope.split(" ")):
        raise ClientNotAllowed(f"it names no audience and no scope under {issuer.scope_prefix}")


def is_under(prefix: str, scope: str) -> bool:
    """Whether a scope is of this resource server and none below it: in Cognito, no scope's own name has a slash."""
    server, slash, own = scope.rpartition("/")
    return server + slash == prefix and own != ""


def check_unbound(claims: Claims) -> None:
    """A token bound to a key or certificate is no bearer token (RFC 9449 §7.2, RFC 8705 §3)."""
    if claims.get("cnf") is not None:
        raise BoundToken("it is bound to a key, and no proof of it was asked for")


def granted_scopes(claims: Claims) -> list[str]:
    """The scopes of `scope` (RFC 6749 §3.3); where there is none, of `scp`, which some issuers write as a list."""
    granted = claims.get("scope", claims.get("scp", ""))
    if isinstance(granted, str):
        return [scope for scope in granted.split(" ") if scope]
    if "scope" not in claims and isinstance(granted, list) and all(isinstance(scope, str) for scope in granted):
        return granted
    raise MalformedToken("its scope is no string")


def name_of(claims: Claims, claim: str) -> str:
    """A claim that names somebody: a string of sane length, or "" where it is missing.

    It must be printable, since it ends in logs and headers: no control characters, no half of a surrogate pair.
    """
    value = claims.get(claim, "")
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
        raise MalformedToken(f"its {claim} is no name")
    return value
