"""A line to a command that is kept up: ids of ours in place of the clients', and every answer to the one who asked."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Protocol

from msgspec import Raw

from tools.exchange import INTERNAL_ERROR, INVALID_REQUEST, Refusal
from tools.stdio.back_off import BackOff
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
from tools.stdio.process import Process
from tools.stdio.stream import Exchange, Stream

log = logging.getLogger("bearergate.stdio")


class NoSession(Refusal):
    """There is no such session, as far as this principal may know (MCP Transports, Session Management)."""

    def __init__(self, sentence: str) -> None:
        super().__init__(404, sentence, code=INVALID_REQUEST)


class Client(Protocol):
    """Who is at the other end, for what is no answer."""

    def asked(self, connection: Connection, message: Members) -> None:
        """The command wants something from the client."""

    def told(self, connection: Connection, message: Members) -> None:
        """The command says something of its own accord, or about nothing in particular."""

    def greeted(self, answer: Members) -> None:
        """The answer of a new process to the opening; raises a Refusal if it will not do."""


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
        return not self._starting.locked() and all(exchange.closed for exchange in self.exchanges.values())

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
        await self._write(message)

    async def _write(self, message: Members) -> None:
        if self._process is not None:
            await self._process.write(write(message))

    def touch(self) -> None:
        """Somebody has wanted something until now."""
        self.used = time.monotonic()

    def reply(self, message: Members) -> None:
        """Send a response of our own, behind what is going on; one that reads none of them gets no more.

        A command that asks is idle all the same, where nobody asks anything of it.
        """
        if len(self._under_way) < self._command.max_requests:
            self._later(self._write(message))

    def _later(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(doing)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def cancel(self, exchange: Exchange, told: Members | None = None) -> None:
        """Tell the command that the answer is not wanted any more, as the client has told it if it has.

        Nobody waits for that, since a command that does not read would have them wait for ever.
        """
        if self.exchanges.pop(exchange.number, None) is not None:
            sent = told or notification("notifications/cancelled", {"requestId": 0})
            self._later(self.tell(changed(sent, CANCELLED, raw(exchange.number))))

    async def close(self) -> None:
        """End the process and everything under way, for good; none of it runs any more then."""
        self._closed = True
        process, self._process = self._process, None
        self._fail_all(f"The command {self._command.name} was stopped before it answered.")
        if process is not None:
            await process.stop()
        async with self._starting:  # whoever is at it finds it closed, and stops what was started
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
        except (Refusal, asyncio.CancelledError) as failed:
            self._process = None
            if isinstance(failed, Refusal) and failed.status >= 500:
                self._back_off.failed(0.0, f"The command {self._command.name} does not open as it should.")
            raise
        finally:
            if self._process is None or self._closed:
                self._process = None
                await process.stop()

    async def _greeting(self, process: Process, opening: Members) -> Members:
        """What a new process answers to the opening; it then may be asked anything."""
        exchange = Exchange({**opening, "id": raw(0)}, None)
        try:
            await self._send(process, exchange)
            answer = await exchange.next(self._command.start_seconds)
        except TimeoutError:
            raise Refusal(504, f"The command {self._command.name} does not answer.", code=INTERNAL_ERROR) from None
        finally:
            self.exchanges.pop(exchange.number, None)  # which would be under way for ever
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

    def received(self, line: bytes) -> bool:
        """Send a message of the process on to whom it is for; False where it is none."""
        try:
            messages = read_all(line)
        except NotAMessage:
            return False
        for message in messages:
            self._sort(message)
        return True

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
