"""The bearer token of a request: from exactly one header, or the refusal that says what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import parse_qsl

from gateway.errors import MalformedRequest, MalformedToken, MissingToken
from gateway.principal import Principal
from gateway.verifier import Verifier

TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1, b64token
MAX_PARAMETERS = 1_000  # of a query; they are looked through before the token is known
FORM = b"application/x-www-form-urlencoded"


async def authenticate(
    verifier: Verifier, headers: Mapping[bytes, bytes], fields: Collection[tuple[bytes, bytes]], query: bytes
) -> Principal:
    """The principal a request speaks for. A token seen lately is answered without waiting for anything.

    `fields` are the header fields as sent, `headers` the same by name.

    Raises:
        MissingToken: no credentials, or of a scheme that is not offered.
        MalformedRequest: several credentials, or one more in the query or a form.
        InvalidToken: the token is not valid here; one subclass per cause.
        KeysUnavailable: the issuer's keys cannot be had.
    """
    authorization = headers.get(b"authorization")
    if authorization is None:
        raise MissingToken("no Authorization header")
    if len(headers) != len(fields):
        check_one_authorization(fields)
    credentials = bearer_credentials(authorization)
    if headers.get(b"content-type", b"")[: len(FORM)].lower() == FORM:
        raise MalformedRequest("a form body, which may hold another token")  # RFC 6750 §2.2
    if query:
        check_query(query)
    return verifier.remembered(credentials) or await verifier.verify(bearer_token(credentials))


def bearer_credentials(authorization: bytes) -> bytes:
    """What an Authorization field says after its scheme, which counts in any case (RFC 9110 §11.1)."""
    scheme, _, credentials = authorization.partition(b" ")
    if scheme != b"Bearer" and scheme.lower() != b"bearer":
        raise MissingToken("credentials of another scheme")
    return credentials.strip(b" ")


def bearer_token(credentials: bytes) -> bytes:
    """The credentials, if they are one token (RFC 6750 §2.1)."""
    if not credentials:
        raise MissingToken("an empty bearer token")
    if TOKEN.fullmatch(credentials) is None:
        if b"," in credentials or b" " in credentials:
            raise MalformedRequest("several credentials in one Authorization field")
        raise MalformedToken("characters that no bearer token has")
    return credentials


def check_one_authorization(fields: Iterable[tuple[bytes, bytes]]) -> None:
    """One Authorization field; called where some field was sent twice (RFC 9110 §5.3)."""
    count = sum(name == b"authorization" for name, _ in fields)
    if count > 1:
        raise MalformedRequest(f"{count} Authorization fields")


def check_query(query: bytes) -> None:
    """No further token in the query: it would be a second way to convey one, and end in logs (RFC 6750 §2.3)."""
    try:
        parameters = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise MalformedRequest(f"more than {MAX_PARAMETERS} parameters in the query") from None
    if any(name.lower() == "access_token" for name, _ in parameters):
        raise MalformedRequest("an access_token in the query besides the header")
