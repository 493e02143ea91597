"""GWP-11 and GWP-12: streams through the gate, and what becomes of a request whose client hangs up."""

from __future__ import annotations

import anyio
from starlette.types import Receive, Scope, Send

from conformance.requirements import requirement
from tests.gated import gated
from tests.requirements.callers import (
    EACH_HANDSHAKE,
    EACH_VERSION,
    MODERN,
    Caller,
    guarded,
    message,
    on_socket,
    text_of,
    token_of,
    usual_headers,
)
from tests.requirements.workshop import Workshop


class Ticker:
    """An app that streams: each event is sent when the test has seen the one before it."""

    def __init__(self) -> None:
        self.seen = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "there is nothing to start"
        await receive()
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in EVENTS:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self.seen.wait()
            self.seen = anyio.Event()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


EVENTS = [
    b": a comment that keeps the connection alive\r\n\r\n",
    b"id: 1\r\nretry: 500\r\ndata: \r\n\r\n",
    b'event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\r\n\r\n',
    b": another one\n\n",
    b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n',
]


@EACH_VERSION
@requirement("GWP-11")
async def test_every_event_goes_on_at_once_and_to_the_letter(version: str) -> None:
    rules = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]  # so that lists are filtered
    ticker = Ticker()
    async with gated(app=ticker, resource={"rules": rules}) as door, on_socket(door.gate) as http:
        for sent in (message(version, "tools/list"), message(version, "tools/call", {"name": "whoami"})):
            usual = {**usual_headers(version, sent), "Accept-Encoding": "gzip"}
            headers = Caller(http, version, token_of(door)).fields(usual, {})
            async with http.stream("POST", "/mcp", json=sent, headers=headers) as answer:
                assert answer.headers["x-accel-buffering"] == "no"
                assert "content-encoding" not in answer.headers
                chunks = answer.aiter_raw()
                for event in EVENTS:
                    with anyio.fail_after(5):  # were it held back, nothing would ever come: the app waits for us
                        assert await anext(chunks) == event
                    ticker.seen.set()


@EACH_VERSION
@requirement("GWP-11")
async def test_streams_of_the_tools_ask_proxies_not_to_buffer(version: str) -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        sent = {"name": "report", "arguments": {}}
        if version == MODERN:
            sent["_meta"] = {**message(MODERN, "x")["params"]["_meta"], "progressToken": 1}
        answer = await client.ask("tools/call", sent, headers={"Accept-Encoding": "gzip, br"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in answer.headers


@requirement("GWP-12")
async def test_client_that_hangs_up_cancels_a_modern_request() -> None:
    workshop = Workshop()
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        await hang_up(Caller(http, MODERN, token_of(door)), workshop)
        with anyio.fail_after(5):
            await workshop.ended.wait()
        assert workshop.cancelled
        assert not workshop.done


@EACH_HANDSHAKE
@requirement("GWP-12")
async def test_client_that_hangs_up_does_not_cancel_an_older_request(version: str) -> None:
    workshop = Workshop()
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        last = await hang_up(client, workshop)
        assert (await client.call("greet")).status_code == 200  # by now the server knows
        workshop.release.set()
        with anyio.fail_after(5):
            await workshop.ended.wait()
        assert workshop.done == ["wait"]
        if last:
            resumed = await client.send("GET", {"Last-Event-ID": last})
            assert text_of(resumed) == "waited"


async def hang_up(client: Caller, workshop: Workshop) -> str:
    """Call the tool that waits, and drop the connection; returns the id of the event that began the stream, if any."""
    sent = message(client.version, "tools/call", {"name": "wait", "arguments": {}}, 7)
    fields = client.fields(usual_headers(client.version, sent), {})
    primed: list[str] = []
    ready = anyio.Event()

    async def call() -> None:
        async with client.http.stream("POST", "/mcp", json=sent, headers=fields) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id:"):
                    primed.append(line[3:].strip())
                    ready.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await workshop.started.wait()
            if client.version == "2025-11-25":
                await ready.wait()
            tasks.cancel_scope.cancel()
    return "".join(primed)
