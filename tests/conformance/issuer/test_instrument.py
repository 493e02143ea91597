"""Tokens from Python: valid but for the one thing a test changes, each damage looked at with joserfc."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet, OctKey

from conformance.issuer import ABSENT, Client, Issuer, Keys, User, rsa_key
from tests.conformance.issuer.conftest import ALICE, RESOURCE
from tests.conformance.issuer.journey import Journey


def header(token: str) -> dict[str, Any]:
    return jws.extract_compact(token.encode()).headers()


def claims(issuer: Issuer, token: str) -> dict[str, Any]:
    return jwt.decode(token, issuer.keys.access, algorithms=["RS256"]).claims


def random_ids_aside(token_claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in token_claims.items() if name not in {"jti", "origin_jti", "event_id"}}


@pytest.mark.parametrize("profile", ["plain", "cognito"])
async def test_minted_token_is_like_one_from_a_login(profile: str, request: pytest.FixtureRequest) -> None:
    issuer: Issuer = request.getfixturevalue(profile)
    journey = Journey(issuer)
    async with journey.http:
        real = (await journey.tokens(scope="openid"))["access_token"]
    minted = issuer.token("alice", "app", ["openid"])
    assert header(minted) == header(real)
    assert random_ids_aside(claims(issuer, minted)) == random_ids_aside(claims(issuer, real))


def test_claims_are_those_of_the_token(plain: Issuer) -> None:
    told = plain.claims("alice", "app", ["usage:read"], RESOURCE)
    made = claims(plain, plain.token("alice", "app", ["usage:read"], RESOURCE))
    assert random_ids_aside(told) == random_ids_aside(made)
    assert told["sub"] == ALICE.sub


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"aud": "https://other.example"}, "https://other.example", id="another value"),
        pytest.param({"aud": ABSENT}, None, id="taken out"),
        pytest.param({"aud": ["x", RESOURCE]}, ["x", RESOURCE], id="list"),
        pytest.param({"aud": {"x": 1}}, {"x": 1}, id="another type"),
    ],
)
def test_claim_can_be_changed(plain: Issuer, changes: dict[str, Any], expected: object) -> None:
    assert plain.claims("alice", **changes).get("aud") == expected
    assert claims(plain, plain.token("alice", claims=changes)).get("aud") == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"typ": "JWT"}, "JWT", id="another value"),
        pytest.param({"typ": ABSENT}, None, id="taken out"),
        pytest.param({"typ": ["at+jwt"]}, ["at+jwt"], id="another type"),
    ],
)
def test_header_can_be_changed(plain: Issuer, changes: dict[str, Any], expected: object) -> None:
    assert header(plain.token("alice", header=changes)).get("typ") == expected


def test_header_and_payload_can_be_replaced_by_bytes(plain: Issuer) -> None:
    token = plain.token("alice", header=b'{"alg":"RS256"}', claims=b'{"aud":"wrong","aud":"right"}')
    decoded = jws.deserialize_compact(token, plain.keys.access, ["RS256"])
    assert decoded.headers() == {"alg": "RS256"}
    assert decoded.payload == b'{"aud":"wrong","aud":"right"}'


def test_foreign_key_is_named_unless_the_header_says_otherwise(plain: Issuer) -> None:
    foreign, real = rsa_key(), plain.keys.access
    assert header(plain.token("alice", key=foreign))["kid"] == foreign.kid
    forged = plain.token("alice", key=foreign, header={"kid": real.kid})
    assert header(forged)["kid"] == real.kid
    with pytest.raises(BadSignatureError):
        jwt.decode(forged, real, algorithms=["RS256"])
    assert jwt.decode(forged, foreign, algorithms=["RS256"]).claims["sub"] == ALICE.sub


def test_secret_key_goes_by_the_name_of_the_real_one(plain: Issuer) -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    token = plain.token("alice", key=secret)
    assert header(token) == {"kid": plain.keys.access.kid, "alg": "HS256", "typ": "at+jwt"}
    assert jwt.decode(token, OctKey.import_key(secret), algorithms=["HS256"]).claims["sub"] == ALICE.sub


def test_key_without_a_name_leaves_none_in_the_header(plain: Issuer) -> None:
    token = plain.token("alice", key=OctKey.generate_key(256))
    assert "kid" not in header(token)


@pytest.mark.parametrize("alg", ["RS512", "PS256"])
def test_another_algorithm_is_named_and_used(plain: Issuer, alg: str) -> None:
    by_argument, by_header = plain.token("alice", alg=alg), plain.token("alice", header={"alg": alg})
    for token in (by_argument, by_header):
        assert header(token)["alg"] == alg
        # The published key says RS256, so its numbers are taken alone.
        bare = type(plain.keys.access)(plain.keys.access.raw_value, None)
        assert jws.deserialize_compact(token, bare, [alg]).headers()["alg"] == alg


def test_unsecured_token_is_made_by_its_header(plain: Issuer) -> None:
    token = plain.token("alice", header={"alg": "none"})
    assert token.endswith(".")
    assert plain.token("alice", signature=b"").endswith(".")


def test_bare_jws_is_signed_by_the_access_key(plain: Issuer) -> None:
    token = plain.sign({"alg": "RS256"}, b"not even JSON")
    assert jws.deserialize_compact(token, plain.keys.access, ["RS256"]).payload == b"not even JSON"


def test_id_token_is_signed_by_its_own_key_and_can_be_changed(cognito: Issuer) -> None:
    token = cognito.id_token("alice", claims={"token_use": "ACCESS"}, header={"typ": "JWT"})
    decoded = jwt.decode(token, cognito.keys.id, algorithms=["RS256"])
    assert decoded.claims["token_use"] == "ACCESS"
    assert decoded.header == {"kid": cognito.keys.id.kid, "alg": "RS256", "typ": "JWT"}
    with pytest.raises(BadSignatureError):
        jwt.decode(token, cognito.keys.access, algorithms=["RS256"])


def test_id_token_can_be_signed_by_another_key(plain: Issuer) -> None:
    token = plain.id_token("alice", "app", key=plain.keys.access)
    assert header(token)["kid"] == plain.keys.access.kid
    assert claims(plain, token)["aud"] == "app"


async def test_minted_refresh_token_works(app: Journey, plain: Issuer) -> None:
    token = plain.refresh_token("alice", scopes=["usage:read"], resource=RESOURCE)
    refreshed = (await app.refresh(token)).json()
    assert app.claims(refreshed["access_token"])["scope"] == "usage:read"


def test_token_for_several_resources_names_them_all(plain: Issuer) -> None:
    assert plain.claims("alice", resource=["https://a.example", "https://b.example"])["aud"] == [
        "https://a.example",
        "https://b.example",
    ]


def test_client_is_the_first_one_if_none_is_named(plain: Issuer, signing_keys: Keys) -> None:
    assert plain.claims("alice")["client_id"] == "app"
    assert Issuer.plain("http://127.0.0.1:9000", keys=signing_keys.copy()).claims()["client_id"] == "client"
    assert plain.claims("alice", "never registered")["client_id"] == "never registered"


def test_unknown_user_is_named(plain: Issuer) -> None:
    with pytest.raises(LookupError, match="no user 'nobody'"):
        plain.token("nobody")


async def test_users_and_clients_can_be_added(app: Journey, plain: Issuer) -> None:
    plain.add_user(User("carol", "pw", subject="a-subject"))
    plain.add_client(Client("late", ("http://127.0.0.1:8765/callback",)))
    answer = await app.submit(await app.login_url(client_id="late"), username="carol", password="pw")
    assert "code=" in answer.headers["location"]
    assert plain.claims("carol")["sub"] == "a-subject"


def test_clock_moves_stops_and_goes_back(plain: Issuer) -> None:
    plain.clock.set(1000)
    assert plain.claims("alice")["iat"] == 1000
    plain.clock.move(60.5)
    assert plain.claims("alice")["iat"] == 1060
    plain.clock.move(-100)
    assert plain.claims("alice")["exp"] == 4560


def test_clock_runs_until_it_is_stopped(signing_keys: Keys) -> None:
    clock = Issuer.plain("http://127.0.0.1:9000", keys=signing_keys.copy()).clock
    before = clock.now()
    clock.move(3600)
    assert clock.now() - before >= 3600


def test_users_and_clients_do_not_show_their_secrets() -> None:
    assert "pw" not in repr(User("carol", "pw"))
    assert "s3cret" not in repr(Client("c", secret="s3cret"))


def test_rotation_withdrawal_and_publication_change_the_key_set(plain: Issuer) -> None:
    old = plain.token("alice")
    first = plain.keys.access
    plain.keys.rotate(rsa_key(), plain.keys.id)
    new = plain.token("alice")
    published = KeySet.import_key_set(plain.keys.document())  # type: ignore[arg-type]  # a plain dict of the same shape
    for token in (old, new):
        assert jwt.decode(token, published, algorithms=["RS256"]).claims["sub"] == ALICE.sub
    plain.keys.withdraw(first.kid)
    assert first.kid not in {jwk["kid"] for jwk in plain.keys.document()["keys"]}


def test_rotation_makes_new_keys(signing_keys: Keys) -> None:
    keys = signing_keys.copy()
    keys.rotate()
    assert keys.access.kid != signing_keys.access.kid
    assert len(keys.document()["keys"]) == 4
    assert len(signing_keys.document()["keys"]) == 2, "a copy has a published set of its own"


def test_anything_can_be_published(plain: Issuer) -> None:
    weak, odd = rsa_key(1024), {"kty": "oct", "k": "c2VjcmV0", "use": "enc"}
    plain.keys.publish(weak)
    plain.keys.publish(odd)
    assert plain.keys.document()["keys"][2:] == [
        dict(sorted(weak.as_dict(private=False).items())),
        dict(sorted(odd.items())),
    ]
    assert "d" not in plain.keys.document()["keys"][2]


def test_key_that_is_not_published_cannot_be_withdrawn(plain: Issuer) -> None:
    with pytest.raises(LookupError, match="kid 'unknown'"):
        plain.keys.withdraw("unknown")


def test_key_ids_are_hard_on_careless_verifiers(signing_keys: Keys) -> None:
    assert signing_keys.access.kid is not None
    assert signing_keys.access.kid.endswith("=")
