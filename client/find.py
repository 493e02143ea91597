"""From a 401 to an issuer: the resource's metadata, then the issuer's, in the order and with the checks MCP prescribes.

Sources: MCP Authorization (2026-07-28), Authorization Server Discovery; RFC 9728 §3.3, §5.1; RFC 8414 §3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from client.errors import ClientError, Misbehaved, NotAuthorized, Unreachable
from discovery.challenge import Challenge
from discovery.document import InvalidDocument, read
from discovery.fetch import Fetch, FetchBadStatus, FetchError, FetchRedirected, FetchRefused
from discovery.issuer import InvalidIssuer, IssuerError, IssuerMetadata, IssuerNotFound, discover, locations, parse
from discovery.location import InvalidLocation, Location
from discovery.metadata import NAME, InvalidMetadata, ProtectedResourceMetadata
from discovery.metadata import parse as parse_resource


@dataclass(frozen=True)
class Found:
    """Where a token for a server comes from."""

    resource: str
    issuer: IssuerMetadata
    scopes: tuple[str, ...] = ()  # that the resource's metadata lists
    published: bool = True  # False: nothing is, and the endpoints are those of revision 2025-03-26


async def find(url: str, challenge: Challenge | None, fetch: Fetch, preferred: str = "") -> Found:
    """Where the server's challenge leads; of several issuers, the preferred one or the first.

    Raises:
        ClientError: it leads nowhere, or to where a client must not go.
    """
    metadata = await _resource_metadata(url, challenge, fetch)
    if metadata is None:
        return await _legacy(url, fetch)
    named = metadata.authorization_servers
    issuer = await _asked(preferred if preferred in named else named[0], fetch)
    return Found(metadata.resource, issuer, metadata.scopes_supported)


async def _asked(issuer: str, fetch: Fetch) -> IssuerMetadata:
    try:
        return await discover(issuer, fetch)
    except IssuerError as error:
        raise _translated(error) from None


async def _resource_metadata(url: str, challenge: Challenge | None, fetch: Fetch) -> ProtectedResourceMetadata | None:
    """What the resource says of itself, or None if it says nothing anywhere."""
    named = challenge.params.get("resource_metadata") if challenge else None
    places = [named] if named else _well_known(url)
    for place in places:
        try:
            answer = await fetch.get(place)
        except FetchRefused as error:
            raise Misbehaved(f"The server's metadata is at an address that is not called: {error}") from None
        except FetchError as error:
            if _is_absent(error) and not named:
                continue
            raise Unreachable(f"The server's metadata cannot be read: {error}") from None
        return _checked(answer.body, url)
    return None


def _well_known(url: str) -> list[str]:
    """The path-inserted place, then the root (MCP, Protected Resource Metadata Discovery Requirements)."""
    location = Location.of(url)
    root = f"{location.origin}/.well-known/{NAME}"
    path = location.path.removesuffix("/")
    return [root + path, root] if path else [root]


def _checked(document: bytes, url: str) -> ProtectedResourceMetadata:
    try:
        resource = read(document).get("resource")
        if not isinstance(resource, str) or not covers(resource, url):
            raise Misbehaved("The server's metadata is about another server, so it is not used (RFC 9728 §3.3)")
        return parse_resource(document, resource)
    except (InvalidDocument, InvalidMetadata) as error:
        raise Misbehaved(f"The server's metadata cannot be used: {error}") from None


def covers(resource: str, url: str) -> bool:
    """Whether a resource is the server at this URL, or a part of its path that the server may speak for."""
    try:
        said, called = Location.of(resource), Location.of(url)
    except InvalidLocation:
        return False
    within = f"{called.path.removesuffix('/')}/".startswith(f"{said.path.removesuffix('/')}/")
    return said.origin == called.origin and within and said.query in (None, called.query)


async def _legacy(url: str, fetch: Fetch) -> Found:
    """The server's own origin as its issuer, as in revision 2025-03-26."""
    origin = Location.of(url).origin
    try:
        answer = await fetch.get(locations(origin)[0])
        issuer = read(answer.body).get("issuer")  # with or without the slash of the root
        return Found(url, parse(answer.body, f"{origin}/" if issuer == f"{origin}/" else origin))
    except InvalidDocument:
        raise Misbehaved("The server's issuer metadata is not a JSON object") from None
    except IssuerError as error:
        raise _translated(error) from None
    except FetchError as error:
        if not _is_absent(error):
            raise Unreachable(f"The server's issuer cannot be asked: {error}") from None
    defaults = IssuerMetadata(  # MCP 2025-03-26, Fallbacks for Servers without Metadata Discovery
        issuer=origin,
        authorization_endpoint=f"{origin}/authorize",
        token_endpoint=f"{origin}/token",
        registration_endpoint=f"{origin}/register",
    )
    return Found(url, defaults, published=False)


def _is_absent(error: FetchError) -> bool:
    """Whether an answer says that there is no document; everything else may be otherwise in a minute."""
    return isinstance(error, FetchRedirected) or (isinstance(error, FetchBadStatus) and error.status < 500)


def _translated(error: IssuerError) -> ClientError:
    if isinstance(error, InvalidIssuer):
        return Misbehaved(f"The issuer's metadata is not used: {error}")
    if isinstance(error, IssuerNotFound):
        return NotAuthorized(f"The issuer publishes nothing about itself: {error}")
    return Unreachable(f"The issuer cannot be asked: {error}")
