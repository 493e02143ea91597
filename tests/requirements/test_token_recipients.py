"""JWT-ISS and JWT-AUD: who issued a token, and for whom."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from conformance.issuer import ABSENT
from conformance.requirements import requirement
from discovery.fetch import Fetch
from gateway.app import build
from gateway.sources import parse
from tests.gated import (
    CLIENT,
    COGNITO,
    ISSUER,
    PUBLIC,
    RESOURCE,
    SCOPES,
    Recorder,
    cognito_issuer,
    gated,
    plain_issuer,
)
from tests.requirements.callers import EVERY_SCOPE, METADATA
from tests.requirements.challenges import challenge, refused_token
from tests.requirements.tokens import OTHER, OWN, present, refuses, token, two_issuers


@pytest.mark.parametrize(
    "iss",
    [
        ABSENT,
        f"{ISSUER}/",
        "https://ISSUER.example",
        "HTTPS://issuer.example",
        f"{ISSUER}:443",
        "http://issuer.example",
        "https://issuer.example/us-east-1_Other",
        "https://issuer.exampl",
        f"{ISSUER}.evil.test",
        f" {ISSUER}",
        [ISSUER],
        None,
        5,
        {"iss": ISSUER},
        "",
    ],
    ids=str,
)
@requirement("JWT-ISS-01")
async def test_issuer_is_compared_to_the_letter(iss: Any) -> None:
    issuer = plain_issuer()
    await refuses([token(issuer, iss=iss)], issuer)


@requirement("JWT-ISS-01")
async def test_cognito_pool_next_door_is_another_issuer() -> None:
    issuer = cognito_issuer()
    await refuses([token(issuer, iss=COGNITO.replace("Example1", "Example2"))], issuer)


@requirement("JWT-ISS-02")
async def test_key_of_one_issuer_never_verifies_a_token_of_another() -> None:
    first, second, settings = two_issuers()
    kid = {"kid": first.keys.access.kid}
    async with gated(first, **settings) as door:
        own = second.token("alice", CLIENT, SCOPES, RESOURCE, header=kid)
        assert (await present(door, own)).status_code == 200
        assert (await present(door, token(first))).status_code == 200
        claims_first = second.token("alice", CLIENT, SCOPES, RESOURCE, header=kid, claims={"iss": first.url})
        refused_token(await present(door, claims_first))
        refused_token(await present(door, token(first, iss=second.url)))


@requirement("JWT-ISS-02")
async def test_issuer_counts_only_at_the_resources_that_list_it() -> None:
    first, second, settings = two_issuers()
    async with gated(first, resource={"issuers": [first.url]}, **settings) as door:
        assert (await present(door, token(first))).status_code == 200
        refused_token(await present(door, second.token("alice", CLIENT, SCOPES, RESOURCE)))


@requirement("JWT-AUD-01")
async def test_token_for_somebody_else_is_refused_whatever_its_scopes() -> None:
    issuer = plain_issuer()
    await refuses([issuer.token("alice", CLIENT, EVERY_SCOPE, OTHER), token(issuer, aud=CLIENT)], issuer)


@pytest.mark.parametrize("aud", [RESOURCE, ["x", RESOURCE], [RESOURCE], [RESOURCE, RESOURCE]], ids=json.dumps)
@requirement("JWT-AUD-02")
async def test_audience_may_be_a_text_or_a_list(aud: Any) -> None:
    async with gated() as door:
        assert (await present(door, token(door.issuer, aud=aud))).status_code == 200


@pytest.mark.parametrize(
    "aud", [["x"], [], "", 5, None, {RESOURCE: 1}, [[RESOURCE]], True, [None, RESOURCE], [5, RESOURCE]], ids=json.dumps
)
@requirement("JWT-AUD-02")
async def test_audience_of_any_other_kind_is_refused(aud: Any) -> None:
    issuer = plain_issuer()
    await refuses([token(issuer, aud=aud)], issuer)


@requirement("JWT-AUD-03")
async def test_audience_that_is_only_a_part_of_ours_or_ours_of_it_is_refused() -> None:
    near = (
        f"{RESOURCE}2",
        f"{RESOURCE}.evil.test",
        f"{RESOURCE}/",
        f"{RESOURCE}/tools",
        f"{RESOURCE}?x=1",
        f"{RESOURCE}#x",
        "https://gw.example.evil.test/mcp",
        "https://evil.test/https://gw.example/mcp",
        PUBLIC,
        f"{PUBLIC}/",
        "gw.example",
        "/mcp",
        f"{RESOURCE} other",
        f"other {RESOURCE}",
        f"{RESOURCE},{OTHER}",
        "*",
    )
    issuer = plain_issuer()
    await refuses([token(issuer, aud=aud) for aud in near], issuer)


@requirement("JWT-AUD-04")
async def test_token_without_an_audience_is_refused_by_default() -> None:
    issuer, pool = plain_issuer(), cognito_issuer()
    await refuses([token(issuer, aud=ABSENT)], issuer)
    bound = {"client_ids": [], "resource_binding": True}
    await refuses([pool.token("alice", CLIENT, [OWN])], pool, resource={"scopes": []}, issuer_settings=bound)


@requirement("JWT-AUD-05")
async def test_cognito_token_without_an_audience_needs_a_listed_client_and_a_scope_of_ours() -> None:
    async with gated(cognito_issuer(), resource={"scopes": []}) as door:
        pool = door.issuer
        assert (await present(door, pool.token("alice", CLIENT, [OWN]))).status_code == 200
        assert (await present(door, pool.token(None, CLIENT, [OWN]))).status_code == 200  # a machine
        assert (await present(door, pool.token("alice", CLIENT, ["openid", OWN]))).status_code == 200
        for refused in (
            pool.token("alice", "client-two", [OWN]),
            pool.token("alice", CLIENT, ["aws.cognito.signin.user.admin"]),
            pool.token("alice", CLIENT, ["https://other.example/mcp/use"]),
            pool.token("alice", CLIENT, [f"{RESOURCE}2/use"]),
            pool.token("alice", CLIENT, []),
            pool.token("alice", CLIENT, [OWN], claims={"client_id": ABSENT}),
            pool.token("alice", CLIENT, [OWN], OTHER),
            pool.token("alice", CLIENT, [OWN], claims={"aud": CLIENT}),
        ):
            refused_token(await present(door, refused))
        assert (await present(door, pool.token("alice", "client-two", [OWN], RESOURCE))).status_code == 200


@requirement("JWT-AUD-06")
async def test_each_mcp_url_is_a_resource_of_its_own() -> None:
    issuer = plain_issuer()
    resources = [{"path": path, "scopes": ["mcp:use"]} for path in ("/a/mcp", "/b/mcp")]
    settings = parse(
        {"public_url": PUBLIC, "issuers": [{"issuer": ISSUER, "token_type": "at+jwt"}], "resources": resources}
    )
    apps = {"/a/mcp": Recorder(), "/b/mcp": Recorder()}
    gate = build(settings, apps, fetch=Fetch(transport=lambda: httpx.ASGITransport(issuer.app)))
    async with (
        gate.router.lifespan_context(gate),
        httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=PUBLIC) as http,
    ):
        for_a = {"Authorization": f"Bearer {issuer.token('alice', CLIENT, SCOPES, f'{PUBLIC}/a/mcp')}"}
        assert (await http.post("/a/mcp", headers=for_a, content=b"{}")).status_code == 200
        refused = await http.post("/b/mcp", headers=for_a, content=b"{}")
        refused_token(refused)
        assert challenge(refused)["resource_metadata"] == f"{PUBLIC}/.well-known/oauth-protected-resource/b/mcp"
        both = issuer.token("alice", CLIENT, SCOPES, [f"{PUBLIC}/a/mcp", f"{PUBLIC}/b/mcp"])
        for_both = {"Authorization": f"Bearer {both}"}
        assert (await http.post("/b/mcp", headers=for_both, content=b"{}")).status_code == 200
    assert (len(apps["/a/mcp"].scopes), len(apps["/b/mcp"].scopes)) == (1, 1)


ALIASES = ("HTTPS://GW.example/mcp", f"{RESOURCE}/", "https://GW.EXAMPLE/mcp", "https://gw.example:443/mcp")


@pytest.mark.parametrize("alias", ALIASES)
@requirement("JWT-AUD-07")
async def test_other_spelling_of_the_resource_passes_only_as_an_alias(alias: str) -> None:
    issuer = plain_issuer()
    await refuses([token(issuer, aud=alias)], issuer)
    async with gated(issuer, resource={"aliases": [alias]}) as door:
        assert (await present(door, token(issuer, aud=alias))).status_code == 200
        assert (await present(door, token(issuer))).status_code == 200
        assert challenge(await door.client.post("/mcp"))["resource_metadata"] == METADATA
        assert (await door.client.get(METADATA)).json()["resource"] == RESOURCE
