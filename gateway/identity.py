"""Who calls, said to an upstream in a JWT of the gate's own: short-lived, for this upstream alone, checkable by anyone.

The keys are published at `/.well-known/bearergate/jwks.json`. A principal's JWT is signed once and used until a
quarter of its life is left, so that what a request pays is a look into a dict.
"""

from __future__ import annotations

import json
import logging
import re
import time
import warnings
from collections.abc import Callable

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, KeySet, OKPKey

from gateway.principal import Principal
from gateway.secret import InvalidSecret, read_secret
from gateway.settings import IdentitySettings, Settings

JWKS_PATH = "/.well-known/bearergate/jwks.json"
PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
CURVES = {"P-256": "ES256", "Ed25519": "EdDSA"}  # curve -> algorithm
REMEMBERED = 10_000  # principals
LEAST_SECONDS = 5  # a JWT is valid, even where the caller's own token ends sooner

log = logging.getLogger("bearergate")
Key = ECKey | OKPKey


class IdentityKeys:
    """The keys that sign who calls: the first signs, all are published, so that they can be changed without a gap."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys
        for key in keys:
            key.ensure_kid()
        self.kid = keys[0].kid
        self.algorithm = CURVES[keys[0].curve_name]

    @classmethod
    def of(cls, settings: Settings) -> IdentityKeys:
        """The keys in the settings' file, or one that nobody else has.

        Raises:
            InvalidSecret: the file cannot be read, or holds no key that can sign.
        """
        if settings.identity_key_file:
            return cls(private_keys(settings.identity_key_file))
        log.warning(
            "identity_key_file is not set, so the key that signs `identity` is new at every start; "
            "replicas need a shared one: openssl genpkey -algorithm ed25519 -out identity.pem"
        )
        return cls([ECKey.generate_key("P-256")])

    def jwks(self) -> bytes:
        """The public halves, as a JWK set (RFC 7517 §5)."""
        public = KeySet([*self._keys]).as_dict(private=False)
        for key, entry in zip(self._keys, public["keys"], strict=True):
            entry |= {"use": "sig", "alg": CURVES[key.curve_name]}
        return json.dumps(public).encode()

    def sign(self, claims: dict[str, object]) -> str:
        """The claims as a signed JWT."""
        header = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"}
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):  # RFC 9864 renames EdDSA; few know
            return jwt.encode(header, claims, self._keys[0], algorithms=[self.algorithm])


def private_keys(file: str) -> list[Key]:
    """The private keys of a file, in order.

    Raises:
        InvalidSecret: it cannot be read, or holds no key on P-256 or Ed25519.
    """
    keys: list[Key] = []
    for pem in PEM.findall(read_secret(file)):
        kind: type[Key]
        for kind in (OKPKey, ECKey):
            try:
                keys.append(kind.import_key(pem))
                break
            except (JoseError, ValueError, TypeError):
                continue
    if not keys or any(key.curve_name not in CURVES for key in keys):
        raise InvalidSecret(f"{file} must hold private keys in PEM, on P-256 or Ed25519, without a password")
    return keys


class Identity:
    """The header that tells one upstream who calls."""

    def __init__(
        self,
        keys: IdentityKeys,
        settings: IdentitySettings,
        *,
        issuer: str,
        audience: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._name = settings.header.lower().encode()
        self._lifetime = settings.lifetime
        self._issuer = issuer
        self._audience = settings.audience or audience
        self._now = now
        self._signed: dict[object, tuple[float, bytes]] = {}  # -> good until, line of the head

    def line(self, principal: Principal) -> bytes:
        """The header line about a principal, line break included."""
        key = (*principal.key, principal.client_id, principal.scopes, principal.groups)
        now = self._now()
        good_until, line = self._signed.get(key, (0.0, b""))
        if now < good_until:
            return line
        seconds = min(self._lifetime, max(principal.expires_at - now, LEAST_SECONDS))
        line = b"%b: %b\r\n" % (self._name, self._keys.sign(self._claims(principal, now, seconds)).encode())
        self._signed.pop(key, None)
        if len(self._signed) >= REMEMBERED:
            del self._signed[next(iter(self._signed))]
        self._signed[key] = (now + 0.75 * seconds, line)
        return line

    def _claims(self, principal: Principal, now: float, seconds: float) -> dict[str, object]:
        """Issuer and subject of the principal go together (RFC 9493 §3.2.3): a subject alone names nobody."""
        return {
            "iss": self._issuer,
            "aud": self._audience,
            "iat": int(now),
            "exp": int(now + seconds),
            "sub": principal.subject,
            "sub_id": {"format": "iss_sub", "iss": principal.issuer, "sub": principal.subject},
            "client_id": principal.client_id,
            "is_client": principal.is_client,
            "scope": " ".join(sorted(principal.scopes)),
            "groups": sorted(principal.groups),
        }
