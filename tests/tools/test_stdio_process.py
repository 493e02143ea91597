"""The process behind a local command: how it is started, watched, restarted and ended, and what it is not told."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tests.tools.front import initialize, messages, next_event, open_session, request
from tests.tools.stdio_front import NAME, NEWS, PARROT, error, hang, hanging, parrot, parroting, pid_of, result, until
from tools.exchange import Refusal
from tools.stdio import CannotStart, Command
from tools.stdio.back_off import BackOff
from tools.stdio.connection import Connection
from tools.stdio.messages import members_of
from tools.stdio.pool import Pool
from tools.stdio.process import LINE_OF_LOG, Lines, Process, printable


def runs(pid: int) -> bool:
    """Whether a process is there, if only as a zombie."""
    return Path(f"/proc/{pid}").exists()


def children() -> set[str]:
    """The processes that this one has started, and that still run."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


async def ended(pid: int) -> None:
    """Wait until a process is gone."""
    with anyio.fail_after(10):
        while runs(pid):  # noqa: ASYNC110 - the system tells nobody
            await anyio.sleep(0.01)


async def test_command_is_told_nothing_of_the_gate_but_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARERGATE_SEAL_KEYS", "a secret of the gate")
    monkeypatch.setenv("API_KEY", "a secret of the command")
    monkeypatch.setenv("TZ", "Europe/Vienna")
    given: dict[str, Any] = {
        "environment": {"OWN": "value"},
        "inherit": ("API_KEY", "NOT_THERE"),
        "directory": str(tmp_path),
    }
    async with parroting(**given) as http:
        session = await open_session(http, "2025-11-25")
        seen = result(await session.post(request("environment")))
        assert seen["directory"] == str(tmp_path)
        assert seen["group"] == await pid_of(session), "it has a group of its own"
        variables = seen["environment"]
    assert (variables["OWN"], variables["API_KEY"], variables["TZ"]) == (
        "value",
        "a secret of the command",
        "Europe/Vienna",
    )
    assert not any(name.startswith("BEARERGATE") for name in variables)
    system = {"LC_CTYPE", "__CF_USER_TEXT_ENCODING", "PWD"}  # that the interpreter or the system adds
    allowed = {"HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "OWN", "API_KEY"}
    assert variables.keys() - allowed - system == set()


async def test_process_and_what_it_has_started_end_with_the_session() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        child = result(await session.post(request("spawn")))["child"]
        pid = await pid_of(session)
        assert runs(pid)
        assert runs(child)
        await session.send("DELETE")
        await ended(pid)
        await ended(child)


async def test_everything_ends_with_the_server() -> None:
    async with parroting() as http:
        sessions = [await open_session(http, "2025-11-25", who) for who in ("alice", "bob")]
        child = result(await sessions[0].post(request("spawn")))["child"]
        pids = [await pid_of(session) for session in sessions]
    for pid in pids:
        assert not runs(pid)
    await ended(child)  # whose parent is not us


async def test_process_that_does_not_want_to_end_is_killed() -> None:
    async with parroting(grace_seconds=0.1) as http:
        session = await open_session(http, "2025-11-25")
        pid = await pid_of(session)
        await session.post(request("obstinate"))
        await session.send("DELETE")
        await ended(pid)


async def test_process_is_stopped_when_nobody_has_used_it_for_long() -> None:
    async with parroting(idle_seconds=0.4) as http:
        session = await open_session(http, "2025-11-25")
        await ended(await pid_of(session))
        assert (await session.post(request("echo"))).status_code == 404
        again = await open_session(http, "2025-11-25")
        pid = await pid_of(again)
        async with again.stream("GET"):
            await anyio.sleep(0.8)
            assert runs(pid), "an open stream is a use"


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        pytest.param("die", "ended with status 3", id="it ends"),
        pytest.param("kill", "was ended by signal 9", id="it is killed"),
        pytest.param("close", "closed its input or output", id="it closes its output"),
        pytest.param("big", "sent a message of more than 2000 bytes", id="it sends too much"),
    ],
)
async def test_requests_under_way_fail_and_the_session_goes_on_with_a_new_process(method: str, reason: str) -> None:
    async with parroting(max_message_bytes=2000) as http:
        session = await open_session(http, "2025-11-25")
        pid = await pid_of(session)
        async with anyio.create_task_group() as tasks:
            failed: list[Any] = []

            async def fail() -> None:
                failed.append(error(await session.post(request("hang", "h"))))

            tasks.start_soon(fail)
            await until(lambda: hang(session))
            answer = await session.post(request(method, 5, size=3000))
        assert messages(answer)[-1]["id"] == 5
        assert failed == [error(answer)]
        assert error(answer) == {"code": -32603, "message": f"The command {NAME} {reason} before it answered."}
        assert await pid_of(session) != pid
        heard = result(await session.post(request("heard")))["heard"]
        assert [each["method"] for each in heard] == ["notifications/initialized"]
        await ended(pid)


async def test_open_stream_outlives_the_process() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with session.stream("GET") as stream:
            lines = stream.aiter_lines()
            await session.post(request("later", message={"id": 1, "method": "roots/list"}))
            old = (await next_event(lines)).message["id"]
            await session.post(request("die"))
            # The new process has asked nothing yet, so an answer for the old one is not for it.
            await session.post(request("echo"))
            await session.post({"jsonrpc": "2.0", "id": old, "result": {}})
            assert result(await session.post(request("heard")))["answers"] == {}
            await session.post(request("later", message={"id": 1, "method": "roots/list"}))
            assert (await next_event(lines)).message["id"] != old


async def test_command_that_cannot_live_is_started_ever_more_rarely() -> None:
    async with parroting("dead") as http:
        refused: list[str] = []
        while not refused:
            answer = await http.post("/mcp", json=initialize("2025-11-25"))
            if answer.status_code == 503:
                refused.append(error(answer)["message"])
            else:
                assert error(answer)["message"] == f"The command {NAME} ended with status 7 before it answered."
        assert refused[0].startswith(f"The command {NAME} ended with status 7. It is started again in ")
        other = await http.post("/mcp", json=initialize("2025-11-25"), headers={"x-who": "bob"})
        assert other.status_code == 200, "another principal is not held up"


async def test_session_that_opens_otherwise_after_a_crash_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "fickle"
    program.write_text(f'#!/bin/sh\nif [ -e seen ]; then exec "$PYTHON" "{PARROT}" refuses; fi\ntouch seen\n')
    with program.open("a") as script:
        script.write(f'exec "$PYTHON" "{PARROT}" legacy\n')
    program.chmod(0o700)
    given: dict[str, Any] = {
        "arguments": ("./fickle",),
        "directory": str(tmp_path),
        "environment": {"PYTHON": sys.executable},
    }
    async with parroting(**given) as http:
        session = await open_session(http, "2025-11-25")
        await session.post(request("die"))
        answer = await session.post(request("echo"))
        assert answer.status_code == 502
        assert "does not open the session again" in error(answer)["message"]


async def test_command_that_has_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    async with parroting(arguments=(str(tmp_path / "gone"),)) as http:
        answer = await http.post("/mcp", json=initialize("2025-11-25"))
        assert answer.status_code == 502
        assert messages(answer)[0]["id"] == 1
        assert error(answer)["message"] == "The command gone cannot be started (No such file or directory)."


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param({"arguments": ("no-such-program",)}, "no-such-program is not there", id="no such program"),
        pytest.param({"arguments": ("./here",)}, "./here is not there or may not be run", id="not to be run"),
        pytest.param({"directory": "/no/such/folder"}, "/no/such/folder, which is no folder", id="no such folder"),
    ],
)
def test_command_that_could_not_start_is_found_out_before(given: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("no program")
    with pytest.raises(CannotStart, match=sentence):
        Command(**({"arguments": (sys.executable,), "directory": str(tmp_path)} | given)).check()


def test_command_that_could_start_passes(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("#!/bin/sh")
    (tmp_path / "here").chmod(0o700)
    Command(arguments=("./here",), directory=str(tmp_path)).check()
    Command(arguments=("sh",)).check()


async def test_what_it_writes_to_standard_error_is_in_the_log_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bearergate.stdio")
    long = "x" * 3 * LINE_OF_LOG + "y" * 20_000
    written = f"first\r\n\n\x1b[31mred\x07 \xff\nno secret {long}\nlast"
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        await session.post(request("errors", text=written))
        await session.post(request("garbage"))
    said = [record.message for record in caplog.records if record.message.startswith(f"{NAME}: ")]
    assert said[:2] == [f"{NAME}: first", f"{NAME}: \\x1b[31mred\\x07 \\xff"]
    assert said[2].startswith(f"{NAME}: no secret xxx")
    assert len(said[2]) < LINE_OF_LOG + 50
    assert said[3:] == [f"{NAME}: last"]
    assert f"{NAME} says on its output, which is for messages: this is \\x1b[31mno message" in caplog.text


async def test_one_principal_has_no_more_processes_than_allowed_and_loses_the_idle_ones() -> None:
    async with parroting(max_processes_each=2, max_processes=3) as http:
        first, second, third = [await open_session(http, "2025-11-25") for _ in range(3)]
        assert (await first.post(request("echo"))).status_code == 404
        async with hanging(second, 1), third.stream("GET"):
            answer = await http.post("/mcp", json=initialize("2025-11-25"))
            assert (answer.status_code, error(answer)["message"]) == (
                503,
                "You have 2 sessions with requests under way: end one of them.",
            )
            await open_session(http, "2025-11-25", "bob")
            other = await http.post("/mcp", json=initialize("2025-11-25"), headers={"x-who": "alice of another issuer"})
            assert (other.status_code, error(other)["message"]) == (
                503,
                "All 3 processes of this server are in use: try again later.",
            )


@pytest.mark.parametrize(
    ("limits", "is_told", "next_one"),
    [
        pytest.param({"max_processes_each": 1}, False, "alice", id="it gave way to another of its principal"),
        pytest.param({"max_processes_each": 1}, True, "alice", id="its session was ended"),
        pytest.param({"max_processes": 1}, True, "bob", id="the place of another principal is wanted"),
    ],
)
async def test_process_has_its_place_until_it_has_ended(limits: dict[str, Any], is_told: bool, next_one: str) -> None:
    async with parroting(grace_seconds=0.2, **limits) as http:
        session = await open_session(http, "2025-11-25")
        pid = await pid_of(session)
        await session.post(request("obstinate"))
        if is_told:
            assert (await session.send("DELETE")).status_code == 204
        assert runs(pid), "it does not want to end"
        await open_session(http, "2025-11-25", next_one)
        assert not runs(pid)


async def test_no_more_processes_run_than_allowed_however_many_sessions_are_opened_at_once() -> None:
    before = children()
    async with parroting(max_processes_each=2, grace_seconds=0.1) as http:
        for session in [await open_session(http, "2025-11-25") for _ in range(2)]:
            await session.post(request("obstinate"))
        statuses: list[int] = []

        async def open_one() -> None:
            statuses.append((await http.post("/mcp", json=initialize("2025-11-25"))).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(open_one)
        assert set(statuses) == {200, 503}
        assert len(children() - before) == 2


async def test_process_gets_no_more_requests_than_allowed() -> None:
    async with parroting(max_requests=2) as http:
        session = await open_session(http, "2025-11-25")
        async with hanging(session, 1), anyio.create_task_group() as tasks:

            async def hang_as_well() -> None:
                while (await session.post(request("hang", "second"))).status_code == 503:
                    pass  # one of those below was under way

            tasks.start_soon(hang_as_well)
            while (answer := await session.post(request("echo", 8))).status_code != 503:
                pass
            assert messages(answer)[0]["id"] == 8
            tasks.cancel_scope.cancel()


async def test_client_that_does_not_read_holds_up_its_own_process_and_loses_nothing() -> None:
    steps = 60_000
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        other = await open_session(http, "2025-11-25")
        asked = request("progress", "p", steps=steps, _meta={"progressToken": "t" * 500})
        async with session.stream("POST", asked) as stream:
            assert await pid_of(other)
            await anyio.sleep(0.3)
            counted = 0
            async for line in stream.aiter_lines():
                counted += line.startswith("data: ")
        assert counted == steps + 1


async def test_stream_that_takes_the_place_of_one_that_nobody_read_has_what_was_on_it() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with session.stream("GET"):  # never read, like that of a client whose network has gone
            await session.post(request("later", message={**NEWS, "pad": "x" * 5000}, times=4000))
            await anyio.sleep(0.3)
            async with session.stream("GET") as second:
                lines = second.aiter_lines()
                last = -1
                while last < 3999:
                    number = (await next_event(lines)).message["params"]["number"]
                    assert number > last, "in their order"
                    last = number


async def test_process_that_reads_late_loses_nothing() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        text = "x" * 1_000_000
        async with anyio.create_task_group() as tasks:
            answers: list[int] = []

            async def echo(number: int) -> None:
                answers.append(len(result(await session.post(request("echo", number, text=text)))["params"]["text"]))

            for number in range(5):
                tasks.start_soon(echo, number)
        assert answers == [1_000_000] * 5


async def test_message_for_a_process_that_has_ended_goes_nowhere() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        await session.post(request("die"))
        assert (await session.post({"jsonrpc": "2.0", "method": "notifications/own"})).status_code == 202
        assert result(await session.post(request("heard")))["heard"] == [
            {"jsonrpc": "2.0", "method": "notifications/initialized"}
        ]


@given(st.binary(max_size=300), st.lists(st.integers(min_value=1, max_value=40)), st.integers(1, 60))
def test_lines_are_the_same_however_they_come(data: bytes, cuts: list[int], limit: int) -> None:
    def taken(pieces: list[bytes]) -> list[tuple[bytes, bool]]:
        seen: list[tuple[bytes, bool]] = []
        lines = Lines(limit, lambda line, *, whole: seen.append((line, whole)))
        for piece in pieces:
            left = piece
            while left := lines.feed(left, 2):
                assert left.count(b"\n") <= piece.count(b"\n") - 2, "a bit at a time"
        lines.end()
        return seen

    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    seen = taken([*pieces, rest])
    assert seen == taken([data])
    assert [line for line, whole in seen if whole] == [
        line for line in data.split(b"\n") if line.strip() and len(line) <= limit
    ]
    assert all(len(line) <= limit for line, _ in seen)


@given(st.binary(max_size=3 * LINE_OF_LOG))
def test_nothing_that_is_logged_controls_a_terminal(line: bytes) -> None:
    shown = printable(line)
    assert shown.isprintable()
    assert len(shown) <= 10 * LINE_OF_LOG + 1


async def test_request_that_waits_for_a_new_process_hears_that_the_session_has_ended() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        for _ in range(2):
            await session.post(request("die"))
        async with anyio.create_task_group() as tasks:
            answers: list[int] = []

            async def wait() -> None:
                answers.append((await session.post(request("echo"))).status_code)

            tasks.start_soon(wait)
            await anyio.sleep(0.1)
            await session.send("DELETE")
        assert answers == [404]


class Nobody:
    """A client that is never told anything."""

    def asked(self, *_: object) -> None: ...
    def told(self, *_: object) -> None: ...
    def greeted(self, *_: object) -> None: ...


async def test_process_that_starts_while_its_connection_is_closed_is_stopped() -> None:
    connection = Connection(parrot(), Nobody(), BackOff())
    starting = asyncio.ensure_future(connection.start())
    await asyncio.sleep(0)
    await connection.close()
    with pytest.raises(Refusal) as refused:
        await starting
    assert refused.value.status == 404


async def test_connection_is_closed_only_when_a_process_that_was_starting_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "bearergate.stdio")
    connection, before = Connection(parrot(), Nobody(), BackOff()), children()
    starting = asyncio.ensure_future(connection.start())
    await asyncio.sleep(0)
    is_idle = connection.is_idle
    await connection.close()
    ended_before = "started as process" in caplog.text and children() <= before
    with pytest.raises(Refusal):
        await starting
    assert ended_before
    assert not is_idle, "somebody waits for it to start"


async def test_request_that_waits_for_room_until_the_end_leaves_no_process_behind() -> None:
    owner, before = ("https://issuer.example", "alice", False), children()
    pool = Pool(parrot(grace_seconds=0.2, max_processes_each=1))
    first = await pool.open(owner)
    await first.session.connection.start()
    waiting = asyncio.ensure_future(pool.open(owner))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(Refusal, match=r"^This server is being stopped: try again later\.$"):
        await waiting
    assert children() <= before


async def test_process_that_is_only_asked_what_it_speaks_ends_with_the_server() -> None:
    refuses_once = """
import json
asked = json.loads(input())
if asked["method"] == "server/discover":
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
input()
"""
    owner, before = ("https://issuer.example", "alice", False), children()
    pool = Pool(Command(arguments=(sys.executable, "-c", refuses_once), grace_seconds=0.2))
    asking = asyncio.ensure_future(pool.stateless(owner))
    while not (pool._asking and children() - before):  # noqa: ASYNC110 - the system tells nobody
        await asyncio.sleep(0.01)
    await pool.close()
    assert children() <= before
    with pytest.raises(Refusal):
        await asking


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.reasons: list[str] = []

    def received(self, line: bytes) -> bool:
        self.lines.append(line)
        return True

    def ended(self, reason: str) -> None:
        self.reasons.append(reason)


async def test_what_it_says_after_it_was_stopped_is_not_heard_and_nothing_is_sent_to_it() -> None:
    heard = Heard()
    command = Command(arguments=("sh", "-c", "echo early; cat > /dev/null; echo late"))
    process = await Process.start(command, heard)
    while not heard.lines:  # noqa: ASYNC110 - said by another process
        await anyio.sleep(0.01)
    await process.stop()
    await process.write(b"x")
    assert (heard.lines, heard.reasons) == ([b"early"], [])


@pytest.fixture
def many_open_files() -> Iterator[int]:
    """As many as the system grants this process, as the gate has them; that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can limit a process that runs")
async def test_command_may_open_as_many_files_as_from_a_shell(many_open_files: int) -> None:
    heard = Heard()
    command = Command(arguments=("sh", "-c", "read line; ulimit -Sn; ulimit -Hn"))
    process = await Process.start(command, heard)
    await process.write(b"")
    while len(heard.lines) < 2:  # noqa: ASYNC110 - said by another process
        await anyio.sleep(0.01)
    assert [int(line) for line in heard.lines] == [min(1024, many_open_files), many_open_files]
    await process.stop()


async def test_process_that_closes_its_input_is_of_no_use() -> None:
    heard = Heard()
    command = Command(arguments=("sh", "-c", "exec <&-; sleep 60"), grace_seconds=0.2)
    process = await Process.start(command, heard)
    while not heard.reasons:
        await process.write(b"is anybody there?")
        await anyio.sleep(0.01)
    assert heard.reasons == ["closed its input or output"]
    await process.stop()


def test_members_of_what_is_no_object_are_none() -> None:
    assert members_of(None) == members_of(Raw(b"7")) == {}
