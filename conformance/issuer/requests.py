"""Reads OAuth requests strictly: one value per parameter, real urlencoding, bounded bodies."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Payload, OAuth2Request

if TYPE_CHECKING:
    from starlette.requests import Request

_MAX_FORM = 32 * 1024
_MAX_QUERY = 16 * 1024
_MAX_FIELDS = 50
_FORM = "application/x-www-form-urlencoded"
_REPEATABLE = "resource"  # RFC 8707 §2

Pairs = list[tuple[str, str]]


class Parameters(OAuth2Payload):  # type: ignore[misc]  # Authlib ships no types
    """The parameters of a request as Authlib asks for them; empty ones count as absent (RFC 6749 §3.1)."""

    def __init__(self, pairs: Pairs) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if value:
                self._values.setdefault(name, []).append(value)
        self._first = {name: values[0] for name, values in self._values.items()}

    @property
    def data(self) -> dict[str, str]:
        """The first value of each parameter."""
        return self._first

    @property
    def datalist(self) -> dict[str, list[str]]:
        """Every value of each parameter."""
        return self._values

    def repeated(self) -> str | None:
        """The name of a parameter that is there twice and may not be, if any."""
        return next((name for name, all_ in self._values.items() if len(all_) > 1 and name != _REPEATABLE), None)


class IssuerRequest(OAuth2Request):  # type: ignore[misc]  # Authlib ships no types
    """One OAuth request, with what the issuer has decided about it so far."""

    def __init__(self, method: str, uri: str, pairs: Pairs, headers: Mapping[str, str]) -> None:
        super().__init__(method, uri, headers=headers)
        self.payload = Parameters(pairs)
        self.resources: tuple[str, ...] = ()
        self.redirect_uri_used = ""

    @property
    def form(self) -> dict[str, str]:
        """The parameters, for Authlib's code that looks at the body."""
        data: dict[str, str] = self.payload.data
        return data

    def get(self, name: str) -> str | None:
        """The value of a parameter, None if it is absent or empty."""
        return self.form.get(name)

    def asked_resources(self) -> list[str]:
        """Every value of `resource`."""
        values: list[str] = self.payload.datalist.get("resource", [])
        return values


def read_query(request: Request, uri: str) -> IssuerRequest:
    """The parameters in the query.

    Raises:
        InvalidRequestError: it is no urlencoded query of an acceptable size.
    """
    query: bytes = request.scope["query_string"]
    return IssuerRequest("GET", uri, _pairs(query, _MAX_QUERY), request.headers)


async def read_form(request: Request, uri: str) -> IssuerRequest:
    """The parameters in the body; those in the query do not count (RFC 6749 §3.2).

    Raises:
        InvalidRequestError: the body is no urlencoded form of an acceptable size.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise InvalidRequestError(f"Send the parameters as {_FORM}.")
    body = await read_body(request, _MAX_FORM)
    return IssuerRequest("POST", uri, _pairs(body, _MAX_FORM), request.headers)


async def read_client_request(request: Request, uri: str) -> IssuerRequest:
    """A form from a client, which authenticates itself in one way at most and repeats nothing.

    Raises:
        InvalidRequestError: the form or the way of authentication is malformed.
        InvalidClientError: the Authorization header cannot be read.
    """
    asked = await read_form(request, uri)
    if name := asked.payload.repeated():
        raise InvalidRequestError(f"Multiple '{_printable(name)}' in request.")
    _check_credentials(asked)
    return asked


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request.

    Raises:
        InvalidRequestError: it is longer than `limit` bytes.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise InvalidRequestError(f"The request body is longer than {limit} bytes.")
    return bytes(body)


def _pairs(encoded: bytes, limit: int) -> Pairs:
    if len(encoded) > limit:
        raise InvalidRequestError(f"The parameters are longer than {limit} bytes.")
    try:
        text = encoded.decode("ascii")
        return parse_qsl(text, strict_parsing=True, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise InvalidRequestError(f"The parameters are not {_FORM}, or too many.") from error


def _check_credentials(asked: IssuerRequest) -> None:
    """RFC 6749 §2.3: no more than one method in each request. Authlib reads the header, but only a sound one."""
    scheme, _, encoded = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return
    if asked.get("client_secret"):
        raise InvalidRequestError("Authenticate the client in the header or in the body, not in both.")
    try:
        named = unquote(base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[0])
    except ValueError as error:  # no ASCII, no base64 or no UTF-8
        raise InvalidClientError("The Authorization header is not readable.", status_code=401) from error
    if asked.get("client_id") not in (None, named):
        raise InvalidRequestError("The header and the body name different clients.")


def _printable(name: str) -> str:
    """A parameter's name as RFC 6749 §5.2 lets an error description say it."""
    return "".join(char for char in name[:40] if (char.isascii() and char.isalnum()) or char in "_-. ")
