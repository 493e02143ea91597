"""Every command as a person types it at `bearergate dev`, in a terminal of 60 columns without colour."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import msgspec
import pytest

from client.commands import COMMANDS
from client.tokens import Logins
from client.vault import Files, Memory, Vault
from tests.client.conftest import Home
from tests.client.tmux import terminal
from tests.deploy.laptop import Laptop, laptop

WALK = [
    ("auth status", r"login +none"),
    ("connect", r"^Connected to bearergate on this laptop \S+ at http://localhost:\d+/mcp \(MCP 2026-07-28\)\."),
    ("auth status", r"principal +alice"),
    ("list-tools", r"greet +\[name\] +Say hello once\."),
    ("list-resources", r"^  greeting://resource +greeting"),
    ("list-prompts", r"^  greeting-template +\[name\] \[style\]"),
    ('get-prompt greeting-template {"style": "dry"}', r"^Write a dry greeting"),
    ("read-resource greeting://resource", r"^Hello from behind the gate!"),
    ("greet", r"^Hello, MCP User!"),
    ('call-tool greet {"name": "Ada"}', r"^Hello, Ada!"),
    ("multi-greet Bob", r"^Hello, Bob! \(3\)"),
    ("bedrock-report", r"^  sample +true(.|\n)*^ *daily *\n(.|\n)*^  requests +\d+ *$"),
    ("bedrock-report us-east-1 /logs 1", r"^The tool get_bedrock_usage_report failed\."),
    ("bedrock-report us-east-1 /logs many", r"^The number of days is a whole number"),
    ("call-tool nosuch {}", r"^The tool nosuch failed\."),
    ("call-tool", r"^Usage: call-tool <name>"),
    ("set-auth-method lambda", r"^Auth method set to lambda\."),
    ("greet Eve", r"^The server wants a token, and with the auth method lambda"),
    ("auth login", r"^With the auth method lambda the token is that of"),
    ("set-auth-method auto", r"^Auth method set to auto\."),
    ("greet Dan", r"^Hello, Dan!"),
    ("set-auth-method oauth", r"^Auth method set to oauth\."),
    ("greet Fay", r"^Hello, Fay!"),
    ("debug on", r"^Debug is on\."),
    ("greet Gus", r"^\[debug\] POST /mcp tools/call -> 200\nHello, Gus!"),
    ("debug off", r"^Debug is off\."),
    ("terminate-session", r"^There is no session: servers of revision"),
    ("reconnect", r"Debug is off(.|\n)*^Connected to bearergate"),
    ("disconnect", r"^Disconnected\."),
    ("greet Hal", r"^Hello, Hal!"),
    ("auth refresh", r"^Renewed: the new token expires at .*, in 1 h 0 min\."),
    ("auth logout", r"^Logged out\."),
    ("auth logout", r"^There was no login\."),
    ("auth login", r"^Logged in as alice at http://localhost:\d+\."),
    ("history", r"^ +35  history"),
    ("help", r"^  quit +Leave"),
    ("quit", r"^left 0"),
]


def test_every_command_is_walked_through() -> None:
    assert {typed.split()[0] for typed, _ in WALK} == COMMANDS.keys()


def test_person_types_every_command(running: Laptop, member: Home) -> None:
    with terminal(member, "shell", running.endpoint, columns=60, PAGER="cat") as screen:
        screen.sees(r"^Not connected yet: you are not logged in\. Type auth login, or a command")
        for typed, seen in WALK:
            screen.type(typed)
            screen.sees(seen)
        raw = screen.raw.read_text()
        assert max(len(line) for line in screen.text().splitlines() if "─" in line) <= 60
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", raw), "no colour"
    assert "eyJ" not in (member.folder / "state/bearergate/history").read_text()


def test_person_without_a_browser_pastes_where_it_ended(running: Laptop, member: Home) -> None:
    with terminal(member, "shell", "--no-browser", running.endpoint, columns=60) as screen:
        screen.sees(r"^Not connected yet")
        for pasted, seen in ((None, r"^That is no address that a login ends at"), ("", r"^Logged in as alice")):
            screen.type("auth login")
            screen.sees(r"Paste it here: *$")
            url = screen.text().split("log in:")[-1].split("The browser then")[0].strip()
            screen.type("nonsense" if pasted is None else redirect(member, running, url))
            screen.sees(seen)
        screen.type("greet Ada")
        screen.sees(r"^Hello, Ada!")
        assert "code=" not in (member.folder / "state/bearergate/history").read_text()


def redirect(member: Home, running: Laptop, url: str) -> str:
    """The address that a browser on another machine ends at."""
    code = (
        "import asyncio, sys, urllib.parse; from tests.deploy.laptop import log_in;"
        "print('http://127.0.0.1/callback?' + urllib.parse.urlencode(asyncio.run(log_in(*sys.argv[1:]))))"
    )
    command = [sys.executable, "-c", code, url, running.user, running.password]
    return subprocess.run(command, env=member.environment, capture_output=True, text=True, check=True).stdout.strip()


def test_person_whose_login_was_revoked_logs_in_again(member: Home) -> None:
    with laptop("--token-seconds", "1") as short:
        assert member.run("login", short.endpoint).returncode == 0
        thief = Home(member.folder / "elsewhere", dict(member.variables))
        shutil.copytree(member.folder / "state", thief.folder / "state")
        with terminal(member, "shell", short.endpoint) as screen:
            screen.sees(r"^Connected to")
            assert thief.inside("shell", short.endpoint, "-c", "auth logout").returncode == 0
            screen.type("auth refresh")
            screen.sees(r"^The issuer does not renew this login: log in again")
            screen.type("greet Ada")
            screen.sees(r"^Log in with your browser")
            screen.sees(r"^Hello, Ada!")


@pytest.mark.parametrize("shift", [-(10**7), 10**7], ids=["behind when it logged in", "ahead when it logged in"])
def test_clock_of_the_laptop_that_was_wrong_needs_no_login(running: Laptop, member: Home, shift: int) -> None:
    assert member.run("login", running.endpoint).returncode == 0
    logins = Logins(Vault([Files(member.kept), Memory()], print), member.folder)
    login = logins.find(running.endpoint)
    assert login is not None
    logins.keep(running.endpoint, msgspec.structs.replace(login, obtained_at=login.obtained_at + shift))
    done = member.inside("shell", running.endpoint, "-c", "greet Ada", "-c", "auth refresh", "-c", "greet Bob")
    assert (done.returncode, done.stdout) == (0, "Hello, Ada!\nHello, Bob!\n"), done.stderr
