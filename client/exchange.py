"""What happened to the requests of one operation, seen where HTTP is and told where the operation was begun.

The SDK sends each message in its sender's context, so a context variable set around an operation is there when its
requests are authorized and answered, however many tasks lie between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import httpx2

from client.errors import ClientError, NotAuthorized

T = TypeVar("T")
SESSION = "mcp-session-id"
VERSION = "mcp-protocol-version"
AWAY = (429, 502, 503, 504)  # of a server that cannot be asked now, or of a proxy that does not find it


@dataclass
class Exchange:
    """The requests of one operation."""

    read_seconds: float | None = None  # how long each answer may keep silent; None: as long as it likes
    unattended: bool = False  # nobody typed anything, so nobody is asked to log in
    refusal: ClientError | None = None  # why a request was left without a better token
    session_lost: bool = False  # the server does not know the session any more, so it did nothing
    delivered: bool = False  # something was sent, so the server may have done it
    answered: bool = False  # a request got its answer, so the server did at least a part of it
    away: int = 0  # the status of the last answer, if it says to ask later
    over: asyncio.Event = field(default_factory=asyncio.Event)  # nobody waits for an answer any more


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def exchange(read_seconds: float | None = None, *, unattended: bool = False) -> Iterator[Exchange]:
    """A block whose requests are watched; within one that is unattended, so is every other."""
    begun = Exchange(read_seconds, unattended or current().unattended)
    token = _current.set(begun)
    try:
        yield begun
    finally:
        begun.over.set()
        _current.reset(token)


def current() -> Exchange:
    """The exchange that a request belongs to; one that nobody looks at if it belongs to none."""
    return _current.get() or Exchange()


async def while_wanted(work: Coroutine[Any, Any, None], happening: Exchange) -> None:
    """Do something for as long as somebody waits for it: in older revisions the SDK goes on after a Ctrl-C.

    Raises:
        NotAuthorized: nobody does any more.
    """
    working, over = asyncio.ensure_future(work), asyncio.ensure_future(happening.over.wait())
    try:
        await asyncio.wait((working, over), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise NotAuthorized("The login was given up")
        await working
    finally:
        for each in (working, over):
            each.cancel()
        await asyncio.gather(working, over, return_exceptions=True)


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Do something that a Ctrl-C must not break off, as it cannot be done twice; the Ctrl-C counts afterwards."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):  # which of the SDK's scopes would cancel again and again
            await asyncio.wait((working,))
        raise


class Watched(httpx2.AsyncClient):
    """The network, taking notes. `trace` is told of every request: what it was, never what it held."""

    def __init__(self, auth: httpx2.Auth | None, timeout: httpx2.Timeout, trace: Callable[[str], None] | None) -> None:
        super().__init__(auth=auth, timeout=timeout)
        self._trace = trace
        self.session: str | None = None  # of a server with revisions up to 2025-11-25

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """The answer of the network."""
        happening = current()
        if happening.read_seconds and request.method == "POST":
            request.extensions["timeout"] = {**request.extensions["timeout"], "read": happening.read_seconds}
        before, happening.delivered = happening.delivered, True  # as long as nobody knows better
        try:
            response = await super().send(request, **options)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            happening.delivered = before
            raise
        self._note(request, response, happening)
        if SESSION in request.headers and await _is_without_session(response):
            happening.session_lost = True
            self.session = None
        return response

    def _note(self, request: httpx2.Request, response: httpx2.Response, happening: Exchange) -> None:
        if self._trace:
            what = request.headers.get("mcp-method", "")
            self._trace(f"{request.method} {request.url.path} {what} -> {response.status_code}")
        if request.method == "POST" and response.status_code == 200:
            happening.answered = True
        happening.away = response.status_code if response.status_code in AWAY else 0
        self.session = response.headers.get(SESSION, self.session)


async def _is_without_session(response: httpx2.Response) -> bool:
    """Whether a server says that it does not know a session: by a 404, or as many do, by a 400 and some words."""
    if response.status_code != 400:
        return response.status_code == 404
    return b"session" in (await response.aread()).lower()
