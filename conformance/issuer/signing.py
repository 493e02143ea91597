"""Signs anything with anything: the lowest level of the instrument, where no rule of JOSE is enforced."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Literal

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

SigningKey = Key | bytes  # bytes are an HMAC secret, whatever they look like: a public key's PEM, for one
Json = Mapping[str, Any] | bytes  # an object, or the bytes to send in its place

_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "secp256k1": "ES256K"}


def sign(
    header: Json, payload: Json, key: SigningKey, alg: str | None = None, *, signature: bytes | None = None
) -> str:
    """A compact JWS (RFC 7515 §7.1) of any header and payload.

    `alg` says how the signature is really made; without it the header's `alg` decides where that is an
    algorithm, and the key elsewhere. `signature` is sent in place of a computed one.

    Raises:
        ValueError: the key cannot make a signature of this algorithm.
    """
    message = f"{segment(_encoded(header))}.{segment(_encoded(payload))}"
    if signature is None:
        signature = _signature(message.encode(), key, alg or _algorithm(header, key))
    return f"{message}.{segment(signature)}"


def segment(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def flip_bit(token: str, part: Literal["header", "payload", "signature"]) -> str:
    """The same token with one bit of one part inverted, in the middle of it."""
    parts = token.split(".")
    index = ("header", "payload", "signature").index(part)
    data = bytearray(base64.urlsafe_b64decode(parts[index] + "=="))
    data[len(data) // 2] ^= 1
    parts[index] = segment(bytes(data))
    return ".".join(parts)


def usual_algorithm(key: SigningKey) -> str:
    """The algorithm a key is meant for: its own `alg`, else the first choice for its type."""
    match key:
        case RSAKey():
            return key.alg or "RS256"
        case ECKey():
            return key.alg or _CURVES[key.curve_name]
        case OKPKey():
            return key.alg or "EdDSA"
        case _:  # a secret
            return "HS256"


def _encoded(value: Json) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def _algorithm(header: Json, key: SigningKey) -> str:
    named = None if isinstance(header, bytes) else header.get("alg")
    return named if isinstance(named, str) and named in JWSRegistry.algorithms else usual_algorithm(key)


def _signature(message: bytes, key: SigningKey, alg: str) -> bytes:
    if alg == "none":
        return b""
    if isinstance(key, bytes):
        # joserfc refuses public keys as HMAC secrets, as it should; here they are the point.
        if alg not in _HASHES:
            raise ValueError(f"{alg} needs a private key; bytes make HS256, HS384 and HS512 signatures only.")
        return hmac.new(key, message, _HASHES[alg]).digest()
    if (model := JWSRegistry.algorithms.get(alg)) is None or model.key_type != key.key_type:
        raise ValueError(f"A key of type {key.key_type} makes no {alg} signature; pass key= or alg=.")
    return model.sign(message, key)
