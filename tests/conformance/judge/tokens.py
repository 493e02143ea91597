"""Verifies access tokens by the book, unless told to leave a page out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key, RSAKey, import_key

LEEWAY = 5.0
COOLDOWN = 0.5  # seconds between two fetches of the key set; a second stands for what would be half a minute
FRESH = 2.0  # seconds a key set is good for
SECOND_ISSUER = "https://second-issuer.test"  # trusted as well, and has published no key so far
TYPES = {"at+jwt", "application/at+jwt"}


class BadToken(Exception):
    """The credentials are no good; `error` is what the challenge says."""

    def __init__(self, error: str = "invalid_token", status: int = 401) -> None:
        super().__init__(error)
        self.error, self.status = error, status


class NoKeys(Exception):
    """Nobody can tell."""


class Verifier:
    """The tokens of one issuer for one resource."""

    def __init__(self, issuer: str, resource: str, has: Callable[[str], bool]) -> None:
        self.issuer, self.resource, self.has = issuer, resource, has
        self.leeway = 3600 if has("an hour of leeway") else LEEWAY
        self.keys: list[dict[str, Any]] = []
        self.fetched = 0.0
        self.last = ""
        self.cache: dict[str, dict[str, Any]] = {}
        self.client = httpx.Client(verify=False)  # noqa: S501 - everything here is plain http

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a good token."""
        known = token.rpartition(".")[0] if self.has("the cache leaves the signature out") else token
        if (
            self.has("the cache forgets expiry") or self.has("the cache leaves the signature out")
        ) and known in self.cache:
            return self.cache[known]
        header, payload = self.parts(token)
        self.check_header(header)
        claims = self.signed(token, header, payload)
        self.check_claims(claims)
        self.cache[known], self.last = claims, token
        return claims

    def parts(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and payload; names that are there twice are refused."""
        pieces = token.split(".")
        if len(pieces) != 3:
            if self.has("five parts crash"):
                raise ZeroDivisionError
            raise BadToken
        try:
            found = [json.loads(unpadded(each), object_pairs_hook=self.members) for each in pieces[:2]]
        except (ValueError, RecursionError):
            raise BadToken from None
        if not all(isinstance(each, dict) for each in found):
            raise BadToken
        return found[0], found[1]

    def members(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if self.has("the first of two members counts"):
            return dict(reversed(pairs))
        if len(names) != len(set(names)):
            raise ValueError("twice")
        return dict(pairs)

    def check_header(self, header: dict[str, Any]) -> None:
        if "crit" in header and not self.has("crit is ignored"):
            raise BadToken
        typ = header.get("typ")
        kinds = TYPES | (
            {"jwt", ""} if self.has("any JWT is an access token") or self.has("ID tokens count") else set()
        )
        said = str(typ or "") if self.has("typ is case-sensitive") else str(typ or "").lower()
        if not self.has("typ is not looked at") and said not in kinds:
            raise BadToken
        if not isinstance(header.get("kid", ""), str):
            raise ZeroDivisionError if self.has("odd kids crash") else BadToken

    def signed(self, token: str, header: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
        alg = str(header.get("alg"))
        if self.has("signatures are not checked") or (self.has("none is an algorithm") and alg.lower() == "none"):
            return payload
        if self.has("an empty signature is fine") and token.endswith("."):
            return payload
        if self.has("zeros are a signature") and not any(unpadded(token.rpartition(".")[2])):
            return payload
        if self.has("keys in the header count") and "jwk" in header:
            return self.checked(token, [header["jwk"]], alg)
        if self.has("jku is fetched") and "jku" in header:
            self.get(str(header["jku"]))
        return self.checked(token, self.candidates(header), alg)

    def candidates(self, header: dict[str, Any]) -> list[dict[str, Any]]:
        """The keys that may have signed; an unknown name fetches the set anew, but not often."""
        kid = header.get("kid")
        for _ in range(2):
            self.refresh(unknown=bool(self.keys))
            found = [key for key in self.keys if kid in (None, key.get("kid"))]
            if kid is None:
                return found if len(found) == 1 or self.has("a missing kid is any key") else []
            if found:
                return found
        return []

    def refresh(self, *, unknown: bool) -> None:
        age = time.monotonic() - self.fetched
        if self.keys and age < (
            COOLDOWN if unknown and not self.has("every unknown key is fetched") else 0 if unknown else FRESH
        ):
            return
        if self.has("keys are fetched once") and self.keys:
            return
        try:
            answer = self.get(f"{self.issuer}/jwks")
            keys = answer.json()["keys"] if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            keys = None
        self.fetched = time.monotonic()
        if isinstance(keys, list):
            self.keys = [key for key in keys if isinstance(key, dict)]
        elif unknown or not self.keys:
            raise NoKeys

    def get(self, url: str) -> httpx.Response:
        seconds = 30 if self.has("slow keys are waited for") else 1
        return self.client.get(url, timeout=seconds, follow_redirects=self.has("redirects of keys are followed"))

    def checked(self, token: str, keys: list[dict[str, Any]], alg: str) -> dict[str, Any]:
        allowed = ["RS256", "ES256"]
        if self.has("every algorithm goes"):
            allowed = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "HS256"]
        if self.has("public keys make MACs") and alg.startswith("HS"):
            return self.checked_by_mac(token, keys, alg)
        for jwk in keys:
            if not self.usable(jwk, alg):
                continue
            try:
                registry = jws.JWSRegistry(algorithms=allowed)
                registry.max_header_length = 8000
                signed = jws.deserialize_compact(token.encode(), imported(jwk), registry=registry).payload
                return dict(json.loads(signed, object_pairs_hook=self.members))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
        raise BadToken

    def usable(self, jwk: dict[str, Any], alg: str) -> bool:
        """Whether a published key is for this."""
        if jwk.get("kty") == "RSA" and len(unpadded(jwk["n"])) < 256 and not self.has("short keys are fine"):
            return False
        return self.has("every algorithm goes") or (
            jwk.get("use", "sig") == "sig" and jwk.get("alg", alg) == alg and jwk.get("kty") != "oct"
        )

    def checked_by_mac(self, token: str, keys: list[dict[str, Any]], alg: str) -> dict[str, Any]:
        message, _, signature = token.rpartition(".")
        for jwk in keys:
            if jwk.get("kty") != "RSA":
                continue
            secret = RSAKey.import_key(jwk).as_pem(private=False)
            made = hmac.new(secret, message.encode(), getattr(hashlib, f"sha{alg[2:]}")).digest()
            if made == unpadded(signature):
                return dict(json.loads(unpadded(message.partition(".")[2])))
        raise BadToken

    def check_claims(self, claims: dict[str, Any]) -> None:
        issuer = claims.get("iss")
        same = issuer == self.issuer
        if self.has("the issuer is a prefix") and isinstance(issuer, str):
            same = issuer.startswith(self.issuer) or self.issuer.startswith(issuer)
        same = same or (issuer == SECOND_ISSUER and self.has("keys of every issuer are one set"))
        if not same and not self.has("the issuer is not compared"):
            raise BadToken
        self.check_times(claims)
        self.check_audience(claims)
        if self.has("a missing sub crashes"):
            claims["sub"]
        if not isinstance(claims.get("sub"), str) or (
            claims.get("token_use", "access") != "access" and not self.has("ID tokens count")
        ):
            raise BadToken
        if "cnf" in claims and not self.has("bound tokens are plain ones"):
            raise BadToken

    def check_times(self, claims: dict[str, Any]) -> None:
        now, exp = time.time(), claims.get("exp")
        if self.has("exp is not looked at") or (exp is None and self.has("exp may be missing")):
            return
        if self.has("exp has to be whole") and isinstance(exp, float):
            raise BadToken
        if self.has("exp may be a string") and isinstance(exp, str):
            exp = float(exp)
        if isinstance(exp, bool) or not isinstance(exp, (int, float)) or not now - self.leeway < exp < 1e11:
            raise BadToken
        for name in ("nbf", "iat"):
            value = claims.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise BadToken
            if value > now + self.leeway and not self.has("nbf is not looked at"):
                raise BadToken

    def check_audience(self, claims: dict[str, Any]) -> None:
        aud = claims.get("aud")
        named = [aud] if isinstance(aud, str) else aud
        if self.has("ID tokens count") and "auth_time" in claims:
            return
        if (
            self.has("machines need no audience")
            and "username" not in claims
            and claims.get("sub") == claims["client_id"]
        ):
            return
        if self.has("the audience is not compared") or (aud is None and self.has("aud may be missing")):
            return
        if self.has("aud may be an object") and isinstance(aud, dict):
            named = list(aud)
        if self.has("aud has to be a string") and not isinstance(aud, str):
            raise BadToken
        if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
            raise BadToken
        if self.has("the audience is a prefix") and any(each.startswith(self.resource) for each in named):
            return
        if self.has("the origin is audience enough") and any(self.resource.startswith(each) for each in named if each):
            return
        if self.resource not in named:
            raise BadToken


def imported(jwk: dict[str, Any]) -> Key:
    """A published key, whatever it is published for."""
    return import_key({name: value for name, value in jwk.items() if name not in ("alg", "use")})


def unpadded(text: str) -> bytes:
    """What base64url stands for; anything else is no base64url."""
    if (
        not text.isascii()
        or any(char in "+/=" for char in text)
        or not all(char.isalnum() or char in "-_" for char in text)
    ):
        raise ValueError("no base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
