"""`bearergate serve` and `dev` as processes: what they publish, write and lose when they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.deploy.laptop import ROOT, Person, laptop
from tests.ports import free_port


@contextlib.contextmanager
def serving(folder: Path, stop: signal.Signals = signal.SIGTERM, **settings: object) -> Iterator[str]:
    """`bearergate serve` with an issuer that is down, until the end of the block; yields its origin."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    values = {"public_url": origin, "issuers": [{"issuer": f"http://127.0.0.1:{free_port()}"}], "port": port}
    (folder / "bearergate.yaml").write_text(yaml.safe_dump(values | settings))
    with (
        (folder / "stderr").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "serve"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=errors,
        ) as process,
    ):
        try:
            answers(f"{origin}/healthz")
            yield origin
            process.send_signal(stop)
            assert process.wait(20) == 0
        finally:
            process.kill()


def answers(url: str) -> None:
    """Wait until a server answers."""
    for _ in range(200):
        try:
            httpx.get(url)
        except httpx.TransportError:
            subprocess.run(["sleep", "0.05"], check=True)
        else:
            return
    raise AssertionError(f"{url} does not answer")


def test_issuer_that_is_down_at_start_refuses_nobody_the_way_in(tmp_path: Path) -> None:
    with serving(tmp_path, audit_log="audit.jsonl") as origin:
        assert httpx.post(f"{origin}/mcp").status_code == 401
        assert httpx.get(f"{origin}/.well-known/oauth-protected-resource/mcp").json()["resource"] == f"{origin}/mcp"
        ready = httpx.get(f"{origin}/readyz")
        assert ready.status_code == 503
        assert ready.json()["status"] == "waiting for keys"
    lines = [json.loads(line) for line in (tmp_path / "stderr").read_text().splitlines()]
    assert any(line["level"] == "warning" and line["message"].startswith("keys of http://127.0.0.1") for line in lines)


def test_audit_log_is_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    with serving(tmp_path, audit_log="audit.jsonl") as origin:
        refused = httpx.post(f"{origin}/mcp").json()["error"]["data"]["refusal"]
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == refused
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o600


def test_audit_log_goes_to_standard_error_by_default(tmp_path: Path) -> None:
    with serving(tmp_path) as origin:
        httpx.post(f"{origin}/mcp")
    assert '"reason":"missing_token"' in (tmp_path / "stderr").read_text()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGHUP])
def test_key_press_or_terminal_that_closes_ends_it_as_well_as_sigterm(tmp_path: Path, stop: signal.Signals) -> None:
    before = signal.signal(stop, signal.SIG_DFL)  # a run of tests under nohup ignores some, and so would its children
    try:
        with serving(tmp_path, stop) as origin:  # which leaves with status 0
            assert httpx.post(f"{origin}/mcp").status_code == 401
    finally:
        signal.signal(stop, before)


def test_start_says_where_it_listens(tmp_path: Path) -> None:
    with serving(tmp_path) as origin:
        pass
    first = json.loads((tmp_path / "stderr").read_text().splitlines()[0])
    assert first["level"] == "info"
    assert first["message"] == f"listens on 127.0.0.1, port {origin.rpartition(':')[2]}, for {origin}"


def test_audit_log_can_be_off(tmp_path: Path) -> None:
    with serving(tmp_path, audit_log="off") as origin:
        assert httpx.post(f"{origin}/mcp").status_code == 401
    assert "missing_token" not in (tmp_path / "stderr").read_text()


async def test_stopping_loses_no_answer_and_waits_for_no_idle_stream() -> None:
    with laptop() as running:
        alice = Person(running.user, running.password)
        greeted = asyncio.Event()

        async def step(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
            greeted.set()

        async with alice.connected(running.endpoint, "legacy") as client:
            await client.call_tool("multi-greet", {})  # steps up
            greeted.clear()
            call = asyncio.create_task(client.call_tool("multi-greet", {}, progress_callback=step))
            await greeted.wait()
            running.process.send_signal(signal.SIGTERM)
            assert not (await call).is_error
        stopped = asyncio.get_running_loop().time()
        await asyncio.to_thread(running.process.wait, 20)
        assert asyncio.get_running_loop().time() - stopped < 4  # less than the drain would wait


MODERN = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
}
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_stopping_under_load_answers_every_request_that_was_let_through(stop: signal.Signals) -> None:
    answered = 0
    busy = asyncio.Event()

    async def keep_asking(http: httpx.AsyncClient, endpoint: str) -> None:
        nonlocal answered
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}}
        with contextlib.suppress(httpx.TransportError):  # what was not let through may find the door closed
            while True:
                answer = await http.post(endpoint, headers=MODERN, json=message)
                assert answer.status_code == 200
                assert answer.json()["result"]["tools"]
                answered += 1
                if answered >= 100:
                    busy.set()

    with laptop() as running:
        alice = Person(running.user, running.password)
        async with alice.connected(running.endpoint, "2026-07-28") as client:
            await client.list_tools()
        assert alice.storage.tokens is not None
        headers = {"authorization": f"Bearer {alice.storage.tokens.access_token}"}
        async with httpx.AsyncClient(headers=headers, timeout=10) as http:
            asking = [asyncio.create_task(keep_asking(http, running.endpoint)) for _ in range(20)]
            await busy.wait()
            running.process.send_signal(stop)
            await asyncio.gather(*asking)
        await asyncio.to_thread(running.reader.join, 20)
    assert sum("allowed" in line for line in running.decisions) == answered + 1  # and the client's own


def test_option_that_is_insecure_is_shouted_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("A" * 43)
    facade = {"client_id": "gate", "insecure_client_document_hosts": ["localhost", "10.0.0.8"]}
    with serving(tmp_path, facade=facade, seal_keys_file="key"):
        pass
    lines = [json.loads(line) for line in (tmp_path / "stderr").read_text().splitlines()]
    (shouted,) = [line["message"] for line in lines if "INSECURE" in line["message"]]
    assert shouted.endswith("fetched from localhost, 10.0.0.8")
