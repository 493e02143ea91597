"""Metrics as Prometheus reads them: real requests through `bearergate serve`, counted on a port of their own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from conformance.issuer import Issuer, User
from tests.deploy.laptop import ROOT, laptop
from tests.gated import keys
from tests.ports import free_port
from tests.served import served

ROWS = re.compile(r"^\| `(bearergate_\w+)` \|", re.MULTILINE)
PAGE = ROOT / "docs" / "serve.md"
DECISIONS = "bearergate_decisions_total"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}

Samples = dict[tuple[str, frozenset[str]], float]


async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a POST, streams for ever what a GET asks for, and does not trust the gate with a DELETE."""
    message = await receive()
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    status = 401 if scope["method"] == "DELETE" else 200
    kind = b"text/event-stream" if scope["method"] == "GET" else b"application/json"
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": b": here\n\n", "more_body": scope["method"] == "GET"})
    while scope["method"] == "GET" and message["type"] != "http.disconnect":
        message = await receive()


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """`bearergate serve`, until the end of the block; it must leave cleanly."""
    (folder / "bearergate.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "deploy.cli", "serve"]
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


@dataclass
class Gate:
    """A gate that serves, and who asks it."""

    origin: str
    metrics: str
    issuer: Issuer
    http: httpx.AsyncClient

    @property
    def resource(self) -> str:
        return f"{self.origin}/mcp"

    async def post(self, token: str, **headers: str) -> int:
        """The status of a call."""
        given = {"authorization": f"Bearer {token}"} if token else {}
        return (await self.http.post(self.resource, json=PING, headers=given | headers)).status_code

    async def shown(self) -> Samples:
        """All samples, by their names and what their labels say."""
        text = (await self.http.get(self.metrics)).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(sample.name, frozenset(sample.labels.values())): sample.value for sample in samples}

    async def decisions(self) -> dict[str, float]:
        """Those about the resource, by reason."""
        shown = await self.shown()
        mine = {labels - {self.resource}: value for (_, labels), value in shown.items() if self.resource in labels}
        return {reason: value for labels, value in mine.items() for reason in labels}


@asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[Gate]:
    """A gate with metrics, its issuer and its upstream."""
    port, metrics_port, issuing = free_port(), free_port(), free_port()
    origin = f"http://127.0.0.1:{port}"
    issuer = Issuer.plain(
        f"http://127.0.0.1:{issuing}",
        users=[User("alice", "wonderland")],
        resources=[f"{origin}/mcp"],
        keys=keys().copy(),
    )
    async with (
        served(issuer.app, issuing),
        served(upstream) as behind,
        httpx.AsyncClient(timeout=20) as http,
    ):
        resource = {"path": "/mcp", "scopes": ["mcp:use"], "upstream": {"url": f"{behind}/mcp"}, "forward_auth": "head"}
        with serving(
            folder,
            public_url=origin,
            port=port,
            metrics_port=metrics_port,
            issuers=[{"issuer": issuer.url, "token_type": "at+jwt"}],
            resources=[resource],
            private_hosts=["127.0.0.1"],
            audit_log="off",
        ):
            made = Gate(origin, f"http://127.0.0.1:{metrics_port}/metrics", issuer, http)
            await listening(metrics_port)
            yield made


async def listening(port: int) -> None:
    """Wait until somebody listens at the port."""
    async with asyncio.timeout(20):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_decisions_are_counted_whichever_part_of_the_gate_makes_them(tmp_path: Path) -> None:
    async with gate(tmp_path) as asked:
        token = asked.issuer.token("alice", "client", ["mcp:use"], asked.resource)
        assert await asked.decisions() == {"allowed": 0}
        assert [await asked.post(token) for _ in range(3)] == [200, 200, 200]
        assert [await asked.post(""), await asked.post("")] == [401, 401]
        assert await asked.post(token[:-10] + "AAAAAAAAAA") == 401
        assert await asked.post(asked.issuer.token("alice", "client", [], asked.resource)) == 403
        assert await asked.post(token, host="evil.example") == 421
        assert await asked.post(token, **{"mcp-session-id": "made-up"}) == 404
        headers = {"authorization": f"Bearer {token}"}
        assert (await asked.http.delete(asked.resource, headers=headers)).status_code == 502
        assert (await asked.http.get(f"{asked.origin}/authz/mcp", headers=headers)).status_code == 200
        assert (await asked.http.get(f"{asked.origin}/authz/nothing", headers=headers)).status_code == 403
        assert await asked.decisions() == {
            "allowed": 6,  # what the session and the upstream refused was let through before
            "missing_token": 2,
            "bad_signature": 1,
            "insufficient_scope": 1,
            "host_refused": 1,
            "unknown_session": 1,
            "upstream_refused_gate": 1,
        }
        refused = frozenset({"forward_refused", f"{asked.origin}/authz"})
        assert (await asked.shown())[DECISIONS, refused] == 1


async def test_other_numbers_are_those_of_the_moment(tmp_path: Path) -> None:
    async with gate(tmp_path) as asked:
        headers = {"authorization": f"Bearer {asked.issuer.token('alice', 'client', ['mcp:use'], asked.resource)}"}
        async with asked.http.stream("GET", asked.resource, headers=headers) as answer:
            assert answer.status_code == 200
            shown = await asked.shown()
            mine = frozenset({asked.resource})
            assert shown["bearergate_remembered_tokens", mine] == 1
            assert shown["bearergate_waiting_event_streams", mine] == 1
            assert shown["bearergate_upstream_connections", mine] == 1
            assert shown["bearergate_key_fetches_total", frozenset({asked.issuer.url, "success"})] == 1
            assert shown["bearergate_key_fetches_total", frozenset({asked.issuer.url, "failure"})] == 0
            assert shown["bearergate_build_info", frozenset({version("bearergate")})] == 1
            assert shown["process_open_fds", frozenset()] > 3


async def test_labels_name_no_principal_client_or_token_and_the_guide_has_every_series(tmp_path: Path) -> None:
    async with gate(tmp_path) as asked:
        token = asked.issuer.token("alice", "a-client", ["mcp:use"], asked.resource)
        assert await asked.post(token) == 200
        text = (await asked.http.get(asked.metrics)).text
        assert not [secret for secret in ("alice", "a-client", token[-20:]) if secret in text]
        named = {name.removesuffix("_total") for name in ROWS.findall(PAGE.read_text("utf-8"))}
        families = {family.name for family in text_string_to_metric_families(text)}
        assert {name for name in families if name.startswith("bearergate_")} == named


async def test_openmetrics_is_for_who_asks_for_it(tmp_path: Path) -> None:
    async with gate(tmp_path) as asked:
        plain = await asked.http.get(asked.metrics)
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        accept = {
            "accept": "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        }
        opened = await asked.http.get(asked.metrics, headers=accept)
        assert opened.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert list(openmetrics.text_string_to_metric_families(opened.text))  # type: ignore[no-untyped-call]
        odd = await asked.http.get(asked.metrics, headers={"accept": "text/plain; version=x"})
        assert (odd.status_code, odd.headers["content-type"]) == (200, plain.headers["content-type"])


async def test_port_of_metrics_shows_nothing_else_and_the_gate_shows_no_metrics(tmp_path: Path) -> None:
    async with gate(tmp_path) as asked:
        beside = asked.metrics.removesuffix("/metrics")
        for path in ("/", "/mcp", "/healthz", "/metrics/", "/.well-known/oauth-protected-resource/mcp"):
            assert (await asked.http.get(beside + path)).status_code == 404
        assert (await asked.http.post(asked.metrics)).status_code == 405
        assert (await asked.http.get(f"{asked.origin}/metrics")).status_code == 404


@pytest.mark.parametrize("option", ["settings", "dev"])
def test_port_of_metrics_that_is_taken_is_said_before_anything_starts(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        given = {"public_url": "https://gw.example", "issuers": [{"issuer": "https://a.example"}], "port": 0}
        (tmp_path / "bearergate.yaml").write_text(yaml.safe_dump(given | {"metrics_port": port}))
        dev = ["dev", "--port", "0", "--issuer-port", "0", "--metrics-port", str(port)]
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", *(dev if option == "dev" else ["serve"])],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == f"bearergate: Port {port} is in use: stop what listens there, or choose another port.\n"


def test_laptop_shows_them_too_with_what_the_facade_decides() -> None:
    port = free_port()
    with laptop("--metrics-port", str(port)) as running:
        assert httpx.post(running.endpoint).status_code == 401
        uris = {"redirect_uris": ["http://127.0.0.1:8765/callback"]}
        assert httpx.post(f"{running.issuer}/oauth/register", json=uris).status_code == 201
        assert httpx.post(f"{running.issuer}/oauth/token", data={"grant_type": "password"}).status_code == 401
        text = httpx.get(f"http://localhost:{port}/metrics").text
    for path, reason in (("mcp", "missing_token"), ("oauth/register", "allowed"), ("oauth/token", "invalid_client")):
        assert f'{DECISIONS}{{reason="{reason}",resource="{running.issuer}/{path}"}} 1.0\n' in text


async def test_without_them_one_port_is_listened_on(tmp_path: Path) -> None:
    port = free_port()
    given = {"public_url": "https://gw.example", "issuers": [{"issuer": f"http://127.0.0.1:{free_port()}"}]}
    with serving(tmp_path, port=port, audit_log="off", **given) as process:
        await listening(port)
        assert listened_on(process.pid) == [port]


def listened_on(pid: int) -> list[int]:
    """The ports at which a process listens, as Linux tells (proc(5))."""
    sockets = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a connection may end meanwhile
            sockets.add(str(file.readlink()))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        int(line[1].partition(":")[2], 16) for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets
    ]
