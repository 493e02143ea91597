"""One request and its answer on the client's side: the rest of a long body, and whether anybody still listens."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from gateway.connection import Connection


class Exchange:
    """One request and its answer, as far as the client's side goes."""

    __slots__ = (
        "_looked_at",
        "_tasks",
        "answered",
        "connection",
        "detached",
        "gone",
        "receive",
        "scope",
        "send",
        "session",
        "uploading",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.connection: Connection | None = None
        self.answered = False  # the answer has begun
        self.uploading = False  # the request is not complete
        self.gone = False  # the client hung up, or was told that the answer is over
        self.detached = False  # and the answer is read to its end all the same
        self.session: bytes | None = None  # of a detached one
        self._looked_at = False
        self._tasks: list[asyncio.Task[None]] = []

    def look(self, now: float) -> bool:
        """Check the time, and whether the client is still there; true where nobody needs to look again."""
        connection = self.connection
        if connection is None:
            return True
        if self._looked_at and not self._tasks:  # most exchanges are over by the second look, and need no task
            self._tasks.append(asyncio.ensure_future(self._watch()))
        connection.check_time(now)
        lasting = connection.head is not None and connection.head.is_stream
        done = bool(self._tasks) and lasting and not self.detached and not self.uploading
        self._looked_at = True
        return done

    def upload(self, length: int, sent: int) -> None:
        """Pass on the rest of the request while the answer may already come."""
        self.uploading = True
        self._tasks.append(asyncio.ensure_future(self._upload(length - sent)))

    async def _upload(self, left: int) -> None:
        connection = self.connection
        while left > 0 and connection is not None:
            message = await self.receive()
            body = bytes(message.get("body", b""))
            left -= len(body)
            if message["type"] != "http.request" or left < 0 or (left > 0 and not message.get("more_body")):
                self._leave()
                return
            connection.progressed = True
            connection.write(body)
            await connection.drain()
        self.uploading = False
        await self._watch()

    async def _watch(self) -> None:
        """Wait for the end of the client."""
        message = await self.receive()
        while message["type"] == "http.request" and (message.get("body") or message.get("more_body")):
            message = await self.receive()
        if message["type"] == "http.request":
            message = await self.receive()
        self._leave()

    def _leave(self) -> None:
        self.gone = True
        if self.connection is not None:
            self.connection.wake()

    def stop(self) -> None:
        """The exchange is over."""
        for task in self._tasks:
            task.cancel()
