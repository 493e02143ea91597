"""How connections are taken, kept and let go, and how an answer leaves."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import struct
from typing import Any

import pytest
import uvloop

from deploy.limits import JoinedWrites, LimitedProtocol
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


class Known(LimitedProtocol):
    """One that the test can look at."""

    met: list[Known]
    ended: asyncio.Event

    @property
    def has_timer(self) -> bool:
        return self.timeout_keep_alive_task is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.met.append(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.ended.set()


def known() -> type[Known]:
    """A class of its own for each test."""
    return type("Mine", (Known,), {"met": [], "ended": asyncio.Event()})


async def test_connection_that_broke_leaves_no_timer() -> None:
    mine = known()
    async with wired(protocol=mine) as wire:
        connection = await wire.connect()
        await connection.send(fill(wire, HONEST))
        assert await connection.status() == 200
        (protocol,) = mine.met
        timer = protocol.timeout_keep_alive_task
        assert timer is not None
        opened = connection.writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        connection.writer.transport.abort()
        await mine.ended.wait()
        assert timer.cancelled()


async def test_timer_of_idle_connections_closes_no_other() -> None:
    mine = known()
    async with wired(protocol=mine) as wire:
        connection = await wire.connect()
        await connection.send(fill(wire, HONEST))
        assert await connection.status() == 200
        (protocol,) = mine.met
        protocol.timeout_keep_alive_handler()  # that the connection began with: it was used since
        assert protocol.has_timer  # set anew
        protocol._unset_keepalive_if_required()  # a request is under way
        protocol.timeout_keep_alive_handler()
        assert protocol.timeout_keep_alive_task is None
        assert await connection.is_open()
        assert protocol.has_timer
        protocol.timeout_keep_alive = 0  # seconds
        protocol.timeout_keep_alive_handler()
        await mine.ended.wait()
        await connection.close()


class Sink(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


async def test_head_and_body_leave_in_one_write() -> None:
    sink = Sink()
    joined = JoinedWrites(sink, asyncio.get_running_loop())
    joined.write(HEAD)
    joined.write(b"body")
    joined.write(b"more")
    await asyncio.sleep(0)  # one turn of the loop
    assert sink.written == [HEAD + b"body", b"more"]


async def test_head_without_body_leaves_with_the_turn() -> None:
    sink = Sink()
    joined = JoinedWrites(sink, asyncio.get_running_loop())
    joined.write(HEAD)
    assert not sink.written
    await asyncio.sleep(0)  # one turn of the loop
    assert sink.written == [HEAD]


async def test_head_leaves_before_the_connection_closes() -> None:
    sink = Sink()
    joined = JoinedWrites(sink, asyncio.get_running_loop())
    joined.write(HEAD)
    joined.close()
    assert sink.written == [HEAD]
    assert joined.is_closing()


async def test_interim_answer_waits_for_nothing() -> None:
    sink = Sink()
    JoinedWrites(sink, asyncio.get_running_loop()).write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert sink.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_what_the_start_has_made_is_not_searched_for_garbage() -> None:
    before = gc.get_threshold()
    try:
        settle()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() > before
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
