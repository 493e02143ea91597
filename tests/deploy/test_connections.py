"""How connections are taken, kept and let go."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import struct
from typing import Any

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from deploy.http1 import Http1
from deploy.server import BACKLOG, Listener, listen, settle
from tests.attacks.wire import HONEST, fill, wired


def test_all_who_wait_are_accepted_at_once_and_not_one_in_a_turn() -> None:
    waiting = 200

    async def turns() -> int:
        (opened,) = listen(["127.0.0.1"], 0)
        clients = [socket.create_connection(opened.getsockname()) for _ in range(waiting)]
        met: set[asyncio.BaseTransport] = set()
        everyone = asyncio.Event()

        class Met(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                met.add(transport)
                if len(met) == waiting:
                    everyone.set()

        listener = Listener(opened, Met)
        count = 0
        while not everyone.is_set():
            await asyncio.sleep(0)  # one turn of the loop
            count += 1
        listener.close()
        await listener.wait_closed()
        for transport in met:
            transport.close()
        for client in clients:
            client.close()
        opened.close()
        return count

    assert uvloop.run(turns()) < 20


async def test_connections_are_accepted_again_after_files_ran_out(caplog: pytest.LogCaptureFixture) -> None:
    class Exhausted(socket.socket):
        left = 1

        def accept(self) -> tuple[socket.socket, Any]:
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    class Soon(Listener):
        again_seconds = 0

    made = asyncio.Event()

    class Made(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()
            made.set()

    with Exhausted() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(BACKLOG)
        listener = Soon(listening, Made)
        with socket.create_connection(listening.getsockname()):
            await made.wait()
        listener.close()
    assert "connections cannot be accepted" in caplog.text
    assert "Too many open files" in caplog.text


async def test_listener_that_waits_to_try_again_can_be_closed() -> None:
    class Full(socket.socket):
        tried = asyncio.Event()

        def accept(self) -> tuple[socket.socket, Any]:
            self.tried.set()
            raise OSError(errno.EMFILE, "Too many open files")

    with Full() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(BACKLOG)
        listener = Listener(listening, asyncio.Protocol)
        with socket.create_connection(listening.getsockname()):
            await listening.tried.wait()
            listener.close()
        assert listener._again is not None
        assert listener._again.cancelled()


async def test_connection_that_broke_leaves_no_timer() -> None:
    async with wired() as wire:
        connection = await wire.connect()
        await connection.send(fill(wire, HONEST))
        assert await connection.status() == 200
        (protocol,) = wire.connections
        timer = protocol._idle_timer
        assert timer is not None
        opened = connection.writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        connection.writer.transport.abort()
        await wire.left()
        assert timer.cancelled()


def timer_of(protocol: Http1) -> asyncio.TimerHandle | None:
    """The one that ends it when it is idle."""
    return protocol._idle_timer


async def test_timer_of_idle_connections_closes_no_other() -> None:
    async with wired() as wire:
        connection = await wire.connect()
        await connection.send(fill(wire, HONEST))
        assert await connection.status() == 200
        (protocol,) = wire.connections
        protocol._end_if_idle()  # that the connection began with: it was used since
        assert timer_of(protocol)  # set anew
        protocol._idle_since = None  # a request is under way
        protocol._end_if_idle()
        assert timer_of(protocol) is None
        assert await connection.is_open()
        assert timer_of(protocol)
        protocol.idle_seconds = 0.0  # seconds
        protocol._end_if_idle()
        await wire.left()
        await connection.close()


def test_what_the_start_has_made_is_not_searched_for_garbage() -> None:
    before = gc.get_threshold()
    try:
        settle()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() > before
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def depth() -> int:
    """How many exceptions stand behind one that is raised here and now."""
    found = -1
    try:
        int("none")
    except ValueError as raised:
        behind: BaseException | None = raised
        while behind is not None:
            behind, found = behind.__context__, found + 1
    return found


async def test_request_that_fails_while_its_client_is_slow_leaves_nothing_to_others() -> None:
    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["path"] == "/fails":
            raise LookupError(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(8_000_000)})

    async with wired(app) as wire:
        for _ in range(3):
            slow = [await wire.connect(), await wire.connect()]
            for connection in slow:
                await connection.send(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\nGET /fails HTTP/1.1\r\nHost: h\r\n\r\n")
                await asyncio.sleep(0.05)  # so that both wait at the same time
            for connection in slow:
                while await connection.reader.read(1_000_000):
                    pass
                await connection.close()
        assert await asyncio.create_task(depth()) == 0
