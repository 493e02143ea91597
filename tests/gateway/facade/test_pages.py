"""The pages of the facade: what they show, of whom, and what they allow."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape

import pytest

from gateway.facade.pages import STYLE, ConsentPage, consent_page, error_page
from tests.gated import PUBLIC, RESOURCE
from tests.gateway.facade.rig import ADMIN, STATIC, USE, WEB, App, rig

RULED = [{"path": "/mcp", "name": "Reports", "scopes": [USE], "rules": [{"tools": ["a-*"], "scopes": [ADMIN]}]}]


async def test_the_page_names_client_host_server_and_scopes_in_words() -> None:
    words = {USE: "Read your reports"}
    async with rig(resources=RULED, facade={"scopes": words}) as made:
        app = await made.register("https://claude.example/cb", client_name="Claude")
        text = (await made.browser.open(app.url(scope=f"{USE} {ADMIN}"))).answer.text
        for said in ("Claude", "Reports", RESOURCE, "claude.example", "Read your reports", USE, ADMIN):
            assert said in text
        assert "nobody has checked" in text
        assert "know that site" in text


async def test_the_page_says_where_a_name_comes_from() -> None:
    async with rig() as made:
        document = made.documents.put("https://app.example/client.json", client_name="Described")
        described = await made.browser.open(App(made, document, WEB).url())
        assert "The app describes itself so at app.example." in described.answer.text
        known = await made.browser.open(App(made, "known", WEB).url())
        assert str(STATIC["name"]) in known.answer.text
        assert 'class="note"' not in known.answer.text
        local = await made.browser.open((await made.register()).url())
        assert "know that site" not in local.answer.text
        assert "An app without a name" in local.answer.text
        assert "did not say what it is called" in local.answer.text


@pytest.mark.parametrize(
    "name",
    [
        pytest.param('<script>alert(1)</script><img src=x onerror="a">', id="markup"),
        pytest.param('"><form action="https://evil.example">', id="an attribute's end"),
        pytest.param("</title></h1><!--", id="a title's end"),
        pytest.param("Claude\u202eexe.elgooG\u2066\u200f", id="text turned around"),
        pytest.param("a\0b\x1b[31m\r\nX: y\x85", id="controls"),
        pytest.param("a" * 10_000, id="ten kilobytes"),
        pytest.param("Claude” use Reports as you? Verified. “", id="a quotation's end"),
        pytest.param("&lt;b&gt; &amp; &#60;", id="entities"),
        pytest.param("\u200b\u200b \u00a0\t", id="nothing to see"),
        pytest.param("\u3164\u2800\u115f", id="fillers"),
        pytest.param("'; DROP TABLE--${7*7}{{7*7}}", id="other languages"),
    ],
)
async def test_a_hostile_name_is_one_short_line_of_text(name: str) -> None:
    async with rig() as made:
        page = await made.browser.open((await made.register(client_name=name)).url())
        text = page.answer.text
        heading = re.search(r"<h1>Let “<bdi>(.*?)</bdi>” use <bdi>Reports</bdi> as you\?</h1>", text, re.DOTALL)
        assert heading
        shown = heading[1]
        assert not set(shown) & set('<>"\0\r\n\x1b\x85\u202e\u2066\u200f\u200b')
        assert 0 < len(unescape(shown)) <= 100
        assert "<script" not in text
        assert page.form.action == "/oauth/consent"
        assert text.count("<form") == 1
        if name.startswith("&"):
            assert unescape(shown) == name
        if not name.strip("\u200b \u00a0\t\u3164\u2800\u115f"):
            assert shown == "An app without a name"


async def test_pages_allow_no_script_no_frame_and_no_other_host() -> None:
    async with rig() as made:
        shown = await made.browser.open((await made.register()).url())
        failed = await made.browser.open(f"{PUBLIC}/oauth/authorize")
        for page in (shown, failed):
            headers = page.answer.headers
            policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
            assert policy["default-src"] == "'none'"
            assert policy["frame-ancestors"] == "'none'"
            assert policy["base-uri"] == "'none'"
            digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
            assert policy["style-src"] == f"'sha256-{digest}'"
            assert f"<style>{STYLE}</style>" in page.answer.text
            assert headers["x-frame-options"] == "DENY"
            assert "cross-origin-opener-policy" not in headers, "a web client's pop-up must still know its opener"
            assert "form-action" not in policy, "Chromium would stop redirects to apps' own schemes"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert headers["referrer-policy"] == "same-origin"
            assert not re.search(
                r"<script|<link|<img|<iframe| on[a-z]+=|style=|https?://(?!gw\.example)", page.answer.text
            )


async def test_the_error_page_says_nothing_that_a_stranger_chose() -> None:
    async with rig() as made:
        url = f"{PUBLIC}/oauth/authorize?client_id=<b>evil&redirect_uri=https://evil.example&error_description=evil"
        page = await made.browser.open(url)
        assert "evil" not in page.answer.text
        assert made.log[-1]["id"] in page.answer.text
        assert made.log[-1]["reason"] == "shown"


def test_everything_on_the_pages_is_escaped() -> None:
    evil = '<x zq="z">'
    page = ConsentPage(
        client=evil,
        note=evil,
        server=evil,
        resource=evil,
        wishes=[(evil, evil), ("", evil)],
        destination=evil,
        elsewhere=True,
        action=evil,
        consent=evil,
        alert=evil,
    )
    for answer in (consent_page(page), error_page(evil, evil, 400)):
        assert b"<x" not in bytes(answer.body)
        assert b'zq="' not in bytes(answer.body)
