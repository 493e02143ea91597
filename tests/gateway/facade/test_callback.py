"""The way back from the issuer: in the browser the login began in, from the issuer that was asked."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.facade.callback import ERRORS, MAX_CODE, translated
from gateway.facade.errors import REMEDIES
from gateway.facade.sealed import CLIENT, CODE, CONSENT, REFRESH, STATE, Code, Flow, Registration
from tests.gated import PUBLIC
from tests.gateway.facade.rig import USE, App, Browser, Page, Rig, a_seal, new_key, rig

CALLBACK = f"{PUBLIC}/oauth/callback"


async def state_of(made: Rig, app: App, browser: Browser | None = None) -> str:
    """The `state` of a login that has got as far as the issuer."""
    page = await (browser or made.browser).open(app.url(prompt="consent"))
    await (browser or made.browser).submit(page, decision="approve")
    path = "/authorize" if "/us-east-1" not in made.issuer.url else "/oauth2/authorize"
    return made.way.asked(path)[-1]["state"]


async def come_back(browser: Browser, **parameters: Any) -> Page:
    """What the callback answers."""
    return await browser.open(f"{CALLBACK}?{urlencode(parameters, doseq=True)}")


async def test_the_way_back_ends_at_the_client_with_code_state_and_iss() -> None:
    async with rig() as made:
        app = await made.register()
        page = await come_back(made.browser, code="c", state=await state_of(made, app))
        assert page.left_for.startswith(f"{app.redirect}?")
        assert set(page.parameters) == {"code", "state", "iss"}
        assert (page.parameters["state"], page.parameters["iss"]) == ("a state", PUBLIC)
        assert a_seal(made).open(CODE, page.parameters["code"], Code).code == "c"
        assert "a state" not in str(a_seal(made).open(CODE, page.parameters["code"], Code))
        assert page.answer.headers["cache-control"] == "no-store"
        assert page.answer.headers["referrer-policy"] == "no-referrer"


async def test_a_login_that_began_in_another_browser_is_not_ended_here() -> None:
    """Login CSRF: an attacker's login, sent to a victim, would make the victim's client work for the attacker."""
    async with rig() as made:
        app = await made.register()
        state = await state_of(made, app)
        victim = made.new_browser()
        for _ in range(2):
            page = await come_back(victim, code="attackers", state=state)
            assert page.answer.status_code == 403
            assert "another browser" in page.answer.text
            assert page.left_for == ""
            await victim.open(app.url())  # now it has a name of its own
        assert (await come_back(made.browser, code="c", state=state)).left_for


async def test_a_login_without_its_cookie_is_shown() -> None:
    async with rig() as made:
        state = await state_of(made, await made.register())
        made.browser.http.cookies.clear()
        assert (await come_back(made.browser, code="c", state=state)).answer.status_code == 403


async def test_state_that_was_changed_anywhere_is_shown() -> None:
    async with rig() as made:
        state = await state_of(made, await made.register())
        changed = [state[:i] + ("A" if c != "A" else "B") + state[i + 1 :] for i, c in enumerate(state)]
        cut = [state[:i] for i in range(0, len(state), 7)]
        for wrong in [*changed[::3], *cut, state + "A", "", state.upper()]:
            page = await come_back(made.browser, code="c", state=wrong)
            assert page.answer.status_code == 400
            assert "did not begin here" in page.answer.text
            assert page.left_for == ""
            assert wrong not in made.detail or not wrong


async def test_only_state_is_state() -> None:
    async with rig() as made:
        app = await made.register()
        flow = a_seal(made).open(STATE, await state_of(made, app), Flow)
        seal = a_seal(made)
        contents = {CLIENT: Registration(redirect_uris=("app:x",)), CONSENT: flow, CODE: flow, REFRESH: flow, "": flow}
        for purpose, content in contents.items():
            page = await come_back(made.browser, code="c", state=seal.seal(purpose, content))
            assert page.answer.status_code == 400
        page = await come_back(made.browser, code="c", state=a_seal(made, new_key()).seal(STATE, flow))
        assert page.answer.status_code == 400


async def test_a_login_that_took_too_long_is_over() -> None:
    async with rig() as made:
        state = await state_of(made, await made.register())
        made.issuer.clock.move(30 * 60 - 1)
        assert (await come_back(made.browser, code="c", state=state)).left_for
        made.issuer.clock.move(1)
        page = await come_back(made.browser, code="c", state=state)
        assert page.answer.status_code == 400
        assert "took too long" in page.answer.text


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        pytest.param({}, "server_error", id="nothing"),
        pytest.param({"code": ""}, "server_error", id="an empty code"),
        pytest.param({"code": "c" * (MAX_CODE + 1)}, "server_error", id="a code that is too long"),
        pytest.param({"code": ["a", "b"]}, "invalid_request", id="two codes"),
        pytest.param({"error": "access_denied"}, "access_denied", id="a person who said no"),
        pytest.param({"error": "access_denied", "code": "c"}, "access_denied", id="an error and a code"),
        pytest.param(
            {"error": "invalid_request", "error_description": "invalid_scope"}, "invalid_scope", id="Cognito's spelling"
        ),
        pytest.param({"error": "invalid_request"}, "invalid_request", id="a bad request"),
        pytest.param({"error": "unknown_thing", "error_description": "x"}, "server_error", id="an error of its own"),
        pytest.param({"error": "<script>"}, "server_error", id="markup"),
        pytest.param({"error": "access_denied\r\nX: y"}, "server_error", id="a header"),
        pytest.param({"iss": "https://evil.example", "code": "c"}, "server_error", id="another issuer's code"),
        pytest.param({"iss": PUBLIC, "code": "c"}, "server_error", id="our own iss, which is not the issuer's"),
        pytest.param({"iss": ["a", "b"], "code": "c"}, "invalid_request", id="two issuers"),
    ],
)
async def test_what_goes_wrong_at_the_issuer_is_told_to_the_client(parameters: dict[str, Any], error: str) -> None:
    async with rig() as made:
        app = await made.register()
        page = await come_back(made.browser, state=await state_of(made, app), **parameters)
        assert page.left_for.startswith(f"{app.redirect}?error={error}&")
        assert page.parameters["iss"] == PUBLIC
        assert page.parameters["state"] == "a state"
        assert "code" not in page.parameters
        assert "evil" not in page.left_for
        assert "%3C" not in page.left_for
        assert "\n" not in page.left_for


@pytest.mark.parametrize("iss", ["", "https://evil.example", "{}/", "{}#", "HTTP{}", " {}"])
async def test_an_issuer_that_always_says_who_it_is_must(iss: str) -> None:
    """RFC 9207 §2.4: missing, where it is announced, is as bad as wrong."""
    async with rig(plain=True) as made:
        app = await made.register()
        given = iss.format(made.issuer.url.removeprefix("http") if iss.startswith("HTTP") else made.issuer.url)
        page = await come_back(made.browser, code="c", state=await state_of(made, app), iss=given)
        assert page.parameters["error"] == "server_error"
        assert "iss is not" in made.detail
        right = await come_back(made.browser, code="c", state=await state_of(made, app), iss=made.issuer.url)
        assert "code" in right.parameters


async def test_a_whole_login_at_an_issuer_that_says_who_it_is() -> None:
    async with rig(plain=True) as made:
        app = await made.register()
        tokens = await app.tokens(scope=f"{USE} offline_access")
        assert tokens["scope"].split()[0] == USE
        assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_an_announced_iss_of_cognito_counts_once_its_metadata_says_so() -> None:
    async with rig() as made:
        document = made.issuer.metadata() | {"authorization_response_iss_parameter_supported": True}
        made.issuer.metadata_server.body = msgspec.json.encode(document)
        app = await made.register()
        page = await made.browser.log_in(app.url())
        assert page.parameters["error"] == "server_error"


async def test_a_scope_that_cognito_does_not_know_comes_back_as_invalid_scope() -> None:
    unknown = f"{PUBLIC}/mcp/unknown"
    async with rig(resources=[{"path": "/mcp", "scopes": [unknown]}]) as made:
        page = await made.browser.log_in((await made.register()).url(scope=None))
        assert page.parameters["error"] == "invalid_scope"
        assert page.parameters["iss"] == PUBLIC


async def test_the_issuer_failing_on_the_way_back_is_told_to_the_client() -> None:
    """The metadata that says whether `iss` must be there may not be known to the replica that is asked."""
    async with rig() as made:
        state = await state_of(made, await made.register())
        made.issuer.metadata_server.status = 503
        await made.replace()
        page = await come_back(made.browser, code="c", state=state)
        assert page.parameters["error"] == "temporarily_unavailable"


async def test_a_callback_that_cannot_be_read_is_shown() -> None:
    async with rig() as made:
        page = await made.browser.open(f"{CALLBACK}?state=%FF")
        assert (page.answer.status_code, page.left_for) == (400, "")


async def test_code_of_one_login_is_of_no_use_in_the_state_of_another() -> None:
    """Code injection: our own PKCE towards the issuer binds its code to the login that it belongs to."""
    async with rig() as made:
        app = await made.register()
        first, second = await state_of(made, app), await state_of(made, app)
        page = await made.browser.open(
            f"{made.base}/oauth2/authorize?{urlencode(made.way.asked('/oauth2/authorize')[0])}"
        )
        async with made.browser.http.stream("GET", page.url):
            pass
        done = await made.browser.http.post(
            f"{made.base}{page.form.action.removeprefix(made.base)}",
            data={"username": "alice", "password": "wonderland"},
        )
        code = dict(part.split("=") for part in done.headers["location"].partition("?")[2].split("&"))["code"]
        swapped = await come_back(made.browser, code=code, state=second)
        answer = await app.redeem(swapped.parameters["code"])
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert first != second


@given(st.text(), st.text())
def test_any_error_of_an_issuer_is_one_that_clients_know(error: str, description: str) -> None:
    made = translated(error, description)
    assert made.code in ERRORS
    assert len(made.description) <= 200
    assert all(
        character.isascii() and character.isprintable() and character not in '"\\' for character in made.description
    )
    assert all(ord(character) >= 0x20 for character in str(made))
    assert made.description


@pytest.mark.parametrize("error", sorted(ERRORS))
def test_an_error_that_clients_know_stays(error: str) -> None:
    made = translated(error, "Why")
    assert error in REMEDIES
    assert (made.code, made.description) == (error, "Why")


def test_what_only_the_log_is_told_of_an_unknown_error() -> None:
    made = translated("weird", "the details")
    assert (made.code, made.description) == ("server_error", "The issuer refused the login.")
    assert str(made) == "weird: the details"
