"""What happened to the requests of one operation, seen where HTTP is and told where the operation was begun.

The SDK sends each message in its sender's context, so a context variable set around an operation is there when its
requests are authorized and answered, however many tasks lie between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx2

from client.errors import ClientError

SESSION = "mcp-session-id"


@dataclass
class Exchange:
    """The requests of one operation."""

    read_seconds: float | None = None  # how long each answer may keep silent; None: as long as it likes
    refusal: ClientError | None = None  # why a request was left without a better token
    session_lost: bool = False  # the server does not know the session any more, so it did nothing
    delivered: bool = False  # something was sent, so the server may have done it


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def exchange(read_seconds: float | None = None) -> Iterator[Exchange]:
    """A block whose requests are watched."""
    begun = Exchange(read_seconds)
    token = _current.set(begun)
    try:
        yield begun
    finally:
        _current.reset(token)


def current() -> Exchange:
    """The exchange that a request belongs to; one that nobody looks at if it belongs to none."""
    return _current.get() or Exchange()


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
        try:
            response = await super().send(request, **options)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise
        except BaseException:
            happening.delivered = True
            raise
        happening.delivered = True
        self._note(request, response)
        return response

    def _note(self, request: httpx2.Request, response: httpx2.Response) -> None:
        if self._trace:
            what = request.headers.get("mcp-method", "")
            self._trace(f"{request.method} {request.url.path} {what} -> {response.status_code}")
        self.session = response.headers.get(SESSION, self.session)
        if response.status_code == 404 and SESSION in request.headers:
            current().session_lost = True
            self.session = None
