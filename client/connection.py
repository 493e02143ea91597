"""One server, connected: by the SDK's client, kept open in a task of its own, and opened again when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED, HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY, Implementation

from client.errors import BadInput, ClientError, Misbehaved, ToolFailed, Unreachable
from client.exchange import SESSION, VERSION, Exchange, Watched, current, exchange
from client.plain import line

if TYPE_CHECKING:
    from mcp.client.session import ClientSession, ElicitationFnT, LoggingFnT, MessageHandlerFnT

# They repeat what strangers sent, raw; what matters is raised. `client` is what the SDK calls itself there.
for name in ("mcp", "client", "httpx2", "httpcore2"):
    logging.getLogger(name).addHandler(logging.NullHandler())
    logging.getLogger(name).propagate = False

T = TypeVar("T")
CONNECT_SECONDS = 10.0
CLOSING_SECONDS = 5.0  # for a server to end a session; somebody waits meanwhile
OPENING_SECONDS = 30.0  # for an answer while it is not known that a server is there; a call may take what it takes
MAX_EVENT = 256 * 1024 * 1024  # bytes of one event: an answer may be long
LOST = ("Connection closed", "SSE stream ")  # the SDK's words with CONNECTION_CLOSED, a number that servers use too
MODERN_ERRORS = (HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY)  # what only a modern server says


class BothEras(Client):
    """The SDK's client, which takes a server for an older one only when nothing says otherwise (CLI-14)."""

    async def _build_session(self, exit_stack: Any) -> ClientSession:
        session = await super()._build_session(exit_stack)
        probe = session.send_discover

        async def discover(version: str) -> dict[str, Any]:
            with exchange(current().read_seconds) as probed:
                try:
                    return await probe(version)
                except MCPError as error:
                    if probed.refusal:  # nobody knows yet what it speaks: it wants a token first
                        raise probed.refusal from None
                    if error.code in MODERN_ERRORS:
                        raise Misbehaved(f"The server refuses to be asked what it speaks: {line(str(error))}") from None
                    raise

        session.send_discover = discover  # type: ignore[method-assign]
        return session


@dataclass
class Callbacks:
    """What to do with what a server sends on its own account."""

    log: LoggingFnT | None = None
    elicit: ElicitationFnT | None = None
    notice: MessageHandlerFnT | None = None  # any other notification
    reconnecting: Callable[[str], None] = lambda _why: None
    trace: Callable[[str], None] | None = None  # is told of every request


@dataclass
class Connection:
    """A server that is connected to when it is needed.

    `mode` is the SDK's: `auto`, `legacy` or a revision. `auth` puts tokens into requests.
    """

    url: str
    auth: httpx2.Auth | None
    callbacks: Callbacks = field(default_factory=Callbacks)
    mode: str = "auto"
    opening_seconds: float = OPENING_SECONDS
    closing_seconds: float = CLOSING_SECONDS

    def __post_init__(self) -> None:
        self._client: Client | None = None
        self._opening = asyncio.Lock()
        self._network: Watched | None = None
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client | None:
        """The SDK's client, while there is a connection."""
        return self._client if self._task and not self._task.done() else None

    @property
    def session(self) -> str | None:
        """The session's id, of a server that has sessions."""
        return self._network.session if self.client and self._network else None

    async def open(self) -> Client:
        """The connected client.

        Raises:
            ClientError: why there is none.
        """
        async with self._opening:
            return self.client or await self._open()

    async def _open(self) -> Client:
        await self.close()
        ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        with exchange(self.opening_seconds) as opening:
            self._task = asyncio.create_task(self._hold(ready, self._closing))
            try:
                self._client = await ready
            except Exception as error:  # noqa: BLE001 - whatever it was, it is translated
                raise self._reason(error, opening) from None
            except asyncio.CancelledError:
                await self.close()
                raise
        return self._client

    async def close(self) -> None:
        """End the connection; a session is ended at the server too, if it answers soon."""
        self._closing.set()
        closing, connected = self._task, self._client
        self._task = self._client = None
        if closing is None:
            return
        if connected is None:  # in the middle of connecting
            closing.cancel()
        _, late = await asyncio.wait([closing], timeout=self.closing_seconds)
        if late:
            closing.cancel()
            await asyncio.wait([closing], timeout=self.closing_seconds)

    async def run(self, operation: Callable[[Client], Awaitable[T]], *, repeatable: bool) -> T:
        """What an operation gives; it is run again, on a new connection, where that can do no harm.

        That is where the server did not get it or did not know the session, and where it only reads.

        Raises:
            ClientError: it failed.
        """
        try:
            return await self._once(operation)
        except _Lost as lost:
            if not (repeatable or lost.unseen):
                raise Unreachable(
                    "The connection broke before the answer came; it is not tried again, "
                    "for it may have been done already"
                ) from None
            self.callbacks.reconnecting(str(lost))
        await self.close()
        try:
            return await self._once(operation)
        except _Lost:
            raise Unreachable(f"{line(self.url)} cannot be reached") from None

    async def _once(self, operation: Callable[[Client], Awaitable[T]]) -> T:
        client = await self.open()
        with exchange() as running:
            answer = asyncio.ensure_future(operation(client))
            try:
                await asyncio.wait({answer, *self._holding()}, return_when=asyncio.FIRST_COMPLETED)
                return answer.result()  # InvalidStateError: the connection ended first
            except (asyncio.InvalidStateError, anyio.ClosedResourceError, anyio.BrokenResourceError):
                raise _lost(running) from None
            except MCPError as error:
                raise self._failure(error, running) from None
            except (ClientError, _Lost):
                raise
            except Exception as error:
                raise Misbehaved(f"The server's answer cannot be used: {line(str(error))[:300]}") from error
            finally:
                answer.cancel()
                await asyncio.gather(answer, return_exceptions=True)

    async def _hold(self, ready: asyncio.Future[Client], closing: asyncio.Event) -> None:
        """Keep a connection for as long as it is wanted. How it failed is told by `ready`, or by what was lost."""
        try:
            async with self._watched() as http:
                self._network = http
                transport = streamable_http_client(self.url, http_client=http, max_sse_event_size=MAX_EVENT)
                async with self._sdk_client(transport) as client:
                    ready.set_result(client)
                    await closing.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told
            if not ready.done():
                ready.set_exception(error)
        finally:
            ready.cancel()

    def _watched(self) -> Watched:
        try:
            return Watched(self.auth, httpx2.Timeout(CONNECT_SECONDS, read=None), self.callbacks.trace)
        except (ImportError, ValueError) as error:  # SOCKS without its package, or a scheme that nobody knows
            raise BadInput(f"The proxy of the environment cannot be used: {line(str(error))}") from None

    def _holding(self) -> set[asyncio.Task[None]]:
        return {self._task} if self._task else set()

    def _sdk_client(self, transport: Any) -> Client:
        return BothEras(
            transport,
            mode=self.mode,
            client_info=Implementation(name="bearergate", version=_version()),
            logging_callback=self.callbacks.log,
            log_level="info" if self.callbacks.log else None,
            elicitation_callback=self.callbacks.elicit,
            message_handler=self.callbacks.notice,
        )

    def _failure(self, error: MCPError, running: Exchange) -> Exception:
        """Why an operation failed, from what HTTP saw of it."""
        if running.refusal:
            return running.refusal
        if running.session_lost:
            return _Lost("The server does not know the session any more", unseen=not running.answered)
        if error.code == CONNECTION_CLOSED and str(error).startswith(LOST):
            return _lost(running)
        if running.away:
            return self._away(running, error)
        return ToolFailed(f"The server refuses: {line(str(error))}")

    def _reason(self, error: BaseException, opening: Exchange) -> ClientError:
        """Why there is no connection."""
        found = next(_leaves(error), error)
        if isinstance(found, ClientError):
            return found
        if opening.refusal:
            return opening.refusal
        if opening.away:
            return self._away(opening, found)
        if isinstance(found, (httpx2.HTTPError, OSError)):
            return Unreachable(f"{line(self.url)} cannot be reached ({type(found).__name__})")
        if isinstance(found, MCPError):
            return Misbehaved(f"{line(self.url)} is no MCP server, or not a well one: {line(str(found))}")
        return Misbehaved(f"{line(self.url)} does not speak MCP as it should ({type(found).__name__})")

    def _away(self, asked: Exchange, error: BaseException) -> ClientError:
        return Unreachable(f"{line(self.url)} answers with status {asked.away}, try again later: {line(str(error))}")

    async def end_session(self) -> bool:
        """Whether the server ended its session when asked; it then is connected no more."""
        client, session = self.client, self.session
        if client is None or session is None or self._network is None:
            return False
        headers = {SESSION: session, VERSION: client.protocol_version}
        try:
            async with httpx2.AsyncClient(auth=self.auth, timeout=CONNECT_SECONDS) as http:
                answer = await http.delete(self.url, headers=headers)
        except httpx2.HTTPError:
            raise Unreachable(f"{line(self.url)} cannot be reached") from None
        self._network.session = None
        await self.close()
        return answer.is_success


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bearergate")
    except PackageNotFoundError:  # a checkout
        return "0"


class _Lost(Exception):
    """The connection ended within an operation; `unseen`: the server did nothing of it."""

    def __init__(self, why: str, *, unseen: bool) -> None:
        super().__init__(why)
        self.unseen = unseen


def _lost(running: Exchange) -> _Lost:
    return _Lost("The connection was lost", unseen=not running.delivered)


def _leaves(error: BaseException) -> Any:
    """The causes within groups, those of ours first."""
    leaves = [error] if not isinstance(error, BaseExceptionGroup) else [x for e in error.exceptions for x in _leaves(e)]
    return iter(sorted(leaves, key=lambda leaf: not isinstance(leaf, ClientError)))
