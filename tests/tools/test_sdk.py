"""A tool asks `get_access_token()` and learns who calls, on every wire, but never gets the token itself."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.middleware.bearer_auth import authorization_context
from mcp.server.mcpserver import MCPServer

from tests.tools.front import (
    MODERN,
    OLDER,
    PRINCIPALS,
    call,
    connected,
    fronted,
    messages,
    open_session,
    principal,
    text,
)
from tools.registry import Needs, Plugin
from tools.sdk import as_user
from tools.server import app

WIRES = pytest.mark.parametrize("mode", ["legacy", MODERN])


def who() -> str:
    """All that a tool can know of its caller."""
    token = get_access_token()
    assert token is not None
    return token.model_dump_json()


def register(server: MCPServer) -> None:
    server.add_tool(who)


@pytest.fixture(scope="module", params=[True, False], ids=["with sessions", "stateless"])
async def asked(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """A server whose tool tells what it knows."""
    plugin = Plugin("who", register, [Needs("tool", "who")])
    async with fronted(app([plugin], sessions=request.param)) as http:
        yield http


@WIRES
async def test_tool_learns_client_scopes_subject_issuer_groups_and_expiry(asked: httpx.AsyncClient, mode: str) -> None:
    async with connected(asked, mode) as client:
        token = json.loads(text(await client.call_tool("who")))
    assert token == {
        "token": "",
        "client_id": "an-app",
        "scopes": ["a:first", "b:second"],
        "expires_at": int(PRINCIPALS["alice"].expires_at),
        "resource": None,
        "subject": "alice",
        "claims": {"iss": "https://issuer.example", "groups": ["admins", "readers"]},
    }


@WIRES
async def test_machine_has_no_subject(asked: httpx.AsyncClient, mode: str) -> None:
    async with connected(asked, mode, "machine called alice") as client:
        token = json.loads(text(await client.call_tool("who")))
    assert (token["client_id"], token["subject"]) == ("alice", None)


@pytest.mark.parametrize("revision", OLDER)
async def test_tool_sees_the_token_of_the_request_and_not_that_of_the_session(revision: str) -> None:
    async with fronted(app([Plugin("who", register, [Needs("tool", "who")])])) as http:
        session = await open_session(http, revision)
        seen = []
        for caller in ("alice", "alice with a new token", "alice"):
            (answer,) = messages(await session.post(call("who"), x_who=caller))
            seen.append(json.loads(answer["result"]["content"][0]["text"])["scopes"])
    assert seen == [["a:first", "b:second"], ["c:third"], ["a:first", "b:second"]]


class TestAsUser:
    def test_claims_that_rules_name_are_there(self) -> None:
        user = as_user(principal("alice", claims=(("department", "sales"),)))
        assert user.access_token.claims == {"department": "sales", "iss": "https://issuer.example", "groups": []}

    def test_claims_never_stand_in_for_issuer_and_groups(self) -> None:
        claims = (("iss", "https://evil.example"), ("groups", "admins"))
        user = as_user(principal("alice", claims=claims, groups=frozenset({"readers"})))
        assert user.access_token.claims == {"iss": "https://issuer.example", "groups": ["readers"]}

    def test_principal_of_an_unnamed_client_is_still_somebody(self) -> None:
        user = as_user(principal("alice", client_id=""))
        assert (user.access_token.client_id, user.access_token.subject) == ("alice", "alice")

    def test_expiry_is_that_of_the_token_in_whole_seconds(self) -> None:
        now = time.time()
        assert as_user(principal("alice", expires_at=now)).access_token.expires_at == int(now)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            pytest.param(
                principal("alice"),
                principal("alice", client_id="alice", is_client=True),
                id="a machine that calls itself as a person does",
            ),
            pytest.param(
                principal("alice", client_id="alice"),
                principal("alice", client_id="alice", is_client=True),
                id="the same, and a client of that name",
            ),
            pytest.param(
                principal("alice", client_id=""),
                principal("alice", client_id="alice", is_client=True),
                id="the same, and no client named",
            ),
            pytest.param(
                principal("alice"), principal("an-app", client_id="an-app", is_client=True), id="an app and its user"
            ),
            pytest.param(principal("alice"), principal("alice", issuer="https://b.example"), id="two issuers"),
            pytest.param(principal("alice"), principal("bob"), id="two people at one app"),
        ],
    )
    def test_two_principals_are_two_owners_of_sessions(self, one: Any, other: Any) -> None:
        assert one.key != other.key
        assert authorization_context(as_user(one)) != authorization_context(as_user(other))
