"""What a browser carries: a name of its own, and consents that are remembered in it."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from gateway.facade.browser import MAX_COOKIE, REMEMBERED, Browsers
from gateway.facade.sealed import Wish, fingerprint
from gateway.seal import Seal
from tests.gated import PUBLIC, RESOURCE
from tests.gateway.facade.rig import ADMIN, USE, rig
from tests.gateway.facade.test_consent import asks

RULED = [{"path": "/mcp", "name": "Reports", "scopes": [USE], "rules": [{"tools": ["a-*"], "scopes": [ADMIN]}]}]
LOCAL = "http://localhost:8123"
DAY = 86_400


async def test_consent_is_remembered_by_this_browser_alone() -> None:
    async with rig() as made:
        app = await made.register()
        assert await asks(made.browser, app.url())
        await app.tokens()
        assert not await asks(made.browser, app.url())
        assert not await asks(made.browser, app.url(redirect_uri="http://127.0.0.1:1/callback"))
        assert await asks(made.new_browser(), app.url())


async def test_consent_is_for_this_client_redirect_and_resource_alone() -> None:
    two = [{"path": "/mcp", "scopes": [USE]}, {"path": "/other", "scopes": [USE]}]
    async with rig(resources=two) as made:
        app = await made.register("https://app.example/a", "https://app.example/b")
        await app.tokens()
        assert not await asks(made.browser, app.url())
        assert await asks(made.browser, app.url(redirect_uri="https://app.example/b"))
        assert await asks(made.browser, app.url(resource=f"{PUBLIC}/other"))
        same = await made.register("https://app.example/a", "https://app.example/b")
        assert await asks(made.browser, same.url())


async def test_consent_covers_a_part_of_its_scopes_and_no_more() -> None:
    async with rig(resources=RULED) as made:
        app = await made.register()
        await app.tokens()
        assert await asks(made.browser, app.url(scope=f"{USE} {ADMIN}"))
        await app.tokens(scope=f"{USE} {ADMIN}")
        assert not await asks(made.browser, app.url(scope=ADMIN))
        assert not await asks(made.browser, app.url(scope=USE))


@pytest.mark.parametrize("prompt", ["consent", "login consent"])
async def test_a_client_may_ask_for_consent_again(prompt: str) -> None:
    async with rig() as made:
        app = await made.register()
        await app.tokens()
        assert await asks(made.browser, app.url(prompt=prompt))
        assert not await asks(made.browser, app.url(prompt="login"))


async def test_consent_is_forgotten_in_time() -> None:
    async with rig(facade={"consent_days": 2}) as made:
        app = await made.register()
        await app.tokens()
        made.issuer.clock.move(2 * DAY - 60)
        assert not await asks(made.browser, app.url())
        made.issuer.clock.move(120)
        assert await asks(made.browser, app.url())


async def test_one_consent_does_not_prolong_another() -> None:
    async with rig(facade={"consent_days": 2}) as made:
        first, second = await made.register(), await made.register()
        await first.tokens()
        made.issuer.clock.move(1.5 * DAY)
        await second.tokens()
        made.issuer.clock.move(DAY)
        assert await asks(made.browser, first.url())
        assert not await asks(made.browser, second.url())


async def test_zero_days_ask_every_time() -> None:
    async with rig(facade={"consent_days": 0}) as made:
        app = await made.register()
        await app.tokens()
        assert await asks(made.browser, app.url())
        assert not [cookie.name for cookie in made.browser.http.cookies.jar if "approvals" in cookie.name]


async def test_consents_of_another_browser_do_not_count_even_if_copied() -> None:
    async with rig() as made:
        app = await made.register()
        await app.tokens()
        thief = made.new_browser()
        await thief.open(app.url())
        for cookie in made.browser.http.cookies.jar:
            if "approvals" in cookie.name:
                thief.http.cookies.jar.set_cookie(cookie)
        assert await asks(thief, app.url())


@pytest.mark.parametrize("tampered", ["", "x", "a.b.c.d.e", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..a.b.c"])
async def test_a_tampered_memory_is_no_memory(tampered: str) -> None:
    async with rig() as made:
        app = await made.register()
        await app.tokens()
        for cookie in made.browser.http.cookies.jar:
            if "approvals" in cookie.name:
                cookie.value = tampered
        assert await asks(made.browser, app.url())
        await app.tokens()
        assert not await asks(made.browser, app.url())


def test_a_memory_that_is_too_large_forgets_the_oldest() -> None:
    browsers = Browsers(Seal([b"k" * 32]), secure=True, consent_days=30)
    cookies: dict[str, str] = {}
    scopes = tuple(f"https://a-rather-long-resource-server.example/scope-{i}" for i in range(8))
    wishes = [a_wish(f"https://app.example/{i}", scopes) for i in range(40)]
    for wish in wishes:
        response = Response()
        browsers.keep_approval(response, cookies, "client", wish)
        header = response.headers["set-cookie"]
        assert len(header) < 4096
        cookies[browsers.approvals_cookie] = header.partition("=")[2].partition(";")[0]
        assert len(cookies[browsers.approvals_cookie]) <= MAX_COOKIE
        assert browsers.approved(cookies, "client", wish)
    kept = [wish for wish in wishes if browsers.approved(cookies, "client", wish)]
    assert kept == wishes[-len(kept) :]
    assert 1 < len(kept) < REMEMBERED


def test_as_many_consents_as_are_remembered() -> None:
    browsers = Browsers(Seal([b"k" * 32]), secure=True, consent_days=30)
    cookies: dict[str, str] = {}
    wishes = [a_wish(f"app:{i}", ("a",)) for i in range(REMEMBERED + 1)]
    for wish in wishes:
        response = Response()
        browsers.keep_approval(response, cookies, "client", wish)
        cookies[browsers.approvals_cookie] = response.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert [browsers.approved(cookies, "client", wish) for wish in wishes] == [False] + [True] * REMEMBERED


def test_one_consent_that_is_too_large_is_not_remembered() -> None:
    browsers = Browsers(Seal([b"k" * 32]), secure=True, consent_days=30)
    wish = a_wish("app:x", tuple(f"scope-{i}-{'x' * 40}" for i in range(100)))
    response = Response()
    browsers.keep_approval(response, {}, "client", wish)
    value = response.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert not browsers.approved({browsers.approvals_cookie: value}, "client", wish)


def a_wish(redirect: str, scopes: tuple[str, ...]) -> Wish:
    return Wish(
        client="c", redirect_uri=redirect, challenge="x", resource=RESOURCE, scopes=scopes, browser=fingerprint("b")
    )


async def test_cookies_on_https_are_bound_to_this_host() -> None:
    async with rig() as made:
        app = await made.register()
        page = await made.browser.open(app.url())
        name = page.answer.headers["set-cookie"]
        data = {**page.form.fields, "decision": "approve"}
        approval = (await made.browser.http.post(f"{PUBLIC}/oauth/consent", data=data)).headers["set-cookie"]
        for header, cookie in ((name, "__Host-bearergate-browser"), (approval, "__Host-bearergate-approvals")):
            given, _, attributes = header.partition(";")
            assert given.startswith(f"{cookie}=")
            words = {word.strip().lower() for word in attributes.split(";")}
            assert {"secure", "httponly", "samesite=lax", "path=/"} <= words
            assert not [word for word in words if word.startswith("domain")]
            assert f"max-age={30 * DAY}" in words


async def test_cookies_on_plain_loopback_are_ordinary() -> None:
    async with rig(public=LOCAL) as made:
        app = await made.register()
        page = await made.browser.open(app.url(resource=f"{LOCAL}/mcp", scope=None))
        header = page.answer.headers["set-cookie"]
        assert header.startswith("bearergate-browser=")
        assert "secure" not in header.lower()
        done = await made.browser.log_in(app.url(resource=f"{LOCAL}/mcp", scope=None))
        assert "code" in done.parameters
