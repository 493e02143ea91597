"""Verified tokens are remembered within bounds, never beyond their end."""

from __future__ import annotations

from gateway.principal import Principal
from gateway.verified_tokens import VerifiedTokens
from tests.gated import CLIENT

NOW = 1_800_000_000


def principal(expires_at: float = NOW + 3600) -> Principal:
    return Principal("https://issuer.example", "alice", CLIENT, frozenset(), frozenset(), expires_at)


def test_memory_is_bounded() -> None:
    memory = VerifiedTokens(size=10)
    for i in range(1000):
        memory.put(b"%d" % i, principal(), NOW)
    assert len(memory) <= 10
    assert memory.get(b"999", NOW)
    assert memory.get(b"0", NOW) is None


def test_what_is_used_stays() -> None:
    memory = VerifiedTokens(size=10)
    memory.put(b"used", principal(), NOW)
    for i in range(1000):
        memory.put(b"%d" % i, principal(), NOW)
        assert memory.get(b"used", NOW)


def test_smallest_memory_holds_a_token() -> None:
    memory = VerifiedTokens(size=1)
    memory.put(b"a", principal(), NOW)
    assert memory.get(b"a", NOW)


def test_what_is_over_is_forgotten() -> None:
    memory = VerifiedTokens(seconds=300)
    memory.put(b"short", principal(NOW + 10), NOW)
    memory.put(b"long", principal(), NOW)
    assert memory.get(b"short", NOW + 10) is None
    assert memory.get(b"long", NOW + 300) is None
    assert len(memory) == 0


def test_over_in_the_older_half_is_forgotten_too() -> None:
    memory = VerifiedTokens(size=2)
    memory.put(b"short", principal(NOW + 10), NOW)
    memory.put(b"long", principal(), NOW)
    assert memory.get(b"short", NOW + 10) is None
    assert len(memory) <= 1
