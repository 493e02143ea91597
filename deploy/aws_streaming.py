"""A runtime of ours for Lambda that answers while the answer is made: `python -m deploy.aws_streaming`.

For function URLs in the mode RESPONSE_STREAM and REST integrations in the mode STREAM, since Python's own runtime
gathers every answer first. Events become requests as in `deploy.aws_lambda`; one invocation runs at a time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import sys
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

from deploy.aws_lambda import JSON, MARGIN, Instance, in_time, instance, landed, log_as_json
from deploy.aws_secrets import SecretUnavailable
from deploy.output import CannotWrite
from gateway.sources import SettingsError
from tools.registry import PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Message, Scope

BASE = "/2018-06-01/runtime"
CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
MAX_PRELUDE = 16 * 1024 - 8  # bytes: the delimiter must come within the first 16 KiB
DELIMITER = bytes(8)
LAST = 0.1  # seconds before the deadline in which nobody is waited for any more

log = logging.getLogger("bearergate")


class Invocation(NamedTuple):
    """One event, and until when it must be answered."""

    id: str
    deadline: float  # seconds since the epoch
    event: dict[str, Any]


class ApiGone(Exception):
    """The Runtime API hands out no more invocations: the instance ends."""


class Answer:
    """The way of one answer to the Runtime API, as ASGI's `receive` and `send`.

    Where nobody takes it any more, the app is told that the client has gone, and what it still says is dropped.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
        self._writer = writer
        self._body: bytes | None = body
        self._start: Message | None = None
        self._sent = False  # whether the prelude is out
        self.complete = False  # whether its end is out
        self._over = asyncio.ensure_future(reader.readline())  # comes with the end of the answer, or too soon

    async def receive(self) -> Message:
        """The request in one piece, and then its end."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.wait([self._over])
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass on one message of the answer as it comes."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if not self._sent:
            await self._write(prelude(self._start or {"status": 500}) + DELIMITER)
            self._sent = True
        await self._write(message.get("body", b""))
        if not message.get("more_body", False):
            await self.end()

    async def end(self, trailers: Mapping[str, str] | None = None) -> None:
        """Say that the answer is complete, or by trailers what has broken it off; ends when it is taken."""
        if not self.complete:
            self.complete = True
            lines = "".join(f"{name}: {value}\r\n" for name, value in (trailers or {}).items())
            await self._raw(f"0\r\n{lines}\r\n".encode())
        await asyncio.wait([self._over])

    async def fail(self, status: int, kind: str, sentence: str) -> None:
        """Answer with an error, or break off an answer that has begun (Lambda runtime API, trailers)."""
        if self._sent:
            error = json.dumps({"errorType": kind, "errorMessage": sentence}).encode()
            names = ("Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body")
            await self.end(dict(zip(names, (kind, base64.b64encode(error).decode()), strict=True)))
            return
        await self.send({"type": "http.response.start", "status": status, "headers": JSON})
        await self.send({"type": "http.response.body", "body": json.dumps({"message": sentence}).encode()})

    async def close(self) -> None:
        """Give up the connection, and what nobody has taken of the answer."""
        self._over.cancel()
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _write(self, data: bytes) -> None:
        if data:  # an empty chunk would be the last one (RFC 9112 §7.1)
            await self._raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def _raw(self, data: bytes) -> None:
        if not self._over.done():
            self._writer.write(data)
            with contextlib.suppress(OSError):  # whoever went away is found by `receive`
                await self._writer.drain()


def prelude(start: Message) -> bytes:
    """Status and headers as JSON; a name that came several times is joined (RFC 9110 §5.3), but for cookies."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in start.get("headers", ()):
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        else:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    made = json.dumps({"statusCode": start["status"], "headers": headers, "cookies": cookies}).encode()
    if len(made) > MAX_PRELUDE:
        log.error("the headers of an answer take %d bytes, more than the %d that Lambda reads", len(made), MAX_PRELUDE)
        return prelude({"status": 502, "headers": JSON})
    return made


async def answer_one(made: Instance, api: str, invocation: Invocation) -> None:
    """Answer one event; whatever happens, its answer comes to an end before the deadline."""
    try:
        scope, body = made.request(invocation.event)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError):
        sentence = "This event is no request of an HTTP API, a REST API or a function URL."
        await asyncio.to_thread(post, api, f"/invocation/{invocation.id}/error", "UnknownEvent", sentence)
        return
    host, _, port = api.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port or 80))
    writer.write(response_head(api, invocation.id))
    answer = Answer(reader, writer, body)
    try:
        await run(made, scope, answer, invocation.deadline)
    finally:
        await answer.close()


async def run(made: Instance, scope: Scope, answer: Answer, deadline: float) -> None:
    """Let the app answer, and bring its answer to an end in time, taken or not."""
    seconds = max(0.0, deadline - MARGIN - time.time())
    running = await in_time(made.app(scope, answer.receive, answer.send), seconds, made.drain)
    try:
        async with asyncio.timeout(max(0.0, deadline - LAST - time.time())):
            await bring_to_an_end(running, answer)
    except TimeoutError:
        log.error("an answer was not taken before the function's time was over")  # noqa: TRY400 - a reader's doing


async def bring_to_an_end(running: asyncio.Future[None], answer: Answer) -> None:
    """Say what the app has left unsaid."""
    if running.cancelled():
        await answer.fail(504, "Function.Timeout", "The function's time was over before the answer was complete.")
    elif (error := running.exception()) is not None:
        log.error("an answer was broken off", exc_info=error)
        await answer.fail(500, type(error).__name__, "The answer cannot be completed; the function's log says why.")
    elif not answer.complete:
        await answer.fail(500, "NoAnswer", "The answer ended before it was complete.")


def response_head(api: str, invocation_id: str) -> bytes:
    """The head of the request that carries an answer."""
    return (
        f"POST {BASE}/invocation/{invocation_id}/response HTTP/1.1\r\n"
        f"Host: {api}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
        "Transfer-Encoding: chunked\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
        "Connection: close\r\n\r\n"
    ).encode()


def next_invocation(api: str) -> Invocation:
    """The next event; waits for as long as it takes.

    Raises:
        ApiGone: there will be none.
    """
    connection = HTTPConnection(api)
    try:
        connection.request("GET", f"{BASE}/invocation/next")
        response = connection.getresponse()
        if response.status != 200:
            raise ApiGone(f"the Runtime API answers {response.status}")
        deadline = int(response.headers["Lambda-Runtime-Deadline-Ms"]) / 1000
        return Invocation(response.headers["Lambda-Runtime-Aws-Request-Id"], deadline, json.load(response))
    except (OSError, HTTPException) as error:
        raise ApiGone(f"the Runtime API cannot be reached ({type(error).__name__})") from None
    finally:
        connection.close()


def post(api: str, path: str, kind: str, sentence: str) -> None:
    """Report an error to the Runtime API."""
    connection = HTTPConnection(api)
    body = json.dumps({"errorType": kind, "errorMessage": sentence, "stackTrace": []})
    headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": kind}
    with contextlib.closing(connection):
        connection.request("POST", BASE + path, body, headers)
        connection.getresponse().read()


async def serve(made: Instance, api: str) -> str:
    """Answer one event after the other; why there are no more."""
    while True:
        try:
            invocation = await asyncio.to_thread(next_invocation, api)
        except ApiGone as gone:
            return str(gone)
        try:
            await answer_one(made, api, invocation)
        except OSError as error:
            log.error("an answer was not taken (%s)", type(error).__name__)  # noqa: TRY400 - a connection's end
        finally:
            await landed(invocation.deadline - MARGIN - time.time())
            made.flush()  # between two invocations nothing runs, so nothing may be left to be written


def main(environment: Mapping[str, str] = os.environ) -> str:
    """Run the instance until it is ended; returns why it ended."""
    log_as_json()
    api = environment.get("AWS_LAMBDA_RUNTIME_API", "")
    if not api:
        return (
            "bearergate: AWS_LAMBDA_RUNTIME_API is not set; this module runs on Lambda, elsewhere use bearergate serve"
        )
    try:
        made = instance(environment, environment.get("BEARERGATE_FILE"))
    except (SettingsError, SecretUnavailable, PluginError, CannotWrite, RuntimeError) as error:
        sentences = "; ".join(str(error).splitlines())
        post(api, "/init/error", f"Runtime.{type(error).__name__}", f"bearergate: {sentences}")
        return f"bearergate: {sentences}"
    try:
        return f"bearergate: {made.run(serve(made, api))}"
    finally:
        made.close()


if __name__ == "__main__":
    sys.exit(main())
