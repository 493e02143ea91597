"""A front that reads messages the naive way: the first Content-Length counts, whatever else the head says."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
from collections.abc import Iterator

import httpx

from tests.conformance.judge.correct import HOP

_LENGTH = re.compile(rb"content-length\s*:\s*\+?(\d+)", re.IGNORECASE)


class Front(socketserver.ThreadingTCPServer):
    """Passes every message that it thinks it reads on to the origin."""

    daemon_threads = True
    allow_reuse_address = True
    origin = ""


class Connection(socketserver.StreamRequestHandler):
    """One connection, message by message."""

    def handle(self) -> None:
        while head := self.head():
            lines = head.decode("latin-1").split("\r\n")
            method, path, _ = (*lines[0].split(" "), "", "")[:3]
            found = _LENGTH.search(head)
            body = self.rfile.read(int(found[1])) if found else b""
            fields = [tuple(line.split(":", 1)) for line in lines[1:] if ":" in line and line[0] not in " \t"]
            self.pass_on(method, path, [(n.strip(), v.strip()) for n, v in fields], body)

    def head(self) -> bytes:
        """A head, up to the blank line; nothing at the end of the connection."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline(65_536)
            if not line:
                return b""
            head += line if head or line.strip() else b""
        return head

    def pass_on(self, method: str, path: str, fields: list[tuple[str, str]], body: bytes) -> None:
        """One message to the origin, and the answer back."""
        assert isinstance(self.server, Front)
        kept = [(n, v) for n, v in fields if n.lower() not in HOP or n.lower() == "host"]
        with httpx.Client(timeout=10) as client:
            said = client.request(method, self.server.origin + path, headers=kept, content=body)
        head = "".join(f"{n}: {v}\r\n" for n, v in said.headers.items() if n.lower() not in HOP)
        start = f"HTTP/1.1 {said.status_code} X\r\n{head}content-length: {len(said.content)}\r\n\r\n"
        with contextlib.suppress(OSError):
            self.wfile.write(start.encode() + said.content)


@contextlib.contextmanager
def naive_front(port: int, origin: str) -> Iterator[None]:
    """The front at a port of 127.0.0.1, until the end of the block."""
    with Front(("127.0.0.1", port), Connection) as server:
        server.origin = origin
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
