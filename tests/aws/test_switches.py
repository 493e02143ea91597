"""What nobody here could try at AWS, both ways: the gate is found, refuses and answers whichever is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.aws.authorizers import Authorized, gateway_responses
from tests.aws.edge import CloudFront, documented
from tests.aws.front_doors import FUNCTION_URL, HTTP_API, REMAPPED, REST_API, FrontDoor
from tests.aws.local import Local, local
from tests.gated import PUBLIC, TOOLS_LIST, tools_call

KINDS = pytest.mark.parametrize("kind", [HTTP_API, REST_API, FUNCTION_URL])
PRM = "/.well-known/oauth-protected-resource/mcp"
EVERY = 'Bearer error="insufficient_scope", scope="mcp:use mcp:admin"'


@pytest.fixture(scope="module")
def gate() -> Iterator[Local]:
    with local() as made:
        yield made


def client(gate: Local, kind: str, **switches: Any) -> httpx.AsyncClient:
    """One before a door."""
    stage = switches.pop("stage", "prod" if kind == REST_API else "$default")
    door = FrontDoor(kind, gate.invoke, stage, **{"domain": kind == REST_API} | switches)
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=PUBLIC)


def bearer(gate: Local, *scopes: str) -> dict[str, str]:
    return {"authorization": f"Bearer {gate.token(*scopes)}"}


@KINDS
@pytest.mark.parametrize("remaps", [True, False])
async def test_challenge_is_renamed_or_arrives_and_metadata_are_where_clients_look(
    gate: Local, kind: str, remaps: bool
) -> None:
    async with client(gate, kind, remaps=remaps) as http:
        refused = await http.post("/mcp", json={})
        assert refused.status_code == 401
        assert (REMAPPED in refused.headers, "www-authenticate" in refused.headers) == (remaps, not remaps)
        assert (await http.get(PRM)).json()["authorization_servers"] == [PUBLIC]
        assert (await http.post("/mcp", json=TOOLS_LIST, headers=bearer(gate))).json()["result"] == {}


@pytest.mark.parametrize("works", [True, False])
async def test_challenge_that_an_http_api_overwrites_can_name_every_scope(gate: Local, works: bool) -> None:
    """`overwrite:header.www-authenticate` for 401 and 403: static, so it names what any tool may need."""
    overwrites = {401: f'Bearer resource_metadata="{PUBLIC}{PRM}"', 403: EVERY}
    async with client(gate, HTTP_API, overwrites=overwrites, overwriting_works=works) as http:
        refused = await http.post("/mcp", json={})
        step_up = await http.post("/mcp", json=tools_call("admin"), headers=bearer(gate))
    assert (refused.status_code, step_up.status_code) == (401, 403)
    assert refused.headers.get("www-authenticate") == (overwrites[401] if works else None)
    assert step_up.headers.get("www-authenticate") == (EVERY if works else None)


@pytest.mark.parametrize("kind", [HTTP_API, FUNCTION_URL])
@pytest.mark.parametrize("encoded", [True, False])
async def test_form_is_read_whether_it_comes_in_base64_or_not(gate: Local, kind: str, encoded: bool) -> None:
    async with client(gate, kind, base64_forms=encoded) as http:
        answer = await http.post("/oauth/token", data={"client_id": ["one", "two"]})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), "for the form names it twice"


@KINDS
@pytest.mark.parametrize("joined_with", [",", ", "])
async def test_two_tokens_are_refused_however_a_door_joins_them(gate: Local, kind: str, joined_with: str) -> None:
    fields = [("authorization", f"Bearer {gate.token()}")] * 2
    async with client(gate, kind, joined_with=joined_with) as http:
        assert (await http.post("/mcp", json=TOOLS_LIST, headers=fields)).status_code in (400, 401)


@pytest.mark.parametrize("decodes_all", [True, False])
async def test_nothing_of_the_gate_depends_on_base64_being_decoded(gate: Local, decodes_all: bool) -> None:
    """A REST API decodes an answer only where the client accepts a binary type first."""
    async with client(gate, REST_API, decodes_all=decodes_all) as http:
        for path in (PRM, "/.well-known/oauth-authorization-server", "/healthz", "/mcp", "/nowhere"):
            answer = await http.get(path, headers={"accept": "application/json"})
            assert json.loads(answer.content), path
        page = await http.get("/oauth/authorize?client_id=x")
    assert "<" in page.text or json.loads(page.content)


@KINDS
async def test_answer_of_a_server_that_compresses_is_read_at_every_door(kind: str) -> None:
    """A REST API hands on the base64 of what is compressed, for it decodes only where a binary type is accepted."""

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "it knows no other scope"
        await receive()
        answer = Response(b'{"result": {}}', media_type="application/json")
        await GZipMiddleware(answer, minimum_size=1)(scope, receive, send)

    with local(server) as gate:
        async with client(gate, kind) as http:
            answer = await http.post("/mcp", json=tools_call("any"), headers=bearer(gate))
    assert answer.json() == {"result": {}}
    assert answer.headers.get("content-encoding", "identity") == ("identity" if kind == REST_API else "gzip")


@pytest.mark.parametrize("shown", [True, False])
async def test_named_stage_behind_a_domain_is_taken_off_where_it_is_shown(gate: Local, shown: bool) -> None:
    async with client(gate, HTTP_API, stage="prod", domain=True, domain_shows_stage=shown) as http:
        assert (await http.post("/mcp", json={})).status_code == 401
        assert (await http.get(PRM)).status_code == 200


async def test_named_stage_of_an_http_api_hides_what_clients_look_for(gate: Local) -> None:
    async with client(gate, HTTP_API, stage="prod") as http:
        assert (await http.get("/prod/healthz")).json() == {"status": "ok"}
        assert (await http.post("/prod/mcp", json={})).status_code == 401
        assert (await http.get("/.well-known/oauth-protected-resource/prod/mcp")).status_code == 404, "never ours"


async def test_stage_of_a_rest_api_hides_what_clients_look_for(gate: Local) -> None:
    async with client(gate, REST_API, domain=False) as http:
        assert (await http.post("/prod/mcp", json={})).status_code == 401
        assert (await http.get("/prod")).status_code == 404
        assert (await http.get("/.well-known/oauth-protected-resource/prod/mcp")).status_code == 403, "never ours"


async def test_api_key_is_asked_for_at_the_server_alone(gate: Local) -> None:
    async with client(gate, REST_API, api_key="k") as http:
        assert (await http.post("/mcp", json={})).json() == {"message": "Forbidden"}
        assert (await http.post("/mcp", json={}, headers={"x-api-key": "k"})).status_code == 401
        assert (await http.get(PRM)).status_code == 200


@pytest.mark.parametrize("remaps_responses", [True, False])
@pytest.mark.parametrize("tells_expired", [True, False])
async def test_gateway_responses_lead_to_the_metadata_if_they_are_not_renamed_too(
    gate: Local, remaps_responses: bool, tells_expired: bool
) -> None:
    """Whether an authorizer that raises counts as UNAUTHORIZED or EXPIRED_TOKEN, the client is told the same."""

    def unauthorized(_: dict[str, Any]) -> dict[str, Any]:
        raise PermissionError("Unauthorized")

    door = Authorized(
        FrontDoor(REST_API, gate.invoke, "prod", domain=True),
        REST_API,
        unauthorized,
        stage="prod",
        tells_expired=tells_expired,
        responses={"/mcp": gateway_responses(PUBLIC)},
        remaps_responses=remaps_responses,
        now=lambda: gate.issuer.clock.now() + 7200,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=PUBLIC) as http:
        answers = [await http.post("/mcp", json={}, headers=headers) for headers in ({}, bearer(gate))]
        assert (await http.post("/mcp", headers={"authorization": "Bearer x"})).status_code == 401, "no token at all"
        assert (await http.get(PRM)).status_code == 200
    for answer in answers:
        challenge = answer.headers.get("www-authenticate", "")
        assert answer.status_code == 401
        assert (REMAPPED in answer.headers) is remaps_responses
        assert (f'resource_metadata="{PUBLIC}{PRM}"' in challenge) is not remaps_responses


@pytest.mark.parametrize(("at", "arrives"), [("origin-response", True), ("viewer-response", False)])
async def test_function_at_cloudfront_brings_the_challenge_back(gate: Local, at: str, arrives: bool) -> None:
    """A function at viewer response, as CloudFront Functions are, does not run for a refusal."""
    front = CloudFront(FrontDoor(FUNCTION_URL, gate.invoke), documented(), at)
    gate.gate.state.gates["/mcp"].origins.hosts.add(b"api.origin.example")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url=PUBLIC) as http:
        refused = await http.post("/mcp", json={})
        served = await http.get(PRM)
    assert (refused.status_code, served.status_code) == (401, 200)
    assert ("www-authenticate" in refused.headers) is arrives
