"""The issuer's two signing keys, and the key set it publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import Key, RSAKey

Jwk = dict[str, Any]


def rsa_key(bits: int = 2048) -> RSAKey:
    """A new private RSA key for RS256 signatures; under 2048 bits it is one that verifiers must refuse.

    Its `kid` is in plain base64, with `=` and sometimes `/` and `+`, as Cognito's are: whoever puts it into a
    URL or a file name unescaped is found out.
    """
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    kid = RSAKey(private, private).thumbprint().translate(str.maketrans("-_", "+/")) + "="
    return RSAKey(private, private, {"alg": "RS256", "use": "sig", "kid": kid})


class Keys:
    """Two private keys and the key set published of them (RFC 7517).

    `access` signs access tokens and `id` signs ID tokens; Cognito keeps them apart, so a verifier must too.
    Making keys is slow: tests make a pair once and give every issuer a `copy()`.
    """

    def __init__(self, access_key: RSAKey | None = None, id_key: RSAKey | None = None) -> None:
        self.access = access_key or rsa_key()
        self.id = id_key or rsa_key()
        self._published: list[Jwk] = []
        self._signers: dict[str | None, RSAKey] = {}
        self._take_up()

    def copy(self) -> Keys:
        """The same signing keys with a published key set of its own."""
        return Keys(self.access, self.id)

    def rotate(self, access_key: RSAKey | None = None, id_key: RSAKey | None = None) -> None:
        """Sign with new keys from now on; the old ones stay published until they are withdrawn."""
        self.access = access_key or rsa_key()
        self.id = id_key or rsa_key()
        self._take_up()

    def _take_up(self) -> None:
        for key in (self.access, self.id):
            self._signers[key.kid] = key
            self._published.append(_public(key))

    def publish(self, key: Key | Mapping[str, Any]) -> None:
        """Add a key to the published set: the public half of a key, or a JWK exactly as given."""
        self._published.append(dict(key) if isinstance(key, Mapping) else _public(key))

    def withdraw(self, kid: str | None) -> None:
        """Take every key with this `kid` out of the published set.

        Raises:
            LookupError: no published key has it.
        """
        kept = [jwk for jwk in self._published if jwk.get("kid") != kid]
        if len(kept) == len(self._published):
            raise LookupError(f"No published key has the kid {kid!r}.")
        self._published = kept

    def verifier(self, kid: str) -> RSAKey | None:
        """The key of this `kid` that the issuer has signed with and still publishes, or None."""
        published = any(jwk.get("kid") == kid for jwk in self._published)
        return self._signers.get(kid) if published else None

    def document(self) -> dict[str, list[Jwk]]:
        """What the key set's URL answers: `{"keys": [...]}`, members in alphabetical order."""
        return {"keys": [dict(sorted(jwk.items())) for jwk in self._published]}


def _public(key: Key) -> Jwk:
    return dict(key.as_dict(private=False))
