"""The client at a front before another server: `bearergate serve` between it and a stock server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
import yaml

from tests.client.conftest import Home
from tests.client.stock import stock_server
from tests.deploy.laptop import ROOT


@dataclass
class Front:
    """Where the front is, and who can log in there."""

    endpoint: str
    user: str = "alice"
    password: str = "wonderland"


@pytest.fixture
def front(home: Home) -> Iterator[Front]:
    port, issuer_port = free_ports(2)
    issuer, origin = f"http://127.0.0.1:{issuer_port}", f"http://localhost:{port}"
    with stock_server() as stock:
        settings = {
            "public_url": origin,
            "port": port,
            "audit_log": "off",
            "issuers": [{"issuer": issuer, "token_type": "at+jwt"}],
            "resources": [{"scopes": ["use"], "upstream": {"url": stock.url}}],
        }
        file = home.folder / "front.yaml"
        file.write_text(yaml.safe_dump(settings))
        people = ("--user", "alice:wonderland", "--scope", "use=Use it", "--resource", f"{origin}/mcp")
        with (
            program("conformance.issuer", "--port", str(issuer_port), *people, ready=f"{issuer}/jwks"),
            program("deploy.cli", "serve", "--file", str(file), ready=f"{origin}/healthz"),
        ):
            yield Front(f"{origin}/mcp")


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens at."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def program(module: str, *arguments: str, ready: str) -> Iterator[None]:
    """A program that runs until the end of the block; it is ready when something answers at the URL."""
    command: Sequence[str] = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 30
            while not answers(ready):
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline, f"{module} did not start"
                time.sleep(0.05)  # another process; nothing tells that it listens
            yield
        finally:
            process.terminate()


def answers(url: str) -> bool:
    """Whether anything answers there."""
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


def test_login_and_calls_through_a_front(front: Front, home: Home) -> None:
    browser = f"{sys.executable} -m tests.client.browser {front.user} {front.password} %s"
    home.variables.update({"BROWSER": browser, "SEEN": "/dev/null"})
    assert home.run("call", front.endpoint, "rows").returncode == 3
    done = home.run("login", front.endpoint)
    assert done.returncode == 0, done.stderr
    done = home.run("shell", front.endpoint, "-c", 'list-tools\ncall-tool rows\ncall-tool pay {"amount": 2}')
    assert done.returncode == 0, done.stderr
    assert "paid 2" in done.stdout
    assert "a\t1" in done.stdout
    done = home.run("call", front.endpoint, "long", '{"megabytes": 20}')
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 20_000_000
    assert home.run("call", front.endpoint, "broken").returncode == 4
