"""What a token endpoint's answer says when it is no token, without repeating what else is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from client.errors import Misbehaved, NotAuthorized, Unreachable
from client.plain import line
from discovery.document import InvalidDocument, read

if TYPE_CHECKING:
    import httpx2

# RFC 6749 §5.2: these are about the grant or the client; whatever else is said may be otherwise in a minute
ERRORS = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
)
MAX_SAID = 300  # characters of an issuer's own words


def is_refusal(response: httpx2.Response) -> bool:
    """Whether the issuer itself says that it takes this grant, or this client, no more; a proxy's page does not."""
    return not _is_passing(response.status_code) and _said(response, "error") in ERRORS


def check_given(response: httpx2.Response) -> None:
    """Whether this may be a token.

    Raises:
        Unreachable: not now.
        NotAuthorized: it is a refusal.
    """
    status = response.status_code
    if _is_passing(status):
        raise Unreachable(f"The issuer gives no token now (status {status}): try again later")
    if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
        why = _said(response, "error_description") or _said(response, "error") or f"it answers with status {status}"
        raise NotAuthorized(f"The issuer gives no token: {line(why)[:MAX_SAID]}")


@contextmanager
def bounded_lifetime() -> Iterator[None]:
    """The SDK adds what an issuer says to the time, whatever it is."""
    try:
        yield
    except OverflowError:
        raise Misbehaved("The issuer names a lifetime that no clock can show, so its token is not used") from None


def _is_passing(status: int) -> bool:
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS


def _said(response: httpx2.Response, member: str) -> str:
    try:
        found = read(response.content).get(member)
    except InvalidDocument:
        return ""
    return found if isinstance(found, str) else ""
