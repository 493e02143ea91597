"""What stands above the gate, open to everyone: the metadata of every resource, health and readiness."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from discovery.metadata import NAME, ProtectedResourceMetadata
from gateway.issuers import TrustedIssuers
from gateway.settings import ResourceSettings, Settings

CACHE = "public, max-age=300"  # seconds; RFC 9728 §5.2: metadata may change
WELL_KNOWN = f"/.well-known/{NAME}"
OPEN_TO_PAGES = {"access-control-allow-origin": "*"}  # public, and read without credentials


class Document:
    """A public document: GET and HEAD give it, a preflight is answered, everything else is 405 (RFC 9110 §15.5.6)."""

    def __init__(self, body: bytes | None) -> None:
        self.body = body  # None: there is no such document, and the pages that ask may know

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever it carries plays no part."""
        await self._response(scope["method"])(scope, receive, send)

    def _response(self, method: str) -> Response:
        if method == "OPTIONS":
            allowed = {"access-control-allow-methods": "GET, HEAD", "access-control-allow-headers": "*"}
            return Response(status_code=204, headers=OPEN_TO_PAGES | allowed | {"access-control-max-age": "7200"})
        if method not in ("GET", "HEAD"):
            headers = OPEN_TO_PAGES | {"allow": "GET, HEAD, OPTIONS"}
            return json_error(HTTPStatus.METHOD_NOT_ALLOWED, "This document can only be read: use GET.", headers)
        if self.body is None:
            return json_error(HTTPStatus.NOT_FOUND, "No resource of this server has its metadata here.", OPEN_TO_PAGES)
        headers = OPEN_TO_PAGES | {"cache-control": CACHE}
        return Response(self.body, headers=headers, media_type="application/json")


def public_routes(settings: Settings, issuers: TrustedIssuers) -> list[Route]:
    """Every route that needs no principal."""
    documents = {resource.path.rstrip("/"): resource_metadata(settings, resource) for resource in settings.resources}
    if len(settings.resources) == 1:
        # Clients that only try the root find the one resource there is (MCP, Metadata Discovery Requirements).
        documents.setdefault("", resource_metadata(settings, settings.resources[0]))
    return [
        *(Route(WELL_KNOWN + path, Document(document.encode())) for path, document in documents.items()),
        Route(WELL_KNOWN, Document(None)),
        Route(f"{WELL_KNOWN}/{{suffix:path}}", Document(None)),
        Route("/healthz", healthy),
        Route("/readyz", readiness(issuers)),
    ]


def resource_metadata(settings: Settings, resource: ResourceSettings) -> ProtectedResourceMetadata:
    """The RFC 9728 document of a resource: the scopes for basic use, and the issuers whose tokens it takes."""
    return ProtectedResourceMetadata(
        resource=settings.url_of(resource),
        authorization_servers=tuple(settings.authorization_servers(resource)),
        scopes_supported=tuple(resource.scopes),
        resource_name=resource.name,
        resource_documentation=resource.documentation,
    )


async def healthy(_: Request) -> Response:
    """The process answers; nothing else is asked."""
    return Response('{"status":"ok"}', media_type="application/json")


def readiness(issuers: TrustedIssuers) -> Callable[[Request], Awaitable[Response]]:
    """Ready is a gate that can verify the tokens of every issuer; the log says why one cannot."""

    async def ready(_: Request) -> Response:
        waiting = [issuer for issuer, keys in issuers.key_sets.items() if not keys.usable]
        if not waiting:
            return Response('{"status":"ready"}', media_type="application/json")
        body = msgspec.json.encode({"status": "waiting for keys", "issuers": waiting})
        return Response(body, HTTPStatus.SERVICE_UNAVAILABLE, media_type="application/json")

    return ready


def not_found(settings: Settings) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What answers where nothing is: a sentence with the way to the endpoints."""
    endpoints = " or ".join(settings.url_of(resource) for resource in settings.resources)

    async def answer(_: Request, __: Exception) -> Response:
        return json_error(HTTPStatus.NOT_FOUND, f"There is nothing here: the MCP endpoint is {endpoints}.")

    return answer


def json_error(status: HTTPStatus, message: str, headers: Iterable[tuple[str, str]] | dict[str, str] = ()) -> Response:
    """A plain JSON answer with one sentence."""
    return Response(msgspec.json.encode({"error": message}), status, dict(headers), "application/json")
