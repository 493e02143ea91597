"""The Lambda service around one instance: the Runtime API on loopback, and before it the runtime that AWS ships."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.deploy.laptop import ROOT

SECONDS = 30  # for one invocation, and for a start
BASE = "/2018-06-01/runtime"


class FunctionError(Exception):
    """What the function answered with its error: the runtime's description of it."""


@dataclass
class Invocation:
    """One event under way."""

    event: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None
    error: Any = None


class RuntimeApi(ThreadingHTTPServer):
    """Hands events to the instance one at a time, and takes its answers (Lambda runtime API, 2018-06-01)."""

    daemon_threads = True
    process: subprocess.Popen[bytes]  # the instance

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.waiting: queue.Queue[Invocation | None] = queue.Queue()
        self.under_way: dict[str, Invocation] = {}
        self.failed_start: Any = None

    def invoke(self, event: dict[str, Any]) -> Any:
        """The answer to an event; raises `FunctionError` where the function fails."""
        invocation = Invocation(event)
        self.under_way[invocation.id] = invocation
        self.waiting.put(invocation)
        assert invocation.done.wait(SECONDS), f"the function did not answer: {self.failed_start}"
        if invocation.error is not None:
            raise FunctionError(invocation.error)
        return invocation.answer


class Handler(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        invocation = self.server.waiting.get()
        if invocation is None:
            self.send_response(500)  # the runtime leaves
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = json.dumps(invocation.event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", invocation.id)
        self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:gate")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        if self.path == f"{BASE}/init/error":
            self.server.failed_start = body
        else:
            _, kind = self.path.removeprefix(f"{BASE}/invocation/").split("/")
            invocation = self.server.under_way.pop(self.path.split("/")[-2])
            invocation.answer, invocation.error = (body, None) if kind == "response" else (None, body)
            invocation.done.set()
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the standard library's name
        pass


@contextlib.contextmanager
def function(folder: Path, variables: Mapping[str, str]) -> Iterator[RuntimeApi]:
    """An instance of the function in a folder, under awslambdaric, until the end of the block."""
    with RuntimeApi() as api:
        thread = threading.Thread(target=api.serve_forever, args=[0.05], daemon=True)
        thread.start()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BEARERGATE_")}
        environment |= {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "gate",
            "PYTHONPATH": str(ROOT),
            **variables,
        }
        command = [sys.executable, "-m", "awslambdaric", "deploy.aws_lambda.handler"]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
        ):
            api.process = process
            try:
                yield api
            finally:
                api.waiting.put(None)  # no next invocation: the runtime leaves, where a signal would wait for one
                try:
                    process.wait(10)
                finally:
                    process.kill()
                api.shutdown()
                thread.join()
