"""PRM: the metadata document of the resource."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from conformance.requirements import requirement
from gateway.app import build
from gateway.sources import SettingsError, parse
from tests.gated import ISSUER, PUBLIC, RESOURCE, Recorder, cognito_issuer, gated, plain_issuer
from tests.requirements.callers import EVERY_SCOPE, LOW, METADATA, MODERN, Caller, guarded, opening, token_of
from tests.requirements.challenges import challenge, lacks_scope

ROOT = "/.well-known/oauth-protected-resource"
PLACES = (METADATA, f"{PUBLIC}{ROOT}")

# The types of RFC 9728 §2.
LISTS = (
    "authorization_servers",
    "scopes_supported",
    "bearer_methods_supported",
    "resource_signing_alg_values_supported",
    "authorization_details_types_supported",
    "dpop_signing_alg_values_supported",
)
TEXTS = ("resource", "jwks_uri", "resource_name", "resource_documentation", "resource_policy_uri", "resource_tos_uri")


async def document(**settings: Any) -> dict[str, Any]:
    """The document of a gate with these settings."""
    async with gated(**settings) as door:
        found: dict[str, Any] = (await door.client.get(METADATA)).json()
    return found


@pytest.mark.parametrize("place", PLACES)
@requirement("PRM-01")
async def test_document_is_a_json_object_for_everybody(place: str) -> None:
    async with gated() as door:
        for headers in ({}, {"Accept": "text/html"}, {"Authorization": "Bearer not-a-token"}, {"Cookie": "a=b"}):
            answer = await door.client.get(place, headers=headers, follow_redirects=False)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            assert isinstance(answer.json(), dict)
            assert not answer.cookies


@pytest.mark.parametrize("path", ["/mcp", "/a/b/mcp", "/"])
@requirement("PRM-02")
async def test_document_is_at_the_well_known_path_followed_by_the_path_of_the_resource(path: str) -> None:
    async with gated(resource={"path": path}) as door:
        place = ROOT + path.rstrip("/")
        assert (await door.client.get(place)).json()["resource"] == f"{PUBLIC}{path.rstrip('/')}"
        appended = await door.client.get(f"{path.rstrip('/')}{ROOT}")
        assert appended.status_code == (200 if path == "/" else 404)
        for other in (f"{place}/", f"{ROOT}//mcp", f"{ROOT}/MCP"):
            assert (await door.client.get(other)).status_code == 404


@requirement("PRM-03")
async def test_root_describes_the_only_resource_and_nothing_where_there_are_several() -> None:
    async with gated() as door:
        assert (await door.client.get(ROOT)).json()["resource"] == RESOURCE
    settings = parse(
        {"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [{"path": "/a"}, {"path": "/b"}]}
    )
    gate = build(settings, {"/a": Recorder(), "/b": Recorder()})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=PUBLIC) as http:
        assert (await http.get(ROOT)).status_code == 404
        for path in ("/a", "/b"):
            assert (await http.get(ROOT + path)).json()["resource"] == PUBLIC + path


@requirement("PRM-04")
async def test_resource_is_the_url_that_was_called_byte_for_byte() -> None:
    async with gated() as door:
        named = challenge(await door.client.post("/mcp"))["resource_metadata"]
        for place in (named, METADATA):
            resource = (await door.client.get(place)).json()["resource"]
            assert resource == RESOURCE == str(door.client.base_url).rstrip("/") + "/mcp"
            assert urlsplit(resource).scheme == "https"
            assert "#" not in resource
            assert place == resource.replace(PUBLIC, f"{PUBLIC}{ROOT}")


@pytest.mark.parametrize("issuer", [plain_issuer, cognito_issuer])
@requirement("PRM-05")
async def test_every_issuer_is_the_identifier_its_own_metadata_has(issuer: Any) -> None:
    async with gated(issuer()) as door, httpx.AsyncClient(transport=httpx.ASGITransport(door.issuer.app)) as http:
        servers = (await door.client.get(METADATA)).json()["authorization_servers"]
        assert servers
        for server in servers:
            assert isinstance(server, str)
            parts = urlsplit(server)
            origin, path = f"{parts.scheme}://{parts.netloc}", parts.path
            tried = [
                await http.get(f"{origin}/.well-known/oauth-authorization-server{path}"),
                await http.get(f"{origin}/.well-known/openid-configuration{path}"),
                await http.get(f"{server}/.well-known/openid-configuration"),
            ]
            found = next(answer.json() for answer in tried if answer.status_code == 200)
            assert found["issuer"] == server


@requirement("PRM-05")
def test_gate_without_an_issuer_does_not_start() -> None:
    with pytest.raises(SettingsError, match="issuers"):
        parse({"public_url": PUBLIC, "issuers": []})


@pytest.mark.parametrize(
    "resource",
    [{}, {"scopes": []}, {"scopes": ["a"]}, {"scopes": ["a", "b"], "documentation": "https://example.com/"}],
    ids=str,
)
@requirement("PRM-06")
async def test_members_have_their_types_and_empty_ones_are_left_out(resource: dict[str, Any]) -> None:
    found = await document(resource=resource)
    for member, value in found.items():
        assert value not in ([], None, "", {})
        assert not isinstance(value, list) or member in LISTS
    for member in LISTS:
        if member in found:
            assert isinstance(found[member], list)
            assert all(isinstance(value, str) for value in found[member])
    for member in TEXTS:
        assert isinstance(found.get(member, ""), str)
    assert found.get("bearer_methods_supported", ["header"]) == ["header"]
    assert found["resource_name"]


@requirement("PRM-07")
async def test_scopes_are_those_of_basic_use_and_not_all_there_are() -> None:
    async with guarded() as door:
        scopes = (await door.client.get(METADATA)).json()["scopes_supported"]
        assert scopes == ["mcp:use"]
        low = Caller(door.client, MODERN, token_of(door, scopes=LOW))
        challenged = lacks_scope(await low.call("admin-reset")) | lacks_scope(await low.call("multi-greet"))
        assert set(scopes) < challenged < {*EVERY_SCOPE, "x"}
        assert not {"*", "all", "full-access", "offline_access"} & set(scopes)
        basic = Caller(door.client, MODERN, token_of(door, scopes=scopes))
        assert (await basic.post(opening(MODERN))).status_code == 200
        assert (await basic.ask("tools/list")).status_code == 200


@requirement("PRM-08")
async def test_document_does_not_pass_the_keys_of_the_issuer_off_as_those_of_the_resource() -> None:
    issuer = plain_issuer()
    location = issuer.metadata()["jwks_uri"]
    found = await document(issuer=issuer, issuer_settings={"jwks_uri": location})
    assert found.get("jwks_uri") != location


@pytest.mark.parametrize(("place", "status"), [(METADATA, 200), (f"{PUBLIC}{ROOT}", 200), (f"{METADATA}/no", 404)])
@requirement("PRM-10")
async def test_documents_can_be_read_by_every_origin_and_kept_for_a_while(place: str, status: int) -> None:
    async with gated() as door:
        answer = await door.client.get(place, headers={"Origin": "https://app.test"})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        if status == 200:
            cache = dict(part.strip().partition("=")[::2] for part in answer.headers["cache-control"].split(","))
            assert 0 < int(cache["max-age"]) <= 86_400
        assert not {"authorization", "cookie"} & set(answer.headers.get("vary", "").lower().split(", "))


@pytest.mark.parametrize("place", [METADATA, f"{PUBLIC}{ROOT}", f"{METADATA}/no"])
@requirement("PRM-10")
async def test_preflight_for_a_document_is_answered(place: str) -> None:
    asked = {
        "Origin": "https://app.test",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "mcp-protocol-version",
    }
    async with gated() as door:
        answer = await door.client.options(place, headers=asked)
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == "*"
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert allowed == "*" or "mcp-protocol-version" in allowed


@pytest.mark.parametrize("place", PLACES)
@requirement("PRM-11")
async def test_head_is_get_without_a_body_and_other_methods_are_not_allowed(place: str) -> None:
    async with gated() as door:
        got, head = await door.client.get(place), await door.client.head(place)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers == got.headers
        for verb in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await door.client.request(verb, place)
            assert (answer.status_code, "GET" in answer.headers["allow"]) == (405, True)


@pytest.mark.parametrize("suffix", ["/nope", "/mcp/nope", "/mcp/%2e%2e", "/", "/%2e%2e/mcp", "/mcp%2F"])
@requirement("PRM-11")
async def test_resource_that_does_not_exist_has_no_document(suffix: str) -> None:
    async with gated() as door:
        assert (await door.client.get(f"{PUBLIC}{ROOT}{suffix}")).status_code == 404


@pytest.mark.parametrize(
    "url", ["http://gw.example", "http://10.0.0.1", "http://localhost.evil.test", "http://127.0.0.1.nip.io", "ws://gw"]
)
@requirement("PRM-12")
def test_gate_is_not_published_without_tls(url: str) -> None:
    with pytest.raises(SettingsError, match="public_url"):
        parse({"public_url": url, "issuers": [{"issuer": ISSUER}]})


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"])
@requirement("PRM-12")
def test_plain_http_is_for_loopback(url: str) -> None:
    assert parse({"public_url": url, "issuers": [{"issuer": ISSUER}]}).public_url == url


@requirement("PRM-12")
async def test_every_url_that_is_published_is_https() -> None:
    async with guarded() as door:
        found = (await door.client.get(METADATA)).json()
        said = challenge(await door.client.post("/mcp", headers={"X-Forwarded-Proto": "http"}))
        for url in (found["resource"], *found["authorization_servers"], said["resource_metadata"]):
            assert url.startswith("https://")
