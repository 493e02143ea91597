"""What a spec-complete issuer says about itself (RFC 8414, OpenID Connect Discovery, MCP Authorization)."""

from __future__ import annotations

import httpx
import pytest

from conformance.issuer import Issuer, Keys
from tests.conformance.issuer.journey import Journey


@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])
async def test_metadata_is_json_at_both_well_known_places(app: Journey, plain: Issuer, path: str) -> None:
    answer = await app.http.get(f"{plain.url}{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == plain.metadata()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("issuer", "http://127.0.0.1:9000"),
        ("authorization_endpoint", "http://127.0.0.1:9000/authorize"),
        ("token_endpoint", "http://127.0.0.1:9000/token"),
        ("registration_endpoint", "http://127.0.0.1:9000/register"),
        ("code_challenge_methods_supported", ["S256"]),
        ("authorization_response_iss_parameter_supported", True),
        ("client_id_metadata_document_supported", True),
        ("response_types_supported", ["code"]),
        ("scopes_supported", ["openid", "greetings:read", "usage:read"]),
        ("token_endpoint_auth_methods_supported", ["none", "client_secret_basic", "client_secret_post"]),
    ],
)
def test_metadata_says_what_clients_look_for(plain: Issuer, member: str, value: object) -> None:
    assert plain.metadata()[member] == value


def test_offline_access_is_not_offered(plain: Issuer) -> None:
    assert "offline_access" not in plain.metadata()["scopes_supported"]


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
    ],
)
async def test_issuer_with_a_path_is_found_in_all_three_ways(signing_keys: Keys, path: str) -> None:
    issuer = Issuer.plain("http://127.0.0.1:9000/tenant", keys=signing_keys.copy())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app)) as http:
        answer = await http.get(f"http://127.0.0.1:9000{path}")
    assert answer.json()["issuer"] == "http://127.0.0.1:9000/tenant"


def test_registration_that_is_off_is_not_advertised(signing_keys: Keys) -> None:
    issuer = Issuer.plain("http://127.0.0.1:9000", registration=False, keys=signing_keys.copy())
    assert "registration_endpoint" not in issuer.metadata()


async def test_key_set_is_where_the_metadata_says(app: Journey, plain: Issuer) -> None:
    answer = await app.http.get(plain.metadata()["jwks_uri"])
    assert answer.json() == plain.keys.document()


async def test_browser_apps_of_any_origin_may_read_metadata_and_ask_for_tokens(app: Journey) -> None:
    preflight = {"Origin": "https://inspector.example", "Access-Control-Request-Method": "POST"}
    answer = await app.http.options(app.urls["token_endpoint"], headers=preflight)
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "login"])
async def test_pages_for_people_are_closed_to_other_origins(app: Journey, endpoint: str) -> None:
    url = app.urls.get(endpoint, "http://127.0.0.1:9000/login")
    answer = await app.http.get(url, headers={"Origin": "https://attacker.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "base",
    [
        pytest.param("http://issuer.example", id="plain http elsewhere"),
        pytest.param("https://", id="no host"),
        pytest.param("http://127.0.0.1:9000/", id="final slash"),
        pytest.param("https://issuer.example?a=b", id="query"),
        pytest.param("https://issuer.example#a", id="fragment"),
        pytest.param("https://user@issuer.example", id="user"),
        pytest.param("ftp://issuer.example", id="another scheme"),
    ],
)
def test_base_that_no_issuer_may_have_is_refused(signing_keys: Keys, base: str) -> None:
    with pytest.raises(ValueError, match="The issuer's URL"):
        Issuer.plain(base, keys=signing_keys.copy())
