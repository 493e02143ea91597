"""The interactive shell, and the same commands from a script or a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from client.apart import apart
from client.errors import CANCELLED, BadInput, ClientError, NotLoggedIn
from client.output import Output
from client.plain import line
from client.settings import Settings, location_of

if TYPE_CHECKING:
    from client.ask import Asker
    from client.login import Person
    from client.server import Server
    from client.vault import Vault


class Lines(Protocol):
    """Where commands come from."""

    async def line(self) -> str | None:
        """The next one, or None at the end."""


class Typed:
    """Commands that are known beforehand, or come through a pipe."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)

    async def line(self) -> str | None:
        """The next line."""
        return await apart(lambda: next(self._lines, None))


class Shell:
    """What the commands work on: the settings, the server they name, and how to speak to the person."""

    def __init__(self, settings: Settings, output: Output, *, interactive: bool) -> None:
        self.settings = settings
        self.output = output
        self.interactive = interactive
        self.history: list[str] = []
        self.done = False
        self._server: Server | None = None
        self._vault: Vault | None = None
        self._asker: Asker | None = None

    @property
    def asker(self) -> Asker:
        """Who answers questions."""
        if self._asker is None:
            from client.ask import Nobody

            self._asker = Nobody()
        return self._asker

    @asker.setter
    def asker(self, asker: Asker) -> None:
        self._asker = asker

    @property
    def server(self) -> Server:
        """The server of the settings. The SDK is imported now, not before the first prompt."""
        if self._server is None:
            self._server = self._chosen()
        return self._server

    @property
    def has_server(self) -> bool:
        """Whether one was used already."""
        return self._server is not None

    async def change(self, **settings: object) -> None:
        """Other settings, and so another server; the connection to the one before is closed."""
        changed = dataclasses.replace(self.settings, **settings)  # type: ignore[arg-type]
        if location_of(changed.url, "the URL").origin != location_of(self.settings.url, "the URL").origin:
            # what was set for one server is not for another
            secrets = dict.fromkeys(("access_token", "client_secret", "client_key", "workload_token"), "")
            changed = dataclasses.replace(changed, client_credentials=False, **secrets)  # type: ignore[arg-type]
        await self.close()
        self.settings = changed
        self._server = None

    async def close(self) -> None:
        """Disconnect."""
        if self._server:
            await self._server.connection.close()

    def _chosen(self) -> Server:
        from client.connection import Callbacks
        from client.elicitation import elicitation
        from client.progress import Progress
        from client.server import Server
        from client.vault import open_vault

        if self._vault is None:
            self._vault = open_vault(self.settings.folder, self.output.say)
        callbacks = Callbacks(
            log=Progress(self.output).log,
            elicit=elicitation(self.asker, self.output),
            reconnecting=lambda why: self.output.say(f"{why}. Connecting again."),
            trace=self.trace,
        )
        return Server(self.settings, self._vault, self._person(), callbacks)

    def trace(self, what: str) -> None:
        """A request that was made, for who wants to see them."""
        if self.settings.debug:
            self.output.say(f"[debug] {line(what)}")

    def _person(self) -> Person | None:
        """Who can log in: nobody within a script."""
        return person(self.settings, self.output, self.asker) if self.interactive else None


def person(settings: Settings, output: Output, asker: Asker) -> Person:
    """The person who started this, with a browser here or elsewhere."""
    from client.login import AtBrowser, ByPaste, is_listenable

    if settings.browser and (not settings.redirect_uri or is_listenable(settings.redirect_uri)):
        return AtBrowser(output.say)
    return ByPaste(output.say, asker.ask)


async def run(shell: Shell, lines: Lines) -> int:
    """Run commands until there are no more: the exit status. Outside a terminal the first failure ends it."""
    from client.commands import perform

    try:
        while not shell.done:
            text = await lines.line()
            if text is None:
                break
            status = await _performed(perform, shell, text)
            if status and not shell.interactive:
                return status
    except asyncio.CancelledError:  # while a line was waited for
        return CANCELLED
    finally:
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        await shell.close()
    return 0


async def _performed(perform: Callable[[Shell, str], Awaitable[None]], shell: Shell, text: str) -> int:
    """One command; what it fails with is one sentence."""
    text = text.strip()
    if not text:
        return 0
    shell.history.append(text)
    task = asyncio.ensure_future(perform(shell, text))
    try:
        async with interruptible(task, stays=shell.interactive):
            await asyncio.wait([task])
            task.result()
    except asyncio.CancelledError:
        shell.output.say("Cancelled.")
        return CANCELLED
    except ClientError as error:
        shell.output.say(str(error))
        return error.exit
    return 0


@asynccontextmanager
async def interruptible(task: asyncio.Future[None], *, stays: bool) -> AsyncIterator[None]:
    """Ctrl-C cancels the task; one that comes too late does nothing where the program stays, and ends it elsewhere.

    The handler is replaced afterwards and not removed, for the loop then forgets a signal that it has not looked at.
    """
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    late = False

    def interrupt() -> None:
        nonlocal late
        late = not task.cancel()

    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGINT, _nothing if stays or main is None else main.cancel)
    if late and not stays:
        raise asyncio.CancelledError


def _nothing() -> None:
    """What a Ctrl-C does that comes between a command and the prompt."""


async def interactive(settings: Settings, output: Output) -> int:
    """The shell at a terminal."""
    from client.commands import ABOUT
    from client.terminal import Terminal, above_the_prompt

    shell = Shell(settings, output, interactive=True)
    terminal = Terminal(settings.folder, ABOUT, lambda: shell.server.known_tools if shell.has_server else [])
    shell.asker = terminal
    output.paged = True
    output.around = above_the_prompt
    output.say(f"bearergate shell for {line(settings.url)}. Type help for the commands, quit to leave.")
    greeting = asyncio.create_task(greet(shell))
    try:
        return await run(shell, terminal)
    finally:
        greeting.cancel()
        await asyncio.gather(greeting, return_exceptions=True)


async def greet(shell: Shell) -> None:
    """Connect while the person reads the prompt, unless that takes a login."""
    import importlib

    await asyncio.to_thread(importlib.import_module, "client.server")
    from client.exchange import exchange

    try:
        with exchange(unattended=True):
            await shell.server.tools()
        shell.output.say(f"Connected to {line(shell.settings.url)}.")
    except NotLoggedIn:
        shell.output.say("Not connected yet: you are not logged in. Type auth login, or a command that needs it.")
    except ClientError as error:
        shell.output.say(f"Not connected yet. {error}")


def piped(settings: Settings, output: Output, commands: Iterable[str] | None = None) -> int:
    """The commands of a script, or of standard input."""
    lines = standard_input() if commands is None else (text for each in commands for text in each.splitlines())
    return asyncio.run(run(Shell(settings, output, interactive=False), Typed(lines)))


def standard_input() -> TextIO:
    """Standard input; bytes in it that are no UTF-8 are kept, for whoever can say so in a sentence."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    return sys.stdin


def at_terminal() -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def check_commands(commands: Iterable[str]) -> list[str]:
    """Commands of a command line, of which there must be one."""
    given = list(commands)
    if not any(command.strip() for command in given):
        raise BadInput("There is no command in -c")
    return given
