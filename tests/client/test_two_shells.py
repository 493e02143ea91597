"""Two shells of one person that renew the login at once: one login survives, and nobody is signed out."""

from __future__ import annotations

import asyncio
import subprocess

from client.server import Server
from client.settings import Settings
from client.vault import Files, Memory, Vault
from tests.client.conftest import Home
from tests.client.test_tokens import stream
from tests.client.tmux import terminal
from tests.client.world import World
from tests.deploy.laptop import laptop

CONNECTED = r"^Connected to"


def test_shells_in_two_terminals_keep_one_login(member: Home) -> None:
    """Their token lives for a second, so each renews it for every call."""
    with laptop("--token-seconds", "1") as short:
        assert member.run("login", short.endpoint).returncode == 0
        with terminal(member, "shell", short.endpoint) as one, terminal(member, "shell", short.endpoint) as two:
            for screen in (one, two):
                screen.sees(CONNECTED)
            for name in ("Ada", "Bob"):
                for screen in (one, two):
                    screen.type(f"greet {name}")
                for screen in (one, two):
                    screen.sees(rf"^Hello, {name}!")
            for screen in (one, two):
                screen.type("auth refresh")
            for screen in (one, two):
                screen.sees("^Renewed: ")
                screen.type("auth status")
                screen.sees(r"principal +alice")
                assert "Log in with" not in screen.text()
                assert "not logged in" not in screen.text()
        assert len(list(member.kept.glob("*"))) == 2, "a login, and which one the server's is"
        assert member.run("token", short.endpoint).returncode == 0


async def test_two_shells_that_renew_at_once_make_one_request(here: World, home: Home) -> None:
    """The issuer ends the login of whoever shows it a refresh token that was used before."""
    url = here.server.url
    vault = Vault([Files(home.kept), Memory()], print)
    await Server(Settings(url=url, folder=home.folder), vault, here.person).log_in()
    with home.start("shell", url) as one, home.start("shell", url) as two:
        try:
            for shell in (one, two):
                await asyncio.to_thread(ready, shell)
            for shell in (one, two):
                tell(shell, "auth refresh\nauth status\nquit\n")
            said = await asyncio.gather(*[asyncio.to_thread(shell.communicate, timeout=60) for shell in (one, two)])
        finally:
            one.kill()
            two.kill()
    for out, err in said:
        assert err.startswith("Renewed: ")
        assert "principal\tsomebody" in out
    grants = [each["grant_type"] for each in here.authority.asked("/token")]
    assert grants == ["authorization_code", "refresh_token"]


def tell(shell: subprocess.Popen[str], text: str) -> None:
    stream(shell.stdin).write(text)
    stream(shell.stdin).flush()


def ready(shell: subprocess.Popen[str]) -> None:
    """Return when a shell holds the login, which both then hold as it is before it is renewed."""
    tell(shell, "auth status\n")
    while "renewed by itself" not in stream(shell.stdout).readline():
        assert shell.poll() is None
