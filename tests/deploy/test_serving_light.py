"""A front before an upstream loads what it uses and nothing else: that is its start and most of its memory.

Not timed: Python itself says what is imported.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml
from starlette.types import Receive, Scope, Send

from conformance.issuer import Issuer, User
from tests.deploy.laptop import ROOT
from tests.gated import keys
from tests.ports import free_port
from tests.served import served

# Other clients and servers, what only tools, a facade or a policy needs, and the parts of ours that need them.
NEVER = {
    *("httpx", "httpcore", "h11", "anyio._backends", "certifi", "idna", "requests", "urllib3", "urllib.request"),
    *("mcp", "pydantic", "pydantic_core", "boto3", "limits", "cedarpy", "authlib", "importlib.metadata"),
    *("click", "rich", "typer", "multiprocessing", "watchfiles", "uvicorn.main", "uvicorn.supervisors", "difflib"),
    *("joserfc", "cryptography.x509", "cryptography.hazmat.primitives.serialization"),
    *("tools", "client", "conformance", "gateway.facade.routes", "gateway.cedar", "gateway.identity"),
    *("gateway.metrics", "prometheus_client"),
}
NOT_BEFORE_A_TOKEN = {"cryptography", "gateway.signature", "gateway.session_key"}


async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
    """An MCP server, as far as a front can tell; its sessions have to be sealed."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    await receive()
    headers = [(b"content-type", b"application/json"), (b"mcp-session-id", b"one")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"jsonrpc":"2.0","id":1,"result":{}}'})


class Front:
    """A front as a process, which tells what it imports."""

    def __init__(self, folder: Path, port: int, issuer: str) -> None:
        self.folder = folder
        self.origin = f"http://127.0.0.1:{port}"
        self.behind = free_port()
        behind = {"path": "/mcp", "scopes": ["mcp:use"], "upstream": {"url": f"http://127.0.0.1:{self.behind}/mcp"}}
        settings = {
            "public_url": self.origin,
            "port": port,
            "issuers": [{"issuer": issuer, "token_type": "at+jwt"}],
            "resources": [behind],
            "private_hosts": ["127.0.0.1"],
            "audit_log": "audit.jsonl",
        }
        (folder / "bearergate.yaml").write_text(yaml.safe_dump(settings))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Until the end of the block."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        with (
            (self.folder / "stderr").open("wb") as errors,
            subprocess.Popen(
                [sys.executable, "-X", "importtime", "-m", "deploy.cli", "serve"],
                cwd=self.folder,
                env=environment | {"PYTHONPATH": str(ROOT)},
                stderr=errors,
            ) as process,
        ):
            try:
                yield
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0
            finally:
                process.kill()

    async def asked(self, token: str) -> httpx.Response:
        """What a call gets, as soon as somebody listens."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        async with httpx.AsyncClient() as http, asyncio.timeout(20):
            while True:
                try:
                    return await http.post(f"{self.origin}/mcp", json=call, headers=headers)
                except httpx.ConnectError:
                    await asyncio.sleep(0.02)

    def loaded(self, names: set[str]) -> set[str]:
        """Which of these modules, or of what is in them, it has imported."""
        lines = (self.folder / "stderr").read_text().splitlines()
        imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
        assert {"gateway.app", "gateway.upstream", "deploy.server", "uvicorn.server"} <= imported
        return {module for module in imported for name in names if f"{module}.".startswith(f"{name}.")}


async def test_front_that_refuses_has_loaded_nothing_it_does_not_need(tmp_path: Path) -> None:
    front = Front(tmp_path, free_port(), f"http://127.0.0.1:{free_port()}")
    with front.running():
        assert (await front.asked("")).status_code == 401
    assert front.loaded(NEVER | NOT_BEFORE_A_TOKEN) == set()


async def test_front_that_has_proxied_has_loaded_nothing_it_does_not_need(tmp_path: Path) -> None:
    port, issuing = free_port(), free_port()
    issuer = Issuer.plain(
        f"http://127.0.0.1:{issuing}",
        users=[User("alice", "wonderland")],
        resources=[f"http://127.0.0.1:{port}/mcp"],
        keys=keys().copy(),
    )
    front = Front(tmp_path, port, issuer.url)
    async with served(issuer.app, issuing), served(upstream, front.behind):
        with front.running():
            answer = await front.asked(issuer.token("alice", "client", ["mcp:use"], f"{front.origin}/mcp"))
            assert answer.status_code == 200
            assert answer.headers["mcp-session-id"] != "one"
    assert front.loaded(NOT_BEFORE_A_TOKEN) >= NOT_BEFORE_A_TOKEN, "what is loaded is really looked at"
    assert front.loaded(NEVER) == set()
