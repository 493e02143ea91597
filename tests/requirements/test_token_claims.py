"""JWT-USE, EXP, SUB and CACHE: what a token is for, when it counts, whom it names, and how long it is remembered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.issuer import ABSENT, Issuer, flip_bit
from conformance.requirements import requirement
from tests.gated import (
    CLIENT,
    ISSUER,
    RESOURCE,
    SCOPES,
    cognito_issuer,
    gated,
    plain_issuer,
)
from tests.requirements.callers import EVERY_SCOPE, MODERN, Caller, guarded, text_of, token_of
from tests.requirements.challenges import refused_token
from tests.requirements.tokens import OWN, present, refuses, token, two_issuers

NOW = 1_800_000_000


def written(issuer: Issuer, old: str, new: str) -> str:
    """A valid token whose payload reads `new` where it would read `old`, for what no JSON encoder writes."""
    text = json.dumps(issuer.claims("alice", CLIENT, SCOPES, RESOURCE))
    assert old in text
    return issuer.token("alice", CLIENT, SCOPES, RESOURCE, claims=text.replace(old, new).encode())


@requirement("JWT-USE-01")
async def test_cognito_token_of_another_use_is_refused() -> None:
    pool = cognito_issuer()
    uses = ("id", ABSENT, "ACCESS", "Access", ["access"], "", None, "refresh", True)
    await refuses(
        [
            *(pool.token("alice", CLIENT, [OWN], claims={"token_use": use}) for use in uses),
            pool.id_token("alice", CLIENT),
            pool.id_token("alice", CLIENT, claims={"aud": RESOURCE, "scope": OWN, "client_id": CLIENT}),
            pool.refresh_token("alice", CLIENT, [OWN]),
        ],
        pool,
        resource={"scopes": []},
    )


@requirement("JWT-USE-01")
async def test_id_token_refresh_token_code_and_assertion_are_no_access_tokens() -> None:
    issuer = plain_issuer()
    assertion = {"iss": CLIENT, "sub": CLIENT, "aud": f"{ISSUER}/token", "exp": NOW * 2, "jti": "x"}
    await refuses(
        [
            issuer.id_token("alice", CLIENT),
            issuer.id_token("alice", CLIENT, claims={"aud": RESOURCE}),
            token(issuer, aud=CLIENT),
            issuer.refresh_token("alice", CLIENT, SCOPES, RESOURCE),
            "SplxlOBeZQQYbYS6WxSbIA",
            issuer.sign({"alg": "RS256", "kid": issuer.keys.access.kid}, assertion),
        ],
        issuer,
    )


@pytest.mark.parametrize(
    "exp", [NOW - 3600, NOW - 31, ABSENT, str(NOW + 60), True, -1, None, [NOW + 60], {}, 0, 10**15], ids=str
)
@requirement("JWT-EXP-01")
async def test_expired_token_and_one_without_a_sensible_expiry_are_refused(exp: Any) -> None:
    issuer = plain_issuer()
    issuer.clock.set(NOW)
    await refuses([token(issuer, exp=exp)], issuer)


@pytest.mark.parametrize("exp", ["1e400", "NaN", "Infinity", "-Infinity", "1e308", "9" * 400])
@requirement("JWT-EXP-01")
async def test_expiry_that_is_a_number_beyond_all_dates_is_refused(exp: str) -> None:
    issuer = plain_issuer()
    issuer.clock.set(NOW)
    await refuses([written(issuer, f'"exp": {NOW + 3600}', f'"exp": {exp}')], issuer)


@requirement("JWT-EXP-01")
async def test_fractional_expiry_passes() -> None:
    async with gated() as door:
        door.issuer.clock.set(NOW)
        assert (await present(door, token(door.issuer, exp=NOW + 60.5))).status_code == 200


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": NOW - 5}, 200),
        ({"exp": NOW - 600}, 401),
        ({"nbf": NOW + 5}, 200),
        ({"nbf": NOW + 600}, 401),
        ({"iat": NOW + 5}, 200),
        ({"iat": NOW + 3600}, 401),
        ({"exp": NOW - 31}, 401),
        ({"nbf": NOW + 31}, 401),
        ({"iat": NOW + 31}, 401),
        ({"exp": NOW - 29}, 200),
        ({"nbf": NOW + 29}, 200),
        ({"iat": NOW + 29}, 200),
    ],
    ids=str,
)
@requirement("JWT-EXP-02")
async def test_one_small_leeway_applies_to_every_date(claims: dict[str, int], status: int) -> None:
    async with gated() as door:
        door.issuer.clock.set(NOW)
        assert (await present(door, token(door.issuer, **claims))).status_code == status
    async with gated(leeway=0) as door:
        door.issuer.clock.set(NOW)
        refused_token(await present(door, token(door.issuer, **claims)))


@requirement("JWT-SUB-01")
async def test_same_subject_of_another_issuer_is_another_principal() -> None:
    first, second, settings = two_issuers()
    second_alice = second.token("alice", CLIENT, EVERY_SCOPE, RESOURCE)
    async with guarded(issuer=first, **settings) as door:
        owner = await Caller(door.client, "2025-11-25", token_of(door)).open()
        subject = text_of(await owner.call("whoami")).split()[1]
        twin = second.token("alice", CLIENT, EVERY_SCOPE, RESOURCE, claims={"sub": subject})
        assert (await Caller(door.client, MODERN, twin).call("whoami")).status_code == 200
        assert (await owner.with_token(twin).call("whoami")).status_code == 404
        assert (await owner.with_token(second_alice).call("whoami")).status_code == 404
        assert (await owner.call("whoami")).status_code == 200


@requirement("JWT-SUB-01")
async def test_machine_without_a_subject_is_its_client_and_never_a_person_of_that_name() -> None:
    async with guarded() as door:
        owner = await Caller(door.client, "2025-11-25", token_of(door)).open()
        subject = text_of(await owner.call("whoami")).split()[1]
        machine = door.issuer.token(None, CLIENT, EVERY_SCOPE, RESOURCE, claims={"sub": ABSENT})
        assert text_of(await Caller(door.client, MODERN, machine).call("whoami")) == f"{ISSUER} None {CLIENT}"
        for claims in ({"client_id": subject, "sub": subject}, {"client_id": subject, "sub": ABSENT}):
            namesake = door.issuer.token(None, subject, EVERY_SCOPE, RESOURCE, claims=claims)
            assert (await Caller(door.client, MODERN, namesake).call("whoami")).status_code == 200
            assert (await owner.with_token(namesake).call("whoami")).status_code == 404


@requirement("JWT-SUB-01")
async def test_names_and_mail_addresses_make_nobody_somebody_else() -> None:
    async with guarded() as door:
        owner = await Caller(door.client, "2025-11-25", token_of(door, email="alice@example.com")).open()
        same = {"email": "alice@example.com", "username": "alice", "preferred_username": "alice", "name": "alice"}
        assert (await owner.with_token(token_of(door, "bob", **same)).call("whoami")).status_code == 404
        renamed = token_of(door, email="new@example.com", username="alice2")
        assert (await owner.with_token(renamed).call("whoami")).status_code == 200


@requirement("JWT-SUB-01")
async def test_token_that_names_nobody_is_refused() -> None:
    issuer = plain_issuer()
    await refuses([token(issuer, sub=ABSENT, client_id=ABSENT)], issuer)


@requirement("JWT-CACHE-01")
async def test_remembered_token_is_refused_once_it_expires() -> None:
    async with gated() as door:
        door.issuer.clock.set(NOW)
        sent = token(door.issuer, exp=NOW + 100)
        for _ in range(26):
            assert (await present(door, sent)).status_code == 200
            door.issuer.clock.move(5)
        refused_token(await present(door, sent))


@requirement("JWT-CACHE-01")
async def test_remembered_token_lends_nothing_to_one_that_differs_anywhere() -> None:
    async with gated() as door:
        sent = token(door.issuer)
        assert (await present(door, sent)).status_code == 200
        for part in ("signature", "payload", "header"):
            refused_token(await present(door, flip_bit(sent, part)))
        refused_token(await present(door, sent.rpartition(".")[0] + ".eA"))
        refused_token(await present(door, f"{sent}A"))
        assert (await present(door, sent)).status_code == 200


@requirement("JWT-CACHE-01")
async def test_refused_tokens_push_no_remembered_one_out() -> None:
    async with gated(token_cache_size=4) as door:
        sent = token(door.issuer)
        assert (await present(door, sent)).status_code == 200
        door.issuer.keys.withdraw(door.issuer.keys.access.kid)
        for number in range(50):
            refused_token(await present(door, f"{sent.rpartition('.')[0]}.{number:04}"))
        assert len(door.gate.state.gates["/mcp"].verifier.verified) == 1
        assert (await present(door, sent)).status_code == 200
