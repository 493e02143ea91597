"""Logins are kept by issuer and resource, known to be old in time, and renewed by one process at a time."""

from __future__ import annotations

import selectors
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from client.tokens import Login, Logins
from client.vault import Files, Memory, Vault
from tests.deploy.laptop import ROOT

URL = "https://mcp.example.com/mcp"


def login(**more: object) -> Login:
    known = {"issuer": "https://issuer", "resource": URL, "client_id": "me", "access_token": "a", "obtained_at": 1000.0}
    return Login(**{**known, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lifetime", "age", "fresh"),
    [(3600, 3539, True), (3600, 3541, False), (10, 7, True), (10, 9, False), (None, 10**9, True), (0, 0, False)],
)
def test_token_is_exchanged_ahead_of_its_end(lifetime: int | None, age: int, fresh: bool) -> None:
    assert login(lifetime=lifetime).is_fresh(1000 + age) is fresh


def test_repr_shows_no_secret() -> None:
    made = login(access_token="s3cret", refresh_token="s3cret", client_secret="s3cret")
    assert "s3cret" not in repr(made)


def test_logins_are_apart_by_issuer_resource_and_given_client() -> None:
    vault = Vault([Memory()], print)
    logins = Logins(vault, Path("/dev/null"))
    logins.keep(URL, login())
    logins.keep("https://other.example.com/mcp", login(resource="https://other.example.com/mcp", access_token="b"))
    assert logins.find(URL) == login()
    assert logins.find("https://elsewhere.example.com") is None
    assert Logins(vault, Path("/dev/null"), "given").find(URL) is None
    logins.keep(URL, login(issuer="https://second", access_token="c"))
    found = logins.find(URL)
    assert found is not None
    assert found.access_token == "c"
    logins.forget(URL, found)
    assert logins.find(URL) is None


def test_what_no_version_of_ours_wrote_is_no_login() -> None:
    vault = Vault([Memory()], print)
    vault.write(f"server {URL}", "{nonsense")
    assert Logins(vault, Path("/dev/null")).find(URL) is None


HOLD = """
import asyncio, sys
from pathlib import Path
from client.tokens import Logins
from client.vault import Memory, Vault
async def main(folder):
    async with Logins(Vault([Memory()], print), folder).alone("https://issuer", "https://mcp"):
        print("mine", flush=True)
        sys.stdin.readline()
asyncio.run(main(Path(sys.argv[1])))
"""


def test_two_refreshers_in_two_processes_take_turns(tmp_path: Path) -> None:
    with holding(tmp_path) as first, holding(tmp_path) as second, selectors.DefaultSelector() as waiting:
        for process in (first, second):
            waiting.register(stream(process.stdout), selectors.EVENT_READ, process)
        winner = waiting.select(30)[0][0].data
        assert winner.stdout.readline() == "mine\n"
        waiting.unregister(winner.stdout)
        assert waiting.select(0.5) == [], "the other waits"
        winner.communicate("\n", timeout=30)
        loser = second if winner is first else first
        assert loser.communicate("\n", timeout=30)[0] == "mine\n"


def holding(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until it gets a line."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def stream(pipe: IO[str] | None) -> IO[str]:
    """A pipe that is there."""
    assert pipe is not None
    return pipe


async def test_without_a_place_for_a_lock_one_renews_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with Logins(Vault([Files(tmp_path), Memory()], print), tmp_path / "file").alone(
        "https://issuer", "https://mcp"
    ):
        pass
