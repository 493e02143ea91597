"""The client at a front before another server: `bearergate serve` between it and a stock server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from tests.client.conftest import Home
from tests.client.stock import Process, listening, stock_server
from tests.client.tmux import terminal
from tests.ports import free_port


@dataclass
class Front:
    """Where the front is, and who can log in there."""

    endpoint: str
    issuer: Process


@pytest.fixture
def front(home: Home) -> Iterator[Front]:
    port, issuer_port = free_port(), free_port()
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
        issuing = [sys.executable, "-m", "conformance.issuer", "--port", str(issuer_port), *people]
        serving = [sys.executable, "-m", "deploy.cli", "serve", "--file", str(file)]
        with listening(issuing, issuer_port) as process, listening(serving, port):
            browser = f"{sys.executable} -m tests.client.browser alice wonderland %s"
            home.variables.update({"BROWSER": browser, "SEEN": "/dev/null"})
            yield Front(f"{origin}/mcp", process)


def test_login_and_calls_through_a_front(front: Front, home: Home) -> None:
    assert home.inside("call", front.endpoint, "rows").returncode == 3
    done = home.run("login", front.endpoint)
    assert done.returncode == 0, done.stderr
    done = home.inside("shell", front.endpoint, "-c", 'list-tools\ncall-tool rows\ncall-tool pay {"amount": 2}')
    assert done.returncode == 0, done.stderr
    assert "paid 2" in done.stdout
    assert "a\t1" in done.stdout
    done = home.inside("call", front.endpoint, "long", '{"megabytes": 20}')
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 20_000_000
    assert home.inside("call", front.endpoint, "broken").returncode == 4


def test_person_goes_on_while_the_issuer_is_down(front: Front, home: Home) -> None:
    with terminal(home, "shell", front.endpoint, columns=60) as screen:
        screen.sees(r"^Not connected yet")
        screen.type("list-tools")
        screen.sees(r"^  pay +amount")
        front.issuer.kill()
        front.issuer.wait()
        screen.type("auth refresh")
        screen.sees(r"^127\.0\.0\.1 cannot be reached \(\w+\)")
        screen.type('call-tool pay {"amount": 4}')
        screen.sees(r"^paid 4")
        screen.type("auth logout")
        screen.sees(r"^Logged out here, but http://127\.0\.0\.1:\d+ was not told to end the tokens: 127")
        screen.type('call-tool pay {"amount": 5}')
        screen.sees(r"^The issuer cannot be asked: ")
        screen.type("auth status")
        screen.sees(r"login +none")
