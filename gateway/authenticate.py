"""The bearer token of a request: from exactly one header, or the refusal that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from gateway.errors import MalformedRequest, MalformedToken, MissingToken
from gateway.principal import Principal
from gateway.verifier import Verifier

TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1, b64token
FORM = b"application/x-www-form-urlencoded"


async def authenticate(
    verifier: Verifier, authorization: bytes | None, headers: Iterable[tuple[bytes, bytes]], query: bytes
) -> Principal:
    """The principal a request speaks for. A token seen lately is answered without waiting for anything.

    Raises:
        MissingToken: no credentials, or of a scheme that is not offered.
        MalformedRequest: several credentials, or one more in the query or a form.
        InvalidToken: the token is not valid here; one subclass per cause.
        KeysUnavailable: the issuer's keys cannot be had.
    """
    if authorization is None:
        raise MissingToken("no Authorization header")
    check_single(headers)
    token = bearer_token(authorization)
    if query:
        check_query(query)
    return verifier.remembered(token) or await verifier.verify(token)


def bearer_token(authorization: bytes) -> bytes:
    """The token of an Authorization field; the scheme in any case (RFC 9110 §11.1, RFC 6750 §2.1)."""
    scheme, _, credentials = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise MissingToken("credentials of another scheme")
    token = credentials.strip(b" ")
    if not token:
        raise MissingToken("an empty bearer token")
    if TOKEN.fullmatch(token) is None:
        if b"," in token or b" " in token:
            raise MalformedRequest("several credentials in one Authorization field")
        raise MalformedToken("characters that no bearer token has")
    return token


def check_single(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """One Authorization field, and no form that may hold another token (RFC 9110 §5.3, RFC 6750 §2.2)."""
    fields = 0
    for name, value in headers:
        if name == b"authorization":
            fields += 1
        elif name == b"content-type" and value[: len(FORM)].lower() == FORM:
            raise MalformedRequest("a form body, which may hold another token")
    if fields > 1:
        raise MalformedRequest(f"{fields} Authorization fields")


def check_query(query: bytes) -> None:
    """No further token in the query: it would be a second way to convey one, and end in logs (RFC 6750 §2.3)."""
    if any(name.lower() == "access_token" for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)):
        raise MalformedRequest("an access_token in the query besides the header")
