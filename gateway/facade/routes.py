"""The facade as routes: put together from the settings, above the gate, open to everyone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.audit import Counts, Decisions, Write
from gateway.facade import metadata
from gateway.facade.authorize import CONSENT_ENDPOINT, Authorize
from gateway.facade.authorize import ENDPOINT as AUTHORIZE
from gateway.facade.browser import Browsers
from gateway.facade.callback import Callback
from gateway.facade.client_documents import ClientDocuments
from gateway.facade.clients import Clients
from gateway.facade.front import CALLBACK, Front, Protected
from gateway.facade.issuer import Issuer
from gateway.facade.metadata import Metadata
from gateway.facade.quirks import quirks_of
from gateway.facade.registration import ENDPOINT as REGISTER
from gateway.facade.registration import Register
from gateway.facade.revocation import ENDPOINT as REVOKE
from gateway.facade.revocation import Revocation
from gateway.facade.token import ENDPOINT as TOKEN
from gateway.facade.token import Token
from gateway.policy import Policy
from gateway.seal import Seal, seal_keys
from gateway.secret import read_secret
from gateway.settings import FacadeSettings, ResourceSettings, Settings

if TYPE_CHECKING:
    from discovery.fetch import Fetch
    from discovery.issuer import IssuerMetadata

Handler = Callable[["Request"], Awaitable["Response"]]


class Facade:
    """The authorization server that clients see. `close` ends its connections to the issuer.

    `fetch` makes what reads the issuer's metadata, `strangers` what reads the documents of clients.
    """

    def __init__(
        self,
        settings: Settings,
        facade: FacadeSettings,
        *,
        fetch: Callable[[], Fetch],
        strangers: Callable[[], Fetch] | None = None,
        write: Write | None = None,
        counts: Counts | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        seal = Seal(seal_keys(settings), now)
        documents = ClientDocuments(strangers or _careful(facade), monotonic) if facade.client_documents else None
        issuer_url = settings.facade_issuer
        resources = {resource.path: _protected(settings, resource) for resource in settings.behind_facade()}
        self._facade = facade
        self.front = Front(
            url=settings.public_url,
            seal=seal,
            clients=Clients(facade.clients, seal, documents, registration=facade.registration),
            issuer=Issuer(facade.client_id, _secret(facade), _discovery(issuer_url, fetch), now=monotonic),
            issuer_url=issuer_url,
            quirks=quirks_of(issuer_url, facade.kind),
            browsers=Browsers(
                seal,
                secure=urlsplit(settings.public_url).scheme == "https",
                consent_days=facade.consent_days,
                now=now,
            ),
            resources=tuple(resources.values()),
            spelled=_spelled(settings, resources),
            words=facade.scopes,
            write=write,
            counts=defaultdict(Decisions) if counts is None else counts,
            now=now,
        )

    async def close(self) -> None:
        """End what is open."""
        await self.front.issuer.close()

    def routes(self) -> list[Route]:
        """Pages for people, and endpoints that scripts of any origin may call."""
        front, facade = self.front, self._facade
        authorize = Authorize(front)
        document = Metadata(front, registration=facade.registration, documents=facade.client_documents)
        routes = [
            Route(AUTHORIZE, authorize.start, methods=["GET"]),
            Route(CONSENT_ENDPOINT, authorize.decide, methods=["POST"]),
            Route(CONSENT_ENDPOINT, authorize.come_back, methods=["GET"]),
            Route(CALLBACK, Callback(front).come_back, methods=["GET"]),
            _open(TOKEN, Token(front).grant, "POST"),
            _open(REVOKE, Revocation(front).revoke, "POST"),
            *(_open(path, document.show, "GET") for path in metadata.PATHS),
        ]
        if facade.registration:
            register = Register(front, facade.registrations_per_minute)
            routes.append(_open(REGISTER, register.register, "POST"))
        return routes


def _open(path: str, handler: Handler, method: str) -> Route:
    """A route that pages of any origin may call: nothing there goes by cookies or by where a request comes from."""
    anywhere = Middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=[method], allow_headers=["*"], allow_private_network=True
    )

    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":  # not a preflight, which the middleware answers
            return Response(status_code=204, headers={"allow": f"{method}, OPTIONS"})
        return await handler(request)

    return Route(path, answer, methods=[method, "OPTIONS"], middleware=[anywhere])


def _protected(settings: Settings, resource: ResourceSettings) -> Protected:
    return Protected(
        url=settings.url_of(resource),
        name=resource.name,
        scopes=tuple(resource.scopes),
        allowed=Policy(resource.scopes, resource.rules, settings.scope_hierarchy).known,
    )


def _spelled(settings: Settings, resources: dict[str, Protected]) -> dict[str, Protected]:
    """The resources, by each way to write their URLs."""
    return {
        spelling: resources[resource.path]
        for resource in settings.behind_facade()
        for spelling in (settings.url_of(resource), *resource.aliases)
    }


def _secret(facade: FacadeSettings) -> str:
    return read_secret(facade.client_secret_file) if facade.client_secret_file else facade.client_secret


def _discovery(issuer: str, fetch: Callable[[], Fetch]) -> Callable[[], Awaitable[IssuerMetadata]]:
    async def find() -> IssuerMetadata:
        from discovery.issuer import discover  # noqa: PLC0415 - with the first login, not at start

        return await discover(issuer, fetch())

    return find


def _careful(facade: FacadeSettings) -> Callable[[], Fetch]:
    """What fetches strangers' documents: from public addresses only, whatever else the gate may fetch."""

    def make() -> Fetch:
        from discovery.fetch import Fetch  # noqa: PLC0415 - see above
        from discovery.strangers import StrangersNames  # noqa: PLC0415

        named = frozenset(urlsplit(f"//{host}").hostname or "" for host in facade.insecure_client_document_hosts)
        return Fetch(allow_hosts=named, resolver=StrangersNames())

    return make
