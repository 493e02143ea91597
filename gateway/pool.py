"""The connections to one upstream: opened when needed, kept for the next request, never more than allowed.

Many requests at once do not open as many connections at once: beyond a few, they wait for the first connection that
is opened or free, which spares the upstream's queue of connections.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import deque

from gateway.connection import Connection
from gateway.errors import UpstreamBusy, UpstreamTimeout, UpstreamUnreachable
from gateway.settings import UpstreamSettings

OPENING = 64  # connections being opened at once
NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)


class Pool:
    """Connections to one upstream, of which each serves one exchange at a time."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, settings: UpstreamSettings) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._settings = settings
        self._open: set[Connection] = set()
        self._unused: deque[Connection] = deque()  # the one used last at the right
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._reaper: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """Connections that are open or being opened."""
        return len(self._open) + self._opening

    def unused(self) -> Connection | None:
        """A connection that is open and free, if there is one."""
        while self._unused:
            connection = self._unused.pop()
            if not connection.is_stale():
                return connection
            connection.abort()
        return None

    async def acquire(self) -> Connection:
        """A connection that is free, when there is one.

        Raises:
            UpstreamBusy: as many are open, or waited for, as the settings or this process allow.
            UpstreamTimeout, UpstreamUnreachable: none can be opened.
        """
        if self._opening >= OPENING:
            connection = await self._turn()
            if connection is not None and not connection.lost:
                return connection
        if len(self) >= self._settings.max_connections:
            self._next(None)
            raise UpstreamBusy(f"{len(self)} connections to {self._host} are open")
        return await self._connect()

    async def _turn(self) -> Connection | None:
        """A connection that got free, or None where one may be opened."""
        if len(self._waiting) >= self._settings.max_connections:
            raise UpstreamBusy(f"{len(self._waiting)} requests wait for a connection to {self._host}")
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._settings.connect_seconds):
                return await turn
        except BaseException as error:
            self._decline(turn)
            if isinstance(error, TimeoutError):
                raise UpstreamTimeout(f"no connection to {self._host} got free in time") from None
            raise

    def _decline(self, turn: asyncio.Future[Connection | None]) -> None:
        """Whoever waited is gone; what it was given a moment ago is for the next."""
        if turn.cancelled():
            if turn in self._waiting:  # not if somebody was looked for in the meantime
                self._waiting.remove(turn)
        else:
            connection = turn.result()
            if connection is None:
                self._next(None)
            else:
                self.release(connection)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        settings = self._settings
        self._opening += 1
        try:
            async with asyncio.timeout(settings.connect_seconds):
                transport, connection = await loop.create_connection(  # type: ignore[type-var]  # see `Connection`
                    lambda: Connection(loop, settings.max_header_bytes, self._lost),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except TimeoutError:
            raise UpstreamTimeout(
                f"{self._host} does not take a connection within {settings.connect_seconds} s"
            ) from None
        except ssl.SSLError as error:
            raise UpstreamUnreachable(f"TLS with {self._host}: {error.reason or type(error).__name__}") from None
        except OSError as error:
            if error.errno in NO_MORE_FILES:
                raise UpstreamBusy("this process may open no more files") from None
            raise UpstreamUnreachable(f"{self._host}, port {self._port}: {error.strerror or error}") from None
        finally:
            self._opening -= 1
            self._next(None)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Give a connection back after its exchange; one in the middle of something is closed."""
        connection.busy = False
        if self._closed or not connection.free:
            connection.abort()
            return
        if self._waiting and self._next(connection):
            return
        connection.rest()
        self._unused.append(connection)
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(self._settings.keep_alive_seconds, self._reap)

    def _next(self, connection: Connection | None) -> bool:
        """Let the first who waits have a connection, or open one; false if nobody waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)

    def _reap(self) -> None:
        """Close what has been unused for too long: the upstream would soon do so, perhaps under a request."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._settings.keep_alive_seconds
        while self._unused and (self._unused[0].unused_since <= oldest or self._unused[0].lost):
            self._unused.popleft().abort()
        self._reaper = None
        if self._unused:
            wait = self._unused[0].unused_since - oldest
            self._reaper = loop.call_later(max(wait, 0.01), self._reap)

    def close(self) -> None:
        """Close every connection; exchanges under way end."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        for connection in list(self._open):
            connection.abort()
