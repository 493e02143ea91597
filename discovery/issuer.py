"""What an issuer publishes about itself (RFC 8414, OpenID Connect Discovery), where, and how it is checked.

IssuerError             reason
├── InvalidIssuer       invalid_issuer       no URL for an issuer, or a document that must not be used
├── IssuerNotFound      issuer_not_found     it answers, but publishes nothing at the places MCP names
└── IssuerUnavailable   issuer_unavailable   it could not be asked: try later (a gate answers 503)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from discovery.document import InvalidDocument, quoted, read
from discovery.fetch import (
    FetchBadStatus,
    FetchEncoded,
    FetchError,
    FetchRedirected,
    FetchRefused,
    FetchTooLarge,
)
from discovery.location import InvalidLocation, Location
from discovery.resource import InvalidResource, well_known_url

if TYPE_CHECKING:
    from discovery.fetch import Fetch

_OAUTH = "oauth-authorization-server"
_OPENID = "openid-configuration"
_TRY_LATER = {408, 425, 429}  # 4xx answers that say nothing about the document


class IssuerError(Exception):
    """The issuer's metadata is not to be had; the text says why and is safe to log, `reason` is for counting."""

    reason: ClassVar[str]


class InvalidIssuer(IssuerError):
    """What was found must not be used, or the issuer must not be asked; trying again does not help."""

    reason = "invalid_issuer"


class IssuerNotFound(IssuerError):
    """The issuer answered at every location, nowhere with metadata."""

    reason = "issuer_not_found"


class IssuerUnavailable(IssuerError):
    """The issuer could not be asked, or has trouble of its own: trying again may help."""

    reason = "issuer_unavailable"


class IssuerMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate and a client need of an issuer's document; "" or () where it says nothing and RFC 8414 no default.

    Only what is there is checked. An issuer of machine tokens may have no `authorization_endpoint`, and one without
    `code_challenge_methods_supported` is for the client to turn down (MCP, Authorization Code Protection).
    """

    issuer: str
    jwks_uri: str = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    registration_endpoint: str = ""
    revocation_endpoint: str = ""
    scopes_supported: tuple[str, ...] = ()
    response_types_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ("authorization_code", "implicit")
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] = ()
    id_token_signing_alg_values_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False  # RFC 9207 §3
    client_id_metadata_document_supported: bool = False

    def __post_init__(self) -> None:
        for member in _ENDPOINTS:
            url = getattr(self, member)
            if url:
                _check_endpoint(member, url)


_ENDPOINTS = (
    "jwks_uri",
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
)


def locations(issuer: str) -> tuple[str, ...]:
    """The URLs at which an issuer may publish its metadata, in the order MCP prescribes.

    Raises:
        InvalidIssuer: the issuer is no https URL (http on loopback), or has a query or fragment (RFC 8414 §2).
    """
    try:
        inserted = well_known_url(issuer, _OAUTH), well_known_url(issuer, _OPENID)
    except InvalidResource as error:
        raise InvalidIssuer(f"the issuer cannot be asked: {error}") from None
    location = Location.of(issuer)
    path = location.path.removesuffix("/")
    if not path:
        return inserted
    return *inserted, f"{location.origin}{path}/.well-known/{_OPENID}"  # OpenID Connect Discovery §4.1: appended


def parse(document: bytes, issuer: str) -> IssuerMetadata:
    """The metadata of this issuer and no other. Unknown members, and null ones, count as absent.

    Raises:
        InvalidIssuer: not a JSON object, another issuer's, a member of the wrong type, or an endpoint without https.
    """
    try:
        members = read(document)
        # RFC 8414 §3.3: identical to the identifier the URL was made from; a slash more is another issuer
        if members.get("issuer") != issuer:
            raise InvalidIssuer(f"the document is from {quoted(members.get('issuer'))}, not {quoted(issuer)}")
        said = {name: value for name, value in members.items() if value is not None}
        return msgspec.convert(said, IssuerMetadata)
    except (InvalidDocument, msgspec.ValidationError) as error:
        raise InvalidIssuer(f"{quoted(issuer)}: {error}") from None


async def discover(issuer: str, fetch: Fetch) -> IssuerMetadata:
    """The issuer's metadata, from the first location that has a JSON document: that one must be right.

    Raises:
        InvalidIssuer: that document is not this issuer's, or the issuer's address is refused.
        IssuerNotFound: no location has a document.
        IssuerUnavailable: a location could not be asked; the later ones are not tried.
    """
    findings: list[str] = []
    for url in locations(issuer):
        try:
            answer = await fetch.get(url)
        except FetchError as error:
            findings.append(_absence(error))
            continue
        if answer.is_json:  # a page for people under every path is no metadata (RFC 8414 §3.2)
            return parse(answer.body, issuer)
        findings.append(f"{url}: the answer is not application/json")
    raise IssuerNotFound(f"{quoted(issuer)} publishes no metadata: " + "; ".join(findings))


def _absence(error: FetchError) -> str:
    """What to note of a location that has no document; any other trouble ends the search."""
    if isinstance(error, (FetchRefused, FetchTooLarge, FetchEncoded)):
        raise InvalidIssuer(str(error)) from error
    if isinstance(error, FetchRedirected):
        return str(error)
    if isinstance(error, FetchBadStatus) and error.status < 500 and error.status not in _TRY_LATER:
        return str(error)
    raise IssuerUnavailable(str(error)) from error


def _check_endpoint(member: str, url: str) -> None:
    try:
        Location.of(url)
    except InvalidLocation as error:
        raise ValueError(f"{member}: {error}") from None
