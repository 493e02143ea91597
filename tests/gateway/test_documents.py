"""What is open to everyone: the metadata of every resource (RFC 9728), health and readiness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.app import build
from gateway.sources import parse
from tests.gated import COGNITO, ISSUER, PUBLIC, RESOURCE, Recorder, gated

WELL_KNOWN = "/.well-known/oauth-protected-resource"
MCP: dict[str, Any] = {
    "path": "/mcp",
    "scopes": ["mcp:use"],
    "name": "Reports",
    "documentation": "https://gw.example/d",
}


@asynccontextmanager
async def published(*resources: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """A client in front of a gate with these resources and two issuers."""
    issuers = [{"issuer": ISSUER}, {"issuer": COGNITO, "kind": "cognito", "resource_binding": True}]
    settings = parse({"public_url": PUBLIC, "issuers": issuers, "resources": list(resources)})
    gate = build(settings, {resource["path"]: Recorder() for resource in resources})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=PUBLIC) as client:
        yield client


class TestMetadata:
    async def test_document_is_json_for_everyone_and_says_what_a_client_needs(self) -> None:
        """PRM-01, PRM-04 to PRM-08."""
        async with published(MCP) as client:
            response = await client.get(f"{WELL_KNOWN}/mcp")
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.json() == {
            "resource": RESOURCE,
            "authorization_servers": [ISSUER, COGNITO],
            "scopes_supported": ["mcp:use"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Reports",
            "resource_documentation": "https://gw.example/d",
        }

    async def test_what_is_empty_is_left_out(self) -> None:
        """PRM-06."""
        async with published({"path": "/mcp"}) as client:
            document = (await client.get(f"{WELL_KNOWN}/mcp")).json()
        assert set(document) == {"resource", "authorization_servers", "bearer_methods_supported", "resource_name"}

    async def test_resource_names_its_own_issuers(self) -> None:
        async with published(MCP | {"issuers": [COGNITO]}) as client:
            document = (await client.get(f"{WELL_KNOWN}/mcp")).json()
        assert document["authorization_servers"] == [COGNITO]

    async def test_root_answers_for_the_one_resource_there_is(self) -> None:
        """PRM-02, PRM-03."""
        async with published(MCP) as client:
            inserted, root = await client.get(f"{WELL_KNOWN}/mcp"), await client.get(WELL_KNOWN)
        assert root.status_code == 200
        assert root.json() == inserted.json()

    async def test_root_of_several_resources_is_nobodys(self) -> None:
        """PRM-03."""
        async with published(MCP, {"path": "/other"}) as client:
            assert (await client.get(WELL_KNOWN)).status_code == 404
            assert (await client.get(f"{WELL_KNOWN}/other")).json()["resource"] == f"{PUBLIC}/other"

    async def test_resource_at_the_root_has_its_document_there(self) -> None:
        async with published({"path": "/"}, {"path": "/other"}) as client:
            assert (await client.get(WELL_KNOWN)).json()["resource"] == PUBLIC

    @pytest.mark.parametrize("suffix", ["/nope", "/mcp/", "/mcp/deeper", "/MCP", "/"])
    async def test_other_suffix_has_no_document_and_pages_may_know(self, suffix: str) -> None:
        """PRM-10, PRM-11."""
        async with published(MCP) as client:
            response = await client.get(WELL_KNOWN + suffix)
        assert response.status_code == 404
        assert response.headers["access-control-allow-origin"] == "*"
        assert "error" in response.json()

    async def test_document_is_public_for_pages_and_kept_a_while(self) -> None:
        """PRM-10."""
        async with published(MCP) as client:
            response = await client.get(f"{WELL_KNOWN}/mcp", headers={"origin": "https://anywhere.test"})
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["cache-control"] == "public, max-age=300"
        assert "vary" not in response.headers

    async def test_preflight_is_answered(self) -> None:
        """PRM-10."""
        asks = {
            "origin": "https://anywhere.test",
            "access-control-request-method": "GET",
            "access-control-request-headers": "mcp-protocol-version",
        }
        async with published(MCP) as client:
            response = await client.options(f"{WELL_KNOWN}/mcp", headers=asks)
        assert response.status_code == 204
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["access-control-allow-headers"] == "*"
        assert "GET" in response.headers["access-control-allow-methods"]

    async def test_head_behaves_like_get(self) -> None:
        """PRM-11; the server leaves out the body."""
        async with published(MCP) as client:
            got, head = await client.get(f"{WELL_KNOWN}/mcp"), await client.head(f"{WELL_KNOWN}/mcp")
        assert head.status_code == 200
        assert head.headers == got.headers

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
    async def test_document_can_only_be_read(self, method: str) -> None:
        """PRM-11."""
        async with published(MCP) as client:
            response = await client.request(method, f"{WELL_KNOWN}/mcp")
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD, OPTIONS"

    async def test_credentials_play_no_part(self) -> None:
        async with published(MCP) as client:
            response = await client.get(
                f"{WELL_KNOWN}/mcp?access_token=x", headers={"authorization": "Bearer nonsense"}
            )
        assert response.status_code == 200


class TestHealth:
    async def test_process_that_answers_is_healthy(self) -> None:
        async with published(MCP) as client:
            response = await client.get("/healthz")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})

    async def test_gate_is_ready_once_it_has_keys(self) -> None:
        async with gated() as door:
            await door.post(door.token())
            response = await door.client.get("/readyz")
        assert (response.status_code, response.json()) == (200, {"status": "ready"})

    async def test_gate_without_keys_says_whose_and_not_why(self) -> None:
        async with gated() as door:
            door.issuer.key_server.status = 500
            await door.post(door.token())
            response = await door.client.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {"status": "waiting for keys", "issuers": [ISSUER]}


class TestNothing:
    @pytest.mark.parametrize("path", ["/", "/nope", "/mcp/", "/healthz/", "//mcp"])
    async def test_where_nothing_is_a_sentence_leads_to_the_endpoints(self, path: str) -> None:
        async with published(MCP, {"path": "/other"}) as client:
            response = await client.get(PUBLIC + path)
        assert response.status_code == 404
        assert f"{PUBLIC}/mcp or {PUBLIC}/other" in response.json()["error"]
