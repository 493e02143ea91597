"""The processes of a command: how many there may be, whose they are, and when they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

from cachetools import LRUCache

from tools.exchange import Refusal
from tools.stdio.command import Command
from tools.stdio.connection import BackOff, Connection, NoSession
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
        self._closing: set[asyncio.Task[None]] = set()

    def session(self, session_id: bytes, owner: Owner) -> Session:
        """The session of this id, if it is the owner's.

        Raises:
            NoSession: there is none, as far as this one may know.
        """
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner:
            raise NoSession("Session not found: send initialize to open one.")
        return session

    def open(self, owner: Owner) -> Alone:
        """A new session with a process of its own, which is not kept until `keep`.

        Raises:
            Refusal: there are too many.
        """
        self._make_room(owner)
        alone = Alone(owner, self.command, self._back_off(owner))
        self._lines.append(Line(owner, alone.session.connection, alone))
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
        self._lines.append(Line(None, together.connection, together))
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
            connection, client = self._stateless(whose)
            try:
                await connection.start()
            except NotSpoken as refusal:
                raise NotSpoken(await self._find_spoken(connection, refusal.supported)) from None
            except NoSession:
                continue  # it was closed while this waited for it
            return connection, client

    def _stateless(self, whose: Owner | None) -> tuple[Connection, Stateless]:
        for line in self._lines:
            if isinstance(line.client, Stateless) and line.owner == whose:
                return line.connection, line.client
        self._make_room(whose)
        client = Stateless(shared=self.command.shared)
        connection = Connection(self.command, client, self._back_off(whose), discovery())
        self._lines.append(Line(whose, connection, client))
        return connection, client

    async def _find_spoken(self, connection: Connection, told: list[str]) -> list[str]:
        """What a command speaks instead of 2026-07-28: what it has told, or else what `initialize` finds out."""
        if not told:
            asked = Together(self.command, BackOff(), tuple)
            try:
                await asked.connection.start()
            finally:
                await asked.connection.close()
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
            task = asyncio.ensure_future(line.connection.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _back_off(self, owner: Owner | None) -> BackOff:
        return self._back_offs.setdefault(owner, BackOff())

    def _make_room(self, owner: Owner | None) -> None:
        """Let a principal with as many processes as allowed lose the one that is idle for longest."""
        own = [line for line in self._lines if line.owner == owner]
        if len(own) < self.command.max_processes_each and len(self._lines) < self.command.max_processes:
            return
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
        """Stop everything."""
        for session in list(self._sessions.values()):
            session.end()
        self._sessions.clear()
        self._end(list(self._lines))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._closing)
