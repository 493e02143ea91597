"""Nothing that opens anything is in a log, an error or a repr."""

from __future__ import annotations

import json
import logging
import re
import traceback
from pathlib import Path
from urllib.parse import unquote

import pytest

from gateway.facade.sealed import CODE, REFRESH, STATE, Code, Flow, Refresh
from gateway.sources import SettingsError, parse
from tests.gated import RESOURCE
from tests.gateway.facade.rig import KEY, SECRET, USER, VERIFIER, a_seal, rig


async def test_a_whole_login_leaves_no_secret_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for kind in (False, True):
        caplog.clear()
        async with rig(plain=kind) as made:
            app = await made.register()
            done = await made.browser.log_in(app.url(state="the-clients-state"))
            code = done.parameters["code"]
            wrong = await app.redeem(code, code_verifier="w" * 43)
            tokens = (await app.redeem(code)).json()
            again = (await app.refresh(tokens["refresh_token"])).json()
            replayed = await app.redeem(code)
            used = await app.refresh(tokens["refresh_token"])
            made.way.faults[f"{'/oauth2' if not kind else ''}/token"] = (
                400,
                b'{"error":"invalid_client","error_description":"who is this?"}',
                "application/json",
            )
            ours = await app.refresh(again["refresh_token"])
            bearer = {"authorization": f"Bearer {again['access_token']}"}
            assert (await made.http.get(RESOURCE, headers=bearer)).status_code == 200
            await app.revoke(again["refresh_token"])

            path = "/authorize" if kind else "/oauth2/authorize"
            state = made.way.asked(path)[0]["state"]
            seal = a_seal(made)
            opened = seal.open(CODE, code, Code)
            secrets = {
                SECRET,
                KEY,
                VERIFIER,
                USER.password,
                code,
                state,
                opened.code,
                opened.verifier,
                seal.open(STATE, state, Flow).verifier,
                "the-clients-state",
                "w" * 43,
                app.client_id,
                tokens["access_token"],
                tokens["refresh_token"],
                again["access_token"],
                again["refresh_token"],
                seal.open(REFRESH, tokens["refresh_token"], Refresh).token,
                seal.open(REFRESH, again["refresh_token"], Refresh).token,
                *(cookie.value or "" for cookie in made.browser.http.cookies.jar),
            }
            said = [record.getMessage() for record in caplog.records if not by_the_rig(record)]
            said += [b"".join(made.lines).decode(), wrong.text, replayed.text, used.text, ours.text]
        text = unquote("\n".join(said))
        assert len(made.lines) > 8
        for secret in secrets:
            assert len(secret) > 8
            assert secret not in text, secret[:20]


def by_the_rig(record: logging.LogRecord) -> bool:
    """Whether the browser or client of the test wrote a line: httpx logs what a client asks, and the issuer is ours."""
    return record.name == "httpx" or record.name.startswith(("httpcore", "asyncio", "authlib", "uvicorn"))


async def test_the_gates_own_requests_leave_no_secret_in_the_log_of_their_library(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The gate uses a transport of httpx: only httpcore writes, and only lines about connections and answers."""
    async with rig() as made:
        app = await made.register()
        code = await app.code()
        opened = a_seal(made).open(CODE, code, Code)
        caplog.set_level(logging.DEBUG)
        caplog.clear()
        tokens = (await app.redeem(code)).json()
        text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("httpcore"))
        assert "receive_response_headers.complete" in text
        refresh = a_seal(made).open(REFRESH, tokens["refresh_token"], Refresh).token
        for secret in (opened.code, opened.verifier, SECRET, refresh, tokens["access_token"], "Basic "):
            assert secret not in text


def test_settings_with_secrets_do_not_show_them(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    values = {
        "public_url": "https://gw.example",
        "issuers": [{"issuer": "https://issuer.example"}],
        "seal_keys": [KEY],
    }
    for given in ({"client_secret": SECRET}, {"client_secret_file": str(file)}):
        settings = parse(values | {"facade": {"client_id": "gate", **given}})
        for shown in (repr(settings), str(settings), repr(settings.facade), f"{settings!r:.5000}"):
            assert SECRET not in shown
            assert KEY not in shown


@pytest.mark.parametrize(
    "broken",
    [
        {"seal_keys": [KEY[:-3] + "!!"]},
        {"seal_keys": [KEY[:-8]]},
        {"facade": {"client_id": "gate", "client_secret": SECRET, "client_secret_file": "x"}},
    ],
)
def test_settings_that_are_wrong_do_not_show_them_either(broken: dict[str, object]) -> None:
    values = {
        "public_url": "https://gw.example",
        "issuers": [{"issuer": "https://issuer.example"}],
        "facade": {"client_id": "gate", "client_secret": SECRET},
        "seal_keys": [KEY],
    }
    with pytest.raises(SettingsError, match=r"seal_keys|client_secret") as raised:
        parse(values | broken)
    text = "".join(traceback.format_exception(raised.value))
    assert SECRET not in text
    assert KEY[:20] not in text


async def test_error_ids_of_pages_and_answers_are_those_of_the_log() -> None:
    async with rig() as made:
        app = await made.register()
        answer = await app.redeem("x")
        assert answer.json()["refusal"] == made.log[-1]["id"]
        page = await made.browser.open(app.url(client_id="x"))
        shown = re.search(r"<code>([0-9a-f]{16})</code>", page.answer.text)
        assert shown
        assert shown[1] == made.log[-1]["id"]
        assert made.log[-1]["decision"] == "refused"


async def test_an_issuer_that_repeats_what_it_was_sent_is_not_repeated() -> None:
    async with rig() as made:
        app = await made.register()
        tokens = await app.tokens()
        code = await app.code()
        opened = a_seal(made).open(CODE, code, Code)
        refresh = a_seal(made).open(REFRESH, tokens["refresh_token"], Refresh).token
        echo = f"no {opened.code} for {opened.verifier} or {refresh}"
        for path in ("/oauth2/token", "/oauth2/revoke"):
            body = json.dumps({"error": "invalid_request", "error_description": echo}).encode()
            made.way.faults[path] = 400, body, "application/json"
        assert (await app.redeem(code)).status_code == 502
        assert made.detail.startswith("the issuer answers 400 invalid_request no ... for ... or ")
        for answer in (await app.refresh(tokens["refresh_token"]), await app.revoke(tokens["refresh_token"])):
            assert answer.status_code == 502
            assert made.detail.endswith(" or ...")
            assert "no ..." not in answer.text
