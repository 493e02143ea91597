"""Values that only this deployment can make or read: what would be rows of a database travels sealed with clients.

A sealed value is a JWE (RFC 7516) with a direct key and A256GCM. Its purpose and its expiry are inside, so a value
that was made for one thing never opens as another. Of several keys the first seals and all open, so that keys can be
exchanged while values are under way.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gateway.secret import InvalidSecret, read_secret

if TYPE_CHECKING:
    from joserfc.jwk import OctKey

    from gateway.settings import Settings

KEY_BYTES = 32
MAX_SEALED = 16_384  # characters of a value that is looked at
HEADER = {"alg": "dir", "enc": "A256GCM"}
# How every value begins: this header, and no encrypted key. No other header is even read.
BEGINNING = base64.urlsafe_b64encode(msgspec.json.encode(HEADER)).rstrip(b"=").decode() + ".."

Content = TypeVar("Content")


class Unsealable(Exception):
    """The value was not sealed here, for this purpose, or not lately; the text says which and never the value."""


class Unlasting(Unsealable):
    """The value was sealed here for this purpose, and its time is over."""


class Envelope(msgspec.Struct, array_like=True):
    """What is inside a sealed value."""

    purpose: str
    expires_at: float | None  # seconds since the epoch; None: it lasts as long as its key
    content: msgspec.Raw


class Seal:
    """Seals and opens values with a list of keys of 32 bytes each; `now` is the wall clock in seconds."""

    def __init__(self, keys: Sequence[bytes], now: Callable[[], float] = time.time) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a seal needs at least one key, each of {KEY_BYTES} bytes")
        self._raw = tuple(keys)
        self._made: list[OctKey] = []
        self._now = now

    def seal(self, purpose: str, content: Any, seconds: float | None = None) -> str:
        """The content as a text that is safe in URLs, cookies and JSON; it opens for `seconds`, or for ever."""
        from joserfc import jwe  # noqa: PLC0415 - a gate that has sealed nothing yet need not load it

        expires_at = None if seconds is None else self._now() + seconds
        envelope = Envelope(purpose, expires_at, msgspec.Raw(msgspec.json.encode(content)))
        return jwe.encrypt_compact(dict(HEADER), msgspec.json.encode(envelope), self._keys()[0])

    def open(self, purpose: str, value: str, kind: type[Content]) -> Content:
        """The content of a value that was sealed for this purpose.

        Raises:
            Unsealable: it was not, or no key of ours opens it.
            Unlasting: its time is over.
        """
        envelope = self._envelope(value)
        if envelope.purpose != purpose:
            raise Unsealable(f"it was sealed as {envelope.purpose}, not as {purpose}")
        if envelope.expires_at is not None and envelope.expires_at <= self._now():
            raise Unlasting(f"its time was over {self._now() - envelope.expires_at:.0f} s ago")
        try:
            return msgspec.json.decode(envelope.content, type=kind)
        except msgspec.MsgspecError:
            raise Unsealable(f"its content is no {kind.__name__}; another release sealed it") from None

    def _envelope(self, value: str) -> Envelope:
        from joserfc import jwe  # noqa: PLC0415 - see seal
        from joserfc.errors import JoseError  # noqa: PLC0415

        if len(value) > MAX_SEALED or not value.isascii() or not value.startswith(BEGINNING):
            raise Unsealable("it is longer than any sealed value, or looks like none")
        for key in self._keys():
            try:
                opened = jwe.decrypt_compact(value, key, algorithms=list(HEADER.values()))
                return msgspec.json.decode(opened.plaintext or b"", type=Envelope)
            except (JoseError, ValueError):  # what is no JWE at all raises a ValueError in places
                continue
        raise Unsealable("no seal key of ours opens it")

    def _keys(self) -> list[OctKey]:
        from joserfc.jwk import OctKey  # noqa: PLC0415 - see seal

        if not self._made:
            self._made = [OctKey.import_key(key) for key in self._raw]
        return self._made


def seal_keys(settings: Settings) -> list[bytes]:
    """The seal keys of the settings, from `seal_keys` or `seal_keys_file`; none if neither is there.

    Raises:
        InvalidSecret: the file cannot be read, or a key is not 32 bytes in Base64.
    """
    texts = list(settings.seal_keys)
    if settings.seal_keys_file:
        texts += read_secret(settings.seal_keys_file).split()
    return [_key(text) for text in texts]


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip().rstrip("=").replace("-", "+").replace("_", "/") + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidSecret("a seal key must be 32 random bytes in Base64; make one with `openssl rand -base64 32`")
    return key
