"""Clients as they describe themselves: RFC 7591 metadata, checked the same way from a request or a document."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.facade.errors import OAuthError
from gateway.facade.redirects import InvalidRedirect, check_redirect, is_native, is_registered

MAX_NAME = 100  # characters that are shown
MAX_REDIRECTS = 10
GRANTS = ("authorization_code", "refresh_token")
# A name must not end the quotation that it is shown in, nor seem to.
QUOTES = str.maketrans(dict.fromkeys('“”„‟"\uff02\u05f4\u02ee\u2033\u275d\u275e\u301d\u301e\u301f', "'"))
# Printable to Python, and yet nothing to see: joiners, fillers and variation selectors.
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client that may ask for authorization. It is public: whoever has its redirect URI is believed to be it."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    described_at: str = ""  # host of the document that describes it
    vouched: bool = False  # its name comes from the settings

    def redirects_to(self, uri: str) -> bool:
        """Whether the browser may be sent to `uri`."""
        return is_registered(uri, self.redirect_uris)


class Metadata(msgspec.Struct, kw_only=True):
    """The members of RFC 7591 §2 that matter here; others are passed over, as it asks."""

    redirect_uris: list[str]
    client_name: str | None = None
    application_type: str | None = None
    grant_types: list[str] | None = None
    response_types: list[str] | None = None
    token_endpoint_auth_method: str | None = None


def read_metadata(members: dict[str, Any]) -> Metadata:
    """The metadata of a client, checked.

    Raises:
        OAuthError: invalid_client_metadata or invalid_redirect_uri, with what to change (RFC 7591 §3.2.2).
    """
    try:
        metadata = msgspec.convert({k: v for k, v in members.items() if v is not None}, Metadata)
    except msgspec.ValidationError as error:
        raise _invalid(f"The client metadata cannot be read: {_in_words(error)}.") from None
    check_redirects(metadata.redirect_uris, metadata.application_type)
    grants = metadata.grant_types or ["authorization_code"]
    if "authorization_code" not in grants:
        raise _invalid("This server only offers the authorization code grant: put it into grant_types.")
    if "code" not in (metadata.response_types or ["code"]):
        raise _invalid("This server only offers the response type code: put it into response_types.")
    return metadata


def check_redirects(uris: list[str], application_type: str | None) -> None:
    """Check the redirect URIs of a client (OpenID Connect Registration §2 for `application_type`)."""
    if application_type not in (None, "web", "native"):
        raise _invalid("application_type is web or native.")
    if not 0 < len(uris) <= MAX_REDIRECTS:
        raise OAuthError("invalid_redirect_uri", f"A client has 1 to {MAX_REDIRECTS} redirect_uris.")
    # Older revisions of MCP did not ask for application_type, and their clients are native as often as not.
    native = application_type == "native" or (application_type is None and any(map(is_native, uris)))
    try:
        for uri in uris:
            check_redirect(uri, native=native)
    except InvalidRedirect as error:
        raise OAuthError("invalid_redirect_uri", str(error)) from None


def shown_name(name: str | None) -> str:
    """A name that is safe to show: one line of printable characters, without what turns text around."""
    text = "".join(character if character.isprintable() else " " for character in UNSEEN.sub("", name or ""))
    return " ".join(text.translate(QUOTES).split())[:MAX_NAME]


def _invalid(description: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", description)


def _in_words(error: msgspec.ValidationError) -> str:
    text = str(error).replace("`", "").replace("$.", "")
    for word, plain in (("str | null", "a text"), ("array", "a list"), ("str", "a text"), ("Expected", "expected")):
        text = text.replace(word, plain)
    return text
