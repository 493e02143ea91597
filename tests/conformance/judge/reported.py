"""A server with a login, judged by the command line as a person would type it, and the reports that are written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conformance.command import main
from conformance.issuer import Client
from conformance.serving import serving
from tests.conformance.judge.correct import Protected
from tests.conformance.judge.judged import quiet
from tests.conformance.judge.login_server import LoginServer
from tests.ports import free_port

KINDS = ("json", "junit", "sarif", "html")


@contextmanager
def target(*faults: str, client: Client | None = None, methods: Sequence[str] = ()) -> Iterator[str]:
    """The URL of a server with faults and a login; `client` is known there, and shows its secret by `methods`."""
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    app = Protected(f"{own}/mcp", own, *faults, servers=(own,))
    app.beside = LoginServer(own, f"{own}/mcp", *faults, client=client, methods=methods)
    with quiet(), serving(app, port, lifespan=True):
        yield f"{own}/mcp"


def run(url: str, folder: Path, *more: str) -> tuple[int, dict[str, str]]:
    """The exit status, and the reports by kind."""
    files = {kind: folder / f"report.{kind}" for kind in KINDS}
    options = [part for kind, file in files.items() for part in (f"--{kind}", str(file))]
    status = main([url, *options, *more])
    return status, {kind: file.read_text("utf-8") for kind, file in files.items() if file.exists()}


def report_of(url: str, folder: Path, *more: str, status: int = 0) -> dict[str, Any]:
    """The JSON report, after a run that ended with this status."""
    ended, said = run(url, folder, *more)
    told: dict[str, Any] = json.loads(said["json"])
    assert ended == status, told
    return told
