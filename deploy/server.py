"""Runs an app on sockets: uvicorn with uvloop and httptools, and an end that loses no answer."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

BACKLOG = 4096  # connections that may wait to be accepted
KEEP_ALIVE_SECONDS = 75  # longer than load balancers keep theirs, so that it is they who close
ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # this machine has no such address


class CannotListenError(Exception):
    """The address cannot be listened on; the text says what to do."""


def listen(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Sockets that listen on one port of every host that this machine has; port 0 finds a free one.

    Raises:
        CannotListenError: the port is taken, or not for everyone, or no host is an address of this machine.
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
            raise CannotListenError(_sentence(host, port, error)) from None
        port = sockets[0].getsockname()[1]
    return sockets


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use: stop what listens there, or choose another port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this process has: choose one above 1023."
    reason = str(error.strerror).partition(" (while")[0]  # what create_server adds repeats the address
    return f"Cannot listen on {host}, port {port} ({reason}): choose an address of this machine."


class Server(uvicorn.Server):
    """A uvicorn server that, told to stop, first ends the streams that would wait for ever."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and let every request under way finish."""
        self._drain()
        await super().shutdown(sockets)


def configuration(app: ASGIApp, drain_seconds: int) -> uvicorn.Config:
    """How uvicorn serves the gate: nothing that it would believe, log or say about a request without being asked."""
    return uvicorn.Config(
        app,
        http="auto" if sys.platform == "win32" else "deploy.limits:LimitedProtocol",  # no httptools on Windows
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
    """Serve until SIGTERM or SIGINT; requests under way then get `drain_seconds` to finish."""
    signal.signal(signal.SIGTERM, _exit)  # uvicorn raises the signal again when all is done
    with contextlib.suppress(KeyboardInterrupt):
        Server(configuration(app, drain_seconds), drain).run(sockets)


def _exit(_: int, __: FrameType | None) -> None:
    sys.exit(0)
