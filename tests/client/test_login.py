"""How a person is sent to the issuer, and what is taken of what comes back."""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest

from client.errors import BadInput, Misbehaved
from client.login import AtBrowser, ByPaste, check_address, is_listenable, parameters

ISSUER = "https://issuer.example.com/authorize"


def address(redirect_uri: str) -> str:
    return f"{ISSUER}?{urlencode({'redirect_uri': redirect_uri, 'state': 'right'})}"


async def test_browser_is_opened_and_may_stay_open_until_it_is_closed() -> None:
    said: list[str] = []
    pages: list[str] = []
    closed = threading.Event()

    def browse(url: str) -> bool:
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        with urlopen(f"{back}?code=c&state=right") as page:  # noqa: S310 - loopback
            pages.append(page.read().decode())
        closed.set()
        return True

    async with AtBrowser(said.append, browse).visit("", "This needs more.") as visit:
        assert await visit.go(address(visit.redirect_uri)) == {"code": "c", "state": "right"}
        visit.finish("Done.")
    assert urlsplit(visit.redirect_uri).hostname == "127.0.0.1"
    assert said[0] == "This needs more."
    assert ISSUER in said[1]
    await asyncio.to_thread(closed.wait, 10)
    assert "Done." in pages[0]


def test_browser_that_stays_open_holds_up_nobody() -> None:
    closed, ended = threading.Event(), threading.Event()

    def browse(url: str) -> bool:
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        urlopen(f"{back}?code=c&state=right").close()  # noqa: S310 - loopback
        closed.wait(30)
        ended.set()
        return True

    async def log_in() -> None:
        async with AtBrowser(lambda _: None, browse).visit("") as visit:
            going = asyncio.create_task(visit.go(address(visit.redirect_uri)))
            visit.finish("Done.")
            await going

    asyncio.run(log_in())
    assert not ended.is_set()
    closed.set()
    assert ended.wait(30), "and what it says in the end, nobody minds"


async def test_browser_that_cannot_be_opened_leaves_the_address() -> None:
    tried = threading.Event()

    def none(_url: str) -> bool:
        tried.set()
        raise webbrowser.Error("no browser")

    said: list[str] = []
    async with AtBrowser(said.append, none).visit("http://localhost/") as visit:
        going = asyncio.create_task(visit.go(address(visit.redirect_uri)))
        await asyncio.to_thread(tried.wait, 10)
        assert not going.done()
        going.cancel()
    assert visit.redirect_uri in address(visit.redirect_uri).replace("%3A", ":").replace("%2F", "/")


async def test_what_the_browser_ended_at_can_be_pasted() -> None:
    said: list[str] = []

    async def ask(_question: str) -> str:
        return "  http://127.0.0.1/callback?code=c&state=right \n"

    async with ByPaste(said.append, ask).visit("", "This needs more.") as visit:
        assert await visit.go(address(visit.redirect_uri)) == {"code": "c", "state": "right"}
        visit.finish("Nobody sees this.")
    assert said[0] == "This needs more."
    assert any(ISSUER in text for text in said)


@pytest.mark.parametrize(
    "text", ["", "http://127.0.0.1/callback", "nonsense", "http://x/?code=a&code=b", "http://[?code=a"]
)
def test_what_is_no_redirect_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parameters(text)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///x", "http://far.example.com/", "https://a b/", "-x"])
def test_address_that_no_browser_should_open_is_refused(url: str) -> None:
    with pytest.raises(Misbehaved):
        check_address(url)


def test_redirects_to_this_machine_can_be_listened_at() -> None:
    assert is_listenable("http://localhost:8080/callback")
    assert not is_listenable("https://app.example.com/callback")
    with pytest.raises(BadInput):
        is_listenable("app:/callback")
