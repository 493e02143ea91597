"""How a refusal is said: status, challenge and one sentence in JSON, exact and the same every time."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.types import Send

from discovery.challenge import bearer
from discovery.resource import well_known_url
from gateway.errors import BodyTooLarge, InsufficientScope, KeysUnavailable, MissingToken, ProtocolError, Refusal
from gateway.origin import preflight_headers
from gateway.settings import ResourceSettings, Settings


class Answers:
    """The refusals of one resource. Nothing of a request is in them but the id of its JSON-RPC message."""

    def __init__(self, settings: Settings, resource: ResourceSettings) -> None:
        self.metadata_url = well_known_url(settings.url_of(resource), "oauth-protected-resource")
        self.scopes = sorted(resource.scopes)
        self._challenges: dict[type[Refusal], bytes] = {}

    async def refuse(self, refusal: Refusal, refusal_id: str, send: Send) -> None:
        """Send the answer; `refusal_id` finds the decision in the audit log."""
        body = msgspec.json.encode(self.body(refusal, refusal_id))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        if refusal.error is not None or isinstance(refusal, MissingToken):
            headers.append((b"www-authenticate", self.challenge(refusal)))
        if isinstance(refusal, KeysUnavailable):
            headers.append((b"retry-after", b"%d" % refusal.retry_after))
        if isinstance(refusal, BodyTooLarge):
            headers.append((b"connection", b"close"))  # so that nobody has to read the rest of it
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def body(self, refusal: Refusal, refusal_id: str) -> dict[str, Any]:
        """A JSON-RPC error; `data.refusal` is the id to name when asking the operator why."""
        error = {"code": refusal.code, "message": refusal.description, "data": {"refusal": refusal_id}}
        if isinstance(refusal, ProtocolError) and refusal.request_id is not None:
            return {"jsonrpc": "2.0", "id": refusal.request_id, "error": error}
        return {"jsonrpc": "2.0", "error": error}

    def challenge(self, refusal: Refusal) -> bytes:
        """The Bearer challenge of a refusal (RFC 6750 §3, RFC 9728 §5.1)."""
        if isinstance(refusal, InsufficientScope):
            return self._challenge(refusal, sorted(refusal.scopes))
        kind = type(refusal)
        if kind not in self._challenges:
            self._challenges[kind] = self._challenge(refusal, self.scopes)
        return self._challenges[kind]

    def _challenge(self, refusal: Refusal, scopes: list[str]) -> bytes:
        description = refusal.description if refusal.error else None
        return bearer(
            resource_metadata=self.metadata_url, scope=scopes, error=refusal.error, error_description=description
        ).encode()

    async def preflight(self, origin: bytes, headers: dict[bytes, bytes], send: Send) -> None:
        """Answer a browser's preflight, which never carries a token (WHATWG Fetch, CORS preflight)."""
        fields = preflight_headers(origin, headers.get(b"access-control-request-headers", b""))
        await send({"type": "http.response.start", "status": 204, "headers": fields})
        await send({"type": "http.response.body", "body": b""})
