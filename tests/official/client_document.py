"""A client id metadata document on this machine, served over TLS as clients' makers serve theirs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509

from tests.authority import Authority


class Documents(ThreadingHTTPServer):
    """Serves one document at every path, and counts how often."""

    body = b""
    asked = 0


class Handler(BaseHTTPRequestHandler):
    server: Documents

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the standard library's name
        pass


@contextmanager
def client_document(folder: Path, redirect_uris: list[str]) -> Iterator[tuple[str, Path]]:
    """The URL of a document about a client with these redirect URIs, and the file of the authority to trust."""
    authority = Authority(folder)
    with Documents(("127.0.0.1", 0), Handler) as server:
        server.socket = authority.server(x509.DNSName("localhost")).wrap_socket(server.socket, server_side=True)
        url = f"https://localhost:{server.server_port}/client.json"
        document = {
            "client_id": url,
            "client_name": "A client with a document",
            "redirect_uris": redirect_uris,
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        }
        server.body = json.dumps(document).encode()
        thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
        thread.start()
        try:
            yield url, authority.file()
        finally:
            server.shutdown()
            thread.join()
