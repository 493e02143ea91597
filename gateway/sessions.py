"""Session ids of an upstream, sealed to the principal that opened the session: an id that leaks is worth nothing.

Sealing needs no table, so any replica opens what another one sealed. It is AES-GCM with keys of this purpose alone,
over principal and resource as additional data; the nonce is a keyed hash of all that goes in, so that an upstream
which repeats its id in every response repeats the sealed one too, and no nonce ever serves two ids.

Principal means issuer, subject and whether it is a machine, not the client: a token that a client gets after it has
registered anew carries on with the session, and another client of the same person needs a token of its own anyway.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit import Audit, Counts, Write
from gateway.errors import UnknownSession
from gateway.principal import Principal
from gateway.refuse import Answers
from gateway.settings import ResourceSettings, Settings

if TYPE_CHECKING:
    from gateway.session_key import SessionKey

HEADER = b"mcp-session-id"
VERSION = b"mcp-protocol-version"
KEY_BYTES = 32
STATELESS = re.compile(rb"\d{4}-\d\d-\d\d")  # revisions by date; those from the next line on have no sessions
FIRST_STATELESS = b"2026-07-28"

_bound = msgspec.msgpack.Encoder().encode  # of a tuple: where one part ends and the next begins is never in doubt


class SealedSessions:
    """An upstream whose session ids leave sealed, and come back only from the principal they were sealed for.

    The first key seals, every key opens. What was made up, or belongs to another principal or resource, gets 404 as
    an unknown session does, and never reaches the upstream (MCP 2025-11-25 Transports, Session Management).
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Sequence[bytes],
        settings: Settings,
        resource: ResourceSettings,
        *,
        audit: Write | None = None,
        counts: Counts | None = None,
    ) -> None:
        """`audit` and `counts` are as in `Audit`.

        Raises:
            ValueError: there is no key, or one of another length.
        """
        if not keys:
            raise ValueError("sealing sessions needs a key")
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a key that seals sessions has {KEY_BYTES} bytes")
        self.app = app
        self._secrets = tuple(keys)
        self._resource = settings.url_of(resource)
        self._answers = Answers(settings, resource)
        self._audit = Audit(self._resource, audit, counts=counts)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request of the principal that the gate found; other scopes pass."""
        if scope["type"] != "http":
            return self.app(scope, receive, send)
        headers = dict(scope["headers"])
        principal: Principal = scope["state"]["principal"]
        sealed = headers.get(HEADER)
        if sealed is not None:
            session = b"" if is_stateless(headers.get(VERSION)) else self._open(sealed, self._bound(principal))
            if session is None:
                unknown = UnknownSession("it was not sealed for this principal and resource")
                refusal_id = self._audit.refused(unknown, scope["method"], principal)
                return self._answers.refuse(unknown, refusal_id, send)
            others = [field for field in scope["headers"] if field[0] != HEADER]
            scope = {**scope, "headers": [*others, (HEADER, session)] if session else others}
        return self.app(scope, receive, self._sealing(send, principal))

    @cached_property
    def _keys(self) -> list[SessionKey]:
        """The keys, not made before the first session: what they need takes longer to load than a gate to refuse."""
        from gateway.session_key import SessionKey  # noqa: PLC0415 - once

        return [SessionKey(secret) for secret in self._secrets]

    def _bound(self, principal: Principal) -> bytes:
        return _bound((self._resource, principal.key))

    def _open(self, sealed: bytes, bound: bytes) -> bytes | None:
        try:
            raw = urlsafe_b64decode(sealed + b"=" * (-len(sealed) % 4))
        except binascii.Error:
            return None
        if written(raw) != sealed:  # one spelling alone: what is changed in it is not ours any more
            return None
        for key in self._keys:
            session = key.open(raw, bound)
            if session is not None:
                return session
        return None

    def _sealing(self, send: Send, principal: Principal) -> Send:
        def send_sealed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                for name, _ in message.get("headers", ()):
                    if name == HEADER:
                        message = {**message, "headers": self._sealed(message["headers"], principal)}
                        break
            return send(message)

        return send_sealed

    def _sealed(self, headers: Iterable[Sequence[bytes]], principal: Principal) -> list[tuple[bytes, bytes]]:
        seal, bound = self._keys[0].seal, self._bound(principal)
        return [(name, seal(value, bound) if name == HEADER else value) for name, value in headers]


def written(sealed: bytes) -> bytes:
    """Bytes as a header can hold them: Base64 for URLs without padding (RFC 4648 §5)."""
    return urlsafe_b64encode(sealed).rstrip(b"=")


def is_stateless(version: bytes | None) -> bool:
    """Whether a revision has no sessions, and ignores their ids (MCP 2026-07-28, Earlier Streamable HTTP Revisions)."""
    return version is not None and STATELESS.fullmatch(version) is not None and version >= FIRST_STATELESS
