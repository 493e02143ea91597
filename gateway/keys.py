"""One issuer's key set: fetched once for everyone, kept while it is fresh, used while the issuer is down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.errors import KeysUnavailable, UnknownKey

if TYPE_CHECKING:
    from gateway.signature import VerificationKey

FRESH = 600.0  # seconds a key set is used without asking again
COOLDOWN = 30.0  # seconds between two fetches, whoever asks and whatever for
STALE = 86_400.0  # seconds an old key set serves while the issuer cannot be reached
AHEAD = 0.8  # part of FRESH after which the next request sends for a new key set without waiting
FETCHING = "keys of an issuer are fetched"  # the name of the task that does it
MAX_KEYS = 100  # a key set is a handful; what is beyond is not read

# What a key must be to verify an algorithm (RFC 7518 §3.1, RFC 8037 §3.1). No HMAC: a published key is public.
FITS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}

log = logging.getLogger("bearergate.keys")


class KeysError(Exception):
    """The key set could not be fetched or read; the text says which and why, and is safe to log."""


class KeySet:
    """The keys of one issuer, by key id and algorithm.

    `fetch` returns the bytes of the JWKS document or raises `KeysError`. `now` is a monotonic clock in seconds.
    """

    def __init__(
        self,
        issuer: str,
        algorithms: Iterable[str],
        fetch: Callable[[], Awaitable[bytes]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.algorithms = tuple(algorithms)
        self._fetch = fetch
        self._now = now
        self._keys: dict[tuple[str | None, str], VerificationKey] = {}
        self._fetched = float("-inf")  # when the keys in use arrived
        self._asked = float("-inf")  # when the last fetch began, successful or not
        self._failure = ""  # why the last fetch failed; "" after a success
        self.fetches = {"success": 0, "failure": 0}  # since the start
        self._flight: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether there are keys that may still be used."""
        return bool(self._keys) and self._now() - self._fetched < STALE

    @property
    def failure(self) -> str:
        """Why the last fetch failed, in one sentence safe to show; empty after a success."""
        return self._failure

    def begin_with(self, document: bytes) -> None:
        """Use a copy of the key set from now on; the first use sends for the issuer's own without waiting.

        Raises:
            KeysError: it is no key set, or holds no key for these algorithms.
        """
        self._keys = read_keys(document, self.algorithms)
        self._fetched = self._now() - FRESH * AHEAD

    def put_off(self, seconds: float) -> None:
        """Let such a copy serve alone for so long: only a key that it lacks is then asked for sooner."""
        self._fetched = min(self._now(), self._fetched + seconds)

    def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """The key if it is known and nothing needs to be waited for; sends for new keys ahead of expiry."""
        now = self._now()
        age = now - self._fetched
        if age >= STALE or (age >= FRESH and not self._failure):
            return None
        # Old keys are waited for once; from then on an issuer that is down delays nobody.
        if age >= FRESH * AHEAD:
            self.take_off()
        return self._keys.get((kid, algorithm))

    async def get(self, kid: str | None, algorithm: str) -> VerificationKey:
        """The key, fetched if need be.

        Raises:
            UnknownKey: the issuer was asked and publishes no such key.
            KeysUnavailable: the issuer cannot be asked, and what is known does not do.
        """
        if key := self.find(kid, algorithm):
            return key
        await self.refresh()
        if self.usable and (key := self._keys.get((kid, algorithm))):
            return key
        if self._failure or not self.usable:
            wait = max(1, int(self._asked + COOLDOWN - self._now()) + 1)
            raise KeysUnavailable(f"the keys of {self.issuer} cannot be had: {self._failure}", wait)
        raise UnknownKey(f"{self.issuer} publishes no key {kid!a} for {algorithm}")

    def take_off(self) -> None:
        """Send for the key set, unless that is under way or was tried within the cooldown; waits for nothing."""
        if self._flight is None and self._now() - self._asked >= COOLDOWN:
            self._asked = self._now()
            self._flight = asyncio.get_running_loop().create_task(self._load(), name=FETCHING)

    async def refresh(self) -> None:
        """Fetch the key set unless that was tried within the cooldown; all who wait share one fetch."""
        self.take_off()
        if self._flight is not None:
            # Shielded: the caller that went away must not take the key set of all the others with it.
            await asyncio.shield(self._flight)

    async def close(self) -> None:
        """End a fetch that is still under way."""
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.cancel()
            await asyncio.wait([flight])

    async def _load(self) -> None:
        try:
            keys = read_keys(await self._fetch(), self.algorithms)
        except KeysError as error:
            self._fail(str(error))
            meanwhile = "the old keys serve" if self.usable else "its tokens are answered with 503"
            log.warning("keys of %s: %s; %s, next try in %d s", self.issuer, error, meanwhile, COOLDOWN)
        except Exception:  # nobody may be waiting, and a fault that nobody sees would refuse everyone in silence
            self._fail("fetching them met a fault of the gate, which its log describes")
            log.exception("keys of %s: a fault of the gate", self.issuer)
        else:
            self._keys, self._fetched, self._failure = keys, self._now(), ""
            self.fetches["success"] += 1
        finally:
            self._flight = None

    def _fail(self, why: str) -> None:
        self._failure = why
        self.fetches["failure"] += 1


class _Jwks(msgspec.Struct):
    keys: list[dict[str, Any]]


_decode = msgspec.json.Decoder(_Jwks).decode


def read_keys(document: bytes, algorithms: Iterable[str]) -> dict[tuple[str | None, str], VerificationKey]:
    """The usable keys of a JWKS document (RFC 7517 §5), by key id and algorithm.

    An entry that cannot be used is passed over, as RFC 7517 §5 asks. Where exactly one key fits an algorithm,
    it also stands under the key id None: only then does a token without `kid` name its key (RFC 7515 §4.1.4).

    Raises:
        KeysError: the document is no key set, or nothing in it can verify a token.
    """
    from gateway.signature import key_of  # noqa: PLC0415 - a gate refuses long before it verifies

    try:
        entries = _decode(document).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise KeysError(f"what its key location answers is no JWKS document ({error})") from None
    keys: dict[tuple[str | None, str], VerificationKey] = {}
    for algorithm in algorithms:
        fitting = [entry for entry in entries[:MAX_KEYS] if fits(entry, algorithm)]
        for entry in fitting:
            kid, key = entry.get("kid"), key_of(entry, algorithm)
            if key is None:
                continue
            if isinstance(kid, str):
                keys.setdefault((kid, algorithm), key)
            if len(fitting) == 1:
                keys[None, algorithm] = key
    if not keys:
        raise KeysError(f"its key set holds no key that can verify {', '.join(algorithms)}")
    return keys


def fits(entry: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a JWK is published for verifying this algorithm (RFC 7517 §4.1 to §4.4)."""
    kind, curve = FITS[algorithm]
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("kty") == kind
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", algorithm) == algorithm
        and entry.get("crv", curve) == curve
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in entry  # somebody published a private key: whoever read it can sign
    )
