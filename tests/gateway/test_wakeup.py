"""What a task waits for: it goes on before `now` returns, after `soon` does, and as cancelled when it is."""

from __future__ import annotations

import asyncio
import weakref
from contextvars import ContextVar

import pytest

from gateway.connection import Connection
from gateway.wakeup import Wakeup

of_the_task: ContextVar[str] = ContextVar("of_the_task", default="nobody's")


class Something(str):
    """What can be referred to weakly."""

    __slots__ = ("__weakref__",)


async def waiting(wakeup: Wakeup, seen: list[str], times: int = 1) -> None:
    """Wait so many times, and tell."""
    of_the_task.set("the task's")
    for _ in range(times):
        try:
            await wakeup
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        assert asyncio.current_task() is not None
        seen.append(of_the_task.get())


async def begun(wakeup: Wakeup, seen: list[str], times: int = 1) -> asyncio.Task[None]:
    """A task that waits."""
    task = asyncio.create_task(waiting(wakeup, seen, times))
    await asyncio.sleep(0)
    assert not seen
    return task


def from_the_loop(callback: object) -> None:
    """What only callbacks of the loop may do."""
    asyncio.get_running_loop().call_soon(callback)  # type: ignore[arg-type]  # whatever is called


async def test_task_goes_on_before_now_returns_and_in_its_own_context() -> None:
    seen: list[str] = []
    wakeup = Wakeup(asyncio.get_running_loop())
    task = await begun(wakeup, seen, times=2)

    def wake() -> None:
        for times in (1, 2):
            wakeup.now()
            assert seen == ["the task's"] * times
        wakeup.now()  # for nobody
        assert of_the_task.get() == "nobody's"
        seen.append("both")

    from_the_loop(wake)
    await task
    assert seen == ["the task's", "the task's", "both"]


async def test_task_goes_on_in_the_next_turn_after_soon() -> None:
    seen: list[str] = []
    wakeup = Wakeup(asyncio.get_running_loop())
    task = await begun(wakeup, seen)
    wakeup.soon()
    wakeup.soon()  # once is enough
    assert not seen
    await task
    assert seen == ["the task's"]
    wakeup.soon()
    wakeup.now()
    await asyncio.sleep(0)
    assert seen == ["the task's"]


async def test_whoever_is_woken_may_be_told_from_another_task() -> None:
    seen: list[str] = []
    wakeup = Wakeup(asyncio.get_running_loop())
    task = await begun(wakeup, seen)

    async def wake() -> None:
        wakeup.soon()

    await asyncio.gather(asyncio.create_task(wake()), task)
    assert seen == ["the task's"]


async def test_cancellation_reaches_whoever_waits_and_the_next_one_waits_anew() -> None:
    seen: list[str] = []
    wakeup = Wakeup(asyncio.get_running_loop())
    task = await begun(wakeup, seen)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen.pop() == "cancelled"
    task = await begun(wakeup, seen)
    wakeup.soon()
    await task
    assert seen == ["the task's"]


async def test_cancellation_that_comes_after_the_wakeup_is_not_lost() -> None:
    seen: list[str] = []
    wakeup = Wakeup(asyncio.get_running_loop())
    task = await begun(wakeup, seen)
    wakeup.soon()
    assert not wakeup.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


async def test_patience_ends() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await wakeup


async def test_nothing_of_a_task_is_kept() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())

    async def remembering() -> None:
        something = Something()
        kept.append(weakref.ref(something))
        of_the_task.set(something)
        await wakeup

    kept: list[weakref.ref[Something]] = []
    task = asyncio.create_task(remembering())
    await asyncio.sleep(0)
    wakeup.soon()
    await task
    del task
    await asyncio.sleep(0)
    assert kept[0]() is None


class Quiet(asyncio.Transport):
    """A transport that takes what is written."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False


async def test_answer_goes_on_in_the_callback_that_brings_it() -> None:
    connection = Connection(asyncio.get_running_loop(), 65536, lambda _: None)
    connection.connection_made(Quiet())
    connection.start("GET", b"GET / HTTP/1.1\r\n\r\n", 5, 5)
    taken: list[bytes] = []

    async def taking() -> None:
        await connection.changed()
        taken.append(connection.take())

    def bring() -> None:
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        taken.append(b"brought")

    task = asyncio.create_task(taking())
    await asyncio.sleep(0)
    from_the_loop(bring)
    await task
    await asyncio.sleep(0)
    assert taken == [b"{}", b"brought"]


async def test_it_is_like_a_future_of_its_loop() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())
    like_a_future: bool = asyncio.isfuture(wakeup)
    assert like_a_future
    assert wakeup.get_loop() is asyncio.get_running_loop()
