"""The path of a request: what passes, what is refused, and how exactly."""

from __future__ import annotations

from tests.gated import RESOURCE, cognito_issuer, gated, tools_call

METADATA = "https://gw.example/.well-known/oauth-protected-resource/mcp"


async def test_a_verified_request_reaches_the_app_with_its_principal_and_without_its_token() -> None:
    async with gated() as door:
        response = await door.post(door.token())
        assert response.status_code == 200
        (principal,) = door.app.principals
        assert principal.issuer == door.issuer.url
        assert principal.scopes == {"mcp:use"}
        assert principal.groups == {"admins"}
        assert b"authorization" not in dict(door.app.scopes[0]["headers"])


async def test_cognito_token_without_audience_passes_by_client_and_scope() -> None:
    async with gated(cognito_issuer(), resource={"scopes": [f"{RESOURCE}/use"]}) as door:
        token = door.issuer.token("alice", "client-one", [f"{RESOURCE}/use"])
        assert (await door.post(token)).status_code == 200
        other = door.issuer.token("alice", "client-two", [f"{RESOURCE}/use"])
        assert (await door.post(other)).status_code == 401
        assert door.reason == "client_not_allowed"


async def test_missing_scope_of_a_tool_is_one_challenge_with_every_scope_needed() -> None:
    rules = [{"tools": ["admin-*"], "scopes": ["mcp:admin", "mcp:write"]}]
    async with gated(resource={"rules": rules}) as door:
        response = await door.post(door.token(), tools_call("admin-reset"))
        assert response.status_code == 403
        assert response.headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')
        assert 'scope="mcp:admin mcp:use mcp:write"' in response.headers["www-authenticate"]
        assert f'resource_metadata="{METADATA}"' in response.headers["www-authenticate"]
        assert not door.app.scopes
        stepped_up = door.token(scopes=["mcp:admin", "mcp:use", "mcp:write"])
        assert (await door.post(stepped_up, tools_call("admin-reset"))).status_code == 200
