"""The public keys of a key set, and the signatures they verify (RFC 7518 §3 and §6, RFC 8037).

This is `cryptography` itself, not joserfc, which would load certificates and SSH keys along with it: 2 MiB and
30 ms that a front need not have. Whoever signs or encrypts, which few gates do, uses joserfc.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

MIN_RSA_BITS = 2048  # RFC 7518 §3.3

HASHES: Mapping[str, hashes.HashAlgorithm] = {  # by the end of an algorithm's name
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
CURVES: Mapping[str, EllipticCurve] = {"ES256": SECP256R1(), "ES384": SECP384R1(), "ES512": SECP521R1()}


class RsaKey(NamedTuple):
    """An RSA key with the one algorithm it is asked to verify (RFC 7518 §3.3 and §3.5)."""

    key: RSAPublicKey
    padding: AsymmetricPadding
    hash: hashes.HashAlgorithm

    def signed(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether `signature` was made over `signing_input` with this key's private half."""
        try:
            self.key.verify(signature, signing_input, self.padding, self.hash)
        except InvalidSignature:
            return False
        return True


class EcKey(NamedTuple):
    """A key on a curve, whose signatures are two numbers of the curve's own length (RFC 7518 §3.4)."""

    key: EllipticCurvePublicKey
    algorithm: ECDSA

    def signed(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether `signature` was made over `signing_input` with this key's private half."""
        length = (self.key.key_size + 7) // 8
        if len(signature) != 2 * length:
            return False
        numbers = int.from_bytes(signature[:length]), int.from_bytes(signature[length:])
        try:
            self.key.verify(encode_dss_signature(*numbers), signing_input, self.algorithm)
        except InvalidSignature:
            return False
        return True


class EdKey(NamedTuple):
    """A key on Edwards' curve (RFC 8037 §3.1)."""

    key: Ed25519PublicKey

    def signed(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether `signature` was made over `signing_input` with this key's private half."""
        try:
            self.key.verify(signature, signing_input)
        except InvalidSignature:
            return False
        return True


VerificationKey = RsaKey | EcKey | EdKey


def key_of(entry: Mapping[str, Any], algorithm: str) -> VerificationKey | None:
    """The key of a JWK that fits the algorithm; None where its numbers are no key or too weak a one."""
    try:
        if algorithm in CURVES:
            point = EllipticCurvePublicNumbers(number(entry["x"]), number(entry["y"]), CURVES[algorithm])
            return EcKey(point.public_key(), ECDSA(HASHES[algorithm[2:]]))
        if algorithm == "EdDSA":
            return EdKey(Ed25519PublicKey.from_public_bytes(octets(entry["x"])))
        key = RSAPublicNumbers(number(entry["e"]), number(entry["n"])).public_key()
    except (ValueError, KeyError, UnsupportedAlgorithm):
        return None
    if key.key_size < MIN_RSA_BITS:
        return None
    return RsaKey(key, padding_of(algorithm), HASHES[algorithm[2:]])


def padding_of(algorithm: str) -> AsymmetricPadding:
    """The padding of an RSA algorithm; the salt of PSS is as long as the hash (RFC 7518 §3.5)."""
    if algorithm.startswith("RS"):
        return PKCS1v15()
    digest = HASHES[algorithm[2:]]
    return PSS(MGF1(digest), digest.digest_size)


def number(text: object) -> int:
    """A Base64urlUInt (RFC 7518 §2).

    Raises:
        ValueError: it is none.
    """
    return int.from_bytes(octets(text))


def octets(text: object) -> bytes:
    """The bytes of unpadded base64url, in its only spelling (RFC 7515 §2).

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(text, str):
        raise ValueError(text)  # noqa: TRY004 - to the caller it is one more way to be no key
    encoded = text.encode()
    decoded = urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=") != encoded:
        raise ValueError("not base64url in its only spelling")
    return decoded
