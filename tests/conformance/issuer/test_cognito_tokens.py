"""The tokens of a user pool, claim by claim, and what its user-info endpoint tells about them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from joserfc import jws, jwt

from conformance.issuer import ABSENT, Issuer
from tests.conformance.issuer.conftest import ALICE
from tests.conformance.issuer.journey import Journey

GREET = "https://gw.example/mcp/greet"


def without_ids(claims: dict[str, Any], *names: str) -> dict[str, Any]:
    """The claims but for random ids, which have to be UUIDs."""
    for name in names:
        assert str(uuid.UUID(claims.pop(name)))
    return claims


async def test_access_token_has_no_typ(pool_app: Journey, cognito: Issuer) -> None:
    token = (await pool_app.tokens())["access_token"]
    header = jws.extract_compact(token.encode()).headers()
    assert header == {"kid": cognito.keys.access.kid, "alg": "RS256"}


async def test_access_token_has_the_claims_of_a_pool_and_no_audience(pool_app: Journey, cognito: Issuer) -> None:
    claims = pool_app.claims((await pool_app.tokens(scope=f"openid {GREET}"))["access_token"])
    assert str(uuid.UUID(claims["sub"]))
    assert without_ids(claims, "jti", "origin_jti", "event_id") == {
        "sub": ALICE.sub,
        "iss": cognito.url,
        "version": 2,
        "client_id": "app",
        "token_use": "access",
        "scope": f"openid {GREET}",
        "auth_time": 1_800_000_000,
        "exp": 1_800_003_600,
        "iat": 1_800_000_000,
        "username": "alice",
        "cognito:groups": ["admins", "readers"],
    }


async def test_refreshed_token_keeps_login_and_gets_a_new_id(pool_app: Journey, cognito: Issuer) -> None:
    tokens = await pool_app.tokens()
    first = pool_app.claims(tokens["access_token"])
    cognito.clock.move(60)
    second = pool_app.claims((await pool_app.refresh(tokens["refresh_token"])).json()["access_token"])
    assert [first[name] == second[name] for name in ("auth_time", "origin_jti", "event_id", "iat", "jti")] == [
        True,
        True,
        True,
        False,
        False,
    ]


async def test_without_scope_a_token_has_all_of_the_clients(pool_app: Journey) -> None:
    scopes = pool_app.claims((await pool_app.tokens())["access_token"])["scope"].split()
    assert scopes == ["openid", "email", "phone", "profile", "aws.cognito.signin.user.admin", GREET]


async def test_id_token_has_another_key_and_the_client_as_audience(pool_app: Journey, cognito: Issuer) -> None:
    token = (await pool_app.tokens(scope="openid email", nonce="n-1"))["id_token"]
    decoded = jwt.decode(token, cognito.keys.id, algorithms=["RS256"])
    assert decoded.header == {"kid": cognito.keys.id.kid, "alg": "RS256"}
    assert decoded.claims.pop("at_hash")
    assert without_ids(decoded.claims, "jti", "origin_jti", "event_id") == {
        "sub": ALICE.sub,
        "iss": cognito.url,
        "aud": "app",
        "token_use": "id",
        "auth_time": 1_800_000_000,
        "exp": 1_800_003_600,
        "iat": 1_800_000_000,
        "cognito:username": "alice",
        "cognito:groups": ["admins", "readers"],
        "nonce": "n-1",
        "email": "alice@example.com",
        "email_verified": True,
    }


async def test_id_token_comes_with_openid_only(pool_app: Journey) -> None:
    assert "id_token" not in await pool_app.tokens(scope=GREET)


def test_user_without_groups_has_no_groups_claim(cognito: Issuer) -> None:
    assert "cognito:groups" not in cognito.claims("bob")
    decoded = jwt.decode(cognito.id_token("bob"), cognito.keys.id, algorithms=["RS256"])
    assert "cognito:groups" not in decoded.claims


def test_machine_token_has_no_user(cognito: Issuer) -> None:
    claims = cognito.claims(client="machine", scopes=[GREET])
    assert without_ids(claims, "jti") == {
        "sub": "machine",
        "iss": cognito.url,
        "version": 2,
        "client_id": "machine",
        "token_use": "access",
        "scope": GREET,
        "auth_time": 1_800_000_000,
        "exp": 1_800_003_600,
        "iat": 1_800_000_000,
    }


async def about(app: Journey, token: str, scheme: str = "Bearer") -> tuple[int, Any]:
    answer = await app.http.get(app.urls["userinfo_endpoint"], headers={"Authorization": f"{scheme} {token}"})
    return answer.status_code, answer.json() if answer.content else answer.headers["www-authenticate"]


async def test_user_info_tells_who_a_token_speaks_for(pool_app: Journey, cognito: Issuer) -> None:
    assert await about(pool_app, cognito.token("alice", scopes=["openid"])) == (
        200,
        {"sub": ALICE.sub, "username": "alice"},
    )
    assert await about(pool_app, cognito.token("alice", scopes=["openid", "email"]), "bearer") == (
        200,
        {"sub": ALICE.sub, "username": "alice", "email": "alice@example.com", "email_verified": True},
    )


async def test_user_info_is_refused(pool_app: Journey, cognito: Issuer) -> None:
    expired = cognito.token("alice", scopes=["openid"], claims={"exp": 1_800_000_000})
    for token in (
        expired,
        cognito.token("alice", scopes=["email"]),
        cognito.token("alice", scopes=["openid"], claims={"scope": ABSENT}),
        cognito.token(client="machine", scopes=["openid"]),
        cognito.token("alice", scopes=["openid"], header={"kid": "unknown"}),
        cognito.token("alice", scopes=["openid"], signature=b"junk"),
        cognito.id_token("alice"),
        "junk",
        "a.b.c",
        "",
    ):
        status, challenge = await about(pool_app, token)
        assert (status, 'error="invalid_token"' in challenge) == (401, True)
    assert (await about(pool_app, cognito.token("alice", scopes=["openid"]), "Basic"))[0] == 401


@pytest.mark.parametrize("withdrawn", [True, False])
async def test_user_info_takes_old_keys_while_they_are_published(
    pool_app: Journey, cognito: Issuer, *, withdrawn: bool
) -> None:
    token, old = cognito.token("alice", scopes=["openid"]), cognito.keys.access
    cognito.keys.rotate(cognito.keys.id, old)
    if withdrawn:
        cognito.keys.withdraw(old.kid)
    assert (await about(pool_app, token))[0] == (401 if withdrawn else 200)
