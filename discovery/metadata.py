"""The RFC 9728 document: what a resource says of itself, written by the gate and read by clients."""

from __future__ import annotations

import msgspec

from discovery.document import InvalidDocument, quoted, read
from discovery.location import InvalidLocation, Location

NAME = "oauth-protected-resource"  # of the document under /.well-known/ (RFC 9728 §3)


class InvalidMetadata(ValueError):
    """The document cannot be used; the text says why and is safe to log."""


class ProtectedResourceMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What RFC 9728 §2 lets a resource say; an empty value means that it says nothing.

    Translations (`resource_name#de`) and `signed_metadata` are not among it: §2.2 lets a reader ignore the latter.

    Raises:
        InvalidMetadata: `resource`, an issuer or `jwks_uri` is no https URL (http on loopback), or no issuer is named.
    """

    resource: str
    authorization_servers: tuple[str, ...]  # issuers
    scopes_supported: tuple[str, ...] = ()
    bearer_methods_supported: tuple[str, ...] = ("header",)  # MCP, Token Requirements: nothing but the header
    resource_name: str = ""
    resource_documentation: str = ""  # URL of a page for people, as are the next two
    resource_policy_uri: str = ""
    resource_tos_uri: str = ""
    jwks_uri: str = ""  # keys of the resource itself, never the issuer's
    resource_signing_alg_values_supported: tuple[str, ...] = ()
    authorization_details_types_supported: tuple[str, ...] = ()
    tls_client_certificate_bound_access_tokens: bool = False
    dpop_signing_alg_values_supported: tuple[str, ...] = ()
    dpop_bound_access_tokens_required: bool = False

    def __post_init__(self) -> None:
        _check_location("resource", self.resource)
        if not self.authorization_servers:  # optional in RFC 9728 §2, demanded by MCP
            raise InvalidMetadata("authorization_servers names no issuer: a client needs at least one")
        for issuer in self.authorization_servers:
            if _check_location("authorization_servers", issuer).query is not None:  # RFC 8414 §2
                raise InvalidMetadata(f"authorization_servers: an issuer has no query, {quoted(issuer)} does")
        if self.jwks_uri:
            _check_location("jwks_uri", self.jwks_uri)
        for page in (self.resource_documentation, self.resource_policy_uri, self.resource_tos_uri):
            if page and not page.lower().startswith(("https://", "http://")):  # nothing a browser would run
                raise InvalidMetadata(f"a page for people must be an https URL, not {quoted(page)}")

    def encode(self) -> bytes:
        """The document as JSON. What is empty or false is left out (RFC 9728 §3.2); false is what omission means."""
        return msgspec.json.encode({name: value for name, value in msgspec.structs.asdict(self).items() if value})


def parse(document: bytes, resource: str) -> ProtectedResourceMetadata:
    """The metadata of the resource a client is calling.

    `resource` is the identifier the document's URL was made from, or, for a URL found in a challenge, the URL
    called (RFC 9728 §3.3). Members this package does not know, and null ones, count as absent.

    Raises:
        InvalidMetadata: not a JSON object, about another resource, or a member of the wrong type.
    """
    try:
        members = read(document)
        # RFC 9728 §3.3: identical code points, no normalisation; otherwise the document must not be used
        if members.get("resource") != resource:
            raise InvalidMetadata(f"the document is about {quoted(members.get('resource'))}, not {quoted(resource)}")
        said = {name: value for name, value in members.items() if value is not None}
        # RFC 9728 §2: a resource that names no bearer methods has not said that it takes the header
        return msgspec.convert({"bearer_methods_supported": (), **said}, ProtectedResourceMetadata)
    except (InvalidDocument, msgspec.ValidationError) as error:
        raise InvalidMetadata(str(error)) from None


def _check_location(member: str, url: str) -> Location:
    try:
        return Location.of(url)
    except InvalidLocation as error:
        raise InvalidMetadata(f"{member}: {error}") from None
