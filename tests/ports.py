"""Ports for servers that have to be told one before they listen."""

from __future__ import annotations

import contextlib
import random
import socket

# Below those that the system gives to connections, one of which could take the port before the server does.
FIRST, LAST = 15_000, 32_000

_ports = iter(random.sample(range(FIRST, LAST), LAST - FIRST))  # none twice: tests that run side by side ask too


def free_port() -> int:
    """A port that nobody listens on, at least a moment ago."""
    for port in _ports:
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("every port has been given away")
