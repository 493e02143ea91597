"""The clients an issuer knows: registered by hand, by themselves, or by a document at their own URL."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .bounded import Bounded
from .redirects import same_but_port

if TYPE_CHECKING:
    from .client_documents import ClientDocuments

# What registration over the network may add before the oldest such client is forgotten.
_REGISTRATIONS = 1000

CODE, REFRESH, MACHINE = "authorization_code", "refresh_token", "client_credentials"


@dataclass(frozen=True)
class Client:
    """An app client: public without a secret, confidential with one, which it sends by basic or by post."""

    client_id: str
    redirect_uris: tuple[str, ...] = ()
    secret: str | None = field(default=None, repr=False)
    name: str = ""
    scopes: tuple[str, ...] | None = None  # None: whatever the issuer knows
    grants: tuple[str, ...] = (CODE, REFRESH)
    logout_uris: tuple[str, ...] = ()
    self_described: bool = False  # its name is its own claim, which the login page says

    def check_secret(self, secret: str) -> bool:
        """Whether this is the client's secret; it takes the same time either way."""
        return self.secret is not None and secrets.compare_digest(self.secret.encode(), secret.encode())

    def redirects_to(self, uri: str, *, any_loopback_port: bool) -> bool:
        """Whether the browser may be sent to `uri`: registered to the letter, but for a loopback port if allowed."""
        if uri in self.redirect_uris:
            return True
        return any_loopback_port and any(same_but_port(registered, uri) for registered in self.redirect_uris)

    def may_have(self, scope: str) -> bool:
        """Whether this client is allowed a scope that the issuer knows."""
        return self.scopes is None or scope in self.scopes


class Clients:
    """The clients of one issuer, by id."""

    def __init__(self, clients: Iterable[Client], documents: ClientDocuments | None) -> None:
        self._known = {client.client_id: client for client in clients}
        self._registered: Bounded[Client] = Bounded(_REGISTRATIONS)
        self._documents = documents

    def add(self, client: Client) -> None:
        """Add a client by hand, or replace the one of the same id."""
        self._known[client.client_id] = client

    def register(self, client: Client) -> None:
        """Add a client that came over the network; the oldest of them are forgotten first."""
        self._registered[client.client_id] = client

    def first(self) -> str:
        """The id of the first client added by hand, or `client` while there is none."""
        return next(iter(self._known), "client")

    def get(self, client_id: str) -> Client | None:
        """The client of this id as far as it is known already; never fetches."""
        if client := self._known.get(client_id) or self._registered.get(client_id):
            return client
        return self._documents.cached(client_id) if self._documents else None

    async def find(self, client_id: str) -> Client | None:
        """The client of this id, read from its own document if the id is a URL.

        Raises:
            ClientDocumentError: there should be a document, but it cannot be used.
        """
        client = self.get(client_id)
        if client is None and self._documents and self._documents.covers(client_id):
            client = await self._documents.fetch(client_id)
        return client
