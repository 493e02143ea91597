"""An issuer's key set: fetched once for everyone, kept while fresh, used while the issuer is down, read with care."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OctKey, OKPKey
from joserfc.jws import JWSRegistry

from conformance.issuer import Clock, Keys, rsa_key
from gateway.errors import KeysUnavailable, UnknownKey
from gateway.keys import COOLDOWN, FITS, FRESH, MAX_KEYS, STALE, KeysError, KeySet, read_keys
from tests.gated import keys


class Source:
    """Where a key set comes from: counts what is fetched, and fails or waits when told to."""

    def __init__(self, published: Keys) -> None:
        self.keys = published
        self.fetches = 0
        self.begun = asyncio.Event()
        self.failure: Exception | None = None
        self.hold: asyncio.Event | None = None

    async def __call__(self) -> bytes:
        self.fetches += 1
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return json.dumps(self.keys.document()).encode()


class World:
    """A key set with its source and its clock."""

    def __init__(self) -> None:
        self.source = Source(keys().copy())
        self.clock = Clock()
        self.clock.set(1_000_000.0)
        self.set = KeySet("https://issuer.example", ["RS256"], self.source, now=self.clock.now)

    @property
    def kid(self) -> str:
        kid = self.source.keys.access.kid
        assert kid is not None
        return kid

    def begin_with_a_copy(self) -> None:
        """Of what the issuer publishes now."""
        self.set.begin_with(json.dumps(self.source.keys.document()).encode())

    async def known(self) -> bool:
        """Whether the issuer's key is found; waits for a fetch if need be."""
        return bool(await self.set.get(self.kid, "RS256"))


@pytest.fixture
def world() -> World:
    return World()


class TestFetching:
    async def test_many_waiters_share_one_fetch(self, world: World) -> None:
        world.source.hold = asyncio.Event()
        waiters = [asyncio.create_task(world.known()) for _ in range(100)]
        await world.source.begun.wait()
        world.source.hold.set()
        assert all(await asyncio.gather(*waiters))
        assert world.source.fetches == 1

    async def test_fresh_key_set_is_not_asked_for_again(self, world: World) -> None:
        await world.known()
        world.clock.move(0.79 * FRESH)
        assert await world.known()
        await asyncio.sleep(0)
        assert world.source.fetches == 1

    async def test_key_set_is_fetched_ahead_of_its_expiry_without_anybody_waiting(self, world: World) -> None:
        await world.known()
        world.source.hold = asyncio.Event()
        world.clock.move(0.8 * FRESH)
        assert world.set.find(world.kid, "RS256"), "the old key set serves meanwhile"
        world.clock.move(COOLDOWN + 1)
        assert world.set.find(world.kid, "RS256"), "a slow fetch is not begun twice"
        await asyncio.sleep(0)
        assert world.source.fetches == 2
        world.source.hold.set()
        await world.set.refresh()  # joins the fetch that is under way
        world.clock.move(0.79 * FRESH)
        assert await world.known()
        assert world.source.fetches == 2

    async def test_key_set_nobody_used_for_ten_minutes_is_waited_for(self, world: World) -> None:
        await world.known()
        world.source.keys.withdraw(world.kid)
        world.clock.move(FRESH)
        with pytest.raises(UnknownKey):
            await world.known()

    async def test_waiter_that_goes_away_does_not_take_the_fetch_of_the_others_with_it(self, world: World) -> None:
        world.source.hold = asyncio.Event()
        first, second = (asyncio.create_task(world.known()) for _ in range(2))
        await world.source.begun.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        world.source.hold.set()
        assert await second
        assert world.source.fetches == 1

    async def test_closing_ends_a_fetch_under_way(self, world: World) -> None:
        world.source.hold = asyncio.Event()
        waiter = asyncio.create_task(world.known())
        await world.source.begun.wait()
        await world.set.close()
        with pytest.raises(asyncio.CancelledError):
            await waiter

    async def test_closing_without_a_fetch_under_way_does_nothing(self, world: World) -> None:
        await world.set.close()
        assert await world.known()


class TestCopyToBeginWith:
    async def test_serves_from_the_start_and_its_first_use_sends_for_the_issuers_own(self, world: World) -> None:
        world.begin_with_a_copy()
        world.source.keys.withdraw(world.kid)
        assert await world.known()
        await world.set.refresh()  # joins the fetch that is under way
        assert world.source.fetches == 1
        assert not world.set.find(world.kid, "RS256")

    async def test_that_is_to_serve_alone_for_a_time_sends_for_nothing_until_then(self, world: World) -> None:
        world.begin_with_a_copy()
        world.set.put_off(COOLDOWN)
        world.source.keys.withdraw(world.kid)
        world.clock.move(COOLDOWN - 1)
        assert await world.known()
        await asyncio.sleep(0)
        assert world.source.fetches == 0
        world.clock.move(1)
        assert await world.known(), "the use that sends for the issuer's own"
        await asyncio.sleep(0)
        assert world.source.fetches == 1
        await world.set.refresh()  # joins the fetch that is under way
        assert world.source.fetches == 1
        assert not world.set.find(world.kid, "RS256")

    async def test_that_serves_alone_knows_a_new_key_at_its_first_use(self, world: World) -> None:
        world.begin_with_a_copy()
        world.set.put_off(COOLDOWN)
        world.source.keys.rotate(rsa_key(), world.source.keys.id)
        assert await world.known()
        assert world.source.fetches == 1

    async def test_that_nobody_used_for_ten_minutes_is_waited_for(self, world: World) -> None:
        world.begin_with_a_copy()
        world.set.put_off(COOLDOWN)
        world.source.keys.withdraw(world.kid)
        world.clock.move(FRESH)
        with pytest.raises(UnknownKey):
            await world.known()

    @pytest.mark.parametrize("seconds", [FRESH, 10 * FRESH])
    async def test_serves_alone_no_longer_than_keys_that_were_fetched_just_now(
        self, world: World, seconds: float
    ) -> None:
        world.begin_with_a_copy()
        world.set.put_off(seconds)
        world.source.keys.withdraw(world.kid)
        world.clock.move(FRESH)
        with pytest.raises(UnknownKey):
            await world.known()

    async def test_without_one_there_is_nothing_to_put_off(self, world: World) -> None:
        world.set.put_off(COOLDOWN)
        assert await world.known()
        assert world.source.fetches == 1


class TestUnknownKeys:
    async def test_unknown_kids_cost_one_fetch_per_half_minute_for_everyone(self, world: World) -> None:
        await world.known()
        world.clock.move(COOLDOWN)
        asked = [world.set.get(f"random-{i}", "RS256") for i in range(200)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(result) for result in results} == {UnknownKey}
        assert world.source.fetches == 2
        world.clock.move(COOLDOWN - 1)
        with pytest.raises(UnknownKey):
            await world.set.get("another", "RS256")
        assert world.source.fetches == 2

    async def test_rotated_key_verifies_on_its_first_use_after_the_cooldown(self, world: World) -> None:
        await world.known()
        world.source.keys.rotate(rsa_key(), world.source.keys.id)
        with pytest.raises(UnknownKey):
            await world.known()
        world.clock.move(COOLDOWN)
        assert await world.known()

    async def test_withdrawn_key_stops_verifying_within_the_life_of_the_cache(self, world: World) -> None:
        await world.known()
        world.source.keys.withdraw(world.kid)
        world.clock.move(0.9 * FRESH)
        assert await world.known(), "still fresh: this use sends for the new key set"
        await world.set.refresh()  # joins the fetch that is under way
        world.clock.move(COOLDOWN)
        with pytest.raises(UnknownKey):
            await world.known()


class TestIssuerDown:
    async def test_down_at_the_start_is_unavailable_and_never_unknown(self, world: World) -> None:
        world.source.failure = KeysError("it answers 500")
        with pytest.raises(KeysUnavailable, match="it answers 500") as refusal:
            await world.known()
        assert COOLDOWN < refusal.value.retry_after <= COOLDOWN + 1
        assert not world.set.usable
        assert world.set.failure == "it answers 500"

    async def test_operator_is_told_why_and_what_follows(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.source.failure = KeysError("it answers 500")
        with pytest.raises(KeysUnavailable):
            await world.known()
        assert "keys of https://issuer.example: it answers 500; its tokens are answered with 503" in caplog.text
        world.source.failure = None
        world.clock.move(COOLDOWN)
        await world.known()
        world.source.failure = KeysError("it answers 502")
        world.clock.move(FRESH)
        await world.known()
        assert "it answers 502; the old keys serve" in caplog.text
        assert world.set.fetches == {"success": 1, "failure": 2}

    async def test_issuer_that_is_down_is_asked_once_per_half_minute(self, world: World) -> None:
        world.source.failure = KeysError("down")
        for _ in range(10):
            with pytest.raises(KeysUnavailable):
                await world.known()
        assert world.source.fetches == 1

    async def test_recovery_is_noticed_within_one_cooldown(self, world: World) -> None:
        world.source.failure = KeysError("down")
        with pytest.raises(KeysUnavailable) as refusal:
            await world.known()
        world.source.failure = None
        world.clock.move(refusal.value.retry_after)
        assert await world.known()
        assert world.set.usable
        assert world.set.failure == ""

    async def test_old_keys_serve_for_a_day_and_then_nobody_is_verified(self, world: World) -> None:
        await world.known()
        world.source.failure = KeysError("down")
        world.clock.move(STALE - 1)
        assert await world.known()
        world.clock.move(1)
        with pytest.raises(KeysUnavailable):
            await world.known()
        assert not world.set.usable

    async def test_old_keys_delay_nobody_while_the_issuer_is_down(self, world: World) -> None:
        await world.known()
        world.source.failure = KeysError("down")
        world.clock.move(FRESH)
        assert await world.known(), "waited for once"
        world.source.hold = asyncio.Event()
        world.clock.move(COOLDOWN)
        assert world.set.find(world.kid, "RS256"), "never again: this does not wait"
        await world.set.close()

    async def test_unknown_kid_while_the_issuer_is_down_is_not_called_unknown(self, world: World) -> None:
        await world.known()
        world.source.failure = KeysError("down")
        world.clock.move(COOLDOWN)
        with pytest.raises(KeysUnavailable):
            await world.set.get("perhaps new", "RS256")

    async def test_broken_document_leaves_the_old_keys_in_use(self, world: World) -> None:
        await world.known()
        for jwk in world.source.keys.document()["keys"]:
            world.source.keys.withdraw(jwk["kid"])
        world.clock.move(FRESH)
        assert await world.known()
        assert "no key that can verify" in world.set.failure

    async def test_fault_of_the_gate_refuses_everyone_and_is_logged(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.source.failure = RuntimeError("a bug")
        with caplog.at_level(logging.ERROR), pytest.raises(KeysUnavailable, match="a fault of the gate"):
            await world.known()
        assert "a bug" in caplog.text
        assert "a bug" not in world.set.failure


def public(key: Key, **changes: Any) -> dict[str, Any]:
    """The JWK of a key's public half; changes of value None take a member out."""
    jwk = {**key.as_dict(private=False), "kid": "k", **changes}
    return {name: value for name, value in jwk.items() if value is not None}


RSA = keys().access
OTHER_RSA = keys().id
EC = ECKey.generate_key("P-256")
ED = OKPKey.generate_key("Ed25519")
ALL = tuple(FITS)
RS256 = JWSRegistry.algorithms["RS256"]


def read(*jwks: Any, algorithms: tuple[str, ...] = ("RS256",)) -> set[tuple[str | None, str]]:
    return set(read_keys(json.dumps({"keys": jwks}).encode(), algorithms))


class TestReading:
    @pytest.mark.parametrize(
        ("jwk", "algorithm"),
        [
            pytest.param(public(RSA), "RS256", id="RSA"),
            pytest.param(public(RSA, alg=None), "RS512", id="of no declared algorithm"),
            pytest.param(public(RSA, alg="PS384"), "PS384", id="PSS"),
            pytest.param(public(RSA, use=None), "RS256", id="of no declared use"),
            pytest.param(public(RSA, use=None, key_ops=["verify"]), "RS256", id="for the operation verify"),
            pytest.param(public(RSA, x5c=["MII", "MII"], x5t=7, odd={"a": None}), "RS256", id="with odd members"),
            pytest.param(public(EC), "ES256", id="P-256"),
            pytest.param(public(ECKey.generate_key("P-384")), "ES384", id="P-384"),
            pytest.param(public(ECKey.generate_key("P-521")), "ES512", id="P-521"),
            pytest.param(public(ED), "EdDSA", id="Ed25519"),
        ],
    )
    def test_published_key_is_used(self, jwk: dict[str, Any], algorithm: str) -> None:
        assert read(jwk, algorithms=(algorithm,)) == {("k", algorithm), (None, algorithm)}

    @pytest.mark.parametrize(
        "jwk",
        [
            pytest.param(public(RSA, use="enc"), id="for encryption"),
            pytest.param(public(RSA, use=["sig"]), id="of a use that is no text"),
            pytest.param(public(RSA, key_ops=["encrypt"]), id="for another operation"),
            pytest.param(public(RSA, key_ops="verify"), id="of operations that are no list"),
            pytest.param(public(RSA, alg="HS256"), id="for a shared secret's algorithm"),
            pytest.param(public(RSA, alg="PS256"), id="for another RSA algorithm"),
            pytest.param(public(RSA, alg=7), id="of an algorithm that is no text"),
            pytest.param({**RSA.as_dict(private=True), "kid": "k"}, id="published with its private half"),
            pytest.param({**OctKey.generate_key(256).as_dict(private=True), "kid": "k"}, id="a shared secret"),
            pytest.param(public(rsa_key(1024)), id="RSA of 1024 bits"),
            pytest.param(public(RSA, n=None), id="RSA without modulus"),
            pytest.param(public(RSA, n="!"), id="RSA with a modulus that is no number"),
            pytest.param(public(RSA, n=12345), id="RSA with a modulus that is no text"),
            pytest.param(public(RSA, e="AA"), id="RSA with exponent nought"),
            pytest.param(public(RSA, kty="EC"), id="of another type than it says"),
            pytest.param(public(RSA, kty=None), id="of no type"),
            pytest.param(public(EC), id="of another type"),
            pytest.param(public(ED), id="of a third type"),
        ],
    )
    def test_other_key_is_passed_over(self, jwk: dict[str, Any]) -> None:
        good = public(OTHER_RSA, kid="good")
        assert ("k", "RS256") not in read(jwk, good)
        with pytest.raises(KeysError, match="no key that can verify RS256"):
            read(jwk)

    @pytest.mark.parametrize(
        ("curve", "algorithm"),
        [
            pytest.param("P-384", "ES256", id="P-384 for ES256"),
            pytest.param("P-256", "ES384", id="P-256 for ES384"),
            pytest.param("P-256", "ES512", id="P-256 for ES512"),
        ],
    )
    def test_key_of_another_curve_is_passed_over(self, curve: Any, algorithm: str) -> None:
        with pytest.raises(KeysError):
            read(public(ECKey.generate_key(curve)), algorithms=(algorithm,))

    def test_point_beside_its_curve_is_passed_over(self) -> None:
        with pytest.raises(KeysError):
            read(public(EC, x=EC.as_dict()["y"]), algorithms=("ES256",))

    def test_weak_key_is_refused_and_not_warned_of(self, recwarn: pytest.WarningsRecorder) -> None:
        with pytest.raises(KeysError):
            read(public(rsa_key(1024)))
        assert not recwarn

    def test_one_key_serves_every_algorithm_it_fits(self) -> None:
        assert read(public(RSA, alg=None), algorithms=("RS256", "PS256")) == {
            (kid, algorithm) for kid in ("k", None) for algorithm in ("RS256", "PS256")
        }

    def test_token_without_kid_has_its_key_only_where_exactly_one_fits(self) -> None:
        assert (None, "RS256") in read(public(RSA), public(EC, kid="e"))
        assert read(public(RSA), public(OTHER_RSA, kid="o")) == {("k", "RS256"), ("o", "RS256")}

    def test_key_without_kid_serves_tokens_without_one(self) -> None:
        assert read(public(RSA, kid=None)) == {(None, "RS256")}
        assert read(public(RSA, kid=7)) == {(None, "RS256")}

    def test_of_two_keys_with_one_kid_the_first_counts(self) -> None:
        found = read_keys(json.dumps({"keys": [public(RSA), public(OTHER_RSA)]}).encode(), ["RS256"])
        assert found["k", "RS256"].signed(b"these bytes", RS256.sign(b"these bytes", RSA))
        assert set(found) == {("k", "RS256")}

    def test_keys_beyond_all_reason_are_not_read(self) -> None:
        crowd = [public(EC, kid=str(i)) for i in range(MAX_KEYS)]
        with pytest.raises(KeysError):
            read(*crowd, public(RSA))

    @pytest.mark.parametrize(
        "document",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"<!doctype html><title>Sign in</title>", id="a page"),
            pytest.param(b"\xff\xfe", id="no text"),
            pytest.param(b'{"keys": [{"kid": "\xff"}]}', id="no UTF-8"),
            pytest.param(b"[]", id="no object"),
            pytest.param(b"{}", id="no keys"),
            pytest.param(b'{"keys": {}}', id="keys that are no list"),
            pytest.param(b'{"keys": ["k"]}', id="a key that is no object"),
            pytest.param(b'{"keys": []}', id="an empty list"),
            pytest.param(b'{"keys": [{"a": ' + b"[" * 10_000, id="nested without end"),
        ],
    )
    def test_what_is_no_key_set_is_an_error_that_says_so(self, document: bytes) -> None:
        with pytest.raises(KeysError):
            read_keys(document, ALL)

    @given(st.binary() | st.text().map(str.encode))
    def test_no_document_breaks_the_reader(self, document: bytes) -> None:
        with pytest.raises(KeysError):
            read_keys(document, ALL)

    @given(
        st.sampled_from([public(RSA), public(EC), public(ED)]),
        st.dictionaries(
            st.sampled_from(["kty", "use", "alg", "crv", "n", "e", "x", "y", "kid", "key_ops", "d", "k", "oth"]),
            st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.just("sig"),
        ),
    )
    def test_no_key_breaks_the_reader(self, jwk: dict[str, Any], changes: dict[str, Any]) -> None:
        read({**jwk, **changes}, public(OTHER_RSA, kid="good"), algorithms=ALL)

    def test_key_verifies_what_its_private_half_signed_and_nothing_else(self) -> None:
        found = read_keys(json.dumps({"keys": [public(ED)]}).encode(), ["EdDSA"])["k", "EdDSA"]
        private = ED.private_key
        assert private is not None
        signature = private.sign(b"these bytes")  # type: ignore[union-attr]  # an Ed25519 key
        assert found.signed(b"these bytes", signature)
        assert not found.signed(b"other bytes", signature)
        assert not found.signed(b"these bytes", b"")
