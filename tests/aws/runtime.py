"""The Lambda service around a function: the Runtime API on loopback, and instances that ask it for work.

An instance has one invocation at a time, so whoever calls while all of them are busy gets another one started, as at
AWS. Answers come in one piece (awslambdaric) or in chunks with trailers (`deploy.aws_streaming`).
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 29.0  # the function's timeout, as the template has it
PATIENCE = 60  # seconds; longest wait for anything
MAX_PAYLOAD = 6 * 1024 * 1024  # bytes of a buffered event or answer, as JSON
BASE = "/2018-06-01/runtime"
END = None  # of an answer


class FunctionError(Exception):
    """What the function answered with its error: the runtime's description of it."""


@dataclass
class Invocation:
    """One event, and what has come of it so far."""

    event: Any
    deadline: float  # seconds since the epoch
    gone_after: int | None = None  # chunks after which nobody takes more
    taken_when: threading.Event | None = None  # set, for a streamed answer that is not taken at once
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    gone: threading.Event = field(default_factory=threading.Event)  # nobody takes what comes
    chunks: queue.Queue[bytes | None] = field(default_factory=queue.Queue)
    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    error: Any = None
    broken_off: bool = False  # a streamed answer that the instance has given up

    def chunk(self) -> bytes | None:
        """The next piece of the answer, or its end; raises `queue.Empty` where none comes."""
        return self.chunks.get(timeout=PATIENCE)

    def everything(self) -> bytes:
        """The answer, once it has ended."""
        made = b""
        while (chunk := self.chunk()) is not END:
            made += chunk
        return made

    def whole(self) -> tuple[dict[str, Any], bytes]:
        """Prelude and body of a streamed answer that has ended."""
        prelude, _, body = self.everything().partition(bytes(8))
        return json.loads(prelude), body


class RuntimeApi(ThreadingHTTPServer):
    """Hands events to instances and takes their answers (Lambda runtime API, 2018-06-01)."""

    daemon_threads = True

    def __init__(self, seconds: float = SECONDS) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seconds = seconds  # for one invocation
        self.waiting: queue.Queue[Invocation | None] = queue.Queue()
        self.under_way: dict[str, Invocation] = {}
        self.busy = 0  # invocations that have not ended
        self.failed_start: Any = None
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def open(self, event: Any, seconds: float | None = None, **taking: Any) -> Invocation:
        """An event on its way to an instance; `taking` is how its answer is taken, by the names of an invocation."""
        made = Invocation(event, time.time() + (self.seconds if seconds is None else seconds), **taking)
        with self._lock:
            self.busy += 1
            self.be_ready()
        self.waiting.put(made)
        return made

    def be_ready(self) -> None:
        """See to it that somebody takes what waits."""

    def ended(self, made: Invocation) -> None:
        """Let who waits for the answer know that it has ended."""
        with self._lock:
            self.busy -= 1
        made.chunks.put(END)

    def invoke(self, event: Any, seconds: float | None = None) -> Any:
        """The answer to an event; raises `FunctionError` where the function fails."""
        made = self.open(event, seconds)
        answer = made.everything()
        if made.error is not None:
            raise FunctionError(made.error)
        return json.loads(answer)


class Handler(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out apart

    def do_GET(self) -> None:
        made = self.server.waiting.get()
        if made is None:
            self.empty(410)  # the runtime leaves
            return
        self.server.under_way[made.id] = made
        body = json.dumps(made.event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", made.id)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(made.deadline * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:gate")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        if self.path == f"{BASE}/init/error":
            self.server.failed_start = json.loads(self.body())
            self.empty(202)
            return
        made = self.server.under_way.pop(self.path.split("/")[-2])
        if self.path.endswith("/error"):
            made.error = json.loads(self.body())
        elif "Transfer-Encoding" in self.headers:
            try:
                self.take(made)
            except (OSError, ValueError):
                made.broken_off = self.close_connection = True
        elif int(self.headers["Content-Length"]) > MAX_PAYLOAD:
            self.body()
            made.error = {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded",
            }
        else:
            made.chunks.put(self.body())
        self.server.ended(made)
        if not made.broken_off:
            self.empty(202)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def take(self, made: Invocation) -> None:
        """Chunks as they come, and the trailers, until nobody wants them."""
        made.headers = {name.lower(): value for name, value in self.headers.items()}
        taken = 0
        if made.taken_when is not None:
            made.taken_when.wait(PATIENCE)
        while size := int(self.rfile.readline(), 16):
            made.chunks.put(self.rfile.read(size))
            self.rfile.readline()
            taken += 1
            if made.gone.is_set() or taken == made.gone_after:
                self.close_connection = True
                return
        while line := self.rfile.readline().strip():
            name, _, value = line.decode().partition(": ")
            made.trailers[name.lower()] = value

    def empty(self, status: int) -> None:
        self.close_connection = self.close_connection or status == 410
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the standard library's name
        pass


@contextlib.contextmanager
def runtime_api() -> Iterator[RuntimeApi]:
    """A Runtime API on loopback, until the end of the block."""
    with RuntimeApi() as api, serving(api):
        yield api


@contextlib.contextmanager
def serving(api: RuntimeApi) -> Iterator[None]:
    """The API answers, until the end of the block."""
    thread = threading.Thread(target=api.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield
    finally:
        api.shutdown()
        thread.join()
