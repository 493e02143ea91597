"""The revocation endpoint (RFC 7009): what ends, and for whom."""

from __future__ import annotations

import json

import pytest

from gateway.facade.sealed import (
    REFRESH,
    Refresh,
)
from tests.gateway.facade.rig import a_seal, new_key, rig
from tests.gateway.facade.test_token import refused


async def test_a_revoked_refresh_token_is_of_no_use() -> None:
    async with rig() as made:
        app = await made.register()
        tokens = await app.tokens()
        answer = await app.revoke(tokens["refresh_token"], token_type_hint="refresh_token")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")
        assert (await app.revoke(tokens["refresh_token"])).status_code == 200


async def test_revoking_what_never_was_is_fine() -> None:
    async with rig() as made:
        app = await made.register()
        assert (await app.revoke("nonsense")).status_code == 200
        assert (await app.revoke(a_seal(made, new_key()).seal(REFRESH, Refresh("t", "c", "r", ())))).status_code == 200
        assert made.way.asked("/oauth2/revoke") == []


async def test_access_tokens_cannot_be_revoked() -> None:
    async with rig() as made:
        app = await made.register()
        tokens = await app.tokens()
        assert refused(await app.revoke(tokens["access_token"]), "unsupported_token_type")
        assert refused(await app.revoke(""), "invalid_request")


async def test_where_the_issuer_cannot_revoke_neither_can_we() -> None:
    async with rig() as made:
        document = made.issuer.metadata()
        del document["revocation_endpoint"]
        made.issuer.metadata_server.body = json.dumps(document).encode()
        app = await made.register()
        tokens = await app.tokens()
        assert refused(await app.revoke(tokens["refresh_token"]), "unsupported_token_type")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(400, {"error": "invalid_grant"}, 200, id="one that is over already"),
        pytest.param(400, {"error": "invalid_client"}, 502, id="our client refused"),
        pytest.param(500, {}, 503, id="trouble at the issuer"),
        pytest.param(429, {}, 503, id="too much for the issuer"),
    ],
)
async def test_what_the_issuer_says_to_a_revocation(status: int, body: dict[str, str], expected: int) -> None:
    async with rig() as made:
        app = await made.register()
        tokens = await app.tokens()
        made.way.faults["/oauth2/revoke"] = status, json.dumps(body).encode(), "application/json"
        assert (await app.revoke(tokens["refresh_token"])).status_code == expected
