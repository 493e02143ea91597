"""A key that seals session ids, and opens what it has sealed."""

from __future__ import annotations

from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.sessions import KEY_BYTES, written

NONCE_BYTES = 12


class SessionKey:
    """One secret of the gate, as the two keys that sealing needs."""

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(SHA256(), 2 * KEY_BYTES, salt=None, info=b"bearergate sealed session ids").derive(secret)
        self._cipher = AESGCM(derived[:KEY_BYTES])
        self._naming = derived[KEY_BYTES:]

    def seal(self, session: bytes, bound: bytes) -> bytes:
        """A session id that only `open` with the same `bound` turns back; visible ASCII."""
        length = len(bound).to_bytes(4)
        nonce = blake2b(length + bound + session, key=self._naming, digest_size=NONCE_BYTES).digest()
        return written(nonce + self._cipher.encrypt(nonce, session, bound))

    def open(self, sealed: bytes, bound: bytes) -> bytes | None:
        """The session id inside, as bytes out of Base64; None for what this key has not sealed for `bound`."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            return None
