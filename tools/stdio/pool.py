"""The processes of a command: how many there may be, whose they are, and when they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

from cachetools import LRUCache

from tools.exchange import Refusal
from tools.stdio.back_off import BackOff
from tools.stdio.command import Command
from tools.stdio.connection import Connection, NoSession
from tools.stdio.sessions import Alone, Owner, Session, Together
from tools.stdio.stateless import NotSpoken, Stateless, discovery

MAX_OWNERS = 10_000  # whose failures are remembered
SWEEPS = 4  # looks for what is idle, within the time after which it is


@dataclass(eq=False)
class Line:
    """A connection, and the session that it is for, if it is for one."""

    owner: Owner | None
    connection: Connection
    client: Alone | Together | Stateless

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything of it."""
        return self.connection.is_idle and self.client.is_idle


class Pool:
    """All processes and sessions of one command."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._lines: list[Line] = []
        self._sessions: dict[bytes, Session] = {}
        self._back_offs: LRUCache[Owner | None, BackOff] = LRUCache(MAX_OWNERS)
        self._unspoken: list[str] = []  # revisions of a command that turned out not to speak 2026-07-28
        self._closing: dict[Line, asyncio.Task[None]] = {}  # whose processes may still run
        self._asking: set[Connection] = set()  # that only find out what a command speaks
        self._closed = False

    def session(self, session_id: bytes, owner: Owner) -> Session:
        """The session of this id, if it is the owner's.

        Raises:
            NoSession: there is none, as far as this one may know.
        """
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner:
            raise NoSession("Session not found: send initialize to open one.")
        return session

    async def open(self, owner: Owner) -> Alone:
        """A new session with a process of its own, which is not kept until `keep`.

        Raises:
            Refusal: there are too many.
        """
        while self._is_full(owner):
            await self._make_room(owner)
        alone = Alone(owner, self.command, self._back_off(owner))
        self._add(Line(owner, alone.session.connection, alone))
        return alone

    def keep(self, session: Session) -> None:
        """From now on the session is found."""
        self._sessions[session.id] = session

    def join(self, owner: Owner) -> Session:
        """A new session of the process that all share.

        Raises:
            Refusal: there are too many.
        """
        if len(self._sessions) >= self.command.max_sessions:
            raise Refusal(503, "Too many sessions are open: try again later.")
        session = Session(owner, self.together().connection)
        self.keep(session)
        return session

    def together(self) -> Together:
        """The process that the sessions of all principals share."""
        for line in self._lines:
            if isinstance(line.client, Together):
                return line.client
        together = Together(self.command, self._back_off(None), lambda: list(self._sessions.values()))
        self._add(Line(None, together.connection, together))
        return together

    async def stateless(self, owner: Owner) -> tuple[Connection, Stateless]:
        """The process for an owner's requests of 2026-07-28, or everybody's; it runs.

        Raises:
            Refusal: there are too many, or it cannot be started, or the command does not speak that revision.
        """
        whose = None if self.command.shared else owner
        while True:
            if self._unspoken:
                raise NotSpoken(self._unspoken)
            found = self._standing(whose)
            if found is None and self._is_full(whose):
                await self._make_room(whose)
                continue
            connection, client = found or self._stand(whose)
            try:
                await connection.start()
            except NotSpoken as refusal:
                raise NotSpoken(await self._find_spoken(connection, refusal.supported)) from None
            except NoSession:
                continue  # it was closed while this waited for it
            return connection, client

    def _add(self, line: Line) -> None:
        """Keep a line; a request that has waited until after the end must not leave a process behind."""
        if self._closed:
            raise Refusal(503, "This server is being stopped: try again later.")
        self._lines.append(line)

    def _standing(self, whose: Owner | None) -> tuple[Connection, Stateless] | None:
        for line in self._lines:
            if isinstance(line.client, Stateless) and line.owner == whose:
                return line.connection, line.client
        return None

    def _stand(self, whose: Owner | None) -> tuple[Connection, Stateless]:
        client = Stateless(self.command)
        connection = Connection(self.command, client, self._back_off(whose), discovery())
        self._add(Line(whose, connection, client))
        return connection, client

    async def _find_spoken(self, connection: Connection, told: list[str]) -> list[str]:
        """What a command speaks instead of 2026-07-28: what it has told, or else what `initialize` finds out."""
        if not told:
            asked = Together(self.command, BackOff(), tuple)
            self._asking.add(asked.connection)
            try:
                await asked.connection.start()
            finally:
                await asked.connection.close()
                self._asking.discard(asked.connection)
            told = [asked.revision]
        self._unspoken = told
        self._end([line for line in self._lines if line.connection is connection])
        return told

    def end(self, session: Session) -> None:
        """End a session, and its process if it has one of its own."""
        self._sessions.pop(session.id, None)
        session.end()
        if not self.command.shared:
            self._end([line for line in self._lines if line.connection is session.connection])

    def _end(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._lines.remove(line)
            if isinstance(line.client, Alone):
                self._sessions.pop(line.client.session.id, None)
                line.client.session.end()
            self._closing[line] = asyncio.ensure_future(self._close(line))

    async def _close(self, line: Line) -> None:
        try:
            await line.connection.close()
        finally:
            del self._closing[line]

    def _back_off(self, owner: Owner | None) -> BackOff:
        return self._back_offs.setdefault(owner, BackOff())

    def _is_full(self, owner: Owner | None) -> bool:
        """Whether a principal may have no other process now; one that is about to end has its place until then."""
        return self._has_all(owner) or len(self._lines) + len(self._closing) >= self.command.max_processes

    def _has_all(self, owner: Owner | None) -> bool:
        own = [line for line in (*self._lines, *self._closing) if line.owner == owner]
        return len(own) >= self.command.max_processes_each

    async def _make_room(self, owner: Owner | None) -> None:
        """Wait until a process has ended, or let the principal lose the one that is idle for longest.

        Raises:
            Refusal: none is about to end, and the principal has none that is idle.
        """
        has_all = self._has_all(owner)
        closing = [task for line, task in self._closing.items() if line.owner == owner or not has_all]
        if closing:
            await asyncio.wait(closing, return_when=asyncio.FIRST_COMPLETED)
            return
        own = [line for line in self._lines if line.owner == owner]
        idle = sorted((line for line in own if line.is_idle), key=lambda line: line.connection.used)
        if idle:
            self._end(idle[:1])
        elif len(own) >= self.command.max_processes_each:
            raise Refusal(503, f"You have {len(own)} sessions with requests under way: end one of them.")
        else:
            raise Refusal(503, f"All {len(self._lines)} processes of this server are in use: try again later.")

    async def sweep(self) -> None:
        """Stop what has been idle for too long, for ever."""
        while True:
            await asyncio.sleep(self.command.idle_seconds / SWEEPS)
            long_ago = time.monotonic() - self.command.idle_seconds
            self._end([line for line in self._lines if line.is_idle and line.connection.used < long_ago])
            for session in list(self._sessions.values()):
                if self.command.shared and session.is_idle and session.used < long_ago:
                    self.end(session)

    async def close(self) -> None:
        """Stop everything, for good."""
        self._closed = True
        for session in list(self._sessions.values()):
            session.end()
        self._sessions.clear()
        self._end(list(self._lines))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._closing.values(), *(connection.close() for connection in self._asking))
