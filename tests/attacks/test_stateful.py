"""Any order of rotations, outages, jumps of the clock and requests: what must hold after every step, holds."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from joserfc.jwk import RSAKey

from conformance.issuer import flip_bit, rsa_key
from tests.attacks.battery import NOW, honest, present
from tests.gated import gated, plain_issuer

LEEWAY, COOLDOWN, CACHED, FRESH, STALE = 30, 30, 300, 600, 86_400  # seconds, as documented

FAULTS: list[dict[str, Any]] = [
    {"status": 503},
    {"body": b"<html>"},
    {"body": b'{"keys":[]}'},
    {"redirect_to": "https://evil.test/jwks"},
]


@cache
def ring() -> tuple[RSAKey, ...]:
    """The keys that the issuer goes through."""
    return tuple(rsa_key() for _ in range(4))


@dataclass(eq=False)
class Token:
    """A token and what is known of it."""

    text: str
    key: RSAKey
    begins: float
    ends: float
    genuine: bool = True
    accepted: float = float("-inf")  # when it was last verified anew or from the cache, by the wall's clock


class Gatekeeping(RuleBasedStateMachine):
    """The issuer, its key server and the clocks do as they like; the gate keeps its promises.

    The model knows what the key server said and when, and nothing of how the gate works.
    """

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.issuer = plain_issuer()
        self.issuer.clock.set(NOW)
        self.elapsed = 0.0  # the clock that never goes back
        self.signing = 0
        self.known: set[str | None] = set()  # ids in the last key set that could be had
        self.learnt = float("-inf")
        self.failing = False  # the last fetch failed
        self.fetches: list[float] = []
        self.all: list[Token] = []

    @initialize(target=tokens, fault=st.sampled_from([{}, {}, {}, *FAULTS]))
    def begin(self, fault: dict[str, Any]) -> Token:
        self.issuer.keys.rotate(ring()[0], self.issuer.keys.id)
        vars(self.issuer.key_server).update(fault)
        self.door = self.loop.run_until_complete(
            self.stack.enter_async_context(gated(self.issuer, monotonic=lambda: self.elapsed))
        )
        self.requests([])  # the gate may have sent for keys by itself
        return self.issued(1_000_000, None)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.stack.aclose())
        self.loop.close()

    @property
    def now(self) -> float:
        return self.issuer.clock.now()

    @property
    def published(self) -> set[str | None]:
        return {jwk.get("kid") for jwk in self.issuer.keys.document()["keys"]}

    def issued(self, seconds: int, ahead: int | None) -> Token:
        begins = self.now + (ahead or 0)  # without `nbf`, it is `iat` that says so
        changes: dict[str, Any] = {"exp": self.now + seconds} | ({} if ahead is None else {"nbf": begins})
        token = Token(honest(self.issuer, claims=changes), self.issuer.keys.access, begins, self.now + seconds)
        self.all.append(token)
        return token

    @rule(
        target=tokens, seconds=st.sampled_from([20, 100, 1000, 100_000]), ahead=st.sampled_from([None, 0, 29, 31, 90])
    )
    def mint(self, seconds: int, ahead: int | None) -> Token:
        return self.issued(seconds, ahead)

    @rule(target=tokens, token=tokens, part=st.sampled_from(["payload", "signature"]))
    def forge(self, token: Token, part: Any) -> Token:
        if not token.genuine:
            return token  # the same bit inverted twice would make it a genuine one
        forged = Token(flip_bit(token.text, part), token.key, token.begins, token.ends, genuine=False)
        self.all.append(forged)
        return forged

    @rule()
    def rotate(self) -> None:
        self.signing = (self.signing + 1) % len(ring())
        self.issuer.keys.rotate(ring()[self.signing], self.issuer.keys.id)

    @rule(which=st.integers(0, 3))
    def withdraw(self, which: int) -> None:
        if which != self.signing and ring()[which].kid in self.published:
            self.issuer.keys.withdraw(ring()[which].kid)

    @rule(seconds=st.sampled_from([1, 29, 30, 31, 100, 299, 301, 480, 599, 601, 3600, 86_399, 86_401]))
    def wait(self, seconds: int) -> None:
        self.issuer.clock.move(seconds)
        self.elapsed += seconds

    @rule(seconds=st.sampled_from([1, 20, 60, 600]))
    def turn_back(self, seconds: int) -> None:
        self.issuer.clock.move(-seconds)

    @rule(fault=st.sampled_from(FAULTS))
    def break_down(self, fault: dict[str, Any]) -> None:
        self.recover()
        vars(self.issuer.key_server).update(fault)

    @rule()
    def recover(self) -> None:
        hits = self.issuer.key_server.hits
        self.issuer.key_server.reset()
        self.issuer.key_server.hits = hits

    @rule(fault=st.sampled_from(FAULTS), seconds=st.sampled_from([0, 601, 86_401]))
    def everybody_in_an_outage(self, fault: dict[str, Any], seconds: int) -> None:
        self.break_down(fault)
        self.everybody(seconds)

    @rule(seconds=st.sampled_from([0, 31, 601]))
    def everybody_after_a_withdrawal(self, seconds: int) -> None:
        self.rotate()
        self.withdraw((self.signing - 1) % len(ring()))
        self.everybody(seconds)

    @rule(token=tokens)
    def request(self, token: Token) -> None:
        self.requests([token])

    @rule(seconds=st.sampled_from([0, 0, 30, 100, 301, 601, 86_401, -60]))
    def everybody(self, seconds: int) -> None:
        self.issuer.clock.move(seconds)
        self.elapsed += max(0, seconds)
        self.requests([self.all[0], *self.all[-8:]])

    @rule(chosen=st.lists(tokens, min_size=2, max_size=6))
    def requests(self, chosen: list[Token]) -> None:
        before = self.known if self.elapsed - self.learnt < STALE else set()
        excused = self.failing or self.elapsed - self.learnt < FRESH
        answers = self.loop.run_until_complete(self.answers(chosen))
        self.note_fetches()
        for token, answer in zip(chosen, answers, strict=True):
            # Keys that are no longer fresh serve only where there were no others.
            self.judge(token, answer, before | self.known if excused or self.failing else self.known)

    async def answers(self, tokens: list[Token]) -> list[httpx.Response]:
        answers = await asyncio.gather(*(present(self.door, token.text) for token in tokens))
        (key_set,) = {gate.verifier.issuers[self.issuer.url].keys for gate in self.door.gate.state.gates.values()}
        await asyncio.gather(*filter(None, [key_set._flight]))  # one that nobody waits for
        return answers

    def note_fetches(self) -> None:
        server = self.issuer.key_server
        if server.hits > len(self.fetches):
            assert server.hits == len(self.fetches) + 1, "more than one fetch for requests of one moment"
            self.fetches.append(self.elapsed)
            self.failing = server.status is not None or server.body is not None or server.redirect_to is not None
            if not self.failing:
                self.known, self.learnt = self.published, self.elapsed

    def judge(self, token: Token, answer: httpx.Response, acceptable: set[str | None]) -> None:
        status = answer.status_code
        assert status in {200, 401, 503}
        remembered = token.accepted <= self.now < min(token.ends, token.accepted + CACHED)
        usable = self.elapsed - self.learnt < STALE
        in_time = token.begins <= self.now + LEEWAY and self.now < token.ends + LEEWAY
        if status == 200:
            assert token.genuine, "a forged token passed"
            assert self.now < token.ends + LEEWAY, "an expired token passed"
            assert in_time or token.accepted > float("-inf"), "a token passed before its time"
            turned_back = token.accepted > self.now
            assert remembered or turned_back or (usable and token.key.kid in acceptable), "no key for it"
            if not (remembered or turned_back):
                token.accepted = self.now
        if status == 401:
            fine = token.genuine and in_time and usable and token.key.kid in self.known
            assert not fine, "a valid token was refused though its key is known"
            assert not (token.genuine and in_time and self.failing), "401 though no key can be had"
        if status == 503:
            assert self.failing or not usable, "503 though the issuer answers"
            assert not (token.genuine and in_time and usable and token.key.kid in self.known)
            assert 1 <= int(answer.headers["retry-after"]) <= COOLDOWN + 1

    @invariant()
    def one_fetch_per_cooldown(self) -> None:
        assert all(later - earlier >= COOLDOWN for earlier, later in zip(self.fetches, self.fetches[1:], strict=False))

    @invariant()
    def nothing_forged_is_remembered(self) -> None:
        (gate,) = self.door.gate.state.gates.values()
        assert len(gate.verifier.verified) <= len(self.door.app.scopes)


TestGatekeeping = Gatekeeping.TestCase
TestGatekeeping.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
