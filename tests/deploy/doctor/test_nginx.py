"""A healthy server behind Debian's nginx: each wrong directive is found out, and the line that mends it is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.doctor.examination import examine
from deploy.doctor.visit import Question
from tests.deploy.doctor.mutants import progress
from tests.deploy.doctor.server import Server
from tests.deploy.doctor.test_findings import ids
from tests.deploy.fronted import answers, program, running
from tests.ports import free_port
from tests.served import served

SITE = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Host $host:{port};
        {everywhere}
        location /mcp {{ proxy_pass http://127.0.0.1:{behind}; {endpoint} }}
        location / {{ proxy_pass http://127.0.0.1:{behind}; {others} }}
    }}
}}
"""
ZIPPED = "gzip on; gzip_types text/event-stream; gzip_min_length 0;"


@asynccontextmanager
async def fronted(folder: Path, **lines: str) -> AsyncIterator[Server]:
    """The server, reached through nginx with these lines."""
    port, behind = free_port(), free_port()
    server = Server(origin=f"http://127.0.0.1:{port}")
    parts = {"everywhere": "", "endpoint": "proxy_buffering off;", "others": "", **lines}
    (folder / "nginx.conf").write_text(SITE.format(folder=folder, port=port, behind=behind, **parts))
    command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    async with served(server, behind), running(command, folder) as proxy:
        await answers(f"{server.origin}/", proxy)
        yield server


@pytest.mark.parametrize(
    ("lines", "found", "mends"),
    [
        pytest.param({}, set(), "", id="nothing wrong"),
        pytest.param({"endpoint": ZIPPED}, {"buffered"}, "`proxy_buffering off;` and `gzip off;`", id="compression"),
        pytest.param(
            {"endpoint": "proxy_buffering off; proxy_hide_header WWW-Authenticate;"},
            {"challenge-missing"},
            "`proxy_hide_header WWW-Authenticate;`",
            id="challenge taken away",
        ),
        pytest.param(
            {"everywhere": r"location ~ /\. { deny all; }"},
            {"metadata-unreachable", "root-wrong", "metadata-missing"},
            "`location /.well-known/oauth-protected-resource",
            id="hidden files denied",
        ),
        pytest.param(
            {"endpoint": "proxy_buffering off; limit_except POST { deny all; }"},
            {"get", "preflight"},
            "limit_except",
            id="other methods denied",
        ),
    ],
)
async def test_line_of_nginx_is_named(tmp_path: Path, lines: dict[str, str], found: set[str], mends: str) -> None:
    async with fronted(tmp_path, **lines) as server:
        asked = progress(0.3, 0.3)(server) or {}
        visit = await examine(Question(server.url, origin="https://app.example.com", patience=5.0, **asked))
        assert visit.front is not None
        assert visit.front.name == "nginx"
        assert ids(visit) == found
        assert any(mends in finding.change for finding in visit.findings.found) or not found
