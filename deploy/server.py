"""Runs an app on sockets: uvicorn with uvloop and httptools, and an end that loses no answer."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from starlette.types import ASGIApp, Receive, Scope, Send

from deploy import bare_uvicorn as uvicorn
from deploy.ending import end_well_at_hangup
from deploy.open_files import allow_open_files

BACKLOG = 4096  # connections that may wait to be accepted
KEEP_ALIVE_SECONDS = 75  # longer than load balancers keep theirs, so that it is they who close
# A thousand requests under way are 60,000 objects, which to look through for garbage was a fifth of what they cost.
GARBAGE = (200_000, 20, 50)  # objects made before it is looked for, and how much more rarely among older ones
ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # this machine has no such address

log = logging.getLogger("bearergate")


class CannotListen(Exception):
    """The address cannot be listened on; the text says what to do."""


def listen(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Sockets that listen on one port of every host that this machine has; port 0 finds a free one.

    Raises:
        CannotListen: the port is taken, or not for everyone, or no host is an address of this machine.
    """
    sockets: list[socket.socket] = []
    for host in hosts:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sockets.append(socket.create_server((host, port), family=family, backlog=BACKLOG))
            # Accepted connections inherit it; asyncio's own loop would leave answers waiting 40 ms for an ACK.
            sockets[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            if error.errno in ABSENT and (sockets or host != hosts[-1]):
                continue  # a machine without IPv6 still has the other loopback address
            for opened in sockets:
                opened.close()
            raise CannotListen(_sentence(host, port, error)) from None
        port = sockets[0].getsockname()[1]
    return sockets


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use: stop what listens there, or choose another port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this process has: choose one above 1023."
    reason = str(error.strerror).partition(" (while")[0]  # what create_server adds repeats the address
    return f"Cannot listen on {host}, port {port} ({reason}): choose an address of this machine."


class ByPort:
    """Several apps in one server: what comes in at one of these ports is for the app there."""

    def __init__(self, app: ASGIApp, others: Mapping[int, ASGIApp]) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by the port the connection came in at; the lifespan is the first app's."""
        server = scope.get("server")
        await (self._others.get(server[1], self._app) if server else self._app)(scope, receive, send)


class Listener:
    """Accepts all who wait at once. uvloop takes one in a turn: under load, the last of many waits for seconds."""

    again_seconds: float = 1  # after the operating system would not give a connection

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = listening
        self._protocol = protocol
        self._begun: set[asyncio.Task[object]] = set()
        self._again: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._start()

    def _start(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait(error)
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, accepted))
            self._begun.add(task)
            task.add_done_callback(self._begun.discard)

    def _wait(self, error: OSError) -> None:
        """Nothing can be accepted now, mostly as too many files are open; those who wait stay in the queue."""
        log.error("connections cannot be accepted, next try in %g s: %s", self.again_seconds, error.strerror)
        self._loop.remove_reader(self._socket)
        self._again = self._loop.call_later(self.again_seconds, self._start)

    def close(self) -> None:
        """Accept no more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket)

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""


def settle() -> None:
    """Leave what the start has made out of garbage collection, and let it run less: requests leave hardly any."""
    gc.freeze()
    gc.set_threshold(*GARBAGE)


class Server(uvicorn.Server):
    """A uvicorn server that takes every connection at once, and when told to stop first ends streams without end."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then accept connections."""
        if sys.platform == "win32":  # whose loop accepts in its own way
            await super().startup(sockets)
            return
        await super().startup(sockets=[])
        self.servers = [Listener(opened, self._protocol) for opened in sockets or []]  # type: ignore[misc]

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn calls it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and let every request under way finish."""
        self._drain()
        await super().shutdown(sockets)


def configuration(app: ASGIApp, drain_seconds: int) -> uvicorn.Config:
    """How uvicorn serves the gate: nothing that it would believe, log or say about a request without being asked."""
    return uvicorn.Config(
        app,
        http="auto" if sys.platform == "win32" else "deploy.http1:Http1",  # no httptools on Windows
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # nothing that a request says decides who the caller is or what the public URL is
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,
    )


def run(app: ASGIApp, sockets: list[socket.socket], *, drain: Callable[[], None], drain_seconds: int) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; requests under way then get `drain_seconds` to finish."""
    settle()
    allow_open_files()
    signal.signal(signal.SIGTERM, _exit)  # uvicorn raises the signal again when all is done
    end_well_at_hangup()
    with contextlib.suppress(KeyboardInterrupt):
        Server(configuration(app, drain_seconds), drain).run(sockets)


def _exit(_: int, __: FrameType | None) -> None:
    sys.exit(0)
