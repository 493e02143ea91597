"""What happens seldom at a command: clients that read nothing of one that is gone, and one of many that cancels."""

from __future__ import annotations

import anyio
import pytest

from tests.tools.front import call, messages, modern, open_session, request
from tests.tools.stdio_front import error, hang, parrot, parroting, result, until
from tools.stdio.back_off import BackOff
from tools.stdio.connection import Connection, NoSession
from tools.stdio.messages import notification
from tools.stdio.sessions import UNHEARD, Alone
from tools.stdio.stream import FULL_MESSAGES, Stream

OWNER = ("https://issuer.example", "alice", False)


async def test_cancelling_one_of_two_requests_leaves_the_other() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        answers: list[str] = []

        async def ask(name: str) -> None:
            answers.append(error(await session.post(request("hang", name)))["message"])

        async with anyio.create_task_group() as tasks:
            for name in ("one", "two"):
                tasks.start_soon(ask, name)
            await until(lambda: hang(session, 2))
            told = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "two"}}
            assert (await session.post(told)).status_code == 202
            while not answers:  # noqa: ASYNC110 - it happens in another process
                await anyio.sleep(0.01)
            assert answers == ["Request cancelled"]
            await session.post({**told, "params": {"requestId": "nobody's"}})
            assert await hang(session, 2), "the command goes on with the other"
            tasks.cancel_scope.cancel()


async def test_schemas_of_tools_are_asked_for_once() -> None:
    async with parroting("modern") as http:
        for number in (1, 2):
            answer = await modern(http, call("call", number, region="west"), {"mcp-param-region": "west"})
            assert messages(answer)[0]["id"] == number
            assert result(answer)["called"]["name"] == "call"


def line() -> Connection:
    """A connection whose process does not run."""
    return Alone(OWNER, parrot(), BackOff()).session.connection


async def test_client_that_reads_nothing_of_a_command_that_is_gone_holds_nothing_up() -> None:
    connection, stream = line(), Stream()
    for number in range(FULL_MESSAGES):
        connection.deliver(stream, notification("notifications/message", {"number": number}))
    assert connection._full == {stream}
    for _ in range(FULL_MESSAGES):
        assert await stream.next() is not None
    assert not connection._full


async def test_end_of_a_command_that_was_stopped_already_is_noted_alone() -> None:
    connection = line()
    connection.ended("ends with status 3")
    assert not connection._under_way


async def test_what_nobody_hears_is_kept_to_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    session = Alone(OWNER, parrot(), BackOff()).session
    for number in range(UNHEARD + 1):
        assert "are lost" not in caplog.text
        session.say(notification("notifications/message", {"number": number}))
    assert not session.say(notification("notifications/message"))
    assert caplog.text.count("a client listens to nothing, and messages for it are lost") == 1, "one line tells it"
    assert len(session._unheard) == UNHEARD


async def test_session_that_ended_meanwhile_is_not_found() -> None:
    connection = line()
    await connection.close()
    with pytest.raises(NoSession):
        await connection.start()
