"""Ports for servers that have to be told one before they listen."""

from __future__ import annotations

import random
import socket

# Below those that the system gives to connections, one of which could take the port before the server does.
FIRST, LAST = 15_000, 32_000


def free_port() -> int:
    """A port that nobody listens on, at least a moment ago."""
    while True:
        port = random.randrange(FIRST, LAST)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
