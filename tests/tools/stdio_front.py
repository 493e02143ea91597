"""Clients of a server that runs the parrot, and what they read in its answers."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests.tools.front import Session, fronted, messages, request
from tools.stdio import Command, app

PARROT = str(Path(__file__).with_name("parrot.py"))
NAME = Path(sys.executable).name
NEWS: dict[str, Any] = {"method": "notifications/tools/list_changed"}


def parrot(spoken: str = "legacy", **more: Any) -> Command:
    """The parrot, which speaks `legacy`, `modern`, `both` or one revision, or does not do what it should."""
    given: dict[str, Any] = {"arguments": (sys.executable, PARROT, spoken), "grace_seconds": 0.5, **more}
    return Command(**given)


@asynccontextmanager
async def parroting(spoken: str = "legacy", **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that runs the parrot."""
    with anyio.fail_after(20):
        async with fronted(app(parrot(spoken, **more))) as http:
            yield http


def result(answer: httpx.Response) -> dict[str, Any]:
    """The result of a request that was answered well."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = messages(answer)[-1]["result"]
    return found


def error(answer: httpx.Response) -> dict[str, Any]:
    """The error of a request that was not."""
    found: dict[str, Any] = messages(answer)[-1]["error"]
    return found


async def pid_of(session: Session) -> int:
    """The process that a session is served by."""
    return int(result(await session.post(request("echo")))["pid"])


@asynccontextmanager
async def hanging(session: Session, count: int) -> AsyncIterator[None]:
    """So many requests under way that are never answered."""
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(session.post, request("hang", f"hang {number}"))
        await until(lambda: hang(session, count))
        yield
        tasks.cancel_scope.cancel()


async def hang(session: Session, count: int = 1) -> bool:
    """Whether so many requests have reached the command that it never answers."""
    return len(result(await session.post(request("heard")))["hanging"]) >= count


async def until(found: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again, until it is so."""
    while not await found():  # noqa: ASYNC110 - it happens in another process
        await anyio.sleep(0.01)
