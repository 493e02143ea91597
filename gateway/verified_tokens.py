"""The principals of tokens that were verified lately, so that the same token again costs one look-up."""

from __future__ import annotations

from gateway.principal import Principal


class VerifiedTokens:
    """The principals of tokens verified lately: bounded, each gone at its expiry or after `seconds`.

    Two generations: the young one becomes the old one when it is full, and what is used again moves back. That is
    nearly least-recently-used at the price of one look-up. Refused tokens are never in it, so none pushes an honest
    one out. The key is a hash of the complete token, signature included.
    """

    def __init__(self, size: int = 10_000, seconds: float = 300.0) -> None:
        self.half = max(1, size // 2)
        self.seconds = seconds
        self._young: dict[bytes, tuple[float, Principal]] = {}
        self._old: dict[bytes, tuple[float, Principal]] = {}

    def get(self, digest: bytes, now: float) -> Principal | None:
        """The principal, unless its time is over."""
        entry = self._young.get(digest)
        if entry is None:
            entry = self._old.pop(digest, None)
            if entry is None:
                return None
            self._insert(digest, entry)
        if now < entry[0]:
            return entry[1]
        self._young.pop(digest, None)
        return None

    def put(self, digest: bytes, principal: Principal, now: float) -> None:
        """Remember a principal until its token expires, for `seconds` at the most."""
        self._insert(digest, (min(principal.expires_at, now + self.seconds), principal))

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _insert(self, digest: bytes, entry: tuple[float, Principal]) -> None:
        if len(self._young) >= self.half:
            self._old, self._young = self._young, {}
        self._young[digest] = entry
