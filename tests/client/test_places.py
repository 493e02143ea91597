"""Where programs find the login: in key rings that are locked and opened again, and in homes that cannot be written."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from client.server import Server
from client.settings import Settings
from client.tokens import Logins
from client.vault import Files, Memory, Vault
from tests.client.conftest import Home
from tests.client.ring import Ring, variables
from tests.client.world import World
from tests.deploy.laptop import Laptop

LOCKED = "the key ring refuses (KeyringLocked)"
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")  # root, but bound by the modes of files


@pytest.fixture
def ring(home: Home, tmp_path: Path) -> Ring:
    made = Ring(tmp_path / "ring.json")
    home.variables.update(variables(made))
    return made


async def run(home: Home, *arguments: str) -> tuple[int, str, str]:
    done = await asyncio.to_thread(home.run, *arguments)
    return done.returncode, done.stdout, done.stderr


def in_files(home: Home) -> list[str]:
    """The tokens that lie in files."""
    return re.findall(r"access-\d+", "".join(file.read_text() for file in home.kept.iterdir()))


async def renewed(home: Home, url: str) -> tuple[int, str, str]:
    """Renew the login."""
    return await run(home, "shell", url, "-c", "auth refresh")


async def log_in(here: World, home: Home) -> None:
    vault = Vault([Files(home.kept), Memory()], print)
    await Server(Settings(url=here.server.url, folder=home.folder), vault, here.person).log_in()


async def test_newest_login_counts_while_the_key_ring_is_locked_and_after(here: World, home: Home, ring: Ring) -> None:
    await log_in(here, home)
    assert (await renewed(home, here.server.url))[0] == 0
    assert in_files(home) == [], "access-2 is in the key ring"
    ring.lock_up()
    _, _, said = await run(home, "token", here.server.url)
    assert said.splitlines() == [
        f"A login that is kept there is not seen: {LOCKED}.",
        f"bearergate: You are not logged in: run bearergate login {here.server.url}",
    ]
    await log_in(here, home)
    status, _, said = await renewed(home, here.server.url)
    assert status == 0
    assert f"Tokens are kept in files: {LOCKED}." in said
    assert (await run(home, "token", here.server.url))[:2] == (0, "access-4\n")
    ring.unlock()
    assert (await run(home, "token", here.server.url)) == (0, "access-4\n", "")
    assert (await renewed(home, here.server.url))[0] == 0
    assert in_files(home) == []
    assert (await run(home, "token", here.server.url)) == (0, "access-5\n", "")


async def test_logout_while_the_key_ring_is_locked_says_that_a_login_stays(here: World, home: Home, ring: Ring) -> None:
    await log_in(here, home)
    ring.lock_up()
    status, _, said = await run(home, "shell", here.server.url, "-c", "auth logout")
    assert status == 7
    assert f"the tokens stay here: {LOCKED}. {here.authority.origin} has ended them." in said
    assert not list(home.kept.iterdir())


@pytest.fixture
def read_only(running: Laptop, member: Home) -> Iterator[Home]:
    """The home of somebody who logged in long ago, and can write nothing there any more."""
    assert member.run("login", running.endpoint).returncode == 0
    kept = Logins(Vault([Files(member.kept), Memory()], print), member.folder)
    login = kept.find(running.endpoint)
    assert login is not None
    kept.keep(running.endpoint, msgspec.structs.replace(login, obtained_at=0.0))
    folders = [member.folder / "state", member.kept.parent, member.kept, *member.kept.parent.glob("locks")]
    for each in folders:
        each.chmod(0o500)
    yield member
    for each in folders:
        each.chmod(0o700)


def test_read_only_home_with_an_old_token_is_enough_for_a_session(running: Laptop, read_only: Home) -> None:
    bound = POWERLESS if os.geteuid() == 0 else ()
    command = (*bound, sys.executable, "-m", "deploy.cli", "shell", running.endpoint)
    before = {file: file.read_bytes() for file in read_only.kept.iterdir()}
    script = ("-c", "greet Ada", "-c", "auth refresh", "-c", "greet Bob", "-c", "auth status")
    done = read_only.execute(*command, *script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Hello, Ada!\nHello, Bob!\n")
    assert "principal\talice" in done.stdout
    first, second = done.stderr.splitlines()
    assert first == (
        f"Tokens are kept only as long as this program runs: {read_only.kept} cannot be written (Permission denied)."
    )
    assert second.startswith("Renewed")
    assert {file: file.read_bytes() for file in read_only.kept.iterdir()} == before
    done = read_only.execute(*command, "-c", "auth logout", "-c", "auth status")
    assert done.returncode == 7
    assert "Logged out of this program only, for the tokens stay here" in done.stderr
