"""Commands that say more than anybody can take: the gate goes on with everything else, and keeps little of it."""

from __future__ import annotations

import logging
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tools.front import initialize, open_session
from tests.tools.stdio_front import NAME, error, parrot, parroting, result
from tools.stdio.back_off import BackOff
from tools.stdio.command import Command
from tools.stdio.connection import Connection
from tools.stdio.messages import raw, read
from tools.stdio.messages import request as message
from tools.stdio.process import LINES_A_SECOND, LINES_A_TURN, Process, Said
from tools.stdio.sessions import MAX_WANTED, UNHEARD, Alone, Session
from tools.stdio.stream import FULL_MESSAGES

OWNER = ("https://issuer.example", "alice", False)


class Heard:
    """A listener that counts what is no message."""

    def __init__(self) -> None:
        self.lines = 0
        self.end = anyio.Event()

    def received(self, line: bytes) -> bool:
        del line
        self.lines += 1
        return False

    def ended(self, reason: str) -> None:
        del reason
        self.end.set()


def program(text: str, **more: Any) -> Command:
    """A command that is a few lines of Python."""
    return Command(arguments=(sys.executable, "-c", text), grace_seconds=0.2, **more)


async def test_log_gets_so_many_lines_each_second_and_the_number_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "bearergate.stdio")
    now = 100.0
    said = Said("a-command", lambda: now)
    for _ in range(LINES_A_SECOND + 7):
        said.add(b"again")
    assert said.is_full
    said.leave_out(3)
    assert caplog.messages == ["a-command: again"] * LINES_A_SECOND
    caplog.clear()
    now = 101.5
    said.add(b"later")
    said.end()
    assert caplog.messages == ["a-command wrote 10 more lines, which are left out", "a-command: later"]


@pytest.mark.parametrize("place", ["stdout", "stderr"])
async def test_command_that_writes_without_end_leaves_time_for_others(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bearergate.stdio")
    heard = Heard()
    process = await Process.start(program(f"import sys\nfor _ in range(300_000): sys.{place}.write('y\\n')"), heard)
    logged = left_out = 0
    with anyio.fail_after(20):
        while logged + left_out < 299_900:  # but for lines cut at the end of what is not looked at
            await anyio.sleep(0.01)
            logged = sum(said.endswith(": y") for said in caplog.messages)
            left_out = sum(int(said.split()[2]) for said in caplog.messages if "left out" in said)
    assert LINES_A_SECOND <= logged < 20 * LINES_A_SECOND
    await process.stop()


async def test_output_is_looked_at_in_turn_with_all_else() -> None:
    heard = Heard()
    process = await Process.start(program("input()"), heard)
    process.pipe_data_received(1, b"y\n" * (3 * LINES_A_TURN - 1) + b"the end")
    turns = [heard.lines]
    while turns[-1] < 3 * LINES_A_TURN - 1:
        await anyio.lowlevel.checkpoint()
        turns.append(heard.lines)
    assert sorted(set(turns)) == [LINES_A_TURN, 2 * LINES_A_TURN, 3 * LINES_A_TURN - 1]
    await process.stop()


async def test_what_a_command_says_last_is_heard_however_much_it_is() -> None:
    heard = Heard()
    process = await Process.start(program("print('y\\n' * 20_000)"), heard)
    with anyio.fail_after(20):
        await heard.end.wait()
    await process.stop()
    assert heard.lines == 20_000


async def test_command_that_talks_but_never_answers_initialize_is_given_up() -> None:
    text = """
import sys
while True:
    sys.stdout.write('{"jsonrpc":"2.0","method":"notifications/own"}\\n' * 100)
"""
    async with parroting(arguments=program(text).arguments, start_seconds=0.5) as http:
        with anyio.fail_after(10):
            answer = await http.post("/mcp", json=initialize("2025-11-25"))
        assert (answer.status_code, error(answer)["message"]) == (504, f"The command {NAME} does not answer.")


async def test_what_comes_before_the_answer_to_initialize_is_kept_to_a_bound() -> None:
    text = f"""
import json, sys
asked = json.loads(input())
for _ in range({3 * FULL_MESSAGES}):
    print('{{"jsonrpc":"2.0","method":"notifications/own"}}')
result = {{"protocolVersion": "2025-11-25", "capabilities": {{}}}}
print(json.dumps({{"jsonrpc": "2.0", "id": asked["id"], "result": result}}), flush=True)
input()
"""
    async with parroting(arguments=program(text).arguments) as http:
        answer = await http.post("/mcp", json=initialize("2025-11-25"))
        assert result(answer)["protocolVersion"] == "2025-11-25"
        assert answer.text.count("notifications/own") == FULL_MESSAGES


async def test_command_hears_that_its_client_answers_nothing() -> None:
    session = Session(OWNER, Connection(parrot(), Alone(OWNER, parrot(), BackOff()), BackOff()))
    stream = session.listen()
    for number in range(MAX_WANTED):
        session.want({**message("roots/list", {}), "id": raw(number)})
    assert not session.connection._under_way
    session.want({**message("roots/list", {}), "id": raw("one more")})
    assert len(session.connection._under_way) == 1, "the answer to that one"
    assert len(session._wanted) == len(stream._messages) == MAX_WANTED
    await session.connection.close()


async def test_question_that_waits_for_its_answer_is_not_kept_whole() -> None:
    session = Alone(OWNER, parrot(), BackOff()).session
    stream = session.listen()
    tracemalloc.start()
    for number in range(10):
        session.want(read(b'{"jsonrpc":"2.0","id":%d,"method":"own","params":["%s"]}' % (number, b"x" * 1_000_000)))
        assert await stream.next() is not None
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000


async def test_question_of_a_command_that_nobody_can_hear_is_answered(tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    text = f"""
import json
def say(**message): print(json.dumps({{"jsonrpc": "2.0", **message}}), flush=True)
asked = json.loads(input())
say(id=asked["id"], result={{"protocolVersion": "2025-11-25", "capabilities": {{}}}})
input()
for _ in range({UNHEARD}): say(method="notifications/own")
say(id="mine", method="roots/list")
open({str(answer)!r}, "w").write(input() + "\\n")
input()
"""
    async with parroting(arguments=program(text).arguments) as http:
        await open_session(http, "2025-11-25")
        while not (answer.exists() and answer.read_text()):  # noqa: ASYNC110 - written by another process
            await anyio.sleep(0.01)
    assert "The client does not answer: ask no more." in answer.read_text()
    assert '"id":"mine"' in answer.read_text().replace(" ", "")


async def test_command_that_reads_no_answers_gets_no_more_of_them() -> None:
    connection: Connection = Alone(OWNER, parrot(max_requests=20), BackOff()).session.connection
    for number in range(50):
        connection.reply({"id": raw(number)})
    assert len(connection._under_way) == 20
    await connection.close()


async def test_command_that_pings_is_idle_all_the_same(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"""
import json, os, threading, time
def say(**message): print(json.dumps({{"jsonrpc": "2.0", **message}}), flush=True)
def ping():
    while True:
        say(id="mine", method="ping")
        time.sleep(0.01)
with open({str(pid)!r}, "w") as file: file.write(str(os.getpid()))
asked = json.loads(input())
say(id=asked["id"], result={{"protocolVersion": "2025-11-25", "capabilities": {{}}}})
threading.Thread(target=ping, daemon=True).start()
while True: input()
"""
    async with parroting(arguments=program(text).arguments, shared=True, idle_seconds=0.3) as http:
        await open_session(http, "2025-11-25")
        place = Path("/proc") / pid.read_text()
        with anyio.fail_after(10):
            while place.exists():  # noqa: ASYNC110 - the system tells nobody
                await anyio.sleep(0.01)
