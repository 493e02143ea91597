"""Login, renewal and logout at servers and issuers that others made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.client.conftest import Home
from tests.client.stock import listening
from tests.client.tmux import terminal
from tests.official.node import NODE, packages
from tests.ports import free_port

EXAMPLES = "node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server"


@contextmanager
def python(kind: str) -> Iterator[str]:
    """A server in Python."""
    port = free_port()
    with listening([sys.executable, "-m", "tests.client.protected", kind, str(port)], port):
        yield f"http://localhost:{port}/mcp"


@contextmanager
def typescript() -> Iterator[str]:
    """The example of the TypeScript SDK, with the issuer that comes with it."""
    port, issuer = free_port(), free_port()
    command: list[str | Path] = [NODE, f"{EXAMPLES}/simpleStreamableHttp.js", "--oauth"]
    ports = {"MCP_PORT": str(port), "MCP_AUTH_PORT": str(issuer)}
    with listening(command, port, issuer, folder=packages(), **ports):
        yield f"http://localhost:{port}/mcp"


SERVERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "Python SDK": lambda: python("sdk"),
    "FastMCP": lambda: python("fastmcp"),
    "TypeScript SDK": typescript,
}


@pytest.fixture(scope="module", params=SERVERS)
def protected(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    with SERVERS[request.param]() as url:
        yield request.param, url


@pytest.fixture
def visitor(home: Home) -> Home:
    """Somebody with a browser, at issuers that ask for nothing."""
    browser = f"{sys.executable} -m tests.client.browser nobody nothing %s"
    home.variables.update({"BROWSER": browser, "SEEN": str(home.folder / "page.html")})
    return home


def test_person_logs_in_and_out(protected: tuple[str, str], visitor: Home) -> None:
    kind, url = protected
    renews = kind != "TypeScript SDK"  # whose issuer gives no refresh tokens, and revokes none
    with terminal(visitor, "shell", url, columns=60) as screen:
        screen.sees(r"^Not connected yet")
        screen.type('call-tool greet {"name": "Ada"}')
        screen.sees(r"^Hello, Ada!")
        screen.type("auth refresh")
        screen.sees(r"^Renewed: " if renews else r"^The issuer gave nothing to renew")
        screen.type("terminate-session")
        screen.sees(r"session is ended\.$|^There is no session")
        screen.type('call-tool greet {"name": "Bob"}')
        screen.sees(r"^Hello, Bob!")
        screen.type("auth logout")
        screen.sees(r"^Logged out\.$" if renews else r"^Logged out here, but")
        screen.type("auth status")
        screen.sees(r"login +none")


def test_script_uses_the_login(protected: tuple[str, str], visitor: Home) -> None:
    kind, url = protected
    assert visitor.inside("call", url, "greet").returncode == 3
    assert visitor.run("login", url).returncode == 0
    done = visitor.inside("call", url, "greet", '{"name": "Ada"}')
    assert (done.returncode, done.stdout) == (0, "Hello, Ada!\n"), done.stderr
    assert visitor.inside("token", url).returncode == 0
    assert visitor.inside("shell", url, "-c", "auth logout").returncode == (7 if kind == "TypeScript SDK" else 0)
    assert visitor.inside("token", url).returncode == 3
