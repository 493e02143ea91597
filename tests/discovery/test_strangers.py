"""Names of strangers are looked up beside everybody else's, a few at once, and given up without waiting for them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from discovery.fetch import Fetch, FetchUnreachable, resolve
from discovery.strangers import StrangersNames


class NameServer:
    """The system's look-up, which leaves names of one zone unanswered until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int, *rest: Any, **more: Any) -> Any:
        if host.endswith(".slow.example"):
            assert self.let_go.wait(30)
            raise socket.gaierror("no such name")
        return self._real(host, port, *rest, **more)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server)
    yield server
    server.let_go.set()


async def test_name_is_looked_up() -> None:
    assert "127.0.0.1" in await StrangersNames()("127.0.0.1", 443)


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".example", "..."])
async def test_name_without_addresses_is_unreachable(host: str) -> None:
    assert await StrangersNames()(host, 443) == []
    with pytest.raises(FetchUnreachable, match="cannot be resolved"):
        await Fetch(resolver=StrangersNames()).get("https://nobody.invalid/")


async def test_slow_names_keep_nobody_elses_waiting(names: NameServer) -> None:
    strangers = StrangersNames(at_once=40)
    waiting = [asyncio.create_task(strangers(f"a{number}.slow.example", 443)) for number in range(40)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(resolve("127.0.0.1", 443), 5) == ["127.0.0.1"]
    names.let_go.set()
    assert await asyncio.gather(*waiting) == [[]] * 40


async def test_look_ups_that_were_given_up_still_count_until_they_end(names: NameServer) -> None:
    strangers = StrangersNames(at_once=2)
    for number in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(strangers(f"a{number}.slow.example", 443), 0.01)
    with pytest.raises(OSError, match="too many names"):
        await strangers("127.0.0.1", 443)
    names.let_go.set()
    async with asyncio.timeout(5):
        while True:
            try:
                assert await strangers("127.0.0.1", 443) == ["127.0.0.1"]
            except OSError:
                await asyncio.sleep(0.01)
            else:
                return


def test_look_up_that_ends_after_its_loop_is_quiet(names: NameServer) -> None:
    async def given_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(StrangersNames()("a.slow.example", 443), 0.01)

    before = set(threading.enumerate())
    asyncio.run(given_up())
    (thread,) = set(threading.enumerate()) - before
    names.let_go.set()
    thread.join(5)
    assert not thread.is_alive()
