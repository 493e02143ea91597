"""The facade's own requests to the issuer: time-outs, and many that wait for one answer."""

from __future__ import annotations

import asyncio

import anyio
import httpx
import pytest

from discovery.issuer import IssuerMetadata, IssuerUnavailable
from gateway.facade.errors import OAuthError
from gateway.facade.issuer import Issuer

URL = "https://issuer.example"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Answering(httpx.AsyncBaseTransport):
    """An issuer's token endpoint that breaks in one way."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.extensions["timeout"]["read"] == 10
        if self.error is not None:
            raise self.error
        return httpx.Response(200, stream=httpx.ByteStream(b'{"access_token":"a"}'))

    async def aclose(self) -> None:
        self.closed += 1


async def found() -> IssuerMetadata:
    return IssuerMetadata(issuer=URL, token_endpoint=f"{URL}/token")


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("no HTTP"),
        TimeoutError(),
        ConnectionResetError(),
        OSError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_no_answer_is_temporary(error: Exception) -> None:
    issuer = Issuer("gate", "", found, transport=lambda: Answering(error))
    with pytest.raises(OAuthError) as raised:
        await issuer.tokens({"code": "a-secret-code"})
    assert (raised.value.code, raised.value.status) == ("temporarily_unavailable", 503)
    assert type(error).__name__ in str(raised.value)
    assert "a-secret-code" not in str(raised.value)


async def test_connections_are_opened_once_and_closed_at_the_end() -> None:
    transport, opened = Answering(), []

    def make() -> Answering:
        opened.append(1)
        return transport

    issuer = Issuer("gate", "", found, transport=make)
    await issuer.close()
    for _ in range(2):
        assert (await issuer.tokens({})).access_token == "a"
    assert opened == [1]
    await issuer.close()
    await issuer.close()
    assert transport.closed == 1


async def test_all_who_wait_share_one_failure() -> None:
    """A hundred logins while the issuer hangs must not wait for a hundred time-outs, one after the other."""
    clock, release, asked = Clock(), anyio.Event(), []

    async def never() -> IssuerMetadata:
        asked.append(1)
        await release.wait()
        clock.now += 5
        raise IssuerUnavailable("no answer in time")

    issuer = Issuer("gate", "", never, now=clock)
    waiting = [asyncio.create_task(issuer.metadata()) for _ in range(20)]
    await anyio.wait_all_tasks_blocked()
    release.set()
    failed = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, OAuthError) and error.status == 503 for error in failed)
    assert {str(error) for error in failed} == {"no answer in time"}
    assert asked == [1]
    with pytest.raises(OAuthError):
        await issuer.metadata()
    assert asked == [1, 1], "who comes later asks again"


async def test_nobody_but_the_first_waits_while_metadata_is_read_again() -> None:
    """An issuer that hangs must not hold up what needs no more than its metadata."""
    clock, release, asked = Clock(), anyio.Event(), []

    async def slow() -> IssuerMetadata:
        asked.append(1)
        await (release.wait() if len(asked) > 1 else anyio.lowlevel.checkpoint())
        return await found()

    issuer = Issuer("gate", "", slow, now=clock)
    before, same = await asyncio.gather(issuer.metadata(), issuer.metadata())
    assert before is same
    assert asked == [1], "nobody has it yet, so both wait for one answer"
    clock.now += 3600
    first = asyncio.create_task(issuer.metadata())
    await anyio.wait_all_tasks_blocked()
    with anyio.fail_after(5):
        assert await issuer.metadata() is before
    release.set()
    assert await first is not before
    assert asked == [1, 1]
