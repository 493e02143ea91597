"""An app behind the gate is started and stopped the way a server would (ASGI lifespan protocol)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from gateway.lifespan import lifespan_of


async def test_state_of_the_start_up_lives_as_long_as_the_app() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, str]]:
        events.append("started")
        yield {"database": "open"}
        events.append("stopped")

    async with lifespan_of(Starlette(lifespan=lifespan)) as state:
        assert state == {"database": "open"}
        assert events == ["started"]
    assert events == ["started", "stopped"]


async def test_app_is_stopped_when_the_gate_fails_too() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        events.append("stopped")

    with pytest.raises(OSError, match="the gate"):
        async with lifespan_of(Starlette(lifespan=lifespan)):
            raise OSError("the gate")
    assert events == ["stopped"]


async def test_app_that_raises_at_a_lifespan_has_none(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise AssertionError("a secret")

    with caplog.at_level(logging.WARNING):
        async with lifespan_of(app) as state:
            assert state == {}
    assert "AssertionError" in caplog.text
    assert "a secret" not in caplog.text


async def test_app_that_returns_at_a_lifespan_has_none() -> None:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        return

    async with lifespan_of(app) as state:
        assert state == {}


async def test_app_that_cannot_start_stops_the_gate_with_its_reason() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="cannot start: no database"):
        async with lifespan_of(app):
            ...


async def test_app_that_cannot_start_and_says_nothing_stops_the_gate_too() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed"})

    with pytest.raises(RuntimeError, match="gives no reason"):
        async with lifespan_of(app):
            ...


async def test_app_of_starlette_that_cannot_start_stops_the_gate_with_its_reason() -> None:
    def open_database() -> dict[str, str]:
        raise OSError("no database")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, str]]:
        yield open_database()

    with pytest.raises(RuntimeError, match="no database"):
        async with lifespan_of(Starlette(lifespan=lifespan)):
            ...


async def test_app_that_fails_while_stopping_says_so() -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        raise OSError("no flush")

    with pytest.raises(OSError, match="no flush"):
        async with lifespan_of(Starlette(lifespan=lifespan)):
            ...
