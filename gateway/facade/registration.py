"""The registration endpoint (RFC 7591): a client describes itself, and its id is what it said, sealed."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import msgspec

from gateway.facade.client import GRANTS, Metadata, read_metadata, shown_name
from gateway.facade.errors import OAuthError
from gateway.facade.front import Front, json_answer
from gateway.facade.parameters import read_body
from gateway.facade.sealed import CLIENT, Registration

if TYPE_CHECKING:
    from limits.aio.strategies import FixedWindowRateLimiter
    from starlette.requests import Request
    from starlette.responses import Response

ENDPOINT = "/oauth/register"
ALL_TOGETHER = 20  # times what one address may
# Characters. It stands in a URL among others that may be long, and CloudFront takes URLs of 8,192 and API Gateway
# heads of 10,240, the cookies included.
MAX_CLIENT_ID = 2_800


class Register:
    """Takes registrations, so many a minute. Nothing is kept of any."""

    def __init__(self, front: Front, per_minute: int) -> None:
        self._front = front
        self._per_minute = per_minute
        self._limiter: FixedWindowRateLimiter | None = None

    async def register(self, request: Request) -> Response:
        """201 with the client's id and what was made of its metadata, or the exact error (RFC 7591 §3.2)."""
        front = self._front
        try:
            await self._count(request)
            metadata = read_metadata(await _members(request))
            answer = self._answer(metadata)
        except OAuthError as error:
            return front.tell(error, ENDPOINT)
        front.note(ENDPOINT, "POST", done="registration", client=shown_name(metadata.client_name))
        return json_answer(answer, 201)

    def _answer(self, metadata: Metadata) -> dict[str, object]:
        front, name = self._front, shown_name(metadata.client_name)
        registration = Registration(redirect_uris=tuple(metadata.redirect_uris), name=name)
        client_id = front.seal.seal(CLIENT, registration)
        if len(client_id) > MAX_CLIENT_ID:
            raise OAuthError("invalid_redirect_uri", "The redirect URIs are too long together: send fewer, or shorter.")
        grants = [grant for grant in GRANTS if not metadata.grant_types or grant in metadata.grant_types]
        said: dict[str, object] = {
            "client_id": client_id,
            "client_id_issued_at": int(front.now()),
            "redirect_uris": metadata.redirect_uris,
            "grant_types": grants,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",  # whatever was asked: PKCE protects the client, no secret does
        }
        if name:
            said["client_name"] = name
        if metadata.application_type:
            said["application_type"] = metadata.application_type
        return said

    async def _count(self, request: Request) -> None:
        """Refuse what is too much; what all together may is looked at first, so that no flood fills the memory."""
        from limits import RateLimitItemPerMinute  # noqa: PLC0415 - with the first registration, not at start
        from limits.aio.storage import MemoryStorage  # noqa: PLC0415
        from limits.aio.strategies import FixedWindowRateLimiter  # noqa: PLC0415

        if self._limiter is None:
            self._limiter = FixedWindowRateLimiter(MemoryStorage())
        everyone = RateLimitItemPerMinute(self._per_minute * ALL_TOGETHER)
        one = RateLimitItemPerMinute(self._per_minute)
        allowed = (
            await self._limiter.test(everyone)
            and await self._limiter.hit(one, _peer(request))
            and await self._limiter.hit(everyone)
        )
        if not allowed:
            raise OAuthError("too_many_requests", "Too many registrations: try again in a minute.", status=429)


def _peer(request: Request) -> str:
    """The address that is counted; of IPv6 the network, since one household has 2^64 addresses."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return address.exploded[:19]
    return host


async def _members(request: Request) -> dict[str, object]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise OAuthError("invalid_client_metadata", "A registration has the content type application/json.")
    try:
        return msgspec.json.decode(await read_body(request), type=dict[str, object])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise OAuthError("invalid_client_metadata", "A registration is one JSON object.") from None
