"""Every client the facade knows: from the settings, by a document at its own URL, or sealed in its own id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway.facade.client import Client
from gateway.facade.errors import OAuthError
from gateway.facade.sealed import CLIENT, Registration
from gateway.seal import Seal, Unsealable
from gateway.settings import ClientSettings

if TYPE_CHECKING:
    from gateway.facade.client_documents import ClientDocuments

UNNAMED = "An app without a name"


class UnknownClient(OAuthError):
    """Nobody has this id; `detail`, for the log alone, says what is wrong with it."""

    def __init__(self, detail: str) -> None:
        sentence = "This client is not registered here: register it (again)."
        super().__init__("invalid_client", sentence, status=401, detail=detail)


class Clients:
    """Finds a client by its id. Nothing is kept of those that registered themselves: their id holds all there is."""

    def __init__(
        self, known: Iterable[ClientSettings], seal: Seal, documents: ClientDocuments | None, *, registration: bool
    ) -> None:
        self._known = {
            entry.client_id: Client(
                client_id=entry.client_id,
                name=entry.name,
                redirect_uris=tuple(entry.redirect_uris),
                vouched=True,
            )
            for entry in known
        }
        self._seal = seal
        self._documents = documents
        self._registration = registration

    async def find(self, client_id: str) -> Client:
        """The client of this id.

        Raises:
            UnknownClient: nobody has registered it, or not for good.
        """
        if client := self._known.get(client_id):
            return client
        if client_id.startswith(("https://", "http://")):
            if self._documents is None:
                raise UnknownClient("client id metadata documents are off")
            return await self._documents.find(client_id)
        return self._registered(client_id)

    def _registered(self, client_id: str) -> Client:
        try:
            registration = self._seal.open(CLIENT, client_id, Registration)
        except Unsealable as error:
            raise UnknownClient(str(error)) from None
        if not self._registration:
            raise UnknownClient("registration is off")
        return Client(client_id=client_id, name=registration.name or UNNAMED, redirect_uris=registration.redirect_uris)
