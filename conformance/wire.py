"""HTTP as a judge needs it: every exchange is kept as it was, nothing is followed, and everything ends in time."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import httpcore
import httpx

from .addresses import split

MAX_BODY = 1024 * 1024  # bytes of one answer that are read
LESS_BODY = 16 * 1024  # of one answer, once there were `MAX_BODIES` in all: answers are kept until the end
MAX_BODIES = 128 * MAX_BODY
PATIENCE = 10.0  # seconds until an answer has to be there, headers and body
SILENCES = 3  # requests in a row without an answer, after which the target counts as gone

Header = tuple[str, str]
Done = Callable[[bytes], bool]


class TargetGone(Exception):
    """The target has stopped answering; the text says since when."""


@dataclass(frozen=True)
class Answer:
    """One exchange: what was sent, and what came back of it. `status` is 0 where nothing did, and `note` says why."""

    method: str
    url: str
    sent_headers: tuple[Header, ...]
    sent_body: bytes = field(repr=False)
    status: int = 0
    headers: tuple[Header, ...] = ()
    body: bytes = field(default=b"", repr=False)
    seconds: float = 0.0
    note: str = ""

    def header(self, name: str) -> str:
        """The first field of that name; "" without one."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """Every field of that name, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def has(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return bool(self.all(name))

    @property
    def media_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def ok(self) -> bool:
        """Whether the answer is a 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def messages(self) -> list[dict[str, Any]]:
        """The JSON-RPC messages in the body, which is JSON or a stream of events."""
        if self.media_type == "text/event-stream":
            found = [_json(event.get("data", "")) for event in events(self.text)]
        else:
            said = self.json()
            found = said if isinstance(said, list) else [said]
        return [each for each in found if isinstance(each, dict)]

    def error(self) -> dict[str, Any]:
        """The first JSON-RPC error in the body; empty without one."""
        return next((each["error"] for each in self.messages() if isinstance(each.get("error"), dict)), {})

    def code(self) -> int | None:
        """The code of the JSON-RPC error in the body."""
        code = self.error().get("code")
        return code if isinstance(code, int) else None

    def result(self) -> dict[str, Any] | None:
        """The first JSON-RPC result in the body, if the answer is a 2xx that has one."""
        found = (each["result"] for each in self.messages() if isinstance(each.get("result"), dict))
        return next(found, None) if self.ok else None

    def said(self) -> str:
        """What came back, in a few words."""
        if not self.status:
            return self.note or "no answer"
        words = [str(self.status)]
        if challenge := self.header("www-authenticate"):
            words.append(f"WWW-Authenticate: {challenge[:200]}")
        if self.error():
            words.append(f"JSON-RPC error {self.code()}")
        elif self.media_type:
            words.append(self.media_type)
        return ", ".join(words)


def as_object(value: object) -> dict[str, Any]:
    """A JSON object, or an empty one in place of everything else that a target may say."""
    return value if isinstance(value, dict) else {}


def strings(value: object) -> list[str]:
    """The strings of a list; none of everything else."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def events(text: str) -> list[dict[str, str]]:
    """The events of a stream; comments are left out, and data lines are joined."""
    found: list[dict[str, str]] = []
    for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        event: dict[str, str] = {}
        for line in block.split("\n"):
            name, colon, value = line.partition(":")
            if not name:
                continue
            value = value.removeprefix(" ") if colon else ""
            event[name] = f"{event[name]}\n{value}" if name == "data" and name in event else value
        if event:
            found.append(event)
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class Wire:
    """Sends requests as they are told, over connections that are kept alive, and reads at most `MAX_BODY` back.

    Raises:
        TargetGone: the `SILENCES`th request in a row that had no answer in time.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.backend = _BoundedBackend()
        self._client = httpx.Client(
            transport=_transport(self.backend), timeout=patience, follow_redirects=False, verify=_certificates()
        )
        self.home = ""  # the origin whose silence means that the target is gone
        self._silent = 0
        self.read_in_all = 0  # bytes of bodies
        self.heard: list[Answer] = []  # every answer with a status, for what is judged over all of them

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def send(
        self,
        method: str,
        url: str,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        *,
        done: Done | None = None,
        patience: float | None = None,
    ) -> Answer:
        """The answer, read until its end, until `done` says of the body so far that it suffices, or for `patience`."""
        fields = [("Accept-Encoding", "identity"), *headers]
        names = {name.lower() for name, _ in fields}
        if "accept" not in names:
            fields.append(("Accept", "*/*"))
        if "user-agent" not in names:
            fields.append(("User-Agent", "mcp-conformance"))
        started = time.monotonic()
        self.backend.deadline = started + (patience or self.patience)
        sent = Answer(method, url, tuple(fields), body)
        try:
            request = httpx.Request(method, url, headers=_encoded(fields), content=body or None)
            status, got, content, note = self._read(request, done)
        except httpx.LocalProtocolError:  # what httpx will not write is written by hand
            return self.raw(url, written(method, url, fields, body), patience=patience)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return self._unanswered(sent, error, time.monotonic() - started)
        self._silent = 0
        seconds = time.monotonic() - started
        made = replace(sent, status=status, headers=got, body=content, seconds=seconds, note=note)
        self._remember(made)
        return made

    def _remember(self, answer: Answer) -> None:
        if len(self.heard) < 5000:
            self.heard.append(answer)

    def _read(self, request: httpx.Request, done: Done | None) -> tuple[int, tuple[Header, ...], bytes, str]:
        response = self._client.send(request, stream=True)
        content, note = b"", ""
        most = MAX_BODY if self.read_in_all < MAX_BODIES else LESS_BODY
        try:
            for part in response.iter_raw():
                content += part
                if len(content) > most:
                    content, note = content[:most], f"cut off after {most} bytes"
                    break
                if done is not None and done(content):
                    break
        except httpx.TimeoutException:
            note = "it had not ended in time"
        except httpx.HTTPError as error:
            note = f"it broke off ({type(error).__name__})"
        finally:
            response.close()
        self.read_in_all += len(content)
        got = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers.raw)
        return response.status_code, got, content, note

    def _unanswered(self, sent: Answer, error: Exception, seconds: float) -> Answer:
        late = isinstance(error, httpx.TimeoutException)
        note = f"no answer in {seconds:.0f} s" if late else f"no answer: {_cause(error)}"
        if (late or isinstance(error, httpx.ConnectError)) and _origin(sent.url) == self.home:
            self._silent += 1
            if self._silent >= SILENCES:
                raise TargetGone(f"{sent.method} {_origin(sent.url)}: {note}, {self._silent} times in a row.")
        return replace(sent, seconds=seconds, note=note)

    def raw(self, url: str, message: bytes, *, patience: float | None = None) -> Answer:
        """What a server says to these very bytes before it closes the connection or falls silent."""
        parts = split(url)
        started = time.monotonic()
        sent = Answer(message.split(b" ", 1)[0].decode("latin-1"), url, (), message)
        try:
            said, note = _talk(parts.hostname or "", parts.port, parts.scheme, message, patience or self.patience)
        except OSError as error:
            return replace(sent, seconds=time.monotonic() - started, note=f"no answer: {_cause(error)}")
        return _parsed(sent, said, time.monotonic() - started, note)


def written(method: str, url: str, fields: Iterable[Header], body: bytes = b"", *, target: str = "") -> bytes:
    """A request as it goes over the wire, whatever is in it; the connection is closed after it."""
    parts = split(url)
    path = target or (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    given = list(fields)
    if "host" not in {name.lower() for name, _ in given}:
        given = [("Host", parts.netloc), *given]
    given = [*given, ("Connection", "close"), ("Content-Length", str(len(body)))]
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given)]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def _encoded(fields: Iterable[Header]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in fields]


def _cause(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _origin(url: str) -> str:
    parts = split(url)
    return f"{parts.scheme}://{parts.netloc}"


def _talk(host: str, port: int | None, scheme: str, message: bytes, patience: float) -> tuple[bytes, str]:
    deadline = time.monotonic() + patience
    said = b""
    with socket.create_connection((host, port or (443 if scheme == "https" else 80)), timeout=patience) as plain:
        line = _certificates().wrap_socket(plain, server_hostname=host) if scheme == "https" else plain
        try:
            line.sendall(message)
            while len(said) < MAX_BODY and (left := deadline - time.monotonic()) > 0:
                line.settimeout(left)
                if not (part := line.recv(65536)):
                    return said, ""
                said += part
        except TimeoutError:
            return said, "the connection stayed open"
        except OSError as error:
            return said, _cause(error)
    return said, "cut off"


def _parsed(sent: Answer, said: bytes, seconds: float, note: str) -> Answer:
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ", 2)
    status = (
        int(words[1]) if len(words) > 1 and words[0].startswith("HTTP/") and re.fullmatch("[0-9]{3}", words[1]) else 0
    )
    fields = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:]))
    note = note or ("" if status else "the connection was closed")
    return replace(sent, status=status, headers=fields, body=body, seconds=seconds, note=note)


@cache
def _certificates() -> ssl.SSLContext:
    """What this machine trusts; reading it takes a moment."""
    return ssl.create_default_context()


def _transport(backend: httpcore.NetworkBackend) -> httpx.HTTPTransport:
    transport = httpx.HTTPTransport(verify=_certificates())
    # httpx offers no way to hand over a network backend, and only there can a whole exchange be bounded.
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001 - see above
        ssl_context=_certificates(), network_backend=backend, max_connections=50
    )
    return transport


class _BoundedBackend(httpcore.NetworkBackend):
    """Connections whose every read and write ends at the deadline of the request under way."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()
        self.deadline = 0.0

    def left(self, timeout: float | None) -> float:
        """The seconds that one operation may take.

        Raises:
            httpcore.ReadTimeout: none are left, even where something could be read at once and for ever.
        """
        if (left := self.deadline - time.monotonic()) <= 0:
            raise httpcore.ReadTimeout("the time is over")
        return left if timeout is None else min(left, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        made = self._inner.connect_tcp(host, port, self.left(timeout), local_address, socket_options)
        return _BoundedStream(self, made)


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, backend: _BoundedBackend, inner: httpcore.NetworkStream) -> None:
        self._backend = backend
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._backend.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._backend.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(
            self._backend, self._inner.start_tls(ssl_context, server_hostname, self._backend.left(timeout))
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
