"""The shell at servers that others made, each used as a person and as a script would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.conftest import Home
from tests.client.tmux import terminal
from tests.official.test_transparency_upstreams import SERVERS

SCRIPT = """
connect
list-tools
call-tool add {"a": 2, "b": 3}
call-tool report
list-resources
read-resource note://one
list-prompts
get-prompt hello {"name": "Ada"}
auth status
set-auth-method oauth
call-tool add {"a": 3, "b": 3}
reconnect
terminate-session
call-tool add {"a": 4, "b": 3}
disconnect
"""


@pytest.fixture(scope="module", params=[name for name in SERVERS if "stdio" not in name])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as endpoint:
        yield endpoint


def test_script_uses_it(url: str, home: Home) -> None:
    done = home.run("shell", url, typed=SCRIPT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for said in ("5", "6", "7", "reported", "a note", "login\tnone"):
        assert said in lines
    assert "Say hello to Ada." in done.stdout
    assert done.stderr.count("Connected to small 1 at ") == 2
    assert "1/3" in done.stderr
    assert any(
        said in done.stderr for said in ("There is no session", "The session is ended.", "does not end sessions")
    )


def test_person_uses_it(url: str, home: Home) -> None:
    with terminal(home, "shell", url, columns=60) as screen:
        screen.sees(r"^Connected to")
        screen.type("list-tools")
        screen.sees(r"add +a b +Adds two numbers\.")
        screen.type("call-tool add")
        screen.sees(r"^a \(.+\):")
        screen.type("2")
        screen.sees(r"^b \(.+\):")
        screen.type("3")
        screen.sees(r"^5$")
        screen.type("get-prompt hello")
        screen.sees(r"^name( \(|:)")
        screen.type("Ada")
        screen.sees(r"Say hello to Ada\.")
        screen.type("call-tool report")
        screen.sees(r"^reported")
        screen.type("read-resource note://one")
        screen.sees(r"^a note$")
        screen.type("auth login")
        screen.sees(r"^This server wants no login")
        screen.type("terminate-session")
        screen.sees(r"session")
        screen.type("call-tool nosuch {}")
        screen.sees(r"nosuch failed\.|^The server refuses")
