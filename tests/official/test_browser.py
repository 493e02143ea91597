"""A real browser at the consent and login pages: by keyboard alone, without JavaScript, light, dark and narrow."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.conformance.issuer.journey import VERIFIER, s256
from tests.deploy.laptop import Laptop
from tests.official.node import HERE, ROOT, node
from tests.official.registration import Registered, register

SECONDS = 90  # it takes two
SCREENSHOTS = ROOT / "screenshots"
STATE = "a state with & and é"
NAME = "A client in a browser"

Step = Sequence[str]


@pytest.fixture(scope="module")
def program() -> str:
    """A Chromium that is on the machine; CI's always is."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("There is no chromium: CI installs it, or nobody has looked at the login page.", pytrace=False)
    pytest.skip("there is no chromium on this machine")


@dataclass
class App:
    """A client on this machine that waits for the browser to come back."""

    registered: Registered
    callback: str
    endpoint: str
    back: asyncio.Future[str]

    @property
    def url(self) -> str:
        """Where it sends the browser."""
        asked = {
            "response_type": "code",
            "client_id": self.registered.client_id,
            "redirect_uri": self.callback,
            "state": STATE,
            "code_challenge": s256(VERIFIER),
            "code_challenge_method": "S256",
            "resource": self.endpoint,
            "scope": f"{self.endpoint}/greetings:read {self.endpoint}/greetings:many",
        }
        return f"{self.registered.authorization_endpoint}?{urlencode(asked)}"

    async def brought(self) -> dict[str, str]:
        """The parameters of the redirect."""
        target = await asyncio.wait_for(self.back, SECONDS)
        return {name: value for name, (value,) in parse_qs(urlsplit(target).query, strict_parsing=True).items()}

    async def token(self, code: str) -> httpx.Response:
        """What the issuer answers to the code."""
        sent = {"grant_type": "authorization_code", "client_id": self.registered.client_id, "code": code}
        sent |= {"redirect_uri": self.callback, "code_verifier": VERIFIER, "resource": self.endpoint}
        async with httpx.AsyncClient() as http:
            return await http.post(self.registered.token_endpoint, data=sent)


@asynccontextmanager
async def app(running: Laptop) -> AsyncIterator[App]:
    """A client with a listener of its own on a port that was free (RFC 8252 §7.3)."""
    back: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, target, _ = (await reader.readline()).decode().split(" ")
        if target.startswith("/callback") and not back.done():
            back.set_result(target)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        callback = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"
        yield App(await register(running.issuer, NAME, callback), callback, running.endpoint, back)


async def browse(program: str, steps: Sequence[Step], *, dark: bool = False, width: int = 1000) -> dict[str, Any]:
    """What a browser did besides these steps."""
    SCREENSHOTS.mkdir(exist_ok=True)
    asked = json.dumps({"program": program, "dark": dark, "width": width, "steps": steps})
    ended = await asyncio.to_thread(node, asked, script=HERE / "browser.mjs", seconds=SECONDS)
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen


QUESTION = f"Let “{NAME}” use bearergate on this laptop as you?"
AGREE: Sequence[Step] = (("press", "Tab"), ("press", "Tab"), ("press", "Enter"))


def look(name: str) -> Step:
    return ("look", str(SCREENSHOTS / f"{name}.png"))


@pytest.mark.parametrize("dark", [pytest.param(False, id="light"), pytest.param(True, id="dark")])
async def test_person_logs_in_by_keyboard_without_javascript(running: Laptop, program: str, dark: bool) -> None:
    scheme = "dark" if dark else "light"
    async with app(running) as client:
        steps = [
            ("open", client.url),
            ("expect", "heading", QUESTION),
            look(f"consent-{scheme}"),
            *AGREE,
            ("expect", "heading", "Sign in"),
            look(f"login-{scheme}"),
            ("focused", "User name"),
            ("type", running.user),
            ("press", "Tab"),
            ("type", running.password),
            ("press", "Enter"),
            ("arrive", client.callback),
        ]
        seen = await browse(program, steps, dark=dark)
        brought = await client.brought()
        assert brought.keys() == {"code", "state", "iss"}
        assert (brought["state"], brought["iss"]) == (STATE, running.issuer)
        answer = await client.token(brought["code"])
        assert answer.status_code == 200
        assert set(answer.json()["scope"].split()) == running.scopes("greetings:read", "greetings:many")
    assert seen["console"] == []
    origins = {urlsplit(url).netloc for url in seen["asked"] if not url.endswith("/favicon.ico")}
    assert origins == {urlsplit(running.issuer).netloc, running.behind, urlsplit(client.callback).netloc}


@pytest.mark.parametrize("dark", [pytest.param(False, id="light"), pytest.param(True, id="dark")])
async def test_person_who_mistypes_hears_of_it_and_goes_on(running: Laptop, program: str, dark: bool) -> None:
    async with app(running) as client:
        steps = [
            ("open", client.url),
            ("expect", "heading", QUESTION),
            *AGREE,
            ("focused", "User name"),
            ("type", running.user),
            ("press", "Tab"),
            ("type", "wrong"),
            ("press", "Tab"),
            ("press", "Space"),  # the button
            ("expect", "alert", ""),
            ("focused", "Password"),  # the name is filled in already
            look(f"wrong-password-{'dark' if dark else 'light'}"),
            ("type", running.password),
            ("press", "Enter"),
            ("arrive", client.callback),
        ]
        await browse(program, steps, dark=dark)
        assert "code" in await client.brought()


async def test_person_who_cancels_is_sent_back_without_a_code(running: Laptop, program: str) -> None:
    async with app(running) as client:
        steps = [
            ("open", client.url),
            ("expect", "heading", QUESTION),
            *AGREE,
            ("focused", "User name"),
            look("login-phone"),
            ("press", "Tab"),
            ("press", "Tab"),
            ("press", "Tab"),
            ("press", "Enter"),
            ("arrive", client.callback),
        ]
        await browse(program, steps, width=360)
        brought = await client.brought()
        assert "code" not in brought
        assert (brought["error"], brought["state"], brought["iss"]) == ("access_denied", STATE, running.issuer)


async def test_person_who_goes_to_the_address_of_the_form_is_told_what_to_do(running: Laptop, program: str) -> None:
    steps = [
        ("open", f"{running.issuer}/oauth/consent"),
        ("expect", "heading", "This login cannot go on"),
        ("expect", "alert", ""),
        look("nothing-to-come-back-to-phone"),
    ]
    await browse(program, steps, width=360)


async def test_person_who_does_not_agree_is_sent_back_without_a_login(running: Laptop, program: str) -> None:
    async with app(running) as client:
        steps = [
            ("open", client.url),
            ("expect", "heading", QUESTION),
            look("consent-phone"),
            ("press", "Tab"),
            ("press", "Enter"),
            ("arrive", client.callback),
        ]
        seen = await browse(program, steps, width=360)
        brought = await client.brought()
        assert (brought["error"], brought["state"], brought["iss"]) == ("access_denied", STATE, running.issuer)
    assert running.behind not in {urlsplit(url).netloc for url in seen["asked"]}


async def test_person_is_asked_for_consent_once_per_browser_and_client(running: Laptop, program: str) -> None:
    async with app(running) as client:
        steps = [
            ("open", client.url),
            ("expect", "heading", QUESTION),
            *AGREE,
            ("focused", "User name"),
            ("open", client.url),
            ("focused", "User name"),  # at once
            ("type", running.user),
            ("press", "Tab"),
            ("type", running.password),
            ("press", "Enter"),
            ("arrive", client.callback),
        ]
        await browse(program, steps)
        assert "code" in await client.brought()


async def test_person_at_an_address_that_is_no_request_is_told_so(running: Laptop, program: str) -> None:
    async with app(running) as client:
        url = f"{client.registered.authorization_endpoint}?response_type=code&client_id=nobody"
        steps = [("open", url), ("expect", "alert", ""), look("refused-light")]
        seen = await browse(program, steps)
        assert not client.back.done()
    assert all(url.startswith(running.issuer) for url in seen["asked"])
