"""The gate on AWS Lambda, behind an HTTP API, a REST API or a function URL: the handler is `deploy.aws_lambda.handler`.

Everything is started once, while the instance starts, and reused by every invocation. Settings come from the
`bearergate.yaml` that was packaged and from the environment; what they say of secrets may name a place at AWS
(`deploy.aws_secrets`). Nothing is remembered between invocations that another instance would need.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from mangum import Mangum
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.assembly import assemble
from deploy.aws_secrets import SecretUnavailable, secret_files
from deploy.output import JsonLines, audit_writer
from gateway.app import flush
from gateway.settings import Settings
from gateway.sources import SettingsError, parse, values_of
from tools.registry import PluginError

if TYPE_CHECKING:
    from starlette.applications import Starlette

Event = dict[str, Any]


class Instance:
    """One instance of the function: the gate, started, and what makes events of AWS into requests for it.

    An app that was started once cannot be started again, so this is done here and not by Mangum, which would do it
    with every invocation.
    """

    def __init__(self, gate: Starlette, paths: frozenset[str]) -> None:
        self._gate = gate
        self.app = WithoutStage(gate, paths)
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)  # the one Mangum runs requests in
        self._mangum = Mangum(self.app, lifespan="off")
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

    def close(self) -> None:
        """Stop the gate, as nothing does on Lambda; for tests."""
        under_way = asyncio.all_tasks(self._loop)
        for task in under_way:
            task.cancel()
        self._loop.run_until_complete(asyncio.wait(under_way))
        self._loop.close()

    async def _run(self, started: asyncio.Future[None]) -> None:
        async with self._gate.router.lifespan_context(self._gate):
            started.set_result(None)
            await self._loop.create_future()


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
    """
    values, problems = values_of(file, environment)
    with secret_files(values) as complete:
        settings = stateless(parse(complete, problems))
        gate = assemble(settings).gate(audit_writer(settings.audit_log))
    return Instance(gate, frozenset(resource.path for resource in settings.resources))


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
    except (SettingsError, SecretUnavailable, PluginError) as error:
        sys.exit("\n".join(f"bearergate: {line}" for line in str(error).splitlines()))
    globals()["handler"] = made
    return made
