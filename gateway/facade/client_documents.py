"""Clients whose id is a URL: the document there describes them (draft-ietf-oauth-client-id-metadata-document).

A stranger chose the URL, so the fetch is guarded in every way `discovery.fetch` knows, and answers are remembered:
also those that are no good, for a moment, so that nobody can make the gate knock at a stranger's door all day. A host
that cannot be reached for a while signs nobody out: what its document said last counts until then.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from cachetools import TTLCache

from discovery.location import InvalidLocation, Location
from gateway.facade.client import Client, read_metadata, shown_name
from gateway.facade.errors import OAuthError

if TYPE_CHECKING:
    from discovery.fetch import Fetch, FetchError

MAX_BYTES = 5 * 1024  # §6.6 of the draft
FRESH = 15 * 60.0  # seconds a document is used
SOUR = 30.0  # seconds a failure is
KEPT = 24 * 3600.0  # seconds it stands in for one that cannot be had just now
REMEMBERED = 500
PER_HOST = 60  # look-ups a minute; an honest host has one document, or a few
AT_ONCE = 64  # more than a few, or somebody slow would keep everybody else out
PUBLIC = (None, "none")
UNFIT = "The app's metadata document cannot be fetched: it must be public, JSON, and not redirected."
BUSY = "Too many apps are being looked up: try again in a moment."
ABSENT = "The app's metadata document cannot be reached: see that its host answers, and try again in a moment."


class ClientDocuments:
    """Finds such clients. `fetch` is only for these URLs; `now` is a clock that never goes back, in seconds."""

    def __init__(self, fetch: Callable[[], Fetch], now: Callable[[], float] = time.monotonic) -> None:
        self._make_fetch = fetch
        self._fetch: Fetch | None = None
        self._found: TTLCache[str, Client] = TTLCache(REMEMBERED, FRESH, now)
        self._kept: TTLCache[str, Client] = TTLCache(REMEMBERED, KEPT, now)
        self._failed: TTLCache[str, str] = TTLCache(REMEMBERED, SOUR, now)
        self._knocks: TTLCache[str, itertools.count[int]] = TTLCache(REMEMBERED, 60.0, now)
        self._under_way: dict[str, asyncio.Task[Client]] = {}

    async def find(self, client_id: str) -> Client:
        """The client that the document at this URL describes.

        Raises:
            OAuthError: invalid_client, with a sentence for its developers; or temporarily_unavailable.
        """
        found: Client | None = self._found.get(client_id)
        if found is not None:
            return found
        if failed := self._failed.get(client_id):
            return self._instead(client_id, failed)
        host = _host(client_id)
        if client_id not in self._under_way:
            if len(self._under_way) >= AT_ONCE or not self._may_knock(host):
                return self._instead(client_id, BUSY)
            self._start(client_id)
        return await asyncio.shield(self._under_way[client_id])

    def _may_knock(self, host: str) -> bool:
        """Whether a host may be asked once more, or strangers could have the gate ask it as often as they like."""
        count = self._knocks.setdefault(host, itertools.count())  # which begins anew after a minute
        return next(count) < PER_HOST

    def _start(self, client_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._look_up(client_id))
        self._under_way[client_id] = task

        def done(finished: asyncio.Task[Client]) -> None:
            del self._under_way[client_id]
            if not finished.cancelled():
                finished.exception()  # whoever waited has it; nobody may have

        task.add_done_callback(done)

    async def _look_up(self, client_id: str) -> Client:
        from discovery.fetch import FetchError  # noqa: PLC0415 - only clients with a document need it

        self._fetch = self._fetch or self._make_fetch()
        try:
            client = described(client_id, await self._fetch.json(client_id, max_bytes=MAX_BYTES))
        except FetchError as error:
            self._failed[client_id] = ABSENT if _may_come_back(error) else UNFIT
            return self._instead(client_id, self._failed[client_id], str(error))
        except OAuthError as error:
            self._failed[client_id] = error.description
            return self._instead(client_id, error.description)
        self._found[client_id] = self._kept[client_id] = client
        return client

    def _instead(self, client_id: str, failed: str, detail: str = "") -> Client:
        """What the document said last, where it cannot be had just now."""
        if failed not in (ABSENT, BUSY):
            raise _refused(failed, detail)
        kept: Client | None = self._kept.get(client_id)
        if kept is None:
            raise OAuthError("temporarily_unavailable", failed, status=503, detail=detail)
        return kept


def _may_come_back(error: FetchError) -> bool:
    """Whether a document cannot be had for a reason that may be over in a minute."""
    from discovery.fetch import FetchBadStatus, FetchTimeout, FetchUnreachable  # noqa: PLC0415 - see `_look_up`

    if isinstance(error, FetchBadStatus):
        return error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, FetchTimeout | FetchUnreachable)


def described(client_id: str, document: dict[str, object]) -> Client:
    """The client that a document describes; raises `OAuthError` for one that breaks a rule of the draft (§4.1)."""
    if document.get("client_id") != client_id:
        raise _refused("The app's metadata document is about another client_id than its own URL.")
    if "client_secret" in document or "client_secret_expires_at" in document:
        raise _refused("The app's metadata document holds a secret, which everybody can read there.")
    metadata = read_metadata(document)
    if metadata.token_endpoint_auth_method not in PUBLIC:
        raise _refused("The app's metadata document asks for a client authentication that is not offered: use none.")
    host = Location.of(client_id).authority
    return Client(
        client_id=client_id,
        name=shown_name(metadata.client_name) or host,
        redirect_uris=tuple(metadata.redirect_uris),
        described_at=host,
    )


def _host(client_id: str) -> str:
    """The host of a client id that is a URL: https with a path, no user, fragment or dot segments (§3 of the draft)."""
    try:
        location = Location.of(client_id)
    except InvalidLocation as error:
        raise _refused(f"The app's client_id cannot be used: {error}.") from None
    if location.scheme != "https" or location.path in ("", "/"):
        raise _refused("A client_id that is a URL uses https and has a path.")
    return location.host


def _refused(sentence: str, detail: str = "") -> OAuthError:
    return OAuthError("invalid_client", sentence, status=401, detail=detail)
