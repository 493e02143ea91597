"""One run of a command: lines in, lines out, its standard error in our log, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Protocol, cast

from tools.stdio.command import CannotStart, Command

LINE_OF_LOG = 2000  # characters of its standard error that are logged of one line
LINES_A_SECOND = 500  # that are logged of one process; the others are counted
LINES_A_TURN = 500  # of its output that are looked at, until the gate sees to others
LAST_WORDS_SECONDS = 0.5  # that its output may still take to come through after its end
OPEN_FILES = 1024  # that it may have, as from a shell: some programs close every one they might have, when they start
REAP_SECONDS = 5  # that the system may take to say that a killed process has ended

log = logging.getLogger("bearergate.stdio")


class Listener(Protocol):
    """Who hears what a process says."""

    def received(self, line: bytes) -> bool:
        """A line of its output, without its end; False if it is no message, and so is for the log."""

    def ended(self, reason: str) -> None:
        """It will say nothing more; the reason reads on after the name of the command."""


class Said:
    """The log of what a process says that is no message, so much of it that the gate has time for others."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._second = 0
        self._lines = 0  # within this second
        self._left_out = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more is logged within this second."""
        self._begin(int(self._clock()))
        return self._lines >= LINES_A_SECOND

    def add(self, line: bytes, before: str = "", after: str = "") -> None:
        """Log a line, or count it."""
        if self.is_full:
            self._left_out += 1
        else:
            self._lines += 1
            log.info("%s%s: %s%s", self._name, before, printable(line), after)

    def leave_out(self, lines: int) -> None:
        """Count lines that nobody has looked at."""
        self._left_out += lines

    def end(self) -> None:
        """Tell what was left out until now."""
        if self._left_out:
            log.warning("%s wrote %d more lines, which are left out", self._name, self._left_out)
            self._left_out = 0

    def _begin(self, second: int) -> None:
        if second != self._second:
            self.end()
            self._second, self._lines = second, 0


class Process(asyncio.SubprocessProtocol):
    """A process in a group of its own, which ends as a whole."""

    def __init__(self, command: Command, listener: Listener) -> None:
        self._command = command
        self._listener: Listener | None = listener
        self._said = Said(command.name)
        self._output = Lines(command.max_message_bytes, self._received)
        self._errors = Lines(LINE_OF_LOG * 4, self._log)
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()  # the process itself, whatever it has left behind
        self._unseen = b""  # of its output
        self._paused = False
        self._reading = True
        self._transport: asyncio.SubprocessTransport
        self._input: asyncio.WriteTransport | None = None
        self._output_pipe: asyncio.ReadTransport | None = None
        self.pid = 0  # of the process and of its group

    @classmethod
    async def start(cls, command: Command, listener: Listener) -> Process:
        """A process that runs.

        Raises:
            CannotStart: it does not; the text says why.
        """
        try:
            _, process = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(command, listener),
                *command.arguments,
                env=command.variables(),
                cwd=command.directory,
                start_new_session=True,
            )
            process._connect()  # noqa: SLF001 - of this class
        except OSError as failed:
            raise CannotStart(f"The command {command.name} cannot be started ({failed.strerror}).") from None
        log.info("%s started as process %d", command.name, process.pid)
        return process

    async def write(self, line: bytes) -> None:
        """Send a line, as soon as it reads; what is written to one that has ended is lost."""
        await self._writable.wait()
        if not self._gone.is_set() and self._input is not None:
            self._input.write(line + b"\n")

    def pause(self) -> None:
        """Stop reading what it says, until `resume`."""
        self._paused = True
        self._read_on()

    def resume(self) -> None:
        """Go on reading."""
        self._paused = False
        self._read_on()

    def _read_on(self) -> None:
        """Read where nobody wants it to wait and everything it has said is seen."""
        wanted = not self._paused and not self._unseen
        if self._output_pipe is not None and wanted != self._reading:
            self._reading = wanted
            (self._output_pipe.resume_reading if wanted else self._output_pipe.pause_reading)()

    async def stop(self) -> None:
        """End it: no more input, then SIGTERM to its group, then SIGKILL (MCP 2025-11-25 Lifecycle, Shutdown)."""
        self.resume()  # one that waits to be read does not see that its input has ended
        self._listener = None
        if self._input is not None:
            self._input.close()
        if not await self._ends_within(self._command.grace_seconds):
            self._signal(signal.SIGTERM)
            if not await self._ends_within(self._command.grace_seconds):
                self._signal(signal.SIGKILL)
                await self._ends_within(REAP_SECONDS)
        self._transport.close()

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)
        return self._gone.is_set()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop, as all that follows."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()
        limit_open_files(self.pid)

    def _connect(self) -> None:
        self._input = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        self._output_pipe = cast("asyncio.ReadTransport", self._transport.get_pipe_transport(1))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what it says on standard output or error."""
        if fd == 1:
            self._unseen += data
            self._see()
        elif not self._said.is_full:
            self._errors.feed(data)
        else:
            self._errors.skip()
            self._said.leave_out(data.count(b"\n"))

    def _see(self) -> None:
        """Look at some of its output, and at the rest in turn with all else that goes on."""
        self._unseen = self._output.feed(self._unseen, LINES_A_TURN)
        self._read_on()
        if self._unseen:
            asyncio.get_running_loop().call_soon(self._see)

    def pause_writing(self) -> None:
        """It does not read as fast as we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has read on."""
        self._writable.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio
        """One that hears or says nothing any more is of no use, though most that do are about to end."""
        if fd == 0:
            self._input = None
            self._writable.set()
        elif fd == 1:
            self._output_pipe = None
        if fd != 2:
            asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if not self._gone.is_set():
            self._finish("closed its input or output")
            self._signal(signal.SIGTERM)

    def process_exited(self) -> None:
        """It has ended; what it has said last may still be on its way."""
        self._gone.set()
        self._writable.set()
        self._signal(signal.SIGKILL)  # the rest of its group, which holds its pipes open
        asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._finish, self._reason())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio
        """It has ended, and so has all that it said."""
        self._output.feed(self._unseen)
        self._unseen = b""
        self._errors.end()
        self._said.end()
        self._finish(self._reason())

    def _reason(self) -> str:
        status = self._transport.get_returncode() or 0
        return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"

    def _finish(self, reason: str) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            log.warning("%s %s", self._command.name, reason)
            listener.ended(reason)

    def _received(self, line: bytes, *, whole: bool) -> None:
        if not whole:
            self._finish(f"sent a message of more than {self._command.max_message_bytes} bytes")
            self._signal(signal.SIGKILL)
        elif self._listener is not None and not self._listener.received(line):
            self._said.add(line, " says on its output, which is for messages")

    def _log(self, line: bytes, *, whole: bool) -> None:
        self._said.add(line, after="" if whole else "…")


class Lines:
    """Bytes as they come, as lines. Of one that is too long, the first bytes are given and the rest is dropped."""

    def __init__(self, limit: int, take: Callable[..., None]) -> None:
        self._limit = limit
        self._take = take
        self._held = bytearray()
        self._dropping = False

    def feed(self, data: bytes, most: int = -1) -> bytes:
        """Take the next bytes, with so many ends of lines at most; what is left of them."""
        *whole, rest = data.split(b"\n", most)
        for part in whole:
            self._add(part)
            self._give()
        if len(whole) == most:
            return rest
        self._add(rest)
        return b""

    def skip(self) -> None:
        """Drop the rest of the present line: what comes next is not all that follows it."""
        self._held.clear()
        self._dropping = True

    def end(self) -> None:
        """Give what has no end of line."""
        if self._held:
            self._give()

    def _add(self, part: bytes) -> None:
        if self._dropping:
            return
        self._held += part
        if len(self._held) > self._limit:
            self._take(bytes(self._held[: self._limit]), whole=False)
            self._held.clear()
            self._dropping = True

    def _give(self) -> None:
        line, self._held = bytes(self._held), bytearray()
        if not self._dropping and line.strip():
            self._take(line, whole=True)
        self._dropping = False


def limit_open_files(pid: int) -> None:
    """Take back what the gate has of open files for itself; a process that needs as many may have them."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not everywhere

        with contextlib.suppress(OSError):  # it has ended, or is of another account
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))


def printable(line: bytes) -> str:
    """A line that a terminal or a log can show: at most LINE_OF_LOG characters, what controls them escaped."""
    text = line[: LINE_OF_LOG * 4 + 4].rstrip(b"\r").decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:LINE_OF_LOG])
    return shown + ("…" if len(text) > LINE_OF_LOG else "")
