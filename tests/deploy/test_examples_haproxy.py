"""deploy/examples/haproxy with Debian's HAProxy: TLS and several gates, any of which answers any request."""

from __future__ import annotations

import asyncio
import json
import signal
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


@asynccontextmanager
async def haproxy(folder: Path) -> AsyncIterator[Front]:
    """HAProxy with the example, two gates behind it and a server behind them."""
    port, one, two = free_port(), free_port(), free_port()
    origin = f"https://127.0.0.1:{port}"
    pem, trusted = certificate(folder)
    server = McpServer()
    async with (
        served(server) as upstream,
        gate(folder / "one", "haproxy", origin, upstream, one) as first,
        gate(folder / "two", "haproxy", origin, upstream, two) as second,
    ):
        words = {
            "bind :443 ssl crt /etc/ssl/mcp.example.com.pem": f"bind 127.0.0.1:{port} ssl crt {pem}",
            "127.0.0.1:8000": f"127.0.0.1:{one}",
            "127.0.0.1:8001": f"127.0.0.1:{two}",
            "inter 2s": "inter 100ms",
        }
        (folder / "haproxy.cfg").write_text(replaced(EXAMPLES / "haproxy" / "haproxy.cfg", **words))
        command = [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]
        async with running(command, folder) as proxy, httpx.AsyncClient(base_url=origin, verify=trusted) as client:
            await answers(f"{origin}/", proxy, trusted)
            yield Front(origin, client, server, [first, second])


@pytest.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with haproxy(tmp_path_factory.mktemp("haproxy")) as fronted:
        yield fronted


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_request_without_token_gets_the_gates_challenge(front: Front) -> None:
    answer = await front.post()
    assert answer.status_code == 401
    metadata = f'resource_metadata="{front.origin}/.well-known/oauth-protected-resource/mcp"'
    assert metadata in answer.headers["www-authenticate"]


async def test_metadata_is_where_the_challenge_says(front: Front) -> None:
    document = (await front.client.get("/.well-known/oauth-protected-resource/mcp")).json()
    assert document["resource"] == f"{front.origin}/mcp"


async def test_missing_scope_is_a_403_that_names_it(front: Front) -> None:
    answer = await front.post(front.token(scopes=["other"]))
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_valid_token_reaches_the_server_which_sees_neither_token_nor_made_up_headers(front: Front) -> None:
    made_up = {"X_Auth_Subject": "made-up", "X_Forwarded_For": "made-up", "Forwarded": "for=made-up"}
    answer = await front.post(front.token(), **made_up)
    assert answer.status_code == 200
    seen = front.server.headers[-1]
    assert "authorization" not in seen
    assert not any("made-up" in value for value in seen.values())
    assert json.loads(front.server.bodies[-1])["params"]["name"] == "x"


async def test_questions_of_proxies_are_not_for_clients(front: Front) -> None:
    assert (await front.client.get("/authz/mcp", headers=bearer(front.token()))).status_code == 404


async def test_event_stream_passes_event_by_event(front: Front) -> None:
    front.server.release.clear()
    async with front.client.stream("GET", "/mcp", headers=bearer(front.token())) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        lines = stream.aiter_lines()
        assert await anext(lines) == "data: first"  # while the server waits to send the second
        front.server.release.set()
        assert [line async for line in lines] == ["", "data: second", ""]


async def test_gates_can_be_stopped_one_by_one(front: Front) -> None:
    """The last test of the module: it leaves one gate."""
    token = front.token()
    assert [(await front.post(token)).status_code for _ in range(6)] == [200] * 6
    front.gates[0].send_signal(signal.SIGTERM)
    await asyncio.to_thread(front.gates[0].wait, 20)  # a request that meets it closing a connection is lost to HTTP/1.1
    assert [(await front.post(token)).status_code for _ in range(20)] == [200] * 20
