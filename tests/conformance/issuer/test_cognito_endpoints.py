"""A user pool as clients meet it: what it publishes, and how it refuses."""

from __future__ import annotations

import re
import uuid
from typing import Any

import httpx
import pytest

from conformance.issuer import ABSENT, Client, Issuer, Keys, ResourceServer
from tests.conformance.issuer.conftest import ALICE, APP, cognito_issuer
from tests.conformance.issuer.journey import CALLBACK, Journey, Value, parameters

POOL = "http://127.0.0.1:9001/us-east-1_Example1"
GREET = "https://gw.example/mcp/greet"


async def test_discovery_has_exactly_the_members_a_pool_publishes(pool_app: Journey) -> None:
    answer = await pool_app.http.get(f"{POOL}/.well-known/openid-configuration")
    assert answer.json() == {
        "issuer": POOL,
        "jwks_uri": f"{POOL}/.well-known/jwks.json",
        "authorization_endpoint": "http://127.0.0.1:9001/oauth2/authorize",
        "token_endpoint": "http://127.0.0.1:9001/oauth2/token",
        "userinfo_endpoint": "http://127.0.0.1:9001/oauth2/userInfo",
        "revocation_endpoint": "http://127.0.0.1:9001/oauth2/revoke",
        "end_session_endpoint": "http://127.0.0.1:9001/logout",
        "response_types_supported": ["code", "token"],
        "scopes_supported": ["openid", "email", "phone", "profile"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/us-east-1_Example1",
        "/.well-known/openid-configuration/us-east-1_Example1",
        "/.well-known/openid-configuration",
        "/us-east-1_Example1/.well-known/oauth-authorization-server",
        "/oauth2/register",
    ],
)
async def test_nothing_else_is_there(pool_app: Journey, path: str) -> None:
    assert (await pool_app.http.get(f"http://127.0.0.1:9001{path}")).status_code == 404


async def test_domain_with_a_path_keeps_the_pool_findable(signing_keys: Keys) -> None:
    issuer = Issuer.cognito("http://127.0.0.1:9001/idp", keys=signing_keys.copy())
    assert issuer.url == "http://127.0.0.1:9001/idp/us-east-1_Example1"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app)) as http:
        answer = await http.get(f"{issuer.url}/.well-known/openid-configuration")
    assert answer.json()["issuer"] == issuer.url


async def test_key_set_holds_two_rsa_keys_of_the_usual_members(pool_app: Journey) -> None:
    keys = (await pool_app.http.get(f"{POOL}/.well-known/jwks.json")).json()["keys"]
    assert [list(key) for key in keys] == [["alg", "e", "kid", "kty", "n", "use"]] * 2
    assert {(key["alg"], key["kty"], key["use"]) for key in keys} == {("RS256", "RSA", "sig")}
    assert keys[0]["kid"] != keys[1]["kid"]


async def test_login_ends_at_the_client_with_code_and_state_only(pool_app: Journey) -> None:
    brought = await pool_app.log_in()
    assert brought.keys() == {"code", "state"}
    assert str(uuid.UUID(brought["code"]))


@pytest.mark.parametrize(
    "redirect_uri",
    [
        pytest.param("https://attacker.example", id="another host"),
        pytest.param("http://127.0.0.1:8766/callback", id="another port"),
        pytest.param("http://127.0.0.1/callback", id="no port"),
        pytest.param(CALLBACK + "/", id="another path"),
        pytest.param(CALLBACK.upper(), id="capitals"),
        pytest.param(ABSENT, id="none"),
    ],
)
async def test_redirect_that_is_not_registered_leads_to_the_error_page(pool_app: Journey, redirect_uri: Value) -> None:
    answer = await pool_app.authorize(redirect_uri=redirect_uri)
    assert answer.status_code == 302
    assert answer.headers["location"] == "http://127.0.0.1:9001/error?error=redirect_mismatch&client_id=app"
    page = await pool_app.http.get(answer.headers["location"])
    assert (page.status_code, "not registered for it" in page.text) == (400, True)


async def test_unknown_client_leads_to_the_error_page(pool_app: Journey) -> None:
    answer = await pool_app.authorize(client_id="stranger")
    assert parameters(answer.headers["location"]) == {"error": "invalid_client", "client_id": "stranger"}
    nobody = await pool_app.authorize(client_id=ABSENT)
    assert parameters(nobody.headers["location"]) == {"error": "invalid_client"}


async def test_error_page_says_nothing_that_a_stranger_chose(pool_app: Journey) -> None:
    page = await pool_app.http.get("http://127.0.0.1:9001/error?error=call+0900&client_id=call+0900")
    assert (page.status_code, "0900" in page.text) == (400, False)


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param("offline_access", id="offline_access"),
        pytest.param("openid nonsense", id="unknown"),
        pytest.param("greet", id="custom scope without its identifier"),
        pytest.param("email", id="email without openid"),
        pytest.param("phone " + GREET, id="phone without openid"),
    ],
)
async def test_disallowed_scope_fails_in_its_odd_way(pool_app: Journey, scope: str) -> None:
    answer = await pool_app.authorize(scope=scope, state="s")
    assert answer.headers["location"] == f"{CALLBACK}?error_description=invalid_scope&state=s&error=invalid_request"
    silent = await pool_app.authorize(scope=scope, state=ABSENT)
    assert silent.headers["location"] == f"{CALLBACK}?error_description=invalid_scope&error=invalid_request"


async def test_scope_the_client_may_not_have_fails_the_whole_request(pool_app: Journey, cognito: Issuer) -> None:
    cognito.add_client(Client("modest", (CALLBACK,), scopes=("openid",)))
    answer = await pool_app.authorize(client_id="modest", scope=f"openid {GREET}")
    assert parameters(answer.headers["location"])["error_description"] == "invalid_scope"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"response_type": ABSENT}, "invalid_request", id="no response_type"),
        pytest.param({"response_type": "nonsense"}, "invalid_request", id="unknown response_type"),
        pytest.param({"response_type": "token"}, "unauthorized_client", id="implicit"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain PKCE"),
        pytest.param({"code_challenge_method": ABSENT}, "invalid_request", id="challenge without method"),
        pytest.param({"resource": ["https://a.example", "https://b.example"]}, "invalid_request", id="two resources"),
        pytest.param({"resource": "http://gw.example/mcp"}, "invalid_request", id="plain http resource"),
        pytest.param({"resource": "http://localhost.evil.test/"}, "invalid_request", id="almost localhost"),
        pytest.param({"resource": "http://127.0.0.1:8000/mcp"}, "invalid_request", id="loopback address"),
        pytest.param({"resource": "gw.example/mcp"}, "invalid_request", id="no scheme"),
        pytest.param({"resource": "https://"}, "invalid_request", id="only a scheme"),
    ],
)
async def test_malformed_request_goes_back_to_the_client(
    pool_app: Journey, changes: dict[str, Value], error: str
) -> None:
    answer = await pool_app.authorize(**changes)
    assert answer.headers["location"].startswith(CALLBACK + "?")
    told = parameters(answer.headers["location"])
    assert (told["error"], told["state"], "iss" in told) == (error, "a state", False)


@pytest.mark.parametrize("resource", ["https://gw.example/mcp", "http://localhost:8000/mcp", "myapp://x", "urn:x:y"])
async def test_resource_becomes_the_audience_verbatim_and_stays(pool_app: Journey, resource: str) -> None:
    tokens = await pool_app.tokens(resource=resource)
    assert pool_app.claims(tokens["access_token"])["aud"] == resource
    refreshed = await pool_app.refresh(tokens["refresh_token"], resource="https://ignored.example")
    assert pool_app.claims(refreshed.json()["access_token"])["aud"] == resource


async def test_laptop_may_use_a_loopback_address_as_resource(signing_keys: Keys) -> None:
    issuer = Issuer.cognito(
        "http://127.0.0.1:9001",
        users=[ALICE],
        clients=[APP],
        resource_servers=[ResourceServer("r", {"s": "S"})],
        insecure_loopback_resources=True,
        keys=signing_keys.copy(),
    )
    journey = Journey(issuer)
    async with journey.http:
        tokens = await journey.tokens(resource="http://127.0.0.1:8000/mcp")
    assert journey.claims(tokens["access_token"])["aud"] == "http://127.0.0.1:8000/mcp"


async def test_pkce_is_optional_but_honoured_when_used(pool_app: Journey) -> None:
    unprotected = (await pool_app.log_in(code_challenge=ABSENT, code_challenge_method=ABSENT))["code"]
    assert (await pool_app.exchange(unprotected, code_verifier=ABSENT)).status_code == 200
    protected = (await pool_app.log_in())["code"]
    assert (await pool_app.exchange(protected, code_verifier="w" * 43)).json() == {"error": "invalid_grant"}


async def test_token_answer_names_no_scope(pool_app: Journey) -> None:
    answer = await pool_app.exchange((await pool_app.log_in())["code"])
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "id_token", "refresh_token", "token_type", "expires_in"}
    assert answer.headers["access-control-allow-origin" if "origin" in answer.request.headers else "cache-control"]


async def test_token_endpoint_answers_every_origin(pool_app: Journey) -> None:
    pool_app.http.headers["Origin"] = "https://app.example"
    answer = await pool_app.exchange("unknown")
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        pytest.param({"code": "unknown"}, {"error": "invalid_grant"}, id="unknown code"),
        pytest.param({"code": ABSENT}, {"error": "invalid_request"}, id="no code"),
        pytest.param({"client_id": "stranger"}, {"error": "invalid_client"}, id="unknown client"),
        pytest.param({"client_id": "backend"}, {"error": "invalid_client"}, id="no secret"),
        pytest.param({"grant_type": "password"}, {"error": "unsupported_grant_type"}, id="unknown grant"),
        pytest.param({"grant_type": ABSENT}, {"error": "invalid_request"}, id="no grant"),
        pytest.param(
            {"redirect_uri": CALLBACK + "/"},
            {"error": "unauthorized_client", "error_description": "invalid_redirect"},
            id="another redirect",
        ),
        pytest.param(
            {"redirect_uri": ABSENT},
            {"error": "unauthorized_client", "error_description": "invalid_redirect"},
            id="no redirect",
        ),
        pytest.param({"client_id": ["app", "backend"]}, {"error": "invalid_request"}, id="client twice"),
    ],
)
async def test_token_errors_are_400_with_little_detail(
    pool_app: Journey, changes: dict[str, Value], body: dict[str, str]
) -> None:
    answer = await pool_app.exchange((await pool_app.log_in())["code"], **changes)
    assert (answer.status_code, answer.json()) == (400, body)
    assert "www-authenticate" not in answer.headers


async def test_used_code_is_refused_but_ends_nothing(pool_app: Journey) -> None:
    code = (await pool_app.log_in())["code"]
    tokens = (await pool_app.exchange(code)).json()
    assert (await pool_app.exchange(code)).json() == {"error": "invalid_grant"}
    assert (await pool_app.refresh(tokens["refresh_token"])).status_code == 200


async def test_code_lives_five_minutes(pool_app: Journey, cognito: Issuer) -> None:
    code = (await pool_app.log_in())["code"]
    cognito.clock.move(300)
    assert (await pool_app.exchange(code)).json() == {"error": "invalid_grant"}


async def test_without_rotation_a_refresh_token_is_used_again_and_again(pool_app: Journey) -> None:
    token = (await pool_app.tokens())["refresh_token"]
    for _ in range(2):
        answer = await pool_app.refresh(token)
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()


async def test_rotation_answers_with_a_new_token_and_a_grace_for_the_old(signing_keys: Keys) -> None:
    issuer = cognito_issuer(signing_keys, refresh_rotation=True, refresh_grace=60)
    app = Journey(issuer)
    async with app.http:
        first = (await app.tokens())["refresh_token"]
        second = (await app.refresh(first)).json()["refresh_token"]
        issuer.clock.move(59)
        assert (await app.refresh(first)).status_code == 200
        issuer.clock.move(1)
        assert (await app.refresh(first)).json() == {"error": "invalid_grant"}
        assert (await app.refresh(second)).status_code == 200, "reuse does not end the family"
        issuer.clock.move(issuer.lifetimes.refresh)
        assert (await app.refresh(second)).json() == {"error": "invalid_grant"}


async def test_refresh_token_looks_like_an_encrypted_jwt(pool_app: Journey) -> None:
    parts = (await pool_app.tokens())["refresh_token"].split(".")
    assert len(parts) == 5
    assert parts[0] == "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ"
    assert all(re.fullmatch(r"[\w-]+", part) for part in parts)


MACHINE: dict[str, Value] = {"grant_type": "client_credentials", "client_id": "machine", "client_secret": "m4chine"}


async def test_machine_gets_custom_scopes_only(pool_app: Journey) -> None:
    answer = (await pool_app.token(MACHINE)).json()
    assert answer.keys() == {"access_token", "token_type", "expires_in"}
    assert pool_app.claims(answer["access_token"])["scope"] == GREET


@pytest.mark.parametrize("scope", ["openid", "nonsense"])
async def test_machine_scope_is_refused_with_a_listed_error(pool_app: Journey, scope: str) -> None:
    answer = await pool_app.token(MACHINE, {"scope": scope})
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})


async def test_machine_token_is_bound_to_no_resource(pool_app: Journey) -> None:
    answer = (await pool_app.token(MACHINE, {"resource": "https://gw.example/mcp"})).json()
    assert "aud" not in pool_app.claims(answer["access_token"])


async def test_only_refresh_tokens_are_revoked(pool_app: Journey) -> None:
    tokens = await pool_app.tokens()
    assert (await pool_app.revoke(tokens["access_token"])).json() == {"error": "unsupported_token_type"}
    assert (await pool_app.revoke(tokens["refresh_token"])).status_code == 200
    assert (await pool_app.refresh(tokens["refresh_token"])).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ({"client_id": "leaver", "logout_uri": "https://a.example/bye"}, "https://a.example/bye"),
        (
            {"client_id": "leaver", "redirect_uri": "https://a.example", "response_type": "code"},
            "http://127.0.0.1:9001/oauth2/authorize?client_id=leaver&redirect_uri=https%3A%2F%2Fa.example&response_type=code",
        ),
        ({"client_id": "leaver", "logout_uri": "https://evil.test"}, None),
        ({"client_id": "stranger", "logout_uri": "https://a.example/bye"}, None),
        ({"client_id": "leaver"}, None),
    ],
)
async def test_logout_leads_only_to_registered_places(
    pool_app: Journey, cognito: Issuer, query: dict[str, Any], location: str | None
) -> None:
    cognito.add_client(Client("leaver", ("https://a.example/cb",), logout_uris=("https://a.example/bye",)))
    answer = await pool_app.http.get("http://127.0.0.1:9001/logout", params=query)
    assert (answer.status_code, answer.headers.get("location")) == (302 if location else 400, location)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": "no pool"}, "user pool is named like"),
        ({"pool": "us-east-1_x/y"}, "user pool is named like"),
        ({"refresh_grace": 61}, "0 to 60 seconds"),
        ({"refresh_grace": -1}, "0 to 60 seconds"),
    ],
)
def test_pool_that_cannot_be_is_refused(signing_keys: Keys, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Issuer.cognito("http://127.0.0.1:9001", keys=signing_keys.copy(), **changes)


async def test_login_page_says_scopes_in_words(pool_app: Journey) -> None:
    page = (await pool_app.http.get(await pool_app.login_url())).text
    for words in ("Confirm who you are", "See your email address", "Say hello to you", "Manage your account here"):
        assert words in page
