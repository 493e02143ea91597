"""An upstream on a real socket that does what a test tells it, and the proxy before it on another one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.principal import Principal
from gateway.sources import parse
from gateway.upstream import Upstream
from tests.served import served

ALICE = Principal("https://issuer.example", "alice", "client-one", frozenset({"mcp:use"}), frozenset({"staff"}), 4e9)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SECONDS = 10  # no test waits longer for anything


@dataclass
class Talk:
    """One connection of the proxy to the upstream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream: Scripted

    async def request(self) -> bytes:
        """The next request, head and body as sent; b"" where the proxy hung up instead."""
        head, body = await self.head(), b""
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head)
        if length:
            body = await self.reader.readexactly(int(length[1]))
        if head:
            self.upstream.requests.append(head + body)
        return head + body

    async def head(self) -> bytes:
        """The head of the next request; b"" where there is none."""
        try:
            return await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return b""

    async def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def event(self, text: str) -> None:
        """Send an event of a chunked stream."""
        data = f"data: {text}\n\n".encode()
        await self.say(b"%x\r\n%b\r\n" % (len(data), data))

    async def closed(self) -> None:
        """Wait until the proxy hangs up."""
        async with asyncio.timeout(SECONDS):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionResetError:
                pass


@dataclass
class Scripted:
    """What happened at the upstream."""

    port: int = 0
    talks: list[Talk] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def arrived(self, count: int = 1) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(SECONDS):
            while len(self.requests) < count:  # noqa: ASYNC110 - what requests are counted by the test's own scripts
                await asyncio.sleep(0.01)


Script = Callable[[Talk], Awaitable[None]]


def saying(*answers: bytes) -> Script:
    """A script that answers each request with the next of these, and the last one again and again."""

    async def script(talk: Talk) -> None:
        left = list(answers)
        while await talk.request():
            await talk.say(left.pop(0) if len(left) > 1 else left[0])

    return script


def then_closing(answer: bytes) -> Script:
    """A script that answers the first request, and hangs up."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(answer)

    return script


@asynccontextmanager
async def upstream(script: Script, ssl: Any = None) -> AsyncIterator[Scripted]:
    """An upstream that plays the script on each connection, which ends with it."""
    scripted = Scripted()
    playing: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        playing.add(task)
        talk = Talk(reader, writer, scripted)
        scripted.talks.append(talk)
        try:
            await script(talk)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            playing.discard(task)

    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=ssl, limit=1 << 20)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        for task in list(playing):
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)


def proxy(
    url: str, *, resource: Mapping[str, Any] | None = None, log: list[bytes] | None = None, **changes: Any
) -> Upstream:
    """The proxy for an upstream; `changes` are settings of it, `resource` of its resource."""
    top = {"max_body_bytes": changes.pop("max_body_bytes", 4 << 20)}
    settings = parse(
        {
            "public_url": "https://gw.example",
            "issuers": [{"issuer": "https://issuer.example"}],
            "resources": [{"path": "/mcp", "upstream": {"url": url, **changes}, **(resource or {})}],
            **top,
        }
    )
    return Upstream(settings, settings.resources[0], audit=None if log is None else log.append)


class Admitted:
    """What the gate does for the proxy: it says who calls."""

    def __init__(self, app: Upstream, principal: Principal = ALICE) -> None:
        self.app = app
        self.principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"principal": self.principal}
        await self.app(scope, receive, send)


@dataclass
class Client:
    """A client that writes what it likes and reads what comes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, method: str = "POST", target: str = "/mcp", body: bytes = b"{}", **headers: str) -> None:
        """Send a request; `_` in a header's name is a dash."""
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        self.writer.write(f"{method} {target} HTTP/1.1\r\nHost: gw.example\r\n{fields}{length}\r\n".encode() + body)
        await self.writer.drain()

    async def answer(self) -> Answer:
        """The next response, to its end."""
        async with asyncio.timeout(SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = [(n.lower(), v) for n, _, v in (line.partition(": ") for line in lines[1:] if line)]
            headers = dict(fields)
            answer = Answer(int(lines[0].split(" ")[1]), fields, b"", complete=True)
            try:
                if "content-length" in headers:
                    answer.body = await self.reader.readexactly(int(headers["content-length"]))
                elif headers.get("transfer-encoding") == "chunked":
                    while size := int(await self.reader.readline(), 16):
                        answer.body += (await self.reader.readexactly(size + 2))[:-2]
                    await self.reader.readline()
            except (asyncio.IncompleteReadError, ValueError) as error:
                answer.complete = False
                answer.body += getattr(error, "partial", b"")
        return answer

    async def until(self, text: bytes) -> bytes:
        """All that comes to these bytes."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.readuntil(text)

    def hang_up(self) -> None:
        """Drop the connection."""
        self.writer.transport.abort()


@dataclass
class Answer:
    """A response as the client saw it."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    complete: bool  # whether it ended as its framing says

    @property
    def headers(self) -> dict[str, str]:
        """The fields by name."""
        return dict(self.fields)


@asynccontextmanager
async def before(app: Upstream) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    """The proxy on a socket; yields what opens a connection to it."""
    clients: list[Client] = []

    async def connect() -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]), limit=1 << 16)
        clients.append(Client(reader, writer))
        return clients[-1]

    async with served(Admitted(app)) as origin:
        try:
            yield connect
        finally:
            for client in clients:
                client.hang_up()


async def asked(app: Upstream, *requests: Mapping[str, Any]) -> list[Answer]:
    """The answers to requests on one connection, one after another; one plain request when none is given."""
    async with before(app) as connect:
        client = await connect()
        answers = []
        for request in requests or ({},):
            await client.send(**request)
            answers.append(await client.answer())
        return answers
