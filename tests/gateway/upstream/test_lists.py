"""Lists that a gate filters, from an upstream that breaks off: an exact refusal or an aborted answer, never a fault."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.gated import TOOLS_LIST, Gated, gated
from tests.gateway.upstream.scripted import STREAM, Script, Talk, proxy, then_closing, upstream
from tests.served import served

RULES = [{"tools": ["secret*"], "scopes": ["mcp:admin"]}]
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
HALF = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"}'


@asynccontextmanager
async def listing(script: Script, **settings: Any) -> AsyncIterator[tuple[Gated, httpx.AsyncClient]]:
    """A gate that filters lists, on a socket, before an upstream that plays the script; and a client of alice."""
    async with (
        upstream(script) as behind,
        gated(app=proxy(behind.url, **settings), resource={"rules": RULES}) as door,
        served(door.gate) as origin,
        httpx.AsyncClient(
            base_url=origin, headers={"host": "gw.example", "authorization": f"Bearer {door.token()}"}
        ) as client,
    ):
        yield door, client


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(JSON + b"Content-Length: 200\r\n\r\n", id="after the head"),
        pytest.param(JSON + b"Content-Length: 200\r\n\r\n" + HALF, id="in the middle of known length"),
        pytest.param(JSON + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(HALF), HALF), id="between chunks"),
        pytest.param(JSON + b"\r\n" + HALF, id="where the end of the connection is that of the list"),
        pytest.param(JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", id="compressed unasked"),
    ],
)
async def test_list_that_breaks_off_is_refused_with_an_id(said: bytes) -> None:
    async with listing(then_closing(said)) as (door, client):
        answer = await client.post("/mcp", json=TOOLS_LIST)
        assert answer.status_code == 502
        assert b"secret" not in answer.content
        assert door.reason == "upstream_broken"
        assert door.log[-1]["id"] == answer.json()["error"]["data"]["refusal"]
        assert door.log[-1]["operation"] == "tools/list"


async def test_list_that_does_not_go_on_is_refused() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(JSON + b"Content-Length: 200\r\n\r\n" + HALF)
        await talk.closed()

    async with listing(script, idle_seconds=0.2) as (door, client):
        assert (await client.post("/mcp", json=TOOLS_LIST)).status_code == 502
        assert door.reason == "upstream_broken"


async def test_list_in_a_stream_that_breaks_off_is_aborted() -> None:
    data = b"data: " + json.dumps({"jsonrpc": "2.0", "method": "n"}).encode() + b"\n\n"
    async with listing(then_closing(STREAM + b"%x\r\n%b\r\n" % (len(data), data))) as (_, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/mcp", json=TOOLS_LIST)


async def test_client_that_cancels_a_list_is_not_put_down_as_a_refusal() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(JSON + b"Content-Length: 200\r\n\r\n" + HALF)
        await talk.closed()

    mirrored = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    async with listing(script) as (door, client):
        message = {**TOOLS_LIST, "params": {"_meta": meta}}
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/mcp", json=message, headers=mirrored, timeout=0.3)
    assert [line["decision"] for line in door.log] == ["allowed"]
