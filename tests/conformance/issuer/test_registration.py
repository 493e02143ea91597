"""Dynamic client registration (RFC 7591) at the plain profile, and at a Cognito pool that has it switched on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from conformance.issuer import ABSENT, Issuer, Keys
from tests.conformance.issuer.conftest import ALICE
from tests.conformance.issuer.journey import CALLBACK, Journey, parameters

PUBLIC: dict[str, Any] = {
    "redirect_uris": [CALLBACK],
    "token_endpoint_auth_method": "none",
    "client_name": "Desk Assistant",
    "application_type": "native",
}


async def register(app: Journey, **changes: Any) -> httpx.Response:
    metadata = {name: value for name, value in {**PUBLIC, **changes}.items() if value is not ABSENT}
    return await app.http.post(app.urls["registration_endpoint"], json=metadata)


async def test_public_native_client_is_registered(app: Journey) -> None:
    answer = await register(app)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    registered = answer.json()
    assert registered.pop("client_id")
    assert registered == {
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "client_name": "Desk Assistant",
        "application_type": "native",
        "client_id_issued_at": 1_800_000_000,
    }


async def test_registered_client_goes_the_whole_way(app: Journey, plain: Issuer) -> None:
    journey = Journey(plain, (await register(app)).json()["client_id"])
    async with journey.http:
        tokens = await journey.tokens(redirect_uri="http://127.0.0.1:8765/callback")
        assert (await journey.refresh(tokens["refresh_token"])).status_code == 200


async def test_registered_loopback_redirect_has_a_free_port(app: Journey) -> None:
    client_id = (await register(app)).json()["client_id"]
    assert await app.login_url(client_id=client_id, redirect_uri="http://127.0.0.1:1234/callback")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", ABSENT])
async def test_confidential_client_gets_a_secret_that_works(app: Journey, plain: Issuer, method: object) -> None:
    registered = (await register(app, token_endpoint_auth_method=method)).json()
    assert registered["client_secret_expires_at"] == 0
    journey = Journey(plain, registered["client_id"])
    async with journey.http:
        code = (await journey.log_in())["code"]
        assert (await journey.exchange(code)).json()["error"] == "invalid_client"
        assert (await journey.exchange(code, client_secret=registered["client_secret"])).status_code == 200


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example/callback",
        "http://localhost/callback",
        "http://[::1]:7777/callback",
        "cursor://anysphere.cursor-retrieval/oauth/callback",
        "com.example.app:/callback",
    ],
)
async def test_redirect_uri_is_accepted(app: Journey, uri: str) -> None:
    client_id = (await register(app, redirect_uris=[uri])).json()["client_id"]
    answer = await app.submit(await app.login_url(client_id=client_id, redirect_uri=uri))
    assert answer.headers["location"].startswith(uri + "?code=")


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("http://client.example/callback", id="plain http"),
        pytest.param("http://127.0.0.1.evil.test/callback", id="almost loopback"),
        pytest.param("https://client.example/callback#part", id="fragment"),
        pytest.param("https://user@client.example/callback", id="user-info"),
        pytest.param("https:///callback", id="no host"),
        pytest.param("https://[broken/callback", id="no URI"),
        pytest.param("javascript:alert(1)", id="script"),
        pytest.param("JavaScript:alert(1)", id="script in capitals"),
        pytest.param("data:text/html,x", id="data"),
        pytest.param("/callback", id="relative"),
        pytest.param("https://client.example/call back", id="space"),
        pytest.param("https://client.example/\u202e", id="not ASCII"),
        pytest.param("https://client.example/" + "x" * 2000, id="too long"),
        pytest.param("", id="empty"),
        pytest.param(5, id="number"),
    ],
)
async def test_redirect_uri_is_refused(app: Journey, uri: object) -> None:
    answer = await register(app, redirect_uris=[CALLBACK, uri])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")
    assert answer.json()["error_description"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"redirect_uris": ABSENT}, "invalid_redirect_uri", id="no redirects"),
        pytest.param({"redirect_uris": []}, "invalid_redirect_uri", id="empty list"),
        pytest.param({"redirect_uris": CALLBACK}, "invalid_redirect_uri", id="no list"),
        pytest.param({"redirect_uris": [CALLBACK] * 21}, "invalid_redirect_uri", id="too many"),
        pytest.param({"application_type": "web"}, "invalid_redirect_uri", id="web client at a loopback"),
        pytest.param({"application_type": "desktop"}, "invalid_client_metadata", id="unknown type"),
        pytest.param({"response_types": ["token"]}, "invalid_client_metadata", id="implicit"),
        pytest.param({"response_types": "code"}, "invalid_client_metadata", id="response_types no list"),
        pytest.param({"grant_types": ["client_credentials"]}, "invalid_client_metadata", id="machine only"),
        pytest.param({"grant_types": [1]}, "invalid_client_metadata", id="grant no string"),
        pytest.param({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata", id="unknown method"),
        pytest.param({"token_endpoint_auth_method": ["none"]}, "invalid_client_metadata", id="method no string"),
        pytest.param({"client_name": 5}, "invalid_client_metadata", id="name no string"),
    ],
)
async def test_registration_is_refused(app: Journey, changes: dict[str, Any], error: str) -> None:
    answer = await register(app, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_web_client_is_registered_with_https(app: Journey) -> None:
    answer = await register(app, application_type="web", redirect_uris=["https://client.example/cb"])
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b'{"a":' * 3000, id="deeply nested"),
        pytest.param(b"\xff", id="no UTF-8"),
        pytest.param(b" " * 20_000, id="too long"),
    ],
)
async def test_what_is_no_json_object_is_refused(app: Journey, body: bytes) -> None:
    answer = await app.http.post(app.urls["registration_endpoint"], content=body)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_client_metadata", "invalid_request"}


async def test_grants_that_are_not_offered_are_left_out(app: Journey) -> None:
    answer = await register(app, grant_types=["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"])
    assert answer.json()["grant_types"] == ["authorization_code"]


async def test_name_of_a_client_holds_nothing_that_could_mislead(app: Journey) -> None:
    answer = await register(app, client_name="Desk\u202e\x00 Assistant" + "!" * 200)
    assert answer.json()["client_name"] == ("Desk Assistant" + "!" * 200)[:80]


async def test_oldest_registrations_are_forgotten_first(app: Journey) -> None:
    first = (await register(app)).json()["client_id"]
    for _ in range(999):
        last = (await register(app)).json()["client_id"]
    assert await app.login_url(client_id=first)
    await register(app)
    assert (await app.authorize(client_id=first)).status_code == 400
    assert await app.login_url(client_id=last)


async def test_registration_that_is_off_is_not_found(signing_keys: Keys) -> None:
    issuer = Issuer.plain("http://127.0.0.1:9000", registration=False, keys=signing_keys.copy())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app)) as http:
        assert (await http.post("http://127.0.0.1:9000/register", json=PUBLIC)).status_code == 404


async def test_pool_with_native_registration_keeps_its_exact_redirects(signing_keys: Keys) -> None:
    issuer = Issuer.cognito("http://127.0.0.1:9001", users=[ALICE], registration=True, keys=signing_keys.copy())
    app = Journey(issuer)
    async with app.http:
        assert app.urls["registration_endpoint"] == "http://127.0.0.1:9001/oauth2/register"
        app.client_id = (await register(app)).json()["client_id"]
        assert (await app.tokens())["access_token"]
        answer = await app.authorize(redirect_uri="http://127.0.0.1:1234/callback")
    assert parameters(answer.headers["location"])["error"] == "redirect_mismatch"
