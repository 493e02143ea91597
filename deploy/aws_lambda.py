"""The gate on AWS Lambda, behind an HTTP API, a REST API or a function URL: the handler is `deploy.aws_lambda.handler`.

Everything is started once, while the instance starts, and reused by every invocation. Settings come from the
`bearergate.yaml` that was packaged and from the environment; what they say of secrets may name a place at AWS
(`deploy.aws_secrets`). Nothing is remembered between invocations that another instance would need.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from mangum import Mangum
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.assembly import assemble
from deploy.aws_secrets import SecretUnavailable, secret_files
from deploy.output import CannotWrite, JsonLines, audit_writer
from deploy.stack_values import function_values
from gateway.app import drain, flush
from gateway.keys import FETCHING
from gateway.settings import Settings
from gateway.sources import SettingsError, parse
from tools.registry import PluginError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from gateway.app import Gate

log = logging.getLogger("bearergate")

Event = dict[str, Any]
MARGIN = 0.5  # seconds before the deadline in which an answer is brought to an end
GRACE = 0.25  # seconds of them for streams that only wait to end by themselves
LANDING = 6.0  # seconds; a fetch gives up sooner
ALONE = 30.0  # seconds from the start in which packaged keys serve before their issuer is asked
MAX_ANSWER = 6 * 1024 * 1024  # bytes of an answer as JSON, all of which Lambda carries at once
ENVELOPE = 64 * 1024  # of them for all but the body
JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Instance:
    """One instance of the function: the gate, started, and what makes events of AWS into requests for it.

    An app that was started once cannot be started again, so this is done here and not by Mangum, which would do it
    with every invocation.
    """

    def __init__(self, gate: Starlette, paths: frozenset[str]) -> None:
        self._gate = gate
        self.app = Uncompressed(WithoutStage(gate, paths))
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)  # the one Mangum runs requests in
        self._mangum = Mangum(Whole(self.app, self.drain), lifespan="off")
        started = self._loop.create_future()
        self._running = self._loop.create_task(self._run(started))
        self._loop.run_until_complete(asyncio.wait([started, self._running], return_when=asyncio.FIRST_COMPLETED))
        if self._running.done():
            self._loop.close()
            self._running.result()  # raises what kept it from starting

    def __call__(self, event: Event, context: object) -> Event:
        """The response to one request, in the form of the front door that it came through."""
        try:
            return self._mangum(event, context)  # type: ignore[arg-type]  # Lambda's own context object
        finally:
            self._loop.run_until_complete(landed(seconds_left(context)))
            self.flush()  # between two invocations nothing runs, so nothing may be left to be written

    def request(self, event: Event) -> tuple[Scope, bytes]:
        """The request that an event stands for, and its body.

        Raises:
            RuntimeError: it is the event of no front door; where a member is missing or of a wrong type, what that
                raises in Python.
        """
        handler = self._mangum.infer(event, None)  # type: ignore[arg-type]  # no part of what is read
        return handler.scope, handler.body

    def run(self, work: Coroutine[Any, Any, str]) -> str:
        """The outcome of work on the loop of the gate."""
        return self._loop.run_until_complete(work)

    def flush(self) -> None:
        """Write what the audit log has gathered."""
        flush(self._gate)

    def drain(self) -> None:
        """End the event streams that only wait."""
        drain(self._gate)

    def close(self) -> None:
        """Stop the gate before the process ends, so that nothing of it runs while Python takes itself apart."""
        if self._loop.is_closed():
            return
        while under_way := asyncio.all_tasks(self._loop):  # what is stopped may start something to stop itself
            for task in under_way:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(under_way))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _run(self, started: asyncio.Future[None]) -> None:
        async with self._gate.router.lifespan_context(self._gate):
            started.set_result(None)
            await self._loop.create_future()


class Whole:
    """Gathers an answer, and says so in a sentence where it comes too late or is too large to be carried.

    Without it, Lambda would end the instance, and the front door would know only that something went wrong.
    """

    def __init__(self, app: ASGIApp, drain: Callable[[], None]) -> None:
        self.app = app
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the answer on once it has ended."""
        made: list[Message] = []

        async def keep(message: Message) -> None:
            made.append(message)

        ended = await in_time(self.app(scope, receive, keep), seconds_left(scope["aws.context"]), self.drain)
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("an answer was broken off", exc_info=error)
        if not is_complete(made):
            made = answer(*unanswered(ended))
        elif size_as_json(made) > MAX_ANSWER - ENVELOPE:
            log.error("an answer is larger than the %d bytes that Lambda carries", MAX_ANSWER)
            made = answer(502, "The answer is larger than the 6 MB that AWS Lambda carries: ask for less at a time.")
        for message in made:
            await send(message)


async def landed(seconds: float | None) -> None:
    """Wait for keys that are being fetched, if so long is left: their time would run out while nothing runs."""
    fetching = [task for task in asyncio.all_tasks() if task.get_name() == FETCHING]
    if fetching:
        await asyncio.wait(fetching, timeout=LANDING if seconds is None else min(LANDING, max(0.0, seconds)))


async def in_time(answering: Awaitable[None], seconds: float | None, drain: Callable[[], None]) -> asyncio.Future[None]:
    """What became of it, when it has ended; it is cancelled after so many seconds, streams that only wait end first."""
    running = asyncio.ensure_future(answering)
    await asyncio.wait([running], timeout=seconds)
    if not running.done():
        drain()
        await asyncio.wait([running], timeout=GRACE)
    if not running.done():
        running.cancel()
        await asyncio.wait([running])
    return running


def unanswered(ended: asyncio.Future[None]) -> tuple[int, str]:
    """Status and sentence in place of an answer that has no end."""
    if ended.cancelled():
        log.error("an answer was not complete when the function's time was over")
        return 504, "The function's time was over before the answer was complete."
    return 500, "The answer cannot be completed; the function's log says why."


def seconds_left(context: Any) -> float | None:
    """How long an answer may take, by the runtime's context; None where there is no limit."""
    return None if context is None else float(context.get_remaining_time_in_millis()) / 1000 - MARGIN


def answer(status: int, sentence: str) -> list[Message]:
    """An answer of our own."""
    body = msgspec.json.encode({"message": sentence})
    start = {"type": "http.response.start", "status": status, "headers": JSON}
    return [start, {"type": "http.response.body", "body": body}]


def is_complete(messages: list[Message]) -> bool:
    """Whether an answer has come to its end, even if whoever makes it has not noticed."""
    return bool(messages) and messages[-1]["type"] == "http.response.body" and not messages[-1].get("more_body", False)


def size_as_json(messages: list[Message]) -> int:
    """Bytes that the body of an answer takes in the runtime's JSON; a small one is not looked at closely."""
    body = b"".join(message.get("body", b"") for message in messages)
    if len(body) * 6 < MAX_ANSWER:  # a character becomes six at the most
        return len(body)
    try:
        return len(json.dumps(body.decode()))
    except UnicodeDecodeError:
        return len(body) * 4 // 3  # as base64


class WithoutStage:
    """Takes the stage off the paths of an HTTP API, which puts it before them unless it is `$default`.

    A path of ours that happens to begin like the stage stays as it is.
    """

    def __init__(self, app: ASGIApp, paths: frozenset[str]) -> None:
        self.app = app
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, under the path that clients know."""
        stage = scope["aws.event"].get("requestContext", {}).get("stage", "")
        await self.app({**scope, "path": without_stage(scope["path"], stage, self.paths)}, receive, send)


class Uncompressed:
    """Asks for answers as they are where they pass a REST API.

    What is compressed is carried as base64, and a REST API hands that on as it is to clients that name no binary type
    first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; without a word of it, any coding would do (RFC 9110 §12.5.3)."""
        if "httpMethod" in scope["aws.event"]:  # payload 1.0
            headers = [field for field in scope["headers"] if field[0] != b"accept-encoding"]
            scope = {**scope, "headers": [*headers, (b"accept-encoding", b"identity")]}
        await self.app(scope, receive, send)


def without_stage(path: str, stage: str, paths: frozenset[str]) -> str:
    """The path that clients know; one of `paths` is never cut."""
    prefix = f"/{stage}"
    if not stage or path in paths or not f"{path}/".startswith(f"{prefix}/"):
        return path
    return path.removeprefix(prefix) or "/"


def instance(environment: Mapping[str, str], file: str | None = None) -> Instance:
    """The gate of these settings, started.

    Raises:
        SettingsError: the settings cannot be used, with every problem.
        SecretUnavailable: a secret that they name cannot be had.
        PluginError: a tool plugin cannot be used.
        CannotWrite: the audit log cannot be opened.
    """
    values, problems = function_values(environment, file)
    with secret_files(values) as complete:
        settings = stateless(parse(complete, problems))
        gate = assemble(settings).gate(audit_writer(settings.audit_log))
    let_copies_serve(gate)
    return Instance(gate, frozenset(resource.path for resource in settings.resources))


def let_copies_serve(gate: Starlette) -> None:
    """Let packaged keys serve the first answers, each of which would wait for the fetch that it causes."""
    gates: Mapping[str, Gate] = gate.state.gates
    for keys in {issuer.keys for one in gates.values() for issuer in one.verifier.issuers.values()}:
        keys.put_off(ALONE)


def stateless(settings: Settings) -> Settings:
    """The settings without sessions: the next request of a client may meet another instance."""
    resources = [msgspec.structs.replace(resource, sessions=False) for resource in settings.resources]
    return msgspec.structs.replace(settings, resources=resources)


def log_as_json() -> None:
    """Send diagnostics to standard error as lines of JSON, in place of the runtime's own format."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("bearergate").setLevel(logging.INFO)


def __getattr__(name: str) -> Instance:
    """`handler`, made when the runtime asks for it: importing this module starts nothing."""
    if name != "handler":
        raise AttributeError(name)
    log_as_json()
    try:
        made = instance(os.environ)
    except (SettingsError, SecretUnavailable, PluginError, CannotWrite) as error:
        sys.exit("\n".join(f"bearergate: {line}" for line in str(error).splitlines()))
    atexit.register(made.close)
    globals()["handler"] = made
    return made
