"""The shell connects while nobody typed anything yet, and what is typed meanwhile works."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from starlette.responses import Response

from client.commands import perform
from client.errors import CANCELLED
from client.output import Output
from client.settings import Settings
from client.shell import Shell, Typed, greet, interruptible
from tests.client.conftest import Home
from tests.client.old_server import Old, old_server
from tests.client.world import Prompt, World

NOWHERE = "http://127.0.0.1:9/mcp"  # the discard port, where nothing listens


@pytest.fixture
async def old() -> AsyncIterator[Old]:
    async with old_server() as running:
        yield running


@pytest.fixture
async def shell(old: Old, here: World, tmp_path: Path) -> AsyncIterator[Shell]:
    """A shell whose person logs in at once; the server is open until it has an issuer."""
    output = Output(out=io.StringIO(), err=io.StringIO())
    made = Shell(Settings(url=old.url, folder=tmp_path), output, interactive=False)
    made.server.auth.person = here.person
    yield made
    await made.close()


def said(shell: Shell) -> str:
    assert isinstance(shell.output.err, io.StringIO)
    return shell.output.err.getvalue()


async def test_open_server_is_connected_to(shell: Shell) -> None:
    await greet(shell)
    assert said(shell).startswith("Connected to http")
    assert [tool.name for tool in shell.server.known_tools] == ["for-"]


async def test_nobody_is_asked_to_log_in_who_typed_nothing(shell: Shell, old: Old, here: World) -> None:
    old.issuer = here.authority.origin
    await asyncio.create_task(greet(shell))
    assert said(shell).startswith("Not connected yet: you are not logged in.")
    assert here.person is not None
    assert here.person.urls == []


async def test_server_that_is_away_is_told(shell: Shell, old: Old) -> None:
    old.away = 503
    await asyncio.create_task(greet(shell))
    assert said(shell).startswith("Not connected yet. ")


async def test_login_that_is_typed_while_the_shell_connects_is_one(shell: Shell, old: Old, here: World) -> None:
    old.issuer, old.held = here.authority.origin, "server/discover"
    greeting = asyncio.create_task(greet(shell))
    await old.waiting.wait()
    await perform(shell, "auth login")
    assert "Logged in as " in said(shell)
    old.gate.set()
    await asyncio.wait([greeting])


async def test_command_that_is_typed_while_the_shell_connects_may_ask_for_more(
    shell: Shell, old: Old, here: World
) -> None:
    class Opening(Prompt):
        async def go(self, url: str) -> dict[str, str]:
            old.gate.set()
            return await super().go(url)

    more = Response(status_code=403, headers={"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="pay"'})
    answers = iter([more])
    old.tools["pay"] = lambda: next(answers, None)
    shell.server.auth.person = here.person
    old.issuer = here.authority.origin
    await perform(shell, "auth login")
    shell.server.auth.person, old.held = Opening(), "tools/list"
    greeting = asyncio.create_task(greet(shell))
    await old.waiting.wait()
    await perform(shell, "call-tool pay {}")
    await greeting
    assert old.ran == ["pay", "pay"]


async def test_line_that_is_waited_for_can_be_given_up() -> None:
    reading, never = threading.Event(), threading.Event()

    def lines() -> Iterator[str]:
        reading.set()
        never.wait()
        yield ""

    waiting = asyncio.create_task(Typed(lines()).line())
    await anyio.to_thread.run_sync(reading.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    never.set()


@pytest.mark.parametrize("stays", [True, False])
async def test_ctrl_c_that_comes_after_a_command_ends_what_does_not_stay(stays: bool) -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_result(None)
    ended = contextlib.nullcontext() if stays else pytest.raises(asyncio.CancelledError)
    with ended:
        async with interruptible(done, stays=stays):
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0.01)  # the loop hears of signals through a socket
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


def test_ctrl_c_ends_a_shell_that_waits_for_a_line_of_a_pipe(home: Home) -> None:
    with home.start("shell", NOWHERE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("history\n")
        process.stdin.flush()
        assert process.stdout.readline() == "    1  history\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == CANCELLED
        assert process.stderr.read() == ""
