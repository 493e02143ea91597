"""An S3 that answers with errors, on loopback: what moto does not do by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>arn:aws:iam::123456789012:user/secret</Message></Error>"


@dataclass
class Faulty:
    """What it answers, and what it was asked."""

    endpoint: str = ""
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def refuse(self, status: int, code: str) -> None:
        """Answer everything with this error."""
        self.status, self.body = status, ERROR.format(code)


@contextmanager
def faulty() -> Iterator[Faulty]:
    """Such an S3, until the end of the block."""
    state = Faulty()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # so that it says 100 Continue

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            state.asked.append(f"{self.command} {self.path}")
            if not state.status:  # the connection ends without a word
                self.close_connection = True
                return
            body = state.body.encode()
            self.send_response(state.status)
            for name, value in ({"content-length": str(len(body))} | state.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815 - names that the library calls

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
