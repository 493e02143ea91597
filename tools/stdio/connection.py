"""A line to a command that is kept up: ids of ours in place of the clients', and every answer to the one who asked."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Protocol

from msgspec import Raw

from tools.exchange import INTERNAL_ERROR, INVALID_REQUEST, Refusal
from tools.stdio.command import CannotStart, Command
from tools.stdio.messages import (
    CANCELLED,
    ENDED_SUBSCRIPTION,
    PROGRESS_TOKEN,
    SUBSCRIPTION,
    Members,
    NotAMessage,
    changed,
    error,
    found,
    method_of,
    notification,
    number_of,
    raw,
    read_all,
    write,
)
from tools.stdio.process import Process, printable

FULL_MESSAGES = 256  # that wait for a client, until the process is not read any further
FULL_BYTES = 1024 * 1024  # of them, likewise
BACK_OFF_SECONDS = 0.25  # before the second start after a failure; twice as long before each that follows
MAX_BACK_OFF_SECONDS = 30.0
PATIENCE_SECONDS = 2.0  # that a request waits for the next start; beyond, it is refused
GOOD_RUN_SECONDS = 60.0  # a process that has run for so long did not fail to start
REQUEST_CANCELLED = -32800  # as the SDK answers a request of up to 2025-11-25 that was cancelled

log = logging.getLogger("bearergate.stdio")


class NoSession(Refusal):
    """There is no such session, as far as this principal may know (MCP Transports, Session Management)."""

    def __init__(self, sentence: str) -> None:
        super().__init__(404, sentence, code=INVALID_REQUEST)


class Stream:
    """Messages on their way to one HTTP response."""

    def __init__(self) -> None:
        self.closed = False  # nobody reads any more, or the last message is there
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self.emptied: Callable[[], None] = _nothing

    @property
    def is_full(self) -> bool:
        """Whether more waits than should."""
        return len(self._messages) >= FULL_MESSAGES or self._bytes >= FULL_BYTES

    def put(self, message: bytes, *, last: bool = False) -> None:
        """Add a message; after the last one, and after the client has gone, nothing is added."""
        if not self.closed:
            self._messages.append(message)
            self._bytes += len(message)
            self.closed = last
            self._news.set()

    def close(self) -> None:
        """End it; what waits is still read."""
        self.closed = True
        self._news.set()

    def abandon(self) -> list[bytes]:
        """The client has gone: nothing is read any more. What it has not read."""
        left = list(self._messages)
        self._messages.clear()
        self._bytes = 0
        self.close()
        self.emptied()
        return left

    async def next(self, seconds: float | None = None) -> bytes | None:
        """The next message; None after the last one.

        Raises:
            TimeoutError: there is none within so many seconds.
        """
        while not self._messages:
            if self.closed:
                return None
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), seconds)
        message = self._messages.popleft()
        self._bytes -= len(message)
        if not self._messages:
            self.emptied()
        return message


class Exchange(Stream):
    """A request under way: where its answer goes, and what the client calls it."""

    def __init__(self, asked: Members, owner: object) -> None:
        super().__init__()
        self.asked = asked
        self.owner = owner  # who asked, where several share a process
        self.id = asked["id"]
        self.token = found(asked, *PROGRESS_TOKEN)
        self.number = 0  # its id towards the command


class Client(Protocol):
    """Who is at the other end, for what is no answer."""

    def asked(self, connection: Connection, message: Members) -> None:
        """The command wants something from the client."""

    def told(self, connection: Connection, message: Members) -> None:
        """The command says something of its own accord, or about nothing in particular."""

    def greeted(self, answer: Members) -> None:
        """The answer of a new process to the opening; raises a Refusal if it will not do."""


class BackOff:
    """How long to wait before a command is started again."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self._said = ""

    def failed(self, ran: float, said: str) -> None:
        """A process has ended by itself, after so many seconds."""
        self._failures = 1 if ran > GOOD_RUN_SECONDS else self._failures + 1
        self._said = said
        seconds = min(MAX_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2.0 ** (self._failures - 1)) if self._failures > 1 else 0
        self._until = time.monotonic() + seconds

    async def wait(self) -> None:
        """Until it may be started.

        Raises:
            Refusal: that is too long for somebody who waits.
        """
        seconds = self._until - time.monotonic()
        if seconds > PATIENCE_SECONDS:
            raise Refusal(503, f"{self._said} It is started again in {math.ceil(seconds)} seconds: try again then.")
        await asyncio.sleep(max(0.0, seconds))


class Connection:
    """One process at a time, started when it is needed and again when it has ended."""

    def __init__(self, command: Command, client: Client, back_off: BackOff, opening: Members | None = None) -> None:
        self.used = time.monotonic()  # when somebody last wanted something
        self.opening = opening  # what every new process is asked first
        self.exchanges: dict[int, Exchange] = {}
        self._command = command
        self._client = client
        self._back_off = back_off
        self._numbers = itertools.count(1)
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._began = 0.0
        self._full: set[Stream] = set()  # that wait for their clients to read
        self._under_way: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything of it."""
        return all(exchange.closed for exchange in self.exchanges.values())

    async def ask(self, exchange: Exchange) -> None:
        """Send a request; its answer comes to the exchange.

        Raises:
            Refusal: the command cannot be started, or has too much to do.
        """
        process = await self.start()
        await self._send(process, exchange)

    async def tell(self, message: Members) -> None:
        """Send a notification or a response; where no process runs, nobody is there to be told."""
        self.touch()
        if self._process is not None:
            await self._process.write(write(message))

    def touch(self) -> None:
        """Somebody has wanted something until now."""
        self.used = time.monotonic()

    def reply(self, message: Members) -> None:
        """Send a response of our own, behind what is going on."""
        self._later(self.tell(message))

    def _later(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(doing)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def cancel(self, exchange: Exchange, told: Members | None = None) -> None:
        """Tell the command that the answer is not wanted any more, as the client has told it if it has."""
        if self.exchanges.pop(exchange.number, None) is not None:
            sent = told or notification("notifications/cancelled", {"requestId": 0})
            await self.tell(changed(sent, CANCELLED, raw(exchange.number)))

    async def close(self) -> None:
        """End the process and everything under way, for good."""
        self._closed = True
        process, self._process = self._process, None
        self._fail_all(f"The command {self._command.name} was stopped before it answered.")
        if process is not None:
            await process.stop()
        await asyncio.gather(*self._under_way)

    async def start(self) -> Process:
        """The process that runs, if need be a new one.

        Raises:
            Refusal: it cannot be started, or does not open as it should.
        """
        self.touch()
        async with self._starting:
            if self._process is None and not self._closed:
                await self._back_off.wait()
                await self._start_anew()
            if self._closed:
                raise NoSession("This session has ended: send initialize to open another one.")
            if self._process is None:
                raise Refusal(502, f"The command {self._command.name} ends at once.", code=INTERNAL_ERROR)
            return self._process

    async def _start_anew(self) -> None:
        try:
            process = self._process = await Process.start(self._command, self)
        except CannotStart as failed:
            raise Refusal(502, str(failed), code=INTERNAL_ERROR) from None
        self._began = time.monotonic()
        try:
            if self.opening is not None and not self._closed:
                answer = await self._greeting(process, self.opening)
                if self._process is not None:  # or its end is what was answered
                    self._client.greeted(answer)
        except Refusal as refusal:
            self._process = None
            if refusal.status >= 500:
                self._back_off.failed(0.0, f"The command {self._command.name} does not open as it should.")
            raise
        finally:
            if self._process is None or self._closed:
                self._process = None
                await process.stop()

    async def _greeting(self, process: Process, opening: Members) -> Members:
        """What a new process answers to the opening; it then may be asked anything."""
        exchange = Exchange({**opening, "id": raw(0)}, None)
        await self._send(process, exchange)
        try:
            answer = await exchange.next(self._command.start_seconds)
        except TimeoutError:
            raise Refusal(504, f"The command {self._command.name} does not answer.", code=INTERNAL_ERROR) from None
        said = read_all(answer or b"{}")[0]
        if method_of(opening) == "initialize" and "result" in said:
            await process.write(write(notification("notifications/initialized")))
        return said

    async def _send(self, process: Process, exchange: Exchange) -> None:
        if len(self.exchanges) >= self._command.max_requests:
            raise Refusal(503, f"The command {self._command.name} has too much to do: try again later.")
        exchange.number = next(self._numbers)
        self.exchanges[exchange.number] = exchange
        message = {**exchange.asked, "id": raw(exchange.number)}
        if exchange.token is not None:
            message = changed(message, PROGRESS_TOKEN, raw(exchange.number))
        await process.write(write(message))

    def received(self, line: bytes) -> None:
        """Send a message of the process on to whom it is for."""
        try:
            messages = read_all(line)
        except NotAMessage:
            log.info("%s says on its output, which is for messages: %s", self._command.name, printable(line))
            return
        for message in messages:
            self._sort(message)

    def _sort(self, message: Members) -> None:
        method = method_of(message)
        if method is None:
            self._answered(message)
        elif "id" in message:
            self._client.asked(self, message)
        elif method == "notifications/progress":
            self._about(message, ("params", "progressToken"), lambda exchange: exchange.token)
        elif found(message, *SUBSCRIPTION) is not None:
            self._about(message, SUBSCRIPTION, lambda exchange: exchange.id)
        elif method == "notifications/cancelled" and number_of(found(message, *CANCELLED)) in self.exchanges:
            self._about(message, CANCELLED, lambda exchange: exchange.id)
        else:
            self._client.told(self, message)

    def _answered(self, message: Members) -> None:
        number = number_of(message.get("id"))
        exchange = None if number is None else self.exchanges.pop(number, None)
        if exchange is None:
            return  # it was cancelled, or never asked
        message = {**message, "id": exchange.id}
        if found(message, *ENDED_SUBSCRIPTION) is not None:
            message = changed(message, ENDED_SUBSCRIPTION, exchange.id)
        exchange.put(write(message), last=True)

    def _about(self, message: Members, path: tuple[str, ...], name: Callable[[Exchange], Raw | None]) -> None:
        """A notification about a request goes to it, with the client's own name for it."""
        exchange = self.exchanges.get(number_of(found(message, *path)) or 0)
        known = None if exchange is None else name(exchange)
        if exchange is not None and known is not None:
            self.deliver(exchange, changed(message, path, known))

    def deliver(self, stream: Stream, message: Members) -> None:
        """Give a client a message. One that does not read holds up the process that is its own, and no other."""
        stream.put(write(message))
        if not stream.is_full or stream.closed:
            return
        if self._command.shared:
            log.warning("a client of %s does not read what it asked for, which ends", self._command.name)
            stream.abandon()
            return
        self._full.add(stream)
        stream.emptied = lambda: self._read_on(stream)
        if self._process is not None:
            self._process.pause()

    def _read_on(self, stream: Stream) -> None:
        self._full.discard(stream)
        if self._process is not None and not self._full:
            self._process.resume()

    def ended(self, reason: str) -> None:
        """Fail what is under way; the next request starts another process."""
        process, self._process = self._process, None
        said = f"The command {self._command.name} {reason}."
        self._back_off.failed(time.monotonic() - self._began, said)
        self._fail_all(f"The command {self._command.name} {reason} before it answered.")
        if process is not None:
            self._later(process.stop())

    def _fail_all(self, sentence: str) -> None:
        exchanges, self.exchanges = self.exchanges, {}
        for exchange in exchanges.values():
            exchange.put(write(error(exchange.id, INTERNAL_ERROR, sentence)), last=True)


def _nothing() -> None:
    """What is done where nobody wants to know."""
