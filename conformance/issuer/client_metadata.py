"""What a client says about itself, checked the same way in a registration and in its own document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .clients import CODE, REFRESH
from .redirects import is_web, why_not_registrable

_REDIRECTS = 20
_NAME_LENGTH = 80
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post")


class ClientMetadataError(Exception):
    """The metadata cannot be accepted; `error` is the code of RFC 7591 §3.2.2, the text says what to change."""

    def __init__(self, sentence: str, error: str = "invalid_client_metadata") -> None:
        super().__init__(sentence)
        self.error = error


@dataclass(frozen=True)
class ClientMetadata:
    """The members of RFC 7591 §2 that this issuer uses."""

    redirect_uris: tuple[str, ...]
    name: str
    grants: tuple[str, ...]
    auth_method: str
    application_type: str | None


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises:
        ClientMetadataError: it is none.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ClientMetadataError("Send the client's metadata as one JSON object.")
    return document


def read_metadata(document: Mapping[str, Any]) -> ClientMetadata:
    """What a client says about itself, as this issuer understands it.

    Raises:
        ClientMetadataError: a member is missing or unusable.
    """
    application_type = document.get("application_type")
    if application_type not in (None, "native", "web"):
        raise ClientMetadataError("application_type is native or web.")
    if "code" not in _strings(document, "response_types", ("code",)):
        raise ClientMetadataError("response_types contains code.")
    grants = _strings(document, "grant_types", (CODE, REFRESH))
    if CODE not in grants:
        raise ClientMetadataError("grant_types contains authorization_code.")
    auth_method = document.get("token_endpoint_auth_method", "client_secret_basic")
    if auth_method not in AUTH_METHODS:
        raise ClientMetadataError(f"token_endpoint_auth_method is one of {', '.join(AUTH_METHODS)}.")
    return ClientMetadata(
        redirect_uris=_redirects(document.get("redirect_uris"), application_type),
        name=_name(document.get("client_name")),
        grants=tuple(grant for grant in (CODE, REFRESH) if grant in grants),
        auth_method=auth_method,
        application_type=application_type,
    )


def _redirects(uris: object, application_type: str | None) -> tuple[str, ...]:
    if not isinstance(uris, list) or not 0 < len(uris) <= _REDIRECTS:
        raise ClientMetadataError(f"redirect_uris is a list of 1 to {_REDIRECTS} URIs.", "invalid_redirect_uri")
    for uri in uris:
        if sentence := why_not_registrable(uri):
            raise ClientMetadataError(sentence, "invalid_redirect_uri")
    if application_type == "web" and not all(map(is_web, uris)):
        # OpenID Connect Registration §2: a web client's redirect URIs are https and not this computer's.
        raise ClientMetadataError("A web client is redirected to https; register as native.", "invalid_redirect_uri")
    return tuple(uris)


def _name(name: object) -> str:
    if not isinstance(name, str | None):
        raise ClientMetadataError("client_name is a string.")
    # Control and bidirectional characters could make the login page read differently from what it says.
    return "".join(char for char in name or "" if char.isprintable())[:_NAME_LENGTH]


def _strings(document: Mapping[str, Any], member: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = document.get(member, default)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ClientMetadataError(f"{member} is a list of strings.")
    return tuple(value)
