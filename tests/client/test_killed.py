"""A program that is killed while it renews a login leaves nothing that the next one stumbles over."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from client.server import Server
from client.settings import Settings
from client.tokens import Logins
from client.vault import Files, Memory, Vault
from tests.client.conftest import Home
from tests.client.ring import Ring, variables
from tests.client.world import World

# The interpreter tells of every file that is opened, renamed or removed, before it is.
DIE = """
import os, signal, sys
def die(event, arguments):
    name = str(arguments[0]) if arguments else ""
    if "/tokens/" in name and name.endswith(ENDING) and event == EVENT:
        os.kill(os.getpid(), signal.SIGKILL)
from deploy.cli import main
sys.addaudithook(die)
main(sys.argv[1:])
"""
ANSWERED = ("open", "f'.{os.getpid()}'")  # the issuer has answered, and nothing is written yet
WRITTEN = ("os.rename", "f'.{os.getpid()}'")  # it is written, but the older one is still in its place
KEPT = ("os.remove", "'.json'")  # it is in the key ring, and the older one still in a file


def files(home: Home) -> Vault:
    return Vault([Files(home.kept), Memory()], print)


async def old_login(here: World, home: Home) -> None:
    """A login in files whose access token is over."""
    here.authority.lifetime = 0
    await Server(Settings(url=here.server.url, folder=home.folder), files(home), here.person).log_in()
    here.authority.lifetime = 3600


async def killed(home: Home, url: str, event: str, ending: str) -> None:
    """Have a program that renews the login die at an event."""
    code = DIE.replace("EVENT", repr(event)).replace("ENDING", ending)
    done = await asyncio.to_thread(home.execute, sys.executable, "-c", code, "token", url)
    assert (done.returncode, done.stdout) == (-9, "")


async def token(home: Home, url: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(home.run, "token", url)


@pytest.mark.parametrize(("event", "ending"), [ANSWERED, WRITTEN], ids=["answered", "written"])
@pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "not rotating"])
async def test_killed_before_the_new_login_is_in_its_place(
    here: World, home: Home, event: str, ending: str, rotates: bool
) -> None:
    here.authority.rotates = rotates
    await old_login(here, home)
    await killed(home, here.server.url, event, ending)
    assert Logins(files(home), home.folder).find(here.server.url) is not None, "the older one is whole"
    done = await token(home, here.server.url)
    if rotates:  # the refresh token that would work died with the program
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == "bearergate: The issuer does not renew this login: log in again\n"
        assert "You are not logged in" in (await token(home, here.server.url)).stderr
        await Server(Settings(url=here.server.url, folder=home.folder), files(home), here.person).log_in()
        done = await token(home, here.server.url)
    assert (done.returncode, done.stdout) == (0, "access-3\n"), done.stderr


async def test_killed_before_the_older_login_is_forgotten(here: World, home: Home, tmp_path: Path) -> None:
    await old_login(here, home)
    home.variables.update(variables(ring := Ring(tmp_path / "ring.json")))
    await killed(home, here.server.url, *KEPT)
    assert len(list(home.kept.iterdir())) == 2
    done = await token(home, here.server.url)
    assert (done.returncode, done.stdout) == (0, "access-2\n"), done.stderr
    ring.lock_up()
    done = await token(home, here.server.url)
    assert (done.returncode, done.stdout) == (3, ""), "the older one is all that there is to see, and is used up"
