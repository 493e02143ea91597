"""The resource parameter of the plain profile (RFC 8707): it becomes the audience, and never a wider one."""

from __future__ import annotations

import pytest

from conformance.issuer import ABSENT, Issuer, Keys, ResourceServer
from tests.conformance.issuer.conftest import ALICE, APP, RESOURCE
from tests.conformance.issuer.journey import Journey, Value, parameters

OTHER = "http://127.0.0.1:8000/other"


@pytest.mark.parametrize(
    ("resource", "audience"),
    [
        pytest.param(ABSENT, RESOURCE, id="none: the first one known"),
        pytest.param(OTHER, OTHER, id="one"),
        pytest.param([RESOURCE, OTHER], [RESOURCE, OTHER], id="two"),
        pytest.param([OTHER, OTHER], OTHER, id="one twice"),
    ],
)
async def test_audience_is_what_was_asked_for(app: Journey, resource: Value, audience: object) -> None:
    assert app.claims((await app.tokens(resource=resource))["access_token"])["aud"] == audience


async def test_access_token_may_be_for_fewer_resources_than_the_login(app: Journey) -> None:
    code = (await app.log_in(resource=[RESOURCE, OTHER]))["code"]
    tokens = (await app.exchange(code, resource=OTHER)).json()
    assert app.claims(tokens["access_token"])["aud"] == OTHER
    refreshed = (await app.refresh(tokens["refresh_token"], resource=RESOURCE)).json()
    assert app.claims(refreshed["access_token"])["aud"] == RESOURCE
    again = (await app.refresh(refreshed["refresh_token"])).json()
    assert app.claims(again["access_token"])["aud"] == [RESOURCE, OTHER]


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param("https://not-registered.test", id="unknown"),
        pytest.param(RESOURCE + "/", id="final slash"),
        pytest.param(RESOURCE + "#part", id="fragment"),
        pytest.param("/mcp", id="relative"),
        pytest.param("http://[broken", id="no URI"),
        pytest.param([RESOURCE, "https://not-registered.test"], id="one of two"),
    ],
)
async def test_resource_is_refused(app: Journey, resource: Value) -> None:
    answer = await app.authorize(resource=resource)
    assert parameters(answer.headers["location"])["error"] == "invalid_target"


async def test_issuer_without_a_list_takes_any_resource(signing_keys: Keys) -> None:
    issuer = Issuer.plain("http://127.0.0.1:9000", users=[ALICE], clients=[APP], keys=signing_keys.copy())
    journey = Journey(issuer)
    async with journey.http:
        named = await journey.tokens(resource="https://anything.example/mcp")
        unnamed = await journey.tokens()
    assert journey.claims(named["access_token"])["aud"] == "https://anything.example/mcp"
    assert journey.claims(unnamed["access_token"])["aud"] == issuer.url


@pytest.mark.parametrize("resource", ["https://a.example/mcp#part", "https://a.example/mcp#", "/mcp", "http://[broken"])
async def test_issuer_without_a_list_still_wants_a_uri(signing_keys: Keys, resource: str) -> None:
    journey = Journey(Issuer.plain("http://127.0.0.1:9000", clients=[APP], keys=signing_keys.copy()))
    async with journey.http:
        answer = await journey.authorize(resource=resource)
    assert parameters(answer.headers["location"])["error"] == "invalid_target"


async def test_resource_can_be_added(app: Journey, plain: Issuer) -> None:
    plain.add_resource("https://new.example/mcp")
    assert app.claims((await app.tokens(resource="https://new.example/mcp"))["access_token"])["aud"] == (
        "https://new.example/mcp"
    )


def test_resource_of_the_other_profile_is_refused(plain: Issuer, cognito: Issuer) -> None:
    with pytest.raises(TypeError, match="by their URLs"):
        plain.add_resource(ResourceServer("https://x.example", {}))
    with pytest.raises(TypeError, match="ResourceServer"):
        cognito.add_resource("https://x.example")
