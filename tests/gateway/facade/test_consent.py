"""The consent page's answer: who may give it, and what it is good for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway.facade.sealed import CONSENT, Consent, Wish, fingerprint
from tests.gated import PUBLIC, RESOURCE
from tests.gateway.facade.rig import KEY, USE, WEB, App, Browser, a_seal, new_key, rig

LOCAL = "http://localhost:8123"


async def asks(browser: Browser, url: str) -> bool:
    """Whether the browser is asked for consent, rather than sent on to the issuer."""
    page = await browser.open(url)
    return "consent" in page.form.fields


async def test_nobody_gets_a_code_without_consent() -> None:
    """The confused deputy: an attacker's client cannot ride on the login a person has at the issuer."""
    async with rig() as made:
        await (await made.register(client_name="Honest")).tokens()
        evil = await made.register("https://evil.example/cb", client_name="Honest")
        page = await made.browser.open(evil.url())
        assert "evil.example" in page.answer.text
        assert page.left_for == ""
        denied = await made.browser.submit(page, decision="deny")
        assert denied.parameters["error"] == "access_denied"
        assert "code" not in denied.parameters
        assert len(made.way.asked("/oauth2/authorize")) == 1


@pytest.mark.parametrize("decision", ["deny", "", "Approve", "approve ", "yes"])
async def test_only_approve_approves(decision: str) -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        done = await made.browser.submit(page, decision=decision)
        assert (done.parameters["error"], done.parameters["iss"]) == ("access_denied", PUBLIC)
        assert done.parameters["state"] == "a state"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"sec-fetch-site": "cross-site"}, id="another site"),
        pytest.param({"sec-fetch-site": "same-site"}, id="another host of the same site"),
        pytest.param({"sec-fetch-site": "none"}, id="no site"),
        pytest.param({"origin": "https://evil.example"}, id="another origin"),
        pytest.param({"origin": "null"}, id="an opaque origin"),
        pytest.param({"origin": "http://gw.example"}, id="our host without TLS"),
        pytest.param({"origin": "https://gw.example:8443"}, id="another port"),
        pytest.param({"origin": "https://gw.example", "sec-fetch-site": "cross-site"}, id="an origin that lies"),
    ],
)
async def test_a_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        data = {**page.form.fields, "decision": "approve"}
        answer = await made.browser.http.post(f"{PUBLIC}/oauth/consent", data=data, headers=headers)
        assert answer.status_code == 403
        assert "another site" in answer.text
        assert made.way.asked("/oauth2/authorize") == []


async def test_an_old_browser_that_says_nothing_of_sites_can_answer() -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        data = {**page.form.fields, "decision": "approve"}
        answer = await made.browser.http.post(f"{PUBLIC}/oauth/consent", data=data)
        assert answer.status_code == 303


async def test_the_page_of_one_browser_is_no_consent_in_another() -> None:
    """Login CSRF: an attacker's page, sent by a victim's browser, is asked again there."""
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        victim = made.new_browser()
        asked = await victim.submit(page, decision="approve")
        assert "answer once more" in asked.answer.text
        assert made.way.asked("/oauth2/authorize") == []
        onwards = await victim.submit(asked, decision="approve")
        assert "password" in onwards.answer.text


async def test_a_browser_that_keeps_no_cookies_is_told_what_it_takes() -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        for _ in range(2):
            made.browser.http.cookies.clear()
            page = await made.browser.submit(page, decision="approve")
            assert "allow cookies" in page.answer.text
        assert made.way.asked("/oauth2/authorize") == []


async def test_denying_in_another_browser_is_no_answer_either() -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        asked = await made.new_browser().submit(page, decision="deny")
        assert asked.left_for == ""
        assert 'role="alert"' in asked.answer.text


async def test_a_planted_browser_name_does_not_make_a_strangers_page_a_consent() -> None:
    """With a cookie planted, the form is still sent from another site, and every browser says so."""
    async with rig(public=LOCAL) as made:
        attacker, victim = made.browser, made.new_browser()
        page = await attacker.open((await made.register()).url(resource=f"{LOCAL}/mcp", scope=None))
        for cookie in attacker.http.cookies.jar:
            victim.http.cookies.jar.set_cookie(cookie)
        data = {**page.form.fields, "decision": "approve"}
        headers = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
        assert (await victim.http.post(f"{LOCAL}/oauth/consent", data=data, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "name",
    ["", "short", "x" * 33, "x" * 31 + "é", '"' + "\\012" * 8 + '"', "a" * 31 + "=", "x" * 4000, "\\073" * 8],
)
async def test_a_name_that_is_none_of_ours_is_replaced(name: str) -> None:
    async with rig() as made:
        cookie = f"__Host-bearergate-browser={name}".encode("latin-1")
        answer = await made.network.handle_async_request(
            made.http.build_request("GET", (await made.register()).url(), headers=[(b"cookie", cookie)])
        )
        await answer.aread()
        assert answer.status_code == 200
        given = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
        assert re.fullmatch(r"[A-Za-z0-9_-]{32}", given)
        assert given != name


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(lambda _: "", "cannot be read", id="nothing"),
        pytest.param(lambda value: value[:-1], "cannot be read", id="cut"),
        pytest.param(lambda value: value[:-30] + "A" + value[-29:], "cannot be read", id="changed"),
        pytest.param(lambda value: value + value, "cannot be read", id="doubled"),
    ],
)
async def test_a_page_that_was_changed_is_refused(change: Any, sentence: str) -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        data = {"consent": change(page.form.fields["consent"]), "decision": "approve"}
        answer = await made.browser.http.post(f"{PUBLIC}/oauth/consent", data=data)
        assert answer.status_code == 400
        assert sentence in answer.text


async def test_a_page_that_was_open_for_too_long_is_over() -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        made.issuer.clock.move(15 * 60)
        late = await made.browser.submit(page, decision="approve")
        assert late.answer.status_code == 400
        assert "open for too long" in late.answer.text


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param({"json": {"decision": "approve"}}, 400, id="JSON"),
        pytest.param({"content": b"a=1", "headers": {"content-type": "text/plain"}}, 400, id="text"),
        pytest.param({"data": {"consent": "x" * 70_000}}, 413, id="a large form"),
        pytest.param({"data": {"consent": ["a", "b"]}}, 400, id="two of a field"),
        pytest.param({"data": {}}, 400, id="nothing"),
    ],
)
async def test_what_is_no_form_of_ours_is_shown_an_error(request_: dict[str, Any], status: int) -> None:
    async with rig() as made:
        answer = await made.browser.http.post(f"{PUBLIC}/oauth/consent", **request_)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")


async def test_a_ticket_names_its_own_client_alone() -> None:
    """The page of a trusted client cannot be turned into consent for another: client and wish are sealed together."""
    async with rig() as made:
        page = await made.browser.open(App(made, "known", WEB).url())
        evil = await made.register("https://evil.example/cb")
        data = {**page.form.fields, "decision": "approve", "client_id": evil.client_id, "redirect_uri": evil.redirect}
        answer = await made.browser.http.post(f"{PUBLIC}/oauth/consent", data=data)
        assert answer.status_code == 303
        assert await asks(made.browser, evil.url())


async def test_a_ticket_of_a_client_or_resource_that_is_gone_is_shown() -> None:
    """Settings may change while a page is open, replica by replica."""
    async with rig() as made:
        page = await made.browser.open(App(made, "known", WEB).url())
        await made.replace(facade=made.values["facade"] | {"clients": []})
        gone = await made.browser.submit(page, decision="approve")
        assert gone.answer.status_code == 400
        assert "remove this server and add it again" in gone.answer.text
        elsewhere = [{"path": "/else", "scopes": [USE]}]
        await made.replace(resources=elsewhere)
        for browser in (made.browser, made.new_browser()):
            gone = await browser.submit(page, decision="approve")
            assert gone.answer.status_code == 400
            assert "no use any more" in gone.answer.text
            assert "resource" in made.detail


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_going_to_the_address_of_an_answered_form_is_told_to_start_again(method: str) -> None:
    async with rig() as made:
        answer = await made.browser.http.request(method, f"{PUBLIC}/oauth/consent")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert ("start again" in answer.text) is (method == "GET")


async def test_the_issuer_failing_after_consent_is_told_to_the_client() -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register()).url())
        made.issuer.metadata_server.status = 500
        done = await made.browser.submit(page, decision="approve")
        assert done.parameters["error"] == "temporarily_unavailable"
        assert done.parameters["iss"] == PUBLIC


async def test_a_page_sealed_by_another_deployment_cannot_be_answered() -> None:
    async with rig() as made:
        app = await made.register()
        wish = Wish(
            client=fingerprint(app.client_id),
            redirect_uri="https://evil.example",
            challenge="x",
            resource=RESOURCE,
            scopes=(),
        )
        for key, status in ((new_key(), 400), (KEY, 200)):  # ours opens it, and asks this browser
            ticket = a_seal(made, key).seal(CONSENT, Consent(wish, app.client_id), 60)
            data = {"consent": ticket, "decision": "approve"}
            answer = await made.browser.http.post(f"{PUBLIC}/oauth/consent", data=data)
            assert answer.status_code == status
