"""The Runtime API as a streaming runtime meets it: takes answers in chunks as they come, with their trailers."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 20  # longest wait for anything


@dataclass
class Streamed:
    """One invocation and what has come of it so far; the end of an answer is `None`."""

    event: Any
    deadline: float  # seconds since the epoch
    gone_after: int | None = None  # chunks after which nobody takes more
    chunks: queue.Queue[bytes | None] = field(default_factory=queue.Queue)
    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    error: Any = None

    def chunk(self) -> bytes | None:
        return self.chunks.get(timeout=SECONDS)

    def whole(self) -> tuple[dict[str, Any], bytes]:
        """Prelude and body of an answer that has ended."""
        made = b""
        while (chunk := self.chunk()) is not None:
            made += chunk
        prelude, _, body = made.partition(bytes(8))
        return json.loads(prelude), body


class StreamingApi(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.waiting: queue.Queue[Streamed | None] = queue.Queue()
        self.under_way: dict[str, Streamed] = {}
        self.failed_start: Any = None

    def invoke(self, event: Any, seconds: float = SECONDS, gone_after: int | None = None) -> Streamed:
        made = Streamed(event, time.time() + seconds, gone_after)
        self.waiting.put(made)
        return made


class Handler(BaseHTTPRequestHandler):
    server: StreamingApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        made = self.server.waiting.get()
        if made is None:
            self.empty(410)
            return
        name = str(len(self.server.under_way))
        self.server.under_way[name] = made
        body = json.dumps(made.event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", name)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(made.deadline * 1000)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        if self.path.endswith("/error"):
            error = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/init/error"):
                self.server.failed_start = error
            else:
                made = self.server.under_way[self.path.split("/")[-2]]
                made.error = error
                made.chunks.put(None)
        else:
            self.take(self.server.under_way[self.path.split("/")[-2]])
        self.empty(202)

    def take(self, made: Streamed) -> None:
        made.headers = {name.lower(): value for name, value in self.headers.items()}
        taken = 0
        while size := int(self.rfile.readline(), 16):
            made.chunks.put(self.rfile.read(size))
            self.rfile.readline()
            taken += 1
            if taken == made.gone_after:
                break
        else:
            while line := self.rfile.readline().strip():
                name, _, value = line.decode().partition(": ")
                made.trailers[name.lower()] = value
        made.chunks.put(None)

    def empty(self, status: int) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the standard library's name
        pass


@contextmanager
def streaming_api() -> Iterator[StreamingApi]:
    """A Runtime API on loopback, until the end of the block."""
    with StreamingApi() as api:
        thread = threading.Thread(target=api.serve_forever, args=[0.02], daemon=True)
        thread.start()
        yield api
        api.shutdown()
        thread.join()
