"""deploy/examples/nginx with Debian's nginx: the gate decides, nginx carries, and nobody can pretend to be another."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.fronted import (
    EXAMPLES,
    Front,
    McpServer,
    answers,
    certificate,
    gate,
    program,
    replaced,
    running,
)
from tests.ports import free_port
from tests.served import served

MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/mcp.conf;
}}
"""
FORWARDING = EXAMPLES / "nginx" / "mcp.conf"


@asynccontextmanager
async def nginx(folder: Path, site: Path) -> AsyncIterator[Front]:
    """nginx with an example as its site, the gate of the same example beside it and a server behind it."""
    port, gate_port = free_port(), free_port()
    origin = f"https://127.0.0.1:{port}"
    pem, trusted = certificate(folder)
    server = McpServer()
    async with (
        served(server) as upstream,
        gate(folder / "gate", site.parent.name, origin, upstream, gate_port) as process,
    ):
        words = {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "mcp.example.com;": "127.0.0.1;",
            "/etc/ssl/mcp.example.com.pem": str(pem),
            "127.0.0.1:8000": f"127.0.0.1:{gate_port}",
        }
        if site == FORWARDING:  # where nginx itself passes requests on
            words["127.0.0.1:9000"] = upstream.removeprefix("http://")
        (folder / "mcp.conf").write_text(replaced(site, **words))
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
        command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        async with running(command, folder) as proxy, httpx.AsyncClient(base_url=origin, verify=trusted) as client:
            await answers(f"{origin}/", proxy, trusted)
            yield Front(origin, client, server, [process])


@pytest.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with nginx(tmp_path_factory.mktemp("nginx"), FORWARDING) as fronted:
        yield fronted


async def test_request_without_token_gets_the_gates_challenge(front: Front) -> None:
    answer = await front.post()
    assert answer.status_code == 401
    (challenge,) = answer.headers.get_list("www-authenticate")
    assert f'resource_metadata="{front.origin}/.well-known/oauth-protected-resource/mcp"' in challenge
    assert 'scope="mcp:use"' in challenge
    assert "error=" not in challenge


async def test_metadata_is_where_the_challenge_says(front: Front) -> None:
    document = (await front.client.get("/.well-known/oauth-protected-resource/mcp")).json()
    assert document["resource"] == f"{front.origin}/mcp"
    assert (await front.client.get("/elsewhere")).status_code == 404


async def test_valid_token_reaches_the_server_with_the_principal_and_without_the_token(front: Front) -> None:
    answer = await front.post(front.token())
    assert answer.status_code == 200
    assert answer.json()["result"] == {}
    seen = front.server.headers[-1]
    assert seen["x-auth-subject"]
    assert seen["x-auth-kind"] == "person"
    assert seen["x-auth-groups"] == "a%2Cb,admins"
    assert "authorization" not in seen
    assert json.loads(front.server.bodies[-1])["params"]["name"] == "x"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X_Auth_Subject": "admin"}, id="plain"),
        pytest.param({"X_Auth_Groups": "root", "X_Auth_Issuer": "x", "X_Auth_Scopes": "all"}, id="all of them"),
    ],
)
async def test_client_cannot_say_who_it_is(front: Front, headers: dict[str, str]) -> None:
    assert (await front.post(front.token("bob"), **headers)).status_code == 200
    seen = front.server.headers[-1]
    assert not {"admin", "root", "x", "all"} & set(seen.values())
    assert "x-auth-groups" not in seen, "bob has none"
    given = {"x_auth_subject": "admin", "authorization": f"Bearer {front.token('bob')}"}
    await front.client.post("/mcp", headers=given, json={})
    assert "admin" not in front.server.headers[-1].values()


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_Uri": "/public"},
        {"X_Original_URI": "/public"},
        {"X_Forwarded_Method": "OPTIONS"},
        {"X_Forwarded_Host": "evil.example"},
    ],
)
async def test_client_cannot_say_what_is_asked(front: Front, headers: dict[str, str]) -> None:
    assert (await front.post(None, **headers)).status_code == 401
    assert (await front.post(front.token(), **headers)).status_code == 200


async def test_question_to_the_gate_cannot_be_asked_from_outside(front: Front) -> None:
    for path in ("/_authz", "/_gate", "/authz/mcp", "/authz"):
        assert (await front.client.get(path)).status_code == 404


async def test_missing_scope_is_a_403_that_names_it(front: Front) -> None:
    answer = await front.post(front.token(scopes=["other"]))
    assert answer.status_code == 403
    (challenge,) = answer.headers.get_list("www-authenticate")
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="mcp:use"' in challenge


async def test_token_for_another_resource_is_refused(front: Front) -> None:
    answer = await front.post(front.token(aud="https://other.example"))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_two_tokens_and_a_foreign_host_are_refusals_and_no_faults(front: Front) -> None:
    reached = len(front.server.headers)
    token = front.token()
    assert (await front.client.post(f"/mcp?access_token={token}", headers=auth(token), json={})).status_code == 403
    foreign = auth(token) | {"host": "evil.example"}
    assert (await front.client.post("/mcp", headers=foreign, json={})).status_code == 403
    assert len(front.server.headers) == reached


async def test_event_stream_passes_event_by_event(front: Front) -> None:
    front.server.release.clear()
    async with front.client.stream("GET", "/mcp", headers=auth(front.token())) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        lines = stream.aiter_lines()
        assert await anext(lines) == "data: first"  # while the server waits to send the second
        front.server.release.set()
        assert [line async for line in lines] == ["", "data: second", ""]


async def test_preflight_of_a_page_is_answered_and_never_reaches_the_server(front: Front) -> None:
    reached = len(front.server.headers)
    asked = {"origin": front.origin, "access-control-request-method": "POST"}
    answer = await front.client.options("/mcp", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == front.origin
    assert (await front.client.options("/mcp")).status_code == 401
    assert len(front.server.headers) == reached


async def test_page_of_an_allowed_origin_can_read_every_answer(front: Front) -> None:
    for token, status in ((None, 401), (front.token(scopes=["x"]), 403), (front.token(), 200)):
        answer = await front.post(token, origin=front.origin)
        assert answer.status_code == status
        assert answer.headers.get_list("access-control-allow-origin") == [front.origin]
        assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in (await front.post(front.token())).headers
    foreign = await front.post(front.token(), origin="https://evil.example")
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers


def auth(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
