"""The login page: for people with a keyboard, a screen reader or a dark screen, and closed to other sites."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser

import httpx
import pytest

from conformance.issuer import Client, Issuer
from conformance.issuer.pages import error_page
from tests.conformance.issuer.journey import CALLBACK, Journey


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.texts[self._open] = self.texts.get(self._open, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


async def shown(app: Journey, **changes: str) -> httpx.Response:
    return await app.http.get(await app.login_url(**changes))


async def test_page_names_the_app_and_what_it_asks_for_in_plain_words(app: Journey) -> None:
    page = (await shown(app, scope="openid usage:read")).text
    assert "Desk Assistant" in page
    assert "<li>Confirm who you are</li><li>Show what you have spent</li>" in page
    assert "usage:read" not in page
    assert "an app on this computer" in page


async def test_page_says_when_nobody_has_checked_the_name(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("self", (CALLBACK,), name="Your Bank", self_described=True))
    assert "nobody has checked it" in (await shown(app, client_id="self")).text
    assert "nobody has checked it" not in (await shown(app)).text


async def test_app_without_a_name_goes_by_its_id(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("unnamed", (CALLBACK,)))
    assert "<strong>unnamed</strong>" in (await shown(app, client_id="unnamed")).text


async def test_page_can_be_read_and_used_without_sight_or_mouse(app: Journey) -> None:
    page = Page((await shown(app)).text)
    assert page.all("html")[0]["lang"] == "en"
    assert page.texts["title"].strip() == "Sign in to continue to Desk Assistant"
    labelled = {label["for"] for label in page.all("label")}
    assert labelled == {field["id"] for field in page.all("input")}
    assert [field["autocomplete"] for field in page.all("input")] == ["username", "current-password"]
    assert [button["type"] for button in page.all("button")] == ["submit", "submit"]
    assert ":focus-visible" in page.texts["style"]


async def test_page_is_light_and_dark(app: Journey) -> None:
    style = Page((await shown(app)).text).texts["style"]
    assert "color-scheme: light dark" in style
    assert "prefers-color-scheme: dark" in style


async def test_page_needs_no_script_and_nothing_from_elsewhere(app: Journey) -> None:
    page = Page((await shown(app)).text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "url(" not in page.texts["style"]
    assert "style" not in {name for _, attributes in page.elements for name in attributes}


@pytest.mark.parametrize("make", [shown, None], ids=["login", "error"])
async def test_page_has_strict_headers(app: Journey, make: Callable[[Journey], object] | None) -> None:
    answer = await shown(app) if make else error_page("Something.")
    headers = answer.headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "base-uri 'none'; frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


async def test_policy_allows_the_style_of_the_page_by_its_hash(app: Journey) -> None:
    answer = await shown(app)
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]


async def test_policy_leaves_the_redirects_after_the_form_alone(app: Journey) -> None:
    """Chromium holds form-action against every redirect after a form, and the last one cannot be known here."""
    assert "form-action" not in (await shown(app)).headers["content-security-policy"]


async def test_user_name_may_be_filled_in_by_the_client(app: Journey) -> None:
    page = Page((await shown(app, login_hint='al"ice')).text)
    name, password = page.all("input")
    assert name["value"] == 'al"ice'
    assert "autofocus" in password
    assert "autofocus" not in name


async def test_text_from_outside_stays_text(app: Journey, plain: Issuer) -> None:
    plain.add_client(Client("odd", (CALLBACK,), name='<img src=x onerror="a()">'))
    page = Page((await shown(app, client_id="odd", login_hint="'\"><script>")).text)
    assert not page.all("img")
    assert not page.all("script")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"password": "wrong"}, id="wrong password"),
        pytest.param({"password": ""}, id="no password"),
        pytest.param({"username": "nobody"}, id="unknown user"),
        pytest.param({"username": "", "password": ""}, id="nothing"),
        pytest.param({"username": "bob"}, id="another user's password"),
        pytest.param({"username": "älice", "password": "wünderland"}, id="not ASCII"),
    ],
)
async def test_wrong_login_is_announced_and_can_be_tried_again(app: Journey, fields: dict[str, str]) -> None:
    url = await app.login_url()
    answer = await app.submit(url, **fields)
    assert answer.status_code == 403
    page = Page(answer.text)
    (alert,) = (attributes for _, attributes in page.elements if attributes.get("role") == "alert")
    assert "User name or password is wrong" in answer.text
    assert page.texts["title"].startswith("Error: ")
    for field in page.all("input"):
        assert (field["aria-invalid"], field["aria-describedby"]) == ("true", alert["id"])
    assert page.all("input")[0]["value"] == fields.get("username", "alice")
    assert "value" not in page.all("input")[1], "the password is not sent back"
    assert (await app.submit(url)).status_code == 302


async def test_login_ends_after_ten_wrong_passwords(app: Journey) -> None:
    url = await app.login_url()
    answers = [await app.submit(url, password="wrong") for _ in range(10)]
    assert "too many wrong passwords" in answers[-1].text
    assert answers[-1].status_code == 403
    assert (await app.submit(url)).status_code == 400


async def test_login_is_for_one_time(app: Journey) -> None:
    url = await app.login_url()
    await app.submit(url)
    answer = await app.submit(url)
    assert (answer.status_code, "over or took too long" in answer.text) == (400, True)
    assert (await app.http.get(url)).status_code == 400


async def test_cancelled_login_is_over(app: Journey) -> None:
    url = await app.login_url()
    assert (await app.submit(url, cancel="yes")).status_code == 302
    assert (await app.submit(url)).status_code == 400


async def test_login_has_ten_minutes(app: Journey, plain: Issuer) -> None:
    url = await app.login_url()
    plain.clock.move(600)
    assert (await app.submit(url)).status_code == 400


@pytest.mark.parametrize("query", ["", "?request=guessed"])
async def test_form_without_the_random_value_of_a_login_is_refused(app: Journey, query: str) -> None:
    assert (await app.submit(f"http://127.0.0.1:9000/login{query}")).status_code == 400


async def test_every_login_has_a_value_of_its_own(app: Journey) -> None:
    assert await app.login_url() != await app.login_url()


@pytest.mark.parametrize(("site", "status"), [("same-origin", 302), ("cross-site", 403), ("same-site", 403)])
async def test_form_sent_from_another_site_is_refused(app: Journey, site: str, status: int) -> None:
    app.http.headers["Sec-Fetch-Site"] = site
    assert (await app.submit(await app.login_url())).status_code == status


async def test_form_that_cannot_be_read_is_refused(app: Journey) -> None:
    answer = await app.http.post(await app.login_url(), json={"username": "alice"})
    assert (answer.status_code, "could not be read" in answer.text) == (400, True)


async def test_oldest_logins_are_forgotten_first(app: Journey) -> None:
    first = await app.login_url()
    for _ in range(1000):
        last = await app.login_url()
    assert (await app.submit(first)).status_code == 400
    assert (await app.submit(last)).status_code == 302
