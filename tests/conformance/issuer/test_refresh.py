"""Refresh tokens of the plain profile: rotation, reuse, grace, lifetime and revocation."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from conformance.issuer import Client, Issuer, Keys, Lifetimes
from tests.conformance.issuer.conftest import ALICE, APP, BOB, RESOURCE
from tests.conformance.issuer.journey import CALLBACK, Journey, Value


async def test_refresh_answers_with_a_new_pair(app: Journey) -> None:
    first = await app.tokens(scope="greetings:read", resource=RESOURCE)
    answer = await app.refresh(first["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    claims = app.claims(second["access_token"])
    assert (claims["sub"], claims["aud"], claims["scope"]) == (ALICE.sub, RESOURCE, "greetings:read")


async def test_reuse_of_a_superseded_token_ends_the_family(app: Journey) -> None:
    first = (await app.tokens())["refresh_token"]
    second = (await app.refresh(first)).json()["refresh_token"]
    assert (await app.refresh(first)).json()["error"] == "invalid_grant"
    assert (await app.refresh(second)).json()["error"] == "invalid_grant"


async def test_reuse_in_one_login_leaves_another_alone(app: Journey) -> None:
    first, other = (await app.tokens())["refresh_token"], (await app.tokens())["refresh_token"]
    await app.refresh(first)
    await app.refresh(first)
    assert (await app.refresh(other)).status_code == 200


@pytest.fixture
async def lenient(signing_keys: Keys) -> AsyncIterator[Journey]:
    issuer = Issuer.plain(
        "http://127.0.0.1:9000", users=[ALICE], clients=[APP], refresh_grace=10, keys=signing_keys.copy()
    )
    issuer.clock.set(1_800_000_000)
    journey = Journey(issuer)
    async with journey.http:
        yield journey


async def test_grace_lets_a_superseded_token_work_a_little_longer(lenient: Journey) -> None:
    first = (await lenient.tokens())["refresh_token"]
    second = (await lenient.refresh(first)).json()["refresh_token"]
    lenient.issuer.clock.move(9)
    third = (await lenient.refresh(first)).json()["refresh_token"]
    assert (await lenient.refresh(second)).status_code == 200
    assert (await lenient.refresh(third)).status_code == 200


async def test_grace_counts_from_the_first_use(lenient: Journey) -> None:
    first = (await lenient.tokens())["refresh_token"]
    await lenient.refresh(first)
    lenient.issuer.clock.move(9)
    await lenient.refresh(first)
    lenient.issuer.clock.move(1)
    assert (await lenient.refresh(first)).json()["error"] == "invalid_grant"


async def test_rotation_does_not_lengthen_the_life_of_a_login(app: Journey, plain: Issuer) -> None:
    lifetime = Lifetimes().refresh
    token = (await app.tokens())["refresh_token"]
    plain.clock.move(lifetime - 1)
    token = (await app.refresh(token)).json()["refresh_token"]
    plain.clock.move(1)
    assert (await app.refresh(token)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"refresh_token": "unknown"}, "invalid_grant", id="unknown token"),
        pytest.param({"refresh_token": ""}, "invalid_request", id="no token"),
        pytest.param({"scope": "greetings:read usage:read"}, "invalid_scope", id="wider scope"),
        pytest.param({"resource": "http://127.0.0.1:8000/other"}, "invalid_target", id="wider resource"),
        pytest.param({"resource": [RESOURCE, "http://127.0.0.1:8000/other"]}, "invalid_target", id="second resource"),
    ],
)
async def test_refresh_is_refused(app: Journey, changes: dict[str, Value], error: str) -> None:
    token = (await app.tokens(scope="greetings:read", resource=RESOURCE))["refresh_token"]
    answer = await app.refresh(token, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_refused_refresh_leaves_the_token_usable(app: Journey) -> None:
    token = (await app.tokens(scope="greetings:read"))["refresh_token"]
    await app.refresh(token, scope="usage:read")
    assert (await app.refresh(token)).status_code == 200


async def test_narrower_scope_is_for_one_access_token_only(app: Journey) -> None:
    token = (await app.tokens(scope="greetings:read usage:read"))["refresh_token"]
    narrow = (await app.refresh(token, scope=" usage:read usage:read")).json()
    assert narrow["scope"] == "usage:read"
    assert (await app.refresh(narrow["refresh_token"])).json()["scope"] == "greetings:read usage:read"


async def test_refresh_token_of_another_client_is_refused_and_stays_usable(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("other", (CALLBACK,)))
    first = (await app.tokens())["refresh_token"]
    second = (await app.refresh(first)).json()["refresh_token"]
    for token in (first, second):
        assert (await app.refresh(token, client_id="other")).json()["error"] == "invalid_grant"
    assert (await app.refresh(second)).status_code == 200, "another client's reuse does not end the family"


async def test_client_without_the_grant_cannot_refresh(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("once", (CALLBACK,), grants=("authorization_code",)))
    token = plain.refresh_token("alice", "once")
    assert (await app.refresh(token, client_id="once")).json()["error"] == "unauthorized_client"


async def test_revoked_refresh_token_is_refused(app: Journey) -> None:
    token = (await app.tokens())["refresh_token"]
    answer = await app.revoke(token, token_type_hint="access_token")
    assert answer.status_code == 200, "the hint is only a hint (RFC 7009 §2.1)"
    assert (await app.refresh(token)).json()["error"] == "invalid_grant"


async def test_revoking_one_token_of_a_login_ends_the_login(app: Journey) -> None:
    first = (await app.tokens())["refresh_token"]
    second = (await app.refresh(first)).json()["refresh_token"]
    await app.revoke(first)
    assert (await app.refresh(second)).json()["error"] == "invalid_grant"


async def test_unknown_token_counts_as_revoked(app: Journey) -> None:
    assert (await app.revoke("unknown")).status_code == 200


async def test_access_token_cannot_be_revoked(app: Journey) -> None:
    answer = await app.revoke((await app.tokens())["access_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_token_type")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"token": ""}, "invalid_request", id="no token"),
        pytest.param({"client_id": "stranger"}, "invalid_client", id="unknown client"),
        pytest.param({"client_id": "other"}, "invalid_grant", id="another client"),
        pytest.param({"client_id": ["app", "other"]}, "invalid_request", id="two clients"),
    ],
)
async def test_revocation_is_refused(app: Journey, plain: Issuer, changes: dict[str, Value], error: str) -> None:
    plain.add_client(Client("other", (CALLBACK,)))
    token = (await app.tokens())["refresh_token"]
    form: dict[str, Value] = {"token": token, "client_id": "app"} | changes
    answer = await app.http.post(app.urls["revocation_endpoint"], data=form)
    assert answer.json()["error"] == error
    assert (await app.refresh(token)).status_code == 200


async def test_issuer_can_end_a_login_by_its_token(app: Journey, plain: Issuer) -> None:
    token = (await app.tokens())["refresh_token"]
    plain.revoke(token)
    assert (await app.refresh(token)).json()["error"] == "invalid_grant"


def test_issuer_cannot_end_what_it_never_began(plain: Issuer) -> None:
    with pytest.raises(LookupError, match="no such refresh token"):
        plain.revoke("unknown")


async def test_issuer_can_end_every_login_of_a_user(app: Journey, plain: Issuer) -> None:
    token, code = (await app.tokens())["refresh_token"], (await app.log_in())["code"]
    other = plain.refresh_token(BOB.name, "app")
    bobs = await app.submit(await app.login_url(), username="bob", password="builder")
    plain.revoke_user("alice")
    assert (await app.refresh(token)).json()["error"] == "invalid_grant"
    assert (await app.exchange(code)).json()["error"] == "invalid_grant"
    assert (await app.refresh(other)).status_code == 200
    assert (await app.exchange(bobs.headers["location"].partition("code=")[2].partition("&")[0])).status_code == 200
