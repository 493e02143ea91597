"""An app on a socket, in a thread of its own: the issuer and the upstream that the suite plays."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp


class CannotListen(Exception):
    """The port is taken; the text says what to do."""


@contextmanager
def serving(app: ASGIApp, port: int = 0, host: str = "127.0.0.1", *, lifespan: bool = False) -> Iterator[int]:
    """The port at which the app answers, until the end of the block; 0 finds a free one.

    Raises:
        CannotListen: somebody else listens there, or the address is none of this machine.
    """
    try:
        sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise CannotListen(f"Port {port} of {host} cannot be used ({error.strerror}): choose another one.") from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="on" if lifespan else "off",
        ws="none",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise CannotListen("The app that the suite serves did not start.")
        thread.join(0.005)
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(5)
        sock.close()
