"""Work that blocks is waited for as long as somebody wants it, and holds up nobody after that."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
import threading
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from client.apart import apart
from client.ask import Declined
from client.once import _Typing
from tests.client.conftest import Home
from tests.client.test_tokens import stream

NOWHERE = "http://127.0.0.1:9/mcp"  # the discard port, where nothing listens


async def test_what_comes_of_it_is_given() -> None:
    assert await apart(lambda: 7) == 7
    with pytest.raises(ValueError, match="no number"):
        await apart(lambda: int("no number"))


async def test_nobody_hears_of_it_who_has_stopped_waiting() -> None:
    gate = threading.Event()
    waiting = apart(gate.wait)
    waiting.cancel()
    gate.set()
    assert await apart(lambda: "next") == "next"
    assert waiting.cancelled()


def test_it_may_come_too_late_for_the_program() -> None:
    gate, done = threading.Event(), threading.Event()

    class Answer:
        """Which tells when nobody holds it any more: the thread has ended."""

        def __del__(self) -> None:
            done.set()

    def work() -> Answer:
        gate.wait(30)
        return Answer()

    async def begin() -> None:
        apart(work)

    asyncio.run(begin())
    gate.set()
    assert done.wait(30)


def test_ctrl_c_ends_a_shell_that_waits_for_a_line_of_a_pipe(home: Home) -> None:
    with home.start("shell", NOWHERE) as shell:
        try:
            stream(shell.stdin).write("help\nnot yet a li")
            stream(shell.stdin).flush()
            while not stream(shell.stdout).readline().startswith("quit"):
                assert shell.poll() is None
            while len(list(Path(f"/proc/{shell.pid}/task").iterdir())) == 1:  # until a second thread waits for the rest
                assert shell.poll() is None
            shell.send_signal(signal.SIGINT)
            status = shell.wait(30)
            said = stream(shell.stderr).read()
        finally:
            shell.kill()
    assert (status, said) == (130, "")


class Keys(io.StringIO):
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


async def test_paste_may_come_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" http://127.0.0.1/callback?code=c \nmore"))
    monkeypatch.setattr(sys, "stderr", said := io.StringIO())
    assert await _Typing().ask("Paste it here: ") == "http://127.0.0.1/callback?code=c"
    assert said.getvalue() == "Paste it here: "


@pytest.mark.parametrize(("keys", "answer"), [("\x04", None), ("x\r", "x")], ids=["Ctrl-D", "an answer"])
async def test_paste_that_is_declined_ends_the_login_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, keys: str, answer: str | None
) -> None:
    monkeypatch.setattr(sys, "stdin", Keys())
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        typed.send_text(keys)
        if answer is not None:
            assert await _Typing().ask("Paste it here: ") == answer
        else:
            with pytest.raises(Declined, match="Not answered"):
                await _Typing().ask("Paste it here: ")
