"""The parameters of a query or a form, read strictly: one value each, as OAuth 2.1 §3.1 and §3.2 ask."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from gateway.facade.errors import OAuthError

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_FORM = 65_536  # bytes
MAX_FIELDS = 50
FORM = "application/x-www-form-urlencoded"


class Parameters(msgspec.Struct, frozen=True):
    """Parameters by name. One without a value counts as left out; `resource` alone may be there several times."""

    values: dict[str, str]
    resources: tuple[str, ...] = ()
    repeated: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        """The value, or "" where there is none."""
        return self.values.get(name, "")

    def check_single(self) -> None:
        """Raise `OAuthError` if a parameter is there more than once."""
        if self.repeated:
            raise OAuthError("invalid_request", "A parameter is there more than once: send each one once.")


def read(raw: bytes) -> Parameters:
    """The parameters of a query or form.

    Raises:
        OAuthError: it is not UTF-8 in the form encoding, or has too many fields.
    """
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise OAuthError("invalid_request", "The parameters cannot be read: encode them as a form in UTF-8.") from None
    given = [(name, value) for name, value in pairs if value]
    single = [(name, value) for name, value in given if name != "resource"]
    names = [name for name, _ in single]
    return Parameters(
        values=dict(reversed(single)),  # of one that is repeated the first, for pages that must name somebody
        resources=tuple(value for name, value in given if name == "resource"),
        repeated=frozenset(name for name in names if names.count(name) > 1),
    )


async def read_form(request: Request) -> Parameters:
    """The parameters of a form in the body of a request; raises `OAuthError` for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise OAuthError("invalid_request", f"The request must have the content type {FORM}.")
    form = read(await read_body(request))
    form.check_single()
    return form


async def read_body(request: Request) -> bytes:
    """The body of a request, no larger than any honest one; raises `OAuthError` with status 413 beyond that."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise OAuthError("invalid_request", f"The request is larger than {MAX_FORM} bytes.", status=413)
    return bytes(body)
