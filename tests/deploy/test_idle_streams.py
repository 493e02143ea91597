"""Ten thousand event streams that nobody says anything on are held by one process, and cost the others nothing."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from conformance.issuer import Issuer, User
from tests.deploy.fronted import running
from tests.deploy.laptop import ROOT
from tests.deploy.test_serving import answers
from tests.deploy.test_serving_upstream import listening
from tests.gated import keys
from tests.ports import free_port

STREAMS = 10_000
OWN = 150  # of them, of the gate's own tools: each is one open file of the gate, and one of an upstream is two
FILES = 2 * (STREAMS - OWN) + OWN + 150  # some for all else
AT_ONCE = 100  # that are being opened
SECONDS = 110

LISTEN = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "subscriptions/listen",
    "params": {
        "notifications": {"toolsListChanged": True},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}
MODERN = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "subscriptions/listen",
}


@pytest.fixture
def files() -> Iterator[None]:
    """This process, all the clients, may open as many files as the system grants it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= FILES, f"raise the hard limit on open files to {FILES}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def silent(folder: Path) -> AsyncIterator[str]:
    """The endpoint of the upstream."""
    folder.mkdir()  # noqa: ASYNC240 - nothing else waits
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    async with running([sys.executable, "-m", "tests.deploy.silent_upstream", str(port)], folder, environment):
        await listening(port)
        yield f"http://127.0.0.1:{port}/mcp"


@asynccontextmanager
async def serving(folder: Path, behind: str) -> AsyncIterator[tuple[str, Issuer, int]]:
    """`bearergate serve` before an upstream at /mcp and tools at /own: its origin, its issuer and its process.

    It is started with few files allowed, as from a shell, and is not measured: that would take a minute more.
    """
    folder.mkdir()  # noqa: ASYNC240 - nothing else waits
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    paths = [f"{origin}/{name}" for name in ("mcp", "own")]
    issuer = Issuer.plain(
        "https://login.example", users=[User("alice", "wonderland")], resources=paths, keys=keys().copy()
    )
    settings = {
        "public_url": origin,
        "port": port,
        "issuers": [{"issuer": issuer.url, "jwks_file": "keys.json", "token_type": "at+jwt"}],
        "resources": [
            {"path": "/mcp", "scopes": ["mcp:use"], "upstream": {"url": behind}},
            {"path": "/own", "scopes": ["mcp:use"], "tools": ["greetings"]},
        ],
        "audit_log": "off",
    }
    (folder / "keys.json").write_text(json.dumps(issuer.keys.document()))
    (folder / "bearergate.yaml").write_text(yaml.safe_dump(settings))
    few = ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", sys.executable, "-m", "deploy.cli", "serve"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    async with running(few, folder, env=environment | {"PYTHONPATH": str(ROOT)}) as process:
        await asyncio.to_thread(answers, f"{origin}/healthz")
        yield origin, issuer, process.pid
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0


class Listener(asyncio.Protocol):
    """A client that listens: `began` is done with the first bytes, `heard` with an event and `ended` with the end."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.request = request
        self.began, self.heard, self.ended = (loop.create_future() for _ in range(3))
        self.read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.read += data
        for found, done in ((b"\r\n\r\n", self.began), (b"data: ", self.heard)):
            if found in self.read and not done.done():
                done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


def request(method: str, url: str, issuer: Issuer, body: bytes = b"", **headers: str) -> bytes:
    """A request of alice, as it is written."""
    _, _, host, path = url.split("/")
    token = issuer.token("alice", "client", ["mcp:use"], url)
    fields = {"Host": host, "Authorization": f"Bearer {token}", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} /{path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def told(origin: str, issuer: Issuer) -> int:
    """How many streams the upstream says to have told, when it is asked to."""
    headers = {"authorization": f"Bearer {issuer.token('alice', 'client', ['mcp:use'], f'{origin}/mcp')}"}
    async with httpx.AsyncClient(headers=headers, timeout=SECONDS) as http:
        answer = await http.post(f"{origin}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    count: int = answer.json()
    return count


@pytest.mark.usefixtures("files")
async def test_ten_thousand_idle_event_streams_are_held_by_one_process(tmp_path: Path) -> None:
    turn = asyncio.Semaphore(AT_ONCE)

    async def listen(port: int, asked: bytes) -> Listener:
        async with turn:
            _, listener = await asyncio.get_running_loop().create_connection(lambda: Listener(asked), "127.0.0.1", port)
            await listener.began
            return listener

    async with silent(tmp_path / "behind") as behind:
        async with asyncio.timeout(SECONDS), serving(tmp_path / "gate", behind) as (origin, issuer, pid):
            port = int(origin.rpartition(":")[2])
            streams = request("GET", f"{origin}/mcp", issuer, Accept="text/event-stream")
            own = request("POST", f"{origin}/own", issuer, json.dumps(LISTEN).encode(), **MODERN)
            asked = [streams] * (STREAMS - OWN) + [own] * OWN
            listeners = await asyncio.gather(*(listen(port, each) for each in asked))
            assert all(listener.read.startswith(b"HTTP/1.1 200 ") for listener in listeners)
            assert open_files(pid) > FILES - 150
            assert await told(origin, issuer) == STREAMS - OWN, "another request is served beside them"
            await asyncio.gather(*(listener.heard for listener in listeners))
            assert not any(listener.ended.done() for listener in listeners)
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(listener.ended for listener in listeners))
