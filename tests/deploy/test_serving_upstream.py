"""`bearergate serve` before a real server of its own process: SIGTERM under load loses no answer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from conformance.issuer import Issuer, User
from tests.deploy.laptop import ROOT
from tests.gated import keys
from tests.ports import free_port
from tests.served import served

ASKING, ENOUGH = 20, 100
SLOW = """
import asyncio, uvicorn

async def app(scope, receive, send):
    message = await receive()
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await asyncio.sleep(0.05)  # so that every moment finds requests under way
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    for part in (b'{"answered":', b"true}", b""):
        await send({"type": "http.response.body", "body": part, "more_body": part != b""})
        await asyncio.sleep(0.01)

uvicorn.run(app, port=PORT, log_level="error")
"""


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Python, until the end of the block."""
    with subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def listening(port: int) -> None:
    """Wait until somebody listens at the port."""
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens on port {port}")


async def test_stopping_under_load_loses_no_answer_of_an_upstream(tmp_path: Path) -> None:
    port, behind, issuing = free_port(), free_port(), free_port()
    origin, audit = f"http://127.0.0.1:{port}", tmp_path / "audit.jsonl"
    issuer = Issuer.plain(
        f"http://127.0.0.1:{issuing}",
        users=[User("alice", "wonderland")],
        resources=[f"{origin}/mcp"],
        keys=keys().copy(),
    )
    settings = {
        "public_url": origin,
        "port": port,
        "issuers": [{"issuer": issuer.url, "token_type": "at+jwt"}],
        "resources": [{"path": "/mcp", "scopes": ["mcp:use"], "upstream": {"url": f"http://127.0.0.1:{behind}/mcp"}}],
        "private_hosts": ["127.0.0.1"],
        "audit_log": str(audit),
    }
    (tmp_path / "bearergate.yaml").write_text(yaml.safe_dump(settings))
    token = issuer.token("alice", "client", ["mcp:use"], f"{origin}/mcp")
    answered, busy = 0, asyncio.Event()

    async def keep_asking(http: httpx.AsyncClient) -> None:
        nonlocal answered
        while True:
            try:
                answer = await http.post(f"{origin}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
            except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
                return  # what was not let through may find the door closed; the audit log says what was
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"answered": True}
            answered += 1
            if answered >= ENOUGH:
                busy.set()

    with (
        running(["-c", SLOW.replace("PORT", str(behind))], tmp_path),
        running(["-m", "deploy.cli", "serve"], tmp_path) as gate,
    ):
        async with (
            served(issuer.app, issuing),
            httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=20) as http,
        ):
            await listening(behind)
            await listening(port)
            asking = [asyncio.create_task(keep_asking(http)) for _ in range(ASKING)]
            async with asyncio.timeout(30):
                await busy.wait()
                gate.send_signal(signal.SIGTERM)
                await asyncio.gather(*asking)
                assert await asyncio.to_thread(gate.wait, 20) == 0
    decisions = [json.loads(line)["decision"] for line in audit.read_text().splitlines()]
    assert decisions == ["allowed"] * answered, "every request that was let through was answered"
