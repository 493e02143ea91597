"""Clients that leave, at every stage of a request: from 2026-07-28 on that is the cancel, before it is none."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from gateway import pool as pools
from gateway.upstream import DETACHED_BYTES, Upstream
from tests.gateway.upstream.scripted import OK, SECONDS, STREAM, Client, Scripted, Talk, before, proxy, upstream

OLDER = ["2025-03-26", "2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"
PATIENCE = 0.4  # longer than the proxy takes to find out that a client has gone
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass
class Stage:
    """How far an answer has come when the client leaves: what of it the client has seen, and what is still to come."""

    said: bytes
    rest: bytes
    seen: bytes = b""


STAGES = [
    pytest.param(Stage(b"", OK), id="before the answer"),
    pytest.param(Stage(HEAD[:30], HEAD[30:] + b"Content-Length: 2\r\n\r\n{}"), id="in its head"),
    pytest.param(Stage(HEAD + b"Content-Length: 2\r\n\r\n", b"{}", b"\r\n\r\n"), id="between head and body"),
    pytest.param(Stage(HEAD + b"Content-Length: 2\r\n\r\n{", b"}", b"{"), id="in the body"),
    pytest.param(Stage(STREAM, b"9\r\ndata: 1\n\n\r\n0\r\n\r\n", b"\r\n\r\n"), id="before the first event"),
    pytest.param(Stage(STREAM + b"9\r\ndata:", b" 1\n\n\r\n0\r\n\r\n", b"data:"), id="in an event"),
    pytest.param(Stage(STREAM + b"9\r\ndata: 1\n\n\r\n", b"0\r\n\r\n", b"data: 1\n\n"), id="after an event"),
]


@dataclass
class Play:
    """An upstream that stops at a stage: whether it was hung up on then, or goes on when it is told to."""

    stage: Stage

    def __post_init__(self) -> None:
        self.stopped, self.cancelled, self.told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, talk: Talk) -> None:
        await talk.request()
        await talk.say(self.stage.said)
        self.stopped.set()
        leaving = asyncio.ensure_future(talk.reader.read(1))
        telling = asyncio.ensure_future(self.told.wait())
        await asyncio.wait([leaving, telling], return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        if leaving.done():
            self.cancelled.set()
            return
        leaving.cancel()
        await asyncio.gather(leaving, telling, return_exceptions=True)
        await talk.say(self.stage.rest)
        while await talk.request():
            await talk.say(OK)


@pytest.mark.parametrize("stage", STAGES)
async def test_client_of_2026_07_28_that_leaves_cancels_its_request(stage: Stage) -> None:
    play = Play(stage)
    async with upstream(play) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        await client.send(MCP_Protocol_Version=MODERN)
        await (client.until(stage.seen) if stage.seen else play.stopped.wait())
        client.hang_up()
        await asyncio.wait_for(play.cancelled.wait(), SECONDS)


@pytest.mark.parametrize("version", OLDER)
@pytest.mark.parametrize("stage", STAGES)
async def test_client_of_an_older_revision_that_leaves_does_not(stage: Stage, version: str) -> None:
    play = Play(stage)
    async with upstream(play) as behind, before(app := proxy(behind.url)) as connect:
        client = await connect()
        await client.send(MCP_Protocol_Version=version)
        await (client.until(stage.seen) if stage.seen else play.stopped.wait())
        client.hang_up()
        await asyncio.sleep(PATIENCE)
        assert not play.cancelled.is_set()
        play.told.set()
        await served_by_the_same(app, behind, await connect())


async def served_by_the_same(app: Upstream, behind: Scripted, other: Client) -> None:
    """The connection of the one who left is whole and free: it serves somebody else."""
    async with asyncio.timeout(SECONDS):
        while not app._pool._unused:  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.01)
    await other.send()
    assert (await other.answer()).status == 200
    assert len(behind.talks) == 1


@pytest.mark.parametrize("version", [*OLDER, MODERN])
@pytest.mark.parametrize(
    "framing", ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_client_that_leaves_in_its_request_has_asked_nothing(version: str, framing: str) -> None:
    ended = asyncio.Event()

    async def script(talk: Talk) -> None:
        head = await talk.head()
        assert not head or (await talk.reader.read(100), await talk.reader.read(1)) == (b"half", b"")
        ended.set()

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        fields = f"Host: gw.example\r\nMCP-Protocol-Version: {version}\r\n"
        client.writer.write(f"POST /mcp HTTP/1.1\r\n{fields}{framing}".encode())
        await asyncio.sleep(0.1)
        client.hang_up()
        if "Length" in framing:  # the other is not passed on before it is whole
            await asyncio.wait_for(ended.wait(), SECONDS)
        else:
            await asyncio.sleep(PATIENCE)
            assert behind.talks == []


@pytest.mark.parametrize("version", [OLDER[-1], MODERN])
async def test_client_that_leaves_while_a_connection_is_waited_for_gets_what_its_revision_says(version: str) -> None:
    play = Play(Stage(b"", OK))
    async with upstream(play) as behind:
        app = proxy(behind.url)
        async with before(app) as connect:
            app._pool._opening = pools.OPENING  # as many as are opened at once
            client = await connect()
            await client.send(MCP_Protocol_Version=version)
            async with asyncio.timeout(SECONDS):
                while not app._pool._waiting:  # noqa: ASYNC110 - the pool tells nobody
                    await asyncio.sleep(0.01)
            client.hang_up()
            await asyncio.sleep(0.1)
            app._pool._opening = 0
            app._pool._next(None)
            if version == MODERN:
                await asyncio.wait_for(play.cancelled.wait(), SECONDS)
                return
            await play.stopped.wait()
            await asyncio.sleep(PATIENCE)
            play.told.set()
            await served_by_the_same(app, behind, await connect())


@pytest.mark.parametrize("version", [OLDER[-1], MODERN])
async def test_client_that_leaves_with_its_answer_leaves_the_connection_to_others(version: str) -> None:
    play = Play(Stage(OK, b"", b"{}"))
    async with upstream(play) as behind, before(app := proxy(behind.url)) as connect:
        client = await connect()
        await client.send(MCP_Protocol_Version=version)
        await client.until(b"{}")
        client.hang_up()
        play.told.set()
        await served_by_the_same(app, behind, await connect())


async def test_endless_answer_that_nobody_waits_for_is_read_to_a_bound() -> None:
    sent, gone = 0, asyncio.Event()

    async def script(talk: Talk) -> None:
        nonlocal sent
        await talk.request()
        await talk.say(HEAD + b"Content-Length: 100000000000\r\n\r\n")
        try:
            while True:
                await talk.say(bytes(65536))
                sent += 65536
        finally:
            gone.set()

    async with upstream(script) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(MCP_Protocol_Version=OLDER[-1])
        await behind.arrived()
        client.hang_up()
        await asyncio.wait_for(gone.wait(), SECONDS)
    assert sent > DETACHED_BYTES
