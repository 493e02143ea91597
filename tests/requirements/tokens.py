"""Tokens that are valid but for some claims, and what a gate says to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx

from conformance.issuer import Issuer, User
from tests.gated import (
    CLIENT,
    RESOURCE,
    SCOPES,
    Gated,
    gated,
    keys,
    plain_issuer,
)
from tests.requirements.callers import MODERN, Caller, opening
from tests.requirements.challenges import refused_token
from tests.requirements.network import Network

OTHER = "https://other.example/mcp"
OWN = f"{RESOURCE}/use"  # a scope of the resource server that the pool has for us


def token(issuer: Issuer, **claims: Any) -> str:
    """A valid token but for these claims."""
    return issuer.token("alice", CLIENT, SCOPES, RESOURCE, claims=claims)


async def present(door: Gated, sent: str) -> httpx.Response:
    return await Caller(door.client, MODERN, sent).post(opening(MODERN))


async def refuses(tokens: Iterable[str], issuer: Issuer, **settings: Any) -> None:
    """A gate refuses each of these, and none reaches the app."""
    async with gated(issuer, **settings) as door:
        for sent in tokens:
            refused_token(await present(door, sent))
        assert not door.app.scopes


def two_issuers() -> tuple[Issuer, Issuer, dict[str, Any]]:
    """Two issuers with a key each under one and the same id, and the settings that trust both."""
    first = plain_issuer()
    second = Issuer.plain(
        "https://second.example",
        users=[User("alice", "wonderland")],
        resources=[RESOURCE],
        keys=keys().copy(),
        clock=first.clock,
    )
    second.keys.rotate()
    kid = first.keys.access.kid
    second.keys.withdraw(kid)
    second.keys.publish({**second.keys.access.as_dict(private=False), "kid": kid})
    settings = {
        "issuers": [{"issuer": issuer.url, "token_type": "at+jwt"} for issuer in (first, second)],
        "network": Network({"issuer.example": first.app, "second.example": second.app}),
    }
    return first, second, settings
