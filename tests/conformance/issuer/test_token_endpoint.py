"""The token endpoint of the plain profile: codes, client authentication, machine tokens and exact errors."""

from __future__ import annotations

import base64
import hashlib
import logging
import uuid
from typing import Any

import pytest
from joserfc import jws, jwt

from conformance.issuer import ABSENT, Client, Issuer
from tests.conformance.issuer.conftest import ALICE, RESOURCE
from tests.conformance.issuer.journey import CALLBACK, Journey, Value


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


async def test_code_becomes_tokens(app: Journey) -> None:
    answer = await app.exchange((await app.log_in())["code"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 3600


async def test_access_token_follows_the_jwt_profile(app: Journey, plain: Issuer) -> None:
    token = (await app.tokens(scope="greetings:read", resource=RESOURCE))["access_token"]
    header = jws.extract_compact(token.encode()).headers()
    assert header == {"kid": plain.keys.access.kid, "alg": "RS256", "typ": "at+jwt"}
    claims = app.claims(token)
    assert str(uuid.UUID(claims.pop("jti")))
    assert claims == {
        "iss": plain.url,
        "sub": ALICE.sub,
        "aud": RESOURCE,
        "exp": 1_800_003_600,
        "iat": 1_800_000_000,
        "client_id": "app",
        "scope": "greetings:read",
        "groups": ["admins", "readers"],
    }


async def test_user_without_groups_has_no_groups_claim(app: Journey) -> None:
    answer = await app.submit(await app.login_url(), username="bob", password="builder")
    code = answer.headers["location"].partition("code=")[2].partition("&")[0]
    assert "groups" not in app.claims((await app.exchange(code)).json()["access_token"])


async def test_openid_adds_an_id_token_that_is_bound_to_the_access_token(app: Journey, plain: Issuer) -> None:
    tokens = await app.tokens(scope="openid", nonce="n-1")
    token = jwt.decode(tokens["id_token"], plain.keys.id, algorithms=["RS256"])
    assert token.header == {"kid": plain.keys.id.kid, "alg": "RS256"}
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert token.claims == {
        "iss": plain.url,
        "sub": ALICE.sub,
        "aud": "app",
        "exp": 1_800_003_600,
        "iat": 1_800_000_000,
        "auth_time": 1_800_000_000,
        "nonce": "n-1",
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
    }


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"code_verifier": "w" * 43}, "invalid_grant", id="wrong verifier"),
        pytest.param({"code_verifier": ABSENT}, "invalid_request", id="no verifier"),
        pytest.param({"code_verifier": "short"}, "invalid_request", id="malformed verifier"),
        pytest.param({"code": "unknown"}, "invalid_grant", id="unknown code"),
        pytest.param({"code": ABSENT}, "invalid_request", id="no code"),
        pytest.param({"redirect_uri": CALLBACK + "/"}, "invalid_grant", id="another redirect"),
        pytest.param({"redirect_uri": "http://127.0.0.1:9/callback"}, "invalid_grant", id="another port"),
        pytest.param({"client_id": "stranger"}, "invalid_client", id="unknown client"),
        pytest.param({"client_id": ABSENT}, "invalid_client", id="no client"),
        pytest.param({"client_id": "backend"}, "invalid_client", id="confidential client without its secret"),
        pytest.param({"grant_type": "password"}, "unsupported_grant_type", id="unknown grant"),
        pytest.param({"grant_type": ABSENT}, "invalid_request", id="no grant"),
        pytest.param({"code_verifier": ["v" * 43, "w" * 43]}, "invalid_request", id="parameter twice"),
        pytest.param({'x"\\ü': ["1", "2"]}, "invalid_request", id="odd parameter twice"),
        pytest.param({"resource": "http://127.0.0.1:8000/other"}, "invalid_target", id="wider resource"),
    ],
)
async def test_code_is_refused(app: Journey, changes: dict[str, Value], error: str) -> None:
    answer = await app.exchange((await app.log_in())["code"], **changes)
    assert answer.json()["error"] == error
    assert answer.status_code == (401 if changes.get("client_id") in ("backend", ABSENT) else 400)
    assert answer.headers["cache-control"] == "no-store"


async def test_redirect_uri_may_be_left_out_since_pkce_binds_the_code(app: Journey) -> None:
    assert (await app.exchange((await app.log_in())["code"], redirect_uri=ABSENT)).status_code == 200


async def test_code_is_spent_by_a_wrong_verifier(app: Journey) -> None:
    code = (await app.log_in())["code"]
    await app.exchange(code, code_verifier="w" * 43)
    assert (await app.exchange(code)).json()["error"] == "invalid_grant"


async def test_code_of_another_client_is_refused_and_not_spent(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("other", (CALLBACK,)))
    code = (await app.log_in())["code"]
    assert (await app.exchange(code, client_id="other")).json()["error"] == "invalid_grant"
    assert (await app.exchange(code)).status_code == 200


@pytest.mark.parametrize(("seconds", "status"), [(299, 200), (300, 400)])
async def test_code_lives_five_minutes(app: Journey, plain: Issuer, seconds: int, status: int) -> None:
    code = (await app.log_in())["code"]
    plain.clock.move(seconds)
    assert (await app.exchange(code)).status_code == status


async def test_replayed_code_ends_what_came_of_it(app: Journey) -> None:
    code = (await app.log_in())["code"]
    refresh_token = (await app.exchange(code)).json()["refresh_token"]
    assert (await app.exchange(code)).json()["error"] == "invalid_grant"
    assert (await app.refresh(refresh_token)).json()["error"] == "invalid_grant"


async def test_replayed_code_without_a_refresh_token_is_refused(plain: Issuer) -> None:
    plain.add_client(Client("once", (CALLBACK,), grants=("authorization_code",)))
    once = Journey(plain, "once")
    async with once.http:
        code = (await once.log_in())["code"]
        assert "refresh_token" not in (await once.exchange(code)).json()
        assert (await once.exchange(code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("headers", "fields", "status"),
    [
        pytest.param(basic("backend:s3cret"), {}, 200, id="basic"),
        pytest.param(basic("backend:s3cret"), {"client_id": "backend"}, 200, id="basic, named in the body too"),
        pytest.param({}, {"client_id": "backend", "client_secret": "s3cret"}, 200, id="post"),
        pytest.param(basic("backend:wrong"), {}, 401, id="wrong secret"),
        pytest.param(basic("stranger:s3cret"), {}, 401, id="unknown client"),
        pytest.param({"Authorization": "Basic !!!"}, {}, 401, id="no base64"),
        pytest.param({"Authorization": "Basic /w=="}, {}, 401, id="no UTF-8"),
        pytest.param({"Authorization": b"Basic \xff"}, {}, 401, id="no ASCII"),
        pytest.param({"Authorization": "Basic"}, {}, 401, id="empty"),
        pytest.param(basic("backend"), {}, 401, id="no secret"),
        pytest.param(basic("backend:s3cret"), {"client_id": "app"}, 400, id="two clients"),
        pytest.param(basic("backend:s3cret"), {"client_secret": "s3cret"}, 400, id="two methods"),
        pytest.param({}, {"client_id": "backend", "client_secret": "wrong"}, 401, id="post, wrong secret"),
        pytest.param({"Authorization": "Bearer x"}, {"client_id": "backend"}, 401, id="another scheme"),
    ],
)
async def test_confidential_client_authenticates_in_one_way(
    plain: Issuer, headers: dict[str, Any], fields: dict[str, str], status: int
) -> None:
    backend = Journey(plain, "backend")
    backend.http.headers.update(headers)
    async with backend.http:
        code = (await backend.log_in())["code"]
        changes: dict[str, Value] = {"client_id": ABSENT, **fields}
        answer = await backend.exchange(code, **changes)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"] == "invalid_client"
        assert answer.headers["www-authenticate"].startswith("Basic")


async def test_public_client_cannot_have_a_secret(app: Journey) -> None:
    answer = await app.exchange((await app.log_in())["code"], client_secret="made up")
    assert answer.json()["error"] == "invalid_client"


MACHINE: dict[str, Value] = {
    "grant_type": "client_credentials",
    "client_id": "machine",
    "client_secret": "m4chine",
}


async def test_machine_gets_a_token_for_itself(app: Journey) -> None:
    answer = (await app.token(MACHINE, {"scope": "usage:read"})).json()
    claims = app.claims(answer["access_token"])
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("machine", "machine", "usage:read")
    assert claims["aud"] == RESOURCE, "the first resource is the default"
    assert not {"refresh_token", "id_token"} & answer.keys()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"scope": "openid"}, "invalid_scope", id="a scope about users"),
        pytest.param({"resource": "https://not-registered.test"}, "invalid_target", id="unknown resource"),
        pytest.param({"client_id": "app", "client_secret": ABSENT}, "invalid_client", id="public client"),
        pytest.param({"client_id": "backend", "client_secret": "s3cret"}, "unauthorized_client", id="not allowed"),
    ],
)
async def test_machine_is_refused(app: Journey, changes: dict[str, Value], error: str) -> None:
    assert (await app.token(MACHINE, changes)).json()["error"] == error


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("application/json", b"{}", id="JSON"),
        pytest.param("application/x-www-form-urlencoded", b"grant_type", id="no value"),
        pytest.param("application/x-www-form-urlencoded", b"\xff=1", id="no ASCII"),
        pytest.param("application/x-www-form-urlencoded", b"a=" + b"x" * 40_000, id="too long"),
        pytest.param("multipart/form-data; boundary=x", b"--x--", id="multipart"),
    ],
)
async def test_what_is_no_form_is_an_invalid_request(app: Journey, content_type: str, body: bytes) -> None:
    answer = await app.http.post(app.urls["token_endpoint"], content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


async def test_parameters_in_the_query_do_not_count(app: Journey) -> None:
    query = {"grant_type": "authorization_code", "client_id": "app"}
    answer = await app.http.post(app.urls["token_endpoint"], params=query, data={"a": "b"})
    assert answer.json()["error"] == "invalid_request"


async def test_tokens_and_secrets_are_not_logged(app: Journey, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: dict[str, Any] = await app.tokens()
    await app.refresh(tokens["refresh_token"])
    for secret in (tokens["access_token"], tokens["refresh_token"], "wonderland"):
        assert secret not in caplog.text
