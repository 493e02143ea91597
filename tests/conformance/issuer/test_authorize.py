"""The authorization endpoint of the plain profile: who is sent back to the client with what, and who is not."""

from __future__ import annotations

import pytest

from conformance.issuer import ABSENT, Client, Issuer
from tests.conformance.issuer.journey import CALLBACK, Journey, Value, parameters


async def test_login_ends_at_the_client_with_code_state_and_iss(app: Journey, plain: Issuer) -> None:
    brought = await app.log_in()
    assert brought.keys() == {"code", "state", "iss"}
    assert brought["state"] == "a state"
    assert brought["iss"] == plain.url


async def test_state_comes_back_to_the_letter(app: Journey) -> None:
    state = "ü&=+%20/ \\\"'"
    assert (await app.log_in(state=state))["state"] == state


async def test_query_of_the_redirect_uri_is_kept(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("queried", ("https://client.example/cb?tenant=7",)))
    brought = await app.log_in(client_id="queried", redirect_uri="https://client.example/cb?tenant=7")
    assert brought["tenant"] == "7"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"response_type": ABSENT}, "invalid_request", id="no response_type"),
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="implicit"),
        pytest.param({"response_type": 'co"de\\'}, "unsupported_response_type", id="odd response_type"),
        pytest.param({"response_type": "code id_token"}, "unsupported_response_type", id="hybrid"),
        pytest.param({"code_challenge": ABSENT, "code_challenge_method": ABSENT}, "invalid_request", id="no PKCE"),
        pytest.param({"code_challenge": ABSENT}, "invalid_request", id="no challenge"),
        pytest.param({"code_challenge": "short"}, "invalid_request", id="malformed challenge"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain PKCE"),
        pytest.param({"code_challenge_method": ABSENT}, "invalid_request", id="method left to the default"),
        pytest.param({"scope": "greetings:read nonsense"}, "invalid_scope", id="unknown scope"),
        pytest.param({"scope": "offline_access"}, "invalid_scope", id="offline_access"),
        pytest.param({"scope": ["greetings:read", "usage:read"]}, "invalid_request", id="scope twice"),
        pytest.param({"nonce": ["a", "b"]}, "invalid_request", id="nonce twice"),
        pytest.param({"response_type": ["code", "token"]}, "invalid_request", id="response_type twice"),
        pytest.param({"resource": "https://not-registered.test"}, "invalid_target", id="unknown resource"),
        pytest.param({"prompt": "none"}, "login_required", id="no page, and nobody is logged in"),
    ],
)
async def test_error_goes_to_the_client_once_its_redirect_is_trusted(
    app: Journey, plain: Issuer, changes: dict[str, Value], error: str
) -> None:
    answer = await app.authorize(**changes)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(CALLBACK + "?")
    told = parameters(answer.headers["location"])
    assert told["error"] == error
    assert told["state"] == "a state"
    assert told["iss"] == plain.url, "RFC 9207 §2: error responses carry iss too"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": ABSENT}, id="no client"),
        pytest.param({"client_id": "stranger"}, id="unknown client"),
        pytest.param({"client_id": ["app", "backend"]}, id="two clients"),
        pytest.param({"redirect_uri": [CALLBACK, "https://attacker.example"]}, id="two redirects"),
        pytest.param({"redirect_uri": "https://attacker.example/callback"}, id="another host"),
        pytest.param({"redirect_uri": CALLBACK + "/more"}, id="added path"),
        pytest.param({"redirect_uri": CALLBACK + "?more=1"}, id="added query"),
        pytest.param({"redirect_uri": CALLBACK + "#more"}, id="added fragment"),
        pytest.param({"redirect_uri": CALLBACK.replace("http:", "https:")}, id="another scheme"),
        pytest.param({"redirect_uri": CALLBACK.replace("127.0.0.1", "localhost")}, id="another loopback name"),
        pytest.param({"redirect_uri": CALLBACK.replace("127.0.0.1", "127.0.0.1.evil.test")}, id="subdomain"),
        pytest.param({"redirect_uri": CALLBACK.replace("127.0.0.1", "127.0.0.1@evil.test")}, id="user-info"),
        pytest.param({"redirect_uri": CALLBACK.replace(":8765", ":99999")}, id="no port"),
        pytest.param({"redirect_uri": 'CALLBACK\\" \r\nX: y'}, id="line break and quotes"),
        pytest.param({"redirect_uri": "javascript:alert(1)"}, id="script"),
    ],
)
async def test_nobody_is_redirected_until_client_and_redirect_are_trusted(
    app: Journey, changes: dict[str, Value]
) -> None:
    answer = await app.authorize(**changes)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "evil" not in answer.text, "nothing on the page comes from the request"
    assert "attacker" not in answer.text


@pytest.mark.parametrize("port", ["", ":1", ":65535"])
async def test_port_of_a_loopback_redirect_is_free(app: Journey, port: str) -> None:
    answer = await app.submit(await app.login_url(redirect_uri=f"http://127.0.0.1{port}/callback"))
    assert answer.headers["location"].startswith(f"http://127.0.0.1{port}/callback?code=")


async def test_only_registered_redirect_may_be_left_out(app: Journey) -> None:
    answer = await app.submit(await app.login_url(redirect_uri=ABSENT))
    assert answer.headers["location"].startswith(CALLBACK + "?code=")


async def test_one_of_several_redirects_has_to_be_named(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("two", (CALLBACK, "https://client.example/cb")))
    assert (await app.authorize(client_id="two", redirect_uri=ABSENT)).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("client_id", id="no value"),
        pytest.param("client_id=app&&state=x", id="empty pair"),
        pytest.param("client_id=%ff", id="no UTF-8"),
        pytest.param("&".join(f"p{n}=1" for n in range(60)), id="too many"),
        pytest.param("client_id=" + "x" * 20_000, id="too long"),
    ],
)
async def test_malformed_query_is_a_page_and_not_a_crash(app: Journey, query: str) -> None:
    answer = await app.http.get(f"{app.urls['authorization_endpoint']}?{query}")
    assert answer.status_code == 400
    assert "malformed" in answer.text


async def test_only_get_is_answered(app: Journey) -> None:
    assert (await app.http.post(app.urls["authorization_endpoint"])).status_code == 405


async def test_path_with_a_final_slash_is_not_redirected_to_what_the_host_header_says(app: Journey) -> None:
    answer = await app.http.get("http://127.0.0.1:9000/login/", headers={"Host": "attacker.example"})
    assert (answer.status_code, "location" in answer.headers) == (404, False)


async def test_client_that_may_not_use_codes_is_told(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("machine", (CALLBACK,), secret="m", grants=("client_credentials",)))
    answer = await app.authorize(client_id="machine")
    assert parameters(answer.headers["location"])["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        pytest.param(ABSENT, "greetings:read usage:read", id="none asked for: all but openid"),
        pytest.param("usage:read", "usage:read", id="one"),
        pytest.param(" usage:read  usage:read ", "usage:read", id="trimmed"),
        pytest.param("openid greetings:read", "openid greetings:read", id="with openid"),
    ],
)
async def test_scopes_granted_are_those_asked_for(app: Journey, scope: Value, granted: str) -> None:
    tokens = await app.tokens(scope=scope)
    assert tokens["scope"] == granted
    assert app.claims(tokens["access_token"])["scope"] == granted


async def test_scopes_beyond_the_clients_own_are_left_out(plain: Issuer) -> None:
    plain.add_client(Client("modest", (CALLBACK,), scopes=("usage:read",)))
    modest = Journey(plain, "modest")
    async with modest.http:
        assert (await modest.tokens(scope="greetings:read usage:read"))["scope"] == "usage:read"
        answer = await modest.authorize(scope="greetings:read")
    assert parameters(answer.headers["location"])["error"] == "invalid_scope"


async def test_cancelled_login_is_access_denied(app: Journey, plain: Issuer) -> None:
    answer = await app.http.post(await app.login_url(), data={"cancel": "yes"})
    told = parameters(answer.headers["location"])
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "a state", plain.url)


async def test_answers_on_the_way_are_not_stored(app: Journey) -> None:
    started = await app.authorize()
    finished = await app.submit(started.headers["location"])
    assert [answer.headers["cache-control"] for answer in (started, finished)] == ["no-store", "no-store"]
