"""The issuers of the settings with their key sets: where the keys are found, and who trusts whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.keys import KeysError, KeySet
from gateway.settings import IssuerSettings, ResourceSettings, Settings
from gateway.verifier import TrustedIssuer

if TYPE_CHECKING:
    from discovery.fetch import Fetch

AHEAD_SECONDS = 0.2  # after the start


class TrustedIssuers:
    """All issuers of a gate. Several resources share an issuer's keys; each says which issuers it takes."""

    def __init__(
        self, settings: Settings, fetch: Fetch | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._timers: list[asyncio.TimerHandle] = []
        self.key_sets = {
            issuer.issuer: KeySet(issuer.issuer, issuer.algorithms, self._load(issuer), now=now)
            for issuer in settings.issuers
        }
        for issuer in settings.issuers:
            if issuer.jwks_file:
                self.key_sets[issuer.issuer].begin_with(Path(issuer.jwks_file).read_bytes())

    def of(self, resource: ResourceSettings) -> dict[str, TrustedIssuer]:
        """The issuers whose tokens a resource takes, by identifier."""
        return {
            issuer.issuer: self._trusted(issuer, resource)
            for issuer in self._settings.issuers
            if not resource.issuers or issuer.issuer in resource.issuers
        }

    def fetch_ahead(self) -> None:
        """Soon fetch every key set, so that the first tokens find them; an issuer that is down stops nobody.

        Not at once: what a fetch needs takes longer to import than a gate needs to listen and to refuse.
        """
        for key_set in self.key_sets.values():
            if not key_set.usable:  # a copy to begin with is renewed at its first use
                self._timers.append(asyncio.get_running_loop().call_later(AHEAD_SECONDS, key_set.take_off))

    async def close(self) -> None:
        """End fetches that are under way or yet to come."""
        for timer in self._timers:
            timer.cancel()
        for key_set in self.key_sets.values():
            await key_set.close()

    def _trusted(self, issuer: IssuerSettings, resource: ResourceSettings) -> TrustedIssuer:
        return TrustedIssuer(
            url=issuer.issuer,
            keys=self.key_sets[issuer.issuer],
            cognito=issuer.is_cognito,
            at_jwt=bool(issuer.token_type),
            client_ids=frozenset(issuer.client_ids),
            scope_prefix=f"{issuer.resource_server or self._settings.url_of(resource)}/",
            groups_claim=issuer.groups_claim or ("cognito:groups" if issuer.is_cognito else "groups"),
        )

    def _load(self, issuer: IssuerSettings) -> Callable[[], Awaitable[bytes]]:
        """How to get an issuer's key set: from where the settings say, else from where its metadata says."""

        async def load() -> bytes:
            from discovery.fetch import FetchError  # noqa: PLC0415 - the gate answers before it fetches
            from discovery.issuer import IssuerError, discover  # noqa: PLC0415

            fetch = self.fetch()
            try:
                location = issuer.jwks_uri or (await discover(issuer.issuer, fetch)).jwks_uri
                if not location:
                    raise KeysError("its metadata names no jwks_uri; set jwks_uri for this issuer")
                return (await fetch.get(location)).body
            except (FetchError, IssuerError) as error:
                raise KeysError(str(error)) from None

        return load

    def fetch(self) -> Fetch:
        """What reads the documents of issuers: from public addresses, and from hosts that the settings name."""
        if self._fetch is not None:
            return self._fetch
        from discovery.fetch import Fetch  # noqa: PLC0415 - the gate answers before it fetches

        # What the settings name is the operator's own choice, wherever it is; what metadata leads to is not.
        named = [url for issuer in self._settings.issuers for url in (issuer.issuer, issuer.jwks_uri) if url]
        named += [f"//{host}" for host in self._settings.private_hosts]
        self._fetch = Fetch(allow_hosts=frozenset(urlsplit(url).hostname or "" for url in named))
        return self._fetch
