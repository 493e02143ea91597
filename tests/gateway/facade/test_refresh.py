"""Refreshes: what a refresh token gets, how two that race end, and what it never gets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.gated import RESOURCE
from tests.gateway.facade.rig import ADMIN, OTHER, OTHER_RESOURCE, USE, rig
from tests.gateway.facade.test_token import refused

TWO = [{"path": "/mcp", "scopes": [USE]}, {"path": "/other", "scopes": [OTHER]}]
RULED = [{"path": "/mcp", "scopes": [USE], "rules": [{"tools": ["admin-*"], "scopes": [ADMIN]}]}]
TOKEN = "/oauth2/token"


async def test_a_refresh_rotates_as_the_issuer_does() -> None:
    async with rig(rotation=True) as made:
        app = await made.register()
        first = await app.tokens()
        second = (await app.refresh(first["refresh_token"])).json()
        assert second["access_token"] != first["access_token"]
        assert second["scope"] == USE
        assert refused(await app.refresh(first["refresh_token"]), "invalid_grant")
        assert (await app.refresh(second["refresh_token"])).status_code == 200


async def test_an_issuer_that_does_not_rotate_answers_without_a_refresh_token() -> None:
    async with rig(rotation=False) as made:
        app = await made.register()
        tokens = await app.tokens()
        for _ in range(2):
            again = await app.refresh(tokens["refresh_token"])
            assert again.status_code == 200
            assert "refresh_token" not in again.json()


async def test_two_refreshes_that_race_sign_nobody_out_within_the_grace() -> None:
    async with rig(grace=30) as made:
        app = await made.register()
        tokens = await app.tokens()
        both = await asyncio.gather(*(app.refresh(tokens["refresh_token"]) for _ in range(2)))
        assert [answer.status_code for answer in both] == [200, 200]
        for answer in both:
            assert (await app.refresh(answer.json()["refresh_token"])).status_code == 200
        made.issuer.clock.move(31)
        assert refused(await app.refresh(tokens["refresh_token"]), "invalid_grant")


async def test_without_a_grace_the_loser_of_a_race_is_told_so() -> None:
    async with rig(grace=0) as made:
        app = await made.register()
        tokens = await app.tokens()
        both = await asyncio.gather(*(app.refresh(tokens["refresh_token"]) for _ in range(2)))
        assert sorted(answer.status_code for answer in both) == [200, 400]
        loser = next(answer for answer in both if answer.status_code == 400)
        assert refused(loser, "invalid_grant")
        winner = next(answer for answer in both if answer.status_code == 200)
        assert (await app.refresh(winner.json()["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"refresh_token": None}, "invalid_request", id="no token"),
        pytest.param({"refresh_token": "x"}, "invalid_grant", id="no token of ours"),
        pytest.param({"scope": f"{USE} {ADMIN}"}, "invalid_scope", id="a scope more"),
        pytest.param({"scope": ADMIN}, "invalid_scope", id="another scope"),
        pytest.param({"scope": "offline_access"}, "invalid_scope", id="a scope the issuer would refuse"),
        pytest.param({"resource": OTHER_RESOURCE}, "invalid_target", id="another resource"),
        pytest.param({"resource": [RESOURCE, OTHER_RESOURCE]}, "invalid_target", id="a resource more"),
        pytest.param({"resource": "https://evil.example"}, "invalid_target", id="another's resource"),
    ],
)
async def test_a_refresh_cannot_get_more_than_was_granted(changes: dict[str, Any], error: str) -> None:
    async with rig(resources=TWO) as made:
        app = await made.register()
        tokens = await app.tokens()
        before = len(made.way.asked(TOKEN))
        assert refused(await app.refresh(tokens["refresh_token"], **changes), error)
        assert len(made.way.asked(TOKEN)) == before


async def test_a_refresh_may_ask_for_less_and_later_for_all_again() -> None:
    async with rig(resources=RULED) as made:
        app = await made.register()
        tokens = await app.tokens(scope=f"{USE} {ADMIN}")
        narrow = (await app.refresh(tokens["refresh_token"], scope=USE)).json()
        assert narrow["scope"] == USE
        assert made.way.asked(TOKEN)[-1]["scope"] == USE
        again = (await app.refresh(narrow["refresh_token"])).json()
        assert again["scope"] == f"{USE} {ADMIN}"
        assert "scope" not in made.way.asked(TOKEN)[-1]
        same = await app.refresh(again["refresh_token"], scope=f"{ADMIN} {USE}", resource=RESOURCE)
        assert same.status_code == 200
        assert "scope" not in made.way.asked(TOKEN)[-1]


async def test_resource_goes_to_the_token_endpoint_where_the_issuer_takes_it() -> None:
    async with rig(plain=True) as made:
        app = await made.register()
        tokens = await app.tokens()
        await app.refresh(tokens["refresh_token"])
        assert [asked["resource"] for asked in made.way.asked("/token")] == [RESOURCE, RESOURCE]


async def test_a_token_is_for_the_resource_it_was_asked_for_alone() -> None:
    async with rig(resources=TWO) as made:
        app = await made.register()
        tokens = await app.tokens(resource=OTHER_RESOURCE, scope=None)
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await made.http.get(OTHER_RESOURCE, headers=bearer)).status_code == 200
        assert (await made.http.get(RESOURCE, headers=bearer)).status_code == 401
