"""A load that costs little itself: `python -m tests.benchmarks.load PORT CONNECTIONS REQUESTS TOKENS`.

Each connection sends a request when the one before is answered. It prints one line of JSON: seconds in all, and the
median, 99th percentile and worst of the answers in milliseconds. TOKENS is a file with one token a line.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from itertools import cycle
from pathlib import Path

from tests.benchmarks.workload import BODY

ANSWER = b"Hello, Ada!"


def requests(tokens: list[str]) -> list[bytes]:
    """A tool call with each of the tokens, as the SDK's client sends one."""
    return [
        b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nAccept: application/json, text/event-stream\r\n"
        b"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUser-Agent: python-httpx/0.28.1\r\n"
        b"MCP-Protocol-Version: 2025-11-25\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\nAuthorization: Bearer %b\r\n\r\n%b"
        % (len(BODY), token.encode(), BODY)
        for token in tokens
    ]


def run(port: int, connections: int, count: int, tokens: list[str]) -> dict[str, float]:
    """What came of `count` requests over so many connections."""
    sent = cycle(requests(tokens))
    poll = select.epoll()
    opened: dict[int, tuple[socket.socket, float]] = {}
    started = time.perf_counter()
    for _ in range(connections):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(client, select.EPOLLIN)
        client.sendall(next(sent))
        opened[client.fileno()] = client, time.perf_counter()
    took: list[float] = []
    begun = connections
    while len(took) < count:
        for number, _ in poll.poll():
            client, since = opened[number]
            data = client.recv(65536)
            while not data.endswith(b"}}") and data.startswith(b"HTTP/1.1 200"):
                data += client.recv(65536) or b"}}"  # head and body came apart; nothing more comes after an end
            if not data.startswith(b"HTTP/1.1 200") or ANSWER not in data:
                raise SystemExit(f"not the answer: {data[:300]!r}")
            now = time.perf_counter()
            took.append(now - since)
            if begun < count:
                begun += 1
                client.sendall(next(sent))
                opened[number] = client, now
    seconds = time.perf_counter() - started
    took.sort()
    return {
        "seconds": seconds,
        "median": took[len(took) // 2] * 1e3,
        "p99": took[len(took) * 99 // 100] * 1e3,
        "worst": took[-1] * 1e3,
    }


if __name__ == "__main__":
    port, connections, count, file = sys.argv[1:]
    print(json.dumps(run(int(port), int(connections), int(count), Path(file).read_text().split())))
