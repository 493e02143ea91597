"""How a person logs in: a browser is opened, and what it brings back is caught on a loopback port or pasted."""

from __future__ import annotations

import asyncio
import contextlib
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from client.apart import apart
from client.callback import Callback
from client.errors import BadInput, Misbehaved, NotAuthorized
from client.settings import LOOPBACK, location_of
from discovery.address import Reach, is_loopback, reach
from discovery.location import InvalidLocation, Location

ANY_PORT = "http://127.0.0.1/callback"  # RFC 8252 §7.3; not `localhost`, which may lead elsewhere (§8.3)
SECONDS = 300  # for a person to log in


class Visit(Protocol):
    """One trip of a browser to the issuer and back."""

    redirect_uri: str

    async def go(self, url: str) -> dict[str, str]:
        """What the browser brought back: the parameters of the redirect."""

    def finish(self, outcome: str) -> None:
        """Show in the browser how it ended, where it still listens."""


class Person(Protocol):
    """Somebody who can log in."""

    def visit(self, redirect_uri: str, why: str = "") -> AbstractAsyncContextManager[Visit]:
        """A trip that ends at this redirect URI, or at one of its own choosing if it is empty.

        `why` is a sentence for somebody who has logged in before.
        """


class AtBrowser:
    """A person at this machine. `open_url` says whether it opened a browser."""

    def __init__(self, say: Callable[[str], None], open_url: Callable[[str], bool] = webbrowser.open) -> None:
        self._say = say
        self._open = open_url

    @asynccontextmanager
    async def visit(self, redirect_uri: str, why: str = "") -> AsyncIterator[Visit]:
        """A trip whose end a listener on loopback sees."""
        if why:
            self._say(why)
        async with Callback.listening(redirect_uri or ANY_PORT) as callback:
            yield _Browsing(callback, self._say, self._open)


class _Browsing:
    def __init__(self, callback: Callback, say: Callable[[str], None], open_url: Callable[[str], bool]) -> None:
        self.redirect_uri = callback.uri
        self.finish = callback.finish
        self._callback = callback
        self._say = say
        self._open = open_url

    async def go(self, url: str) -> dict[str, str]:
        check_address(url)
        self._say(f"Log in with your browser. If it does not open, go to:\n{url}")
        # The URL is an argument of a program, never a line for a shell. Some browsers return only when they are closed.
        self._opening = apart(lambda: self._opened(url))
        try:
            return await asyncio.wait_for(self._callback.answer(parse_qs(urlsplit(url).query)["state"][0]), SECONDS)
        except TimeoutError:
            raise NotAuthorized(f"Nobody logged in within {SECONDS // 60} minutes") from None

    def _opened(self, url: str) -> None:
        with contextlib.suppress(webbrowser.Error):  # the address is on the terminal too
            self._open(url)


class ByPaste:
    """A person whose browser is elsewhere: the URL is printed, and the address it ends at is pasted."""

    def __init__(self, say: Callable[[str], None], ask: Callable[[str], object]) -> None:
        self._say = say
        self._ask = ask  # answers, or gives an awaitable of the answer

    @asynccontextmanager
    async def visit(self, redirect_uri: str, why: str = "") -> AsyncIterator[Visit]:
        """A trip whose end is pasted; nothing needs to listen there."""
        if why:
            self._say(why)
        yield _Pasting(redirect_uri or ANY_PORT, self._say, self._ask)


class _Pasting:
    def __init__(self, redirect_uri: str, say: Callable[[str], None], ask: Callable[[str], object]) -> None:
        self.redirect_uri = redirect_uri
        self._say = say
        self._ask = ask

    async def go(self, url: str) -> dict[str, str]:
        check_address(url)
        self._say(f"Open this address in any browser and log in:\n\n{url}\n")
        self._say(f"The browser then shows an error at {self.redirect_uri}: copy the whole address from its bar.")
        pasted = self._ask("Paste it here: ")
        text = str(await pasted if asyncio.iscoroutine(pasted) else pasted).strip()
        return parameters(text)

    def finish(self, outcome: str) -> None:
        """Nobody listens in the browser."""


def parameters(url: str) -> dict[str, str]:
    """The parameters of a redirect, each of which is there once.

    Raises:
        BadInput: it is no redirect.
    """
    try:
        query = parse_qs(urlsplit(url).query)
    except ValueError:
        query = {}
    if not ("code" in query or "error" in query) or any(len(values) > 1 for values in query.values()):
        raise BadInput("That is no address that a login ends at: it has no code in it")
    return {name: values[0] for name, values in query.items()}


def check_address(url: str) -> None:
    """Whether a browser may be sent there: https, or http on loopback, and nothing that a browser would run.

    Raises:
        Misbehaved: it may not (MCP Security Best Practices, OAuth Authorization URL Validation).
    """
    try:
        Location.of(url)
    except InvalidLocation as error:
        raise Misbehaved(f"The issuer's login address is not opened: {error}") from None


def check_endpoint(url: str, permitted: frozenset[str]) -> None:
    """Whether an issuer's login page may be there: not at this machine or a private address that nobody allowed.

    Names are the browser's to resolve, which may do so through a proxy.

    Raises:
        Misbehaved: it may not.
    """
    check_address(url)
    host = Location.of(url).host
    if host not in permitted and _is_private(host):
        raise Misbehaved("The issuer's login address is at this machine or in a private network, and not opened")


def _is_private(host: str) -> bool:
    try:
        return is_loopback(host) or reach(ip_address(host)) is not Reach.PUBLIC
    except ValueError:
        return False


def is_listenable(redirect_uri: str) -> bool:
    """Whether this machine can listen at a redirect URI."""
    location = location_of(redirect_uri, "the redirect URI")
    return location.scheme == "http" and location.host in LOOPBACK
