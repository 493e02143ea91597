"""Sessions of clients up to 2025-11-25: each with a process of its own, or all with one."""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable

from msgspec import Raw

from tools.exchange import INTERNAL_ERROR, Refusal
from tools.stdio.back_off import BackOff
from tools.stdio.command import Command
from tools.stdio.connection import Connection
from tools.stdio.messages import (
    CANCELLED,
    Members,
    changed,
    error,
    found,
    members_of,
    method_of,
    number_of,
    raw,
    request,
    result,
    write,
)
from tools.stdio.stream import Exchange, Stream

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
METHOD_NOT_FOUND = -32601
REQUEST_CANCELLED = -32800  # as the SDK answers a request of up to 2025-11-25 that was cancelled
UNHEARD = 100  # messages kept for a client that has no stream open,
MAX_WANTED = 100  # requests of a command that its client has not answered
UNHEARD_BYTES = 1024 * 1024  # and what they may hold
# What a process that several principals share cannot keep apart.
NOT_SHARED = ("logging/", "resources/subscribe", "resources/unsubscribe", "tasks/")

log = logging.getLogger("bearergate.stdio")


def our_introduction() -> dict[str, object]:
    """The parameters by which we open a process ourselves, as a client that can do nothing."""
    version = importlib.metadata.version("bearergate")
    return {
        "protocolVersion": HANDSHAKE[-1],
        "capabilities": {},
        "clientInfo": {"name": "bearergate", "version": version},
    }


Owner = tuple[str, str, bool]


class Session:
    """One client's session: its requests under way, and what the command has asked the client."""

    def __init__(self, owner: Owner, connection: Connection) -> None:
        self.id = secrets.token_hex(16).encode()
        self.owner = owner
        self.connection = connection
        self.listening: Stream | None = None  # opened by GET
        self.used = time.monotonic()
        self._unheard: deque[Members] = deque()
        self._unheard_bytes = 0
        self._losing = False  # what is lost is logged once
        self._wanted: dict[int, Raw] = {}  # what the command calls its requests, by what the client does
        self._numbers = itertools.count(1)

    @property
    def is_idle(self) -> bool:
        """Whether the client waits for nothing."""
        return (self.listening is None or self.listening.closed) and all(each.closed for each in self._exchanges())

    def _exchanges(self) -> list[Exchange]:
        return [each for each in self.connection.exchanges.values() if each.owner is self]

    def touch(self) -> None:
        """The client has wanted something until now."""
        self.used = time.monotonic()
        self.connection.touch()

    async def ask(self, exchange: Exchange) -> None:
        """Send a request of the client; what the command has said meanwhile comes first."""
        self.touch()
        await self.connection.ask(exchange)
        self._hear(exchange)

    async def tell(self, message: Members) -> None:
        """Send a notification of the client, or its response; what is about nothing of its own goes no further."""
        self.touch()
        method = method_of(message)
        if method is None:
            asked = self._wanted.pop(number_of(message.get("id")) or 0, None)
            if asked is not None:
                await self.connection.tell({**message, "id": asked})
        elif method == "notifications/cancelled":
            named = found(message, *CANCELLED)
            for exchange in self._exchanges():
                if named is not None and bytes(exchange.id) == bytes(named):
                    exchange.put(write(error(exchange.id, REQUEST_CANCELLED, "Request cancelled")), last=True)
                    self.connection.cancel(exchange, message)
        else:
            await self.connection.tell(message)

    def listen(self) -> Stream:
        """A stream for what is about no request; it takes the place of one that was open."""
        self.touch()
        stream = Stream()
        for message in [] if self.listening is None else self.listening.abandon():
            stream.put(message)
        self.listening = stream
        self._hear(stream)
        return stream

    def _hear(self, stream: Stream) -> None:
        while self._unheard:
            self.connection.deliver(stream, self._unheard.popleft())
        self._unheard_bytes = 0
        self._losing = False

    def want(self, message: Members) -> None:
        """Pass on a request of the command, under an id that no other process has used before."""
        number = next(self._numbers)
        if len(self._wanted) < MAX_WANTED and self.say({**message, "id": raw(number)}):
            self._wanted[number] = message["id"].copy()  # or the whole line is kept with it
        else:
            self.connection.reply(error(message["id"], INTERNAL_ERROR, "The client does not answer: ask no more."))

    def withdraw(self, message: Members) -> None:
        """Pass on that the command no longer wants what it has asked."""
        named = found(message, *CANCELLED)
        for number, asked in list(self._wanted.items()):
            if named is not None and bytes(asked) == bytes(named):
                del self._wanted[number]
                self.say(changed(message, CANCELLED, raw(number)))

    def forget_wanted(self) -> None:
        """A new process knows nothing of what another one has asked."""
        self._wanted.clear()

    def say(self, message: Members) -> bool:
        """Pass on what no answer is: to the only request under way, or else the open stream, or else the last one.

        False where nobody hears it, and too much waits already.
        """
        waiting = [each for each in self._exchanges() if not each.closed]
        listening = None if self.listening is None or self.listening.closed else self.listening
        if waiting and (len(waiting) == 1 or listening is None):
            self.connection.deliver(waiting[-1], message)
        elif listening is not None:
            self.connection.deliver(listening, message)
        elif len(self._unheard) < UNHEARD and self._unheard_bytes < UNHEARD_BYTES:
            self._unheard.append(message)
            self._unheard_bytes += sum(len(bytes(value)) for value in message.values())
        else:
            if not self._losing:
                log.warning("a client listens to nothing, and messages for it are lost")
            self._losing = True
            return False
        return True

    def end(self) -> None:
        """What the client waits for ends."""
        for exchange in self._exchanges():
            exchange.put(write(error(exchange.id, INTERNAL_ERROR, "The session has ended.")), last=True)
        if self.listening is not None:
            self.listening.close()


class Alone:
    """A process that serves one session, and is opened by what the client has said."""

    def __init__(self, owner: Owner, command: Command, back_off: BackOff) -> None:
        self.session = Session(owner, Connection(command, self, back_off))
        self._revision: bytes = b""

    @property
    def is_idle(self) -> bool:
        """Whether the client waits for nothing."""
        return self.session.is_idle

    def opened(self, asked: Members, response: Members) -> bool:
        """Whether the command has accepted `initialize`; it is then said again to every process that follows."""
        revision = found(response, "result", "protocolVersion")
        if revision is None:
            return False
        self._revision = bytes(revision)
        self.session.connection.opening = asked
        return True

    def greeted(self, answer: Members) -> None:
        """A process that takes the place of another one has to agree on the same revision."""
        self.session.forget_wanted()
        if bytes(found(answer, "result", "protocolVersion") or b"") != self._revision:
            raise Refusal(502, "The command does not open the session again as it did before.", code=INTERNAL_ERROR)

    def asked(self, _: Connection, message: Members) -> None:
        """The command asks its client."""
        self.session.want(message)

    def told(self, _: Connection, message: Members) -> None:
        """The command tells its client."""
        if method_of(message) == "notifications/cancelled":
            self.session.withdraw(message)
        else:
            self.session.say(message)


class Together:
    """A process that serves every session there is: nothing it says reaches one of them unless that one has asked.

    So there is no log, no subscription and no task, and the command may ask nobody anything; what has changed in its
    lists is told to all.
    """

    def __init__(self, command: Command, back_off: BackOff, sessions: Callable[[], Iterable[Session]]) -> None:
        opening = request("initialize", our_introduction())
        self.connection = Connection(command, self, back_off, {**opening, "id": raw(0)})
        self.revision = ""
        self._sessions = sessions
        self._result: Members = {}

    def greeted(self, answer: Members) -> None:
        """Take note of how the command introduces itself."""
        revision = found(answer, "result", "protocolVersion")
        if revision is None:
            raise Refusal(502, "The command does not answer initialize with a result.", code=INTERNAL_ERROR)
        self.revision = bytes(revision).decode().strip('"')
        self._result = answer

    @property
    def is_idle(self) -> bool:
        """Whether no client waits for anything."""
        return all(session.is_idle for session in self._sessions())

    def introduction(self, asked: Members) -> Members:
        """The response to `initialize` of one of many clients."""
        wanted = bytes(found(asked, "params", "protocolVersion") or b"").decode("utf-8", "replace").strip('"')
        revision = wanted if wanted in HANDSHAKE and wanted <= self.revision else self.revision
        answer = changed({**self._result, "id": asked["id"]}, ("result", "protocolVersion"), raw(revision))
        capabilities = {
            name: value
            for name, value in members_of(found(answer, "result", "capabilities")).items()
            if name not in ("logging", "tasks")
        }
        if "resources" in capabilities:
            kept = members_of(capabilities["resources"])
            capabilities["resources"] = raw({name: value for name, value in kept.items() if name != "subscribe"})
        return changed(answer, ("result", "capabilities"), raw(capabilities))

    def asked(self, connection: Connection, message: Members) -> None:
        """Nobody can be asked, but the gate is there."""
        if method_of(message) == "ping":
            connection.reply(result(message["id"], {}))
        else:
            connection.reply(error(message["id"], METHOD_NOT_FOUND, "This server is shared: no client can be asked."))

    def told(self, _: Connection, message: Members) -> None:
        """What is about nobody in particular, all may hear."""
        if (method_of(message) or "").endswith("/list_changed"):
            for session in self._sessions():
                session.say(message)


def check_shared(message: Members) -> None:
    """The request is one that a shared process can answer to each client apart.

    Raises:
        Refusal: it is not; as a response that says so.
    """
    method = method_of(message) or ""
    if method.startswith(NOT_SHARED):
        raise Refusal(200, f"{method} is not served here: the command is shared.", code=METHOD_NOT_FOUND)
