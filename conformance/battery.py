"""Every token that has to be refused, each a good one with one thing changed: what it is, and how it is made."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from joserfc.jwk import ECKey, RSAKey

from .control import ABSENT, FIRST, Control
from .issuer import flip_bit, rsa_key
from .issuer.signing import segment, sign

Made = Callable[[Control], str]
HOUR = 3600


@cache
def stranger_key() -> RSAKey:
    """A key that no issuer has published."""
    return rsa_key()


@cache
def curve_key() -> ECKey:
    """A P-256 key of a stranger."""
    return ECKey.generate_key("P-256", private=True)


def claims(**changes: Any) -> Made:
    """A token with other claims."""
    return lambda control: control.token(claims=changes)


def header(**changes: Any) -> Made:
    """A token with another header."""
    return lambda control: control.token(header=changes)


def written(name: str, value: str) -> Made:
    """A token in whose payload a claim is written as JSON that Python would not write."""

    def made(control: Control) -> str:
        payload = json.dumps(control.claims(**{name: "@"})).replace('"@"', value)
        return control.token(claims=payload.encode())

    return made


def twice(wrong_first: bool) -> Made:
    """A token that names its audience twice."""

    def made(control: Control) -> str:
        right, wrong = json.dumps(control.audience), '"https://elsewhere.test/mcp"'
        first, last = (wrong, right) if wrong_first else (right, wrong)
        payload = json.dumps(control.claims(aud="@")).replace('"aud": "@"', f'"aud": {first}, "aud": {last}')
        return control.token(claims=payload.encode())

    return made


# ---- JWT-ALG


def unsigned(alg: str, signature: bytes) -> Made:
    """A token of an algorithm that is none."""
    return lambda control: control.token(header={"alg": alg}, signature=signature)


def stripped(control: Control) -> str:
    """A good token without its signature."""
    return control.token().rpartition(".")[0] + "."


def public_key_mac(alg: str, form: str) -> Made:
    """A token whose MAC is made with what everybody knows: the public key."""

    def made(control: Control) -> str:
        return control.token(header={"alg": alg}, key=_public(control.issuer.keys.access, form), alg=alg)

    return made


def _public(key: RSAKey, form: str) -> bytes:
    if form == "JWK":
        return json.dumps(key.as_dict(private=False), separators=(",", ":")).encode()
    public = key.public_key
    encoding = serialization.Encoding.DER if form == "DER" else serialization.Encoding.PEM
    kind = serialization.PublicFormat.PKCS1 if "PKCS1" in form else serialization.PublicFormat.SubjectPublicKeyInfo
    made = public.public_bytes(encoding, kind)
    return made.rstrip(b"\n") if "without" in form else made


NONE: dict[str, Made] = {
    f"{alg} with {'an empty' if not junk else 'a junk'} signature": unsigned(alg, junk)
    for alg in ("none", "None", "NONE", "nOnE", "")
    for junk in (b"", b"junk")
}
NONE["RS256 without its signature"] = stripped
MACS: dict[str, Made] = {
    f"{alg} with the {form}": public_key_mac(alg, form)
    for alg in ("HS256", "HS384", "HS512")
    for form in ("PEM", "PEM without end", "PKCS1 PEM", "DER", "JWK")
}


def other_algorithm(alg: str) -> Made:
    """A token of the right key, by an algorithm that the key is not published for."""
    return lambda control: control.token(header={"alg": alg}, alg=alg)


WRONG_ALGORITHM: dict[str, Made] = {
    f"{alg} by a key for RS256": other_algorithm(alg) for alg in ("RS384", "RS512", "PS256", "PS512")
}


def by_stranger(control: Control) -> str:
    """Right claims and the name of a real key, signed by another."""
    return control.token(header={"kid": control.issuer.keys.access.kid}, key=stranger_key())


def _spliced(control: Control) -> str:
    head, _, tail = control.token().split(".")
    return f"{head}.{segment(json.dumps(control.claims(sub='somebody-else')).encode())}.{tail}"


UNTRUSTED: dict[str, Made] = {
    "a stranger's key under the name of a real one": by_stranger,
    "a stranger's key under its own name": lambda control: control.token(key=stranger_key()),
    "a bit of the signature inverted": lambda control: flip_bit(control.token(), "signature"),
    "a bit of the payload inverted": lambda control: flip_bit(control.token(), "payload"),
    "the payload of another token": _spliced,
    "a signature that is half as long": lambda control: control.token()[:-171],
}


DEGENERATE: dict[str, Made] = {
    "ES256 with 64 zero bytes": lambda control: control.token(header={"alg": "ES256"}, signature=bytes(64)),
    "RS256 with zero bytes": lambda control: control.token(signature=bytes(256)),
    "RS256 with one byte": lambda control: control.token(signature=b"\x01"),
}

# ---- JWT-HDR


def embedded(name: str) -> Made:
    """A token that brings its own key along."""

    def made(control: Control) -> str:
        key = stranger_key()
        public = {n: v for n, v in key.as_dict(private=False).items() if n in ("kty", "n", "e")}
        brought: Any = public if name == "jwk" else [base64.b64encode(b"no certificate").decode()]
        return control.token(header={name: brought, "kid": key.kid}, key=key)

    return made


CRITICAL: dict[str, Made] = {
    "an extension nobody knows": header(crit=["x-unknown"], **{"x-unknown": 1}),
    "an empty list": header(crit=[]),
    "no list": header(crit="exp"),
    "b64": header(crit=["b64"], b64=False),
    "a name that is absent": header(crit=["x-absent"]),
    "no strings": header(crit=[1]),
    "null": header(crit=None),
}
TYPES = (
    "dpop+jwt",
    "oauth-id-jag+jwt",
    "logout+jwt",
    "secevent+jwt",
    "oauth-authz-req+jwt",
    "client-authentication+jwt",
    "token-introspection+jwt",
    "entity-statement+jwt",
)
PLAIN_TYPES: dict[str, Made] = {
    "JWT": header(typ="JWT"),
    "no typ": header(typ=ABSENT),
    "null": header(typ=None),
    "a list": header(typ=["at+jwt"]),
    "a cut one": header(typ="at"),
}

# ---- JWT-KID

KIDS: dict[str, Any] = {
    "a path": "../../../../etc/passwd",
    "SQL": "' OR 1=1 --",
    "a URL": "http://127.0.0.1:9/keys",
    "long": "k" * 6000,
    "a number": 5,
    "null": None,
    "an object": {"a": 1},
    "a list": ["a"],
    "empty": "",
    "NUL": "\x00",
}


def kid(value: Any) -> Made:
    """A token by a stranger's key under an odd name."""
    return lambda control: control.token(header={"kid": value}, key=stranger_key())


# ---- JWT-ISS, JWT-AUD


def _issuer(change: Callable[[str], Any]) -> Made:
    return lambda control: control.token(claims={"iss": change(control.issuer.url)})


ISSUERS: dict[str, Made] = {
    "missing": claims(iss=ABSENT),
    "with a slash more": _issuer(lambda url: f"{url}/"),
    "in upper case": _issuer(str.upper),
    "with another scheme": _issuer(lambda url: url.replace("http://", "ftp://").replace("https://", "http://")),
    "with a default port": _issuer(lambda url: f"{url}:443"),
    "a list": _issuer(lambda url: [url]),
    "cut": _issuer(lambda url: url[:-1]),
    "longer": _issuer(lambda url: f"{url}.evil.test"),
    "another issuer": claims(iss="https://issuer.test"),
    "with a path": _issuer(lambda url: f"{url}/other-pool"),
    "null": claims(iss=None),
    "empty": claims(iss=""),
    "with user info": _issuer(lambda url: url.replace("://", "://user@")),
}


def _audience(change: Callable[[str], Any]) -> Made:
    return lambda control: control.token(claims={"aud": change(control.audience)})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


AUDIENCES: dict[str, Made] = {
    "another server": claims(aud="https://elsewhere.test/mcp"),
    "several other servers": claims(aud=["https://a.test/mcp", "https://b.test/mcp"]),
    "the client": lambda control: control.token(claims={"aud": control.client}),
    "the issuer": lambda control: control.token(claims={"aud": control.issuer.url}),
}
NEAR_AUDIENCES: dict[str, Made] = {
    "longer": _audience(lambda url: f"{url}2"),
    "with a host behind it": _audience(lambda url: f"{url}.evil.test"),
    "on a longer host": _audience(
        lambda url: url.replace(urlsplit(url).netloc, f"{urlsplit(url).netloc}.evil.test", 1)
    ),
    "cut": _audience(lambda url: url.rstrip("/")[:-1]),
    "beside another word": _audience(lambda url: f"{url} other"),
    "with a deeper path": _audience(lambda url: f"{url}/admin"),
    "in brackets": _audience(lambda url: f"[{url}]"),
    "with a query": _audience(lambda url: f"{url}?a=b"),
}
AUDIENCE_TYPES: dict[str, Made] = {
    "a list of others": claims(aud=["x"]),
    "an empty list": claims(aud=[]),
    "empty": claims(aud=""),
    "a number": claims(aud=5),
    "null": claims(aud=None),
    "true": claims(aud=True),
    "an object": _audience(lambda url: {url: 1}),
    "a list in a list": _audience(lambda url: [[url]]),
}

# ---- JWT-USE, JWT-EXP

PURPOSES: dict[str, Made] = {
    "an ID token": lambda control: control.issuer.id_token(FIRST, control.client),
    "an ID token that names its use": lambda control: control.issuer.id_token(
        FIRST, control.client, claims={"token_use": "id"}
    ),
    "a refresh token": lambda control: control.issuer.refresh_token(FIRST, control.client),
    "an authorization code": lambda _: "SplxlOBeZQQYbYS6WxSbIA",
    "a client assertion": lambda control: control.token(
        header={"typ": "JWT"}, claims={"iss": control.client, "sub": control.client, "aud": control.issuer.url}
    ),
}
EXPIRIES: dict[str, Made] = {
    "an hour ago": lambda control: control.token(
        claims={"exp": int(time.time()) - HOUR, "iat": int(time.time()) - 2 * HOUR}
    ),
    "missing": claims(exp=ABSENT),
    "a string": claims(exp="9999999999"),
    "an infinity": written("exp", "1e400"),
    "no number": written("exp", "NaN"),
    "negative": claims(exp=-1),
    "zero": claims(exp=0),
    "true": claims(exp=True),
    "null": claims(exp=None),
    "a list": lambda control: control.token(claims={"exp": [int(time.time()) + HOUR]}),
    "an object": claims(exp={}),
}


def by_curve(control: Control, alg: str, key: ECKey) -> str:
    """A token that says one curve algorithm and is signed with another."""
    return sign(
        control.header(alg=alg, kid=key.kid),
        control.claims(),
        key,
        {"P-256": "ES256", "P-384": "ES384"}[key.curve_name],
    )
