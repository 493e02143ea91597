"""EXT: what the authorization extensions ask of the resource, offered or not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from conformance.issuer import Client, Issuer
from conformance.requirements import requirement
from tests.gated import CLIENT, ISSUER, RESOURCE, gated, keys
from tests.requirements.callers import (
    EACH_VERSION,
    EVERY_SCOPE,
    LOW,
    METADATA,
    MODERN,
    Caller,
    guarded,
    names,
    opening,
    text_of,
    token_of,
)
from tests.requirements.challenges import lacks_scope, refused_token

MACHINE = Client("batch-job", secret="of-the-batch-job", grants=("client_credentials",))


@pytest.mark.parametrize(
    "cnf",
    [{"jkt": "0ZcOCORZNYy"}, {"x5t#S256": "bwcK0esc3ACC3DB2Y5"}, {"kid": "x"}, {"x-unknown": 1}, {}, "jkt"],
    ids=str,
)
@EACH_VERSION
@requirement("EXT-DPOP-02")
async def test_token_that_is_bound_to_a_key_is_not_taken_as_bearer(version: str, cnf: Any) -> None:
    async with gated() as door:
        bound = Caller(door.client, version, token_of(door, cnf=cnf))
        refused_token(await bound.post(opening(version)))
        refused_token(await bound.post(opening(version), {"DPoP": "e30.e30.e30"}))
        assert not door.app.scopes


@requirement("EXT-DPOP-02")
async def test_dpop_is_not_promised() -> None:
    async with gated() as door:
        document = (await door.client.get(METADATA)).json()
        assert not [member for member in document if member.startswith("dpop_")]
        assert "dpop" not in (await door.client.post("/mcp")).headers["www-authenticate"].lower()


async def machine_token(issuer: httpx.AsyncClient, scope: str) -> str:
    """What a machine gets for its secret at the token endpoint (RFC 6749 §4.4)."""
    metadata = (await issuer.get(f"{ISSUER}/.well-known/oauth-authorization-server")).json()
    assert "client_secret_basic" in metadata["token_endpoint_auth_methods_supported"]
    answer = await issuer.post(
        metadata["token_endpoint"],
        data={"grant_type": "client_credentials", "resource": RESOURCE, "scope": scope},
        auth=(MACHINE.client_id, MACHINE.secret or ""),
    )
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


@EACH_VERSION
@requirement("EXT-CC-01")
async def test_machine_is_let_in_as_itself_by_the_same_rules(version: str) -> None:
    issuer = Issuer.plain(
        ISSUER, scopes=dict.fromkeys(EVERY_SCOPE, ""), resources=[RESOURCE], clients=[MACHINE], keys=keys().copy()
    )
    async with guarded(issuer=issuer) as door, httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app)) as http:
        client = await Caller(door.client, version, await machine_token(http, " ".join(LOW))).open()
        assert "whoami" in names(await client.ask("tools/list"))
        assert text_of(await client.call("whoami")) == f"{ISSUER} None {MACHINE.client_id}"
        assert lacks_scope(await client.call("admin-reset"))
        for claims in ({"aud": "https://other.example/mcp"}, {"exp": 1}):
            damaged = issuer.token(None, MACHINE.client_id, LOW, RESOURCE, claims=claims)
            refused_token(await client.with_token(damaged).post(opening(version)))


@requirement("EXT-CC-01")
async def test_machine_does_not_reach_what_is_for_people() -> None:
    rules = [{"tools": ["whoami"], "groups": ["admins"]}]
    async with guarded(resource={"rules": rules}) as door:
        machine = door.issuer.token(None, CLIENT, EVERY_SCOPE, RESOURCE)
        refused = await Caller(door.client, MODERN, machine).call("whoami")
        assert refused.status_code == 403
        assert (await Caller(door.client, MODERN, token_of(door)).call("whoami")).status_code == 200
