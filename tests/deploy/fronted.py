"""What the tests of the examples put around a real proxy: the gate as a process, an MCP server, TLS and tokens."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography import x509
from starlette.types import Receive, Scope, Send

from conformance.issuer import Issuer, User
from tests.authority import Authority
from tests.deploy.laptop import ROOT
from tests.gated import CLIENT, keys

EXAMPLES = ROOT / "deploy" / "examples"
ISSUER = "https://login.example.com"
POST = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@dataclass
class McpServer:
    """An MCP server behind it all: it keeps what reaches it, and streams two events, the second when it is told to."""

    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.headers.append({name.decode(): value.decode("latin-1") for name, value in scope["headers"]})
        if scope["method"] == "GET":
            await self._stream(send)
            return
        message = await receive()
        self.bodies.append(message["body"])
        headers = [(b"content-type", b"application/json"), (b"access-control-allow-origin", b"*")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"jsonrpc":"2.0","id":1,"result":{}}'})

    async def _stream(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
        await self.release.wait()
        await send({"type": "http.response.body", "body": b"data: second\n\n"})


@cache
def issuer(resource: str) -> Issuer:
    users = [User("alice", "wonderland", groups=("admins", "a,b")), User("bob", "builder")]
    return Issuer.plain(ISSUER, users=users, resources=[resource], keys=keys().copy())


@dataclass
class Front:
    """A proxy with the gate and a server behind it, and a client in front."""

    origin: str
    client: httpx.AsyncClient
    server: McpServer
    gates: list[subprocess.Popen[bytes]]

    def token(self, user: str = "alice", scopes: Iterable[str] = ("mcp:use",), **claims: Any) -> str:
        resource = f"{self.origin}/mcp"
        return issuer(resource).token(user, CLIENT, scopes, resource, claims=claims)

    async def post(self, token: str | None = None, **headers: str) -> httpx.Response:
        given = POST | {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {"a": 1}}}
        return await self.client.post("/mcp", json=body, headers=given)


def program(name: str) -> str:
    """A program of Debian's, which `.ci/run` installs."""
    found = shutil.which(name, path=f"/usr/sbin:/usr/bin:{os.environ.get('PATH', '')}")
    assert found is not None, f"{name} is not installed: apt-get install {name}"
    return found


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A file with key and certificate for this machine, and what trusts it."""
    authority = Authority(folder)
    return authority.issued(x509.IPAddress(ipaddress.ip_address("127.0.0.1"))), authority.client()


@contextlib.asynccontextmanager
async def gate(
    folder: Path, example: str, origin: str, server: str, port: int
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """`bearergate serve` with the settings of an example, at this test's addresses."""
    folder.mkdir()  # noqa: ASYNC240 - nothing else waits
    settings = yaml.safe_load((EXAMPLES / example / "bearergate.yaml").read_text())
    (folder / "keys.json").write_text(json.dumps(issuer(f"{origin}/mcp").keys.document()))
    settings |= {"public_url": origin, "port": port, "audit_log": "audit.jsonl"}
    settings["issuers"][0] |= {"jwks_file": "keys.json"}
    settings["resources"][0]["upstream"]["url"] = f"{server}/mcp"
    if "seal_keys_file" in settings:
        (folder / "seal.keys").write_text("A" * 43 + "=\n")
        settings["seal_keys_file"] = "seal.keys"
    (folder / "bearergate.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "deploy.cli", "serve"]
    async with running(command, folder, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        await answers(f"http://127.0.0.1:{port}/healthz", process)
        yield process


@contextlib.asynccontextmanager
async def running(
    command: list[str], folder: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A process until the end of the block; what it says is in the folder."""
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=errors, stderr=errors)  # noqa: ASYNC220 - at once
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(process.wait, 20)
            finally:
                process.kill()
                process.wait()


async def answers(url: str, process: subprocess.Popen[bytes], verify: ssl.SSLContext | bool = True) -> None:
    """Wait until a server answers, whatever it answers."""
    async with httpx.AsyncClient(verify=verify) as client:
        for _ in range(400):
            assert process.poll() is None, f"{process.args!r} ended"
            try:
                await client.get(url)
            except httpx.TransportError:
                await asyncio.to_thread(process_pause)
            else:
                return
    raise AssertionError(f"{url} does not answer")


def process_pause() -> None:
    """A moment for another process to start, as long as it takes to start one of our own."""
    subprocess.run(["sleep", "0.05"], check=True)


def replaced(file: Path, **words: str) -> str:
    """An example with this test's words in place of its own; each of them is really in it."""
    text = file.read_text()
    for old, new in words.items():
        assert old in text, f"{file} has no {old!r}"
        text = text.replace(old, new)
    return text
