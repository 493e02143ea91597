"""What a sealed session costs: opening the id of a request, sealing that of an answer."""

from __future__ import annotations

import os
import timeit
from collections.abc import Callable

from gateway.principal import Principal
from gateway.sessions import SealedSessions
from gateway.sources import parse
from tests.gated import ISSUER, PUBLIC

ROUNDS = 7
MANY = 20_000
SESSION = b"0123456789abcdef0123456789abcdef"  # as the SDKs make them


def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, µs, budget."""
    principal = Principal("https://issuer.example", "alice", "client", frozenset(), frozenset(), 1e12)

    async def unused(*_: object) -> None:
        """No request is made."""

    resource = {"path": "/mcp", "upstream": {"url": "http://127.0.0.1:1/mcp"}}
    settings = parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [resource]})
    app = SealedSessions(unused, [os.urandom(32)], settings, settings.resources[0])
    seal, bound = app._keys[0].seal, app._bound
    sealed = seal(SESSION, bound(principal))
    opened = microseconds(lambda: app._open(sealed, bound(principal)))
    closed = microseconds(lambda: seal(SESSION, bound(principal)))
    return [
        ("sealed session id opened", f"{opened:.1f} µs", "must 3"),
        ("session id sealed", f"{closed:.1f} µs", ""),
    ]


def microseconds(action: Callable[[], object]) -> float:
    """The best of several rounds, per execution."""
    return min(timeit.repeat(action, number=MANY, repeat=ROUNDS)) / MANY * 1e6
