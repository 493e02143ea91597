"""JWT-ISS, AUD, USE, EXP, SUB and CACHE: what a signed token says, and to whom and when it says it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from conformance.issuer import ABSENT, Issuer, User, flip_bit
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
    Gated,
    Recorder,
    cognito_issuer,
    gated,
    keys,
    plain_issuer,
)
from tests.requirements.callers import EVERY_SCOPE, METADATA, MODERN, Caller, guarded, opening, text_of, token_of
from tests.requirements.challenges import challenge, refused_token
from tests.requirements.network import Network

NOW = 1_800_000_000
OTHER = "https://other.example/mcp"
OWN = f"{RESOURCE}/use"  # a scope of the resource server that the pool has for us


def token(issuer: Issuer, **claims: Any) -> str:
    """A valid token but for these claims."""
    return issuer.token("alice", CLIENT, SCOPES, RESOURCE, claims=claims)


def written(issuer: Issuer, old: str, new: str) -> str:
    """A valid token whose payload reads `new` where it would read `old`, for what no JSON encoder writes."""
    text = json.dumps(issuer.claims("alice", CLIENT, SCOPES, RESOURCE))
    assert old in text
    return issuer.token("alice", CLIENT, SCOPES, RESOURCE, claims=text.replace(old, new).encode())


async def present(door: Gated, sent: str) -> httpx.Response:
    return await Caller(door.client, MODERN, sent).post(opening(MODERN))


async def refuses(tokens: Iterable[str], issuer: Issuer, **settings: Any) -> None:
    """A gate refuses each of these, and none reaches the app."""
    async with gated(issuer, **settings) as door:
        for sent in tokens:
            refused_token(await present(door, sent))
        assert not door.app.scopes


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


@requirement("JWT-USE-01")
async def test_cognito_token_of_another_use_is_refused() -> None:
    pool = cognito_issuer()
    uses = ("id", ABSENT, "ACCESS", "Access", ["access"], "", None, "refresh", True)
    await refuses(
        [
            *(pool.token("alice", CLIENT, [OWN], claims={"token_use": use}) for use in uses),
            pool.id_token("alice", CLIENT),
            pool.id_token("alice", CLIENT, claims={"aud": RESOURCE, "scope": OWN, "client_id": CLIENT}),
            pool.refresh_token("alice", CLIENT, [OWN]),
        ],
        pool,
        resource={"scopes": []},
    )


@requirement("JWT-USE-01")
async def test_id_token_refresh_token_code_and_assertion_are_no_access_tokens() -> None:
    issuer = plain_issuer()
    assertion = {"iss": CLIENT, "sub": CLIENT, "aud": f"{ISSUER}/token", "exp": NOW * 2, "jti": "x"}
    await refuses(
        [
            issuer.id_token("alice", CLIENT),
            issuer.id_token("alice", CLIENT, claims={"aud": RESOURCE}),
            token(issuer, aud=CLIENT),
            issuer.refresh_token("alice", CLIENT, SCOPES, RESOURCE),
            "SplxlOBeZQQYbYS6WxSbIA",
            issuer.sign({"alg": "RS256", "kid": issuer.keys.access.kid}, assertion),
        ],
        issuer,
    )


@pytest.mark.parametrize(
    "exp", [NOW - 3600, NOW - 31, ABSENT, str(NOW + 60), True, -1, None, [NOW + 60], {}, 0, 10**15], ids=str
)
@requirement("JWT-EXP-01")
async def test_expired_token_and_one_without_a_sensible_expiry_are_refused(exp: Any) -> None:
    issuer = plain_issuer()
    issuer.clock.set(NOW)
    await refuses([token(issuer, exp=exp)], issuer)


@pytest.mark.parametrize("exp", ["1e400", "NaN", "Infinity", "-Infinity", "1e308", "9" * 400])
@requirement("JWT-EXP-01")
async def test_expiry_that_is_a_number_beyond_all_dates_is_refused(exp: str) -> None:
    issuer = plain_issuer()
    issuer.clock.set(NOW)
    await refuses([written(issuer, f'"exp": {NOW + 3600}', f'"exp": {exp}')], issuer)


@requirement("JWT-EXP-01")
async def test_fractional_expiry_passes() -> None:
    async with gated() as door:
        door.issuer.clock.set(NOW)
        assert (await present(door, token(door.issuer, exp=NOW + 60.5))).status_code == 200


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": NOW - 5}, 200),
        ({"exp": NOW - 600}, 401),
        ({"nbf": NOW + 5}, 200),
        ({"nbf": NOW + 600}, 401),
        ({"iat": NOW + 5}, 200),
        ({"iat": NOW + 3600}, 401),
        ({"exp": NOW - 31}, 401),
        ({"nbf": NOW + 31}, 401),
        ({"iat": NOW + 31}, 401),
        ({"exp": NOW - 29}, 200),
        ({"nbf": NOW + 29}, 200),
        ({"iat": NOW + 29}, 200),
    ],
    ids=str,
)
@requirement("JWT-EXP-02")
async def test_one_small_leeway_applies_to_every_date(claims: dict[str, int], status: int) -> None:
    async with gated() as door:
        door.issuer.clock.set(NOW)
        assert (await present(door, token(door.issuer, **claims))).status_code == status
    async with gated(leeway=0) as door:
        door.issuer.clock.set(NOW)
        refused_token(await present(door, token(door.issuer, **claims)))


@requirement("JWT-SUB-01")
async def test_same_subject_of_another_issuer_is_another_principal() -> None:
    first, second, settings = two_issuers()
    second_alice = second.token("alice", CLIENT, EVERY_SCOPE, RESOURCE)
    async with guarded(issuer=first, **settings) as door:
        owner = await Caller(door.client, "2025-11-25", token_of(door)).open()
        subject = text_of(await owner.call("whoami")).split()[1]
        twin = second.token("alice", CLIENT, EVERY_SCOPE, RESOURCE, claims={"sub": subject})
        assert (await Caller(door.client, MODERN, twin).call("whoami")).status_code == 200
        assert (await owner.with_token(twin).call("whoami")).status_code == 404
        assert (await owner.with_token(second_alice).call("whoami")).status_code == 404
        assert (await owner.call("whoami")).status_code == 200


@requirement("JWT-SUB-01")
async def test_machine_without_a_subject_is_its_client_and_never_a_person_of_that_name() -> None:
    async with guarded() as door:
        owner = await Caller(door.client, "2025-11-25", token_of(door)).open()
        subject = text_of(await owner.call("whoami")).split()[1]
        machine = door.issuer.token(None, CLIENT, EVERY_SCOPE, RESOURCE, claims={"sub": ABSENT})
        assert text_of(await Caller(door.client, MODERN, machine).call("whoami")) == f"{ISSUER} None {CLIENT}"
        for claims in ({"client_id": subject, "sub": subject}, {"client_id": subject, "sub": ABSENT}):
            namesake = door.issuer.token(None, subject, EVERY_SCOPE, RESOURCE, claims=claims)
            assert (await Caller(door.client, MODERN, namesake).call("whoami")).status_code == 200
            assert (await owner.with_token(namesake).call("whoami")).status_code == 404


@requirement("JWT-SUB-01")
async def test_names_and_mail_addresses_make_nobody_somebody_else() -> None:
    async with guarded() as door:
        owner = await Caller(door.client, "2025-11-25", token_of(door, email="alice@example.com")).open()
        same = {"email": "alice@example.com", "username": "alice", "preferred_username": "alice", "name": "alice"}
        assert (await owner.with_token(token_of(door, "bob", **same)).call("whoami")).status_code == 404
        renamed = token_of(door, email="new@example.com", username="alice2")
        assert (await owner.with_token(renamed).call("whoami")).status_code == 200


@requirement("JWT-SUB-01")
async def test_token_that_names_nobody_is_refused() -> None:
    issuer = plain_issuer()
    await refuses([token(issuer, sub=ABSENT, client_id=ABSENT)], issuer)


@requirement("JWT-CACHE-01")
async def test_remembered_token_is_refused_once_it_expires() -> None:
    async with gated() as door:
        door.issuer.clock.set(NOW)
        sent = token(door.issuer, exp=NOW + 100)
        for _ in range(26):
            assert (await present(door, sent)).status_code == 200
            door.issuer.clock.move(5)
        refused_token(await present(door, sent))


@requirement("JWT-CACHE-01")
async def test_remembered_token_lends_nothing_to_one_that_differs_anywhere() -> None:
    async with gated() as door:
        sent = token(door.issuer)
        assert (await present(door, sent)).status_code == 200
        for part in ("signature", "payload", "header"):
            refused_token(await present(door, flip_bit(sent, part)))  # type: ignore[arg-type]  # one of its literals
        refused_token(await present(door, sent.rpartition(".")[0] + ".eA"))
        refused_token(await present(door, f"{sent}A"))
        assert (await present(door, sent)).status_code == 200


@requirement("JWT-CACHE-01")
async def test_refused_tokens_push_no_remembered_one_out() -> None:
    async with gated(token_cache_size=4) as door:
        sent = token(door.issuer)
        assert (await present(door, sent)).status_code == 200
        door.issuer.keys.withdraw(door.issuer.keys.access.kid)
        for number in range(50):
            refused_token(await present(door, f"{sent.rpartition('.')[0]}.{number:04}"))
        assert len(door.gate.state.gates["/mcp"].verifier.verified) == 1
        assert (await present(door, sent)).status_code == 200
