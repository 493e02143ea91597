"""The audit log: every decision as one line of JSON, and never a token in it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.issuer import flip_bit
from gateway.audit import GATHER_LINES, MAX_TEXT, Audit, printable
from gateway.errors import InsufficientScope, MissingToken
from gateway.operation import Operation, Target
from gateway.principal import Principal
from tests.gated import CLIENT, ISSUER, RESOURCE, gated, tools_call

ALICE = Principal(ISSUER, "alice", CLIENT, frozenset(), frozenset(), 0.0)
CALL = Operation("tools/call", (Target("tool", "x"), Target("tool", "y")), 1)


class Log:
    """Keeps what is written, and says when something is."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.written = asyncio.Event()

    def __call__(self, lines: bytes) -> None:
        self.writes.append(lines)
        self.written.set()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for write in self.writes for line in write.splitlines()]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def audit(log: Log) -> Audit:
    return Audit(RESOURCE, log, lambda: 1000.5)


class TestLines:
    async def test_allowed_request_is_a_line_with_its_principal(self, audit: Audit, log: Log) -> None:
        audit.allowed(ALICE, "POST", [])
        audit.flush()
        (line,) = log.lines
        assert len(line.pop("id")) == 16
        assert line == {
            "time": 1000.5,
            "decision": "allowed",
            "resource": RESOURCE,
            "method": "POST",
            "issuer": ISSUER,
            "subject": "alice",
            "client": CLIENT,
        }

    async def test_operations_are_noted_where_the_gate_read_them(self, audit: Audit, log: Log) -> None:
        audit.allowed(ALICE, "POST", [CALL, Operation("ping")])
        audit.flush()
        assert log.lines[0]["operation"] == "tools/call ping"
        assert log.lines[0]["target"] == "x y"

    def test_refusal_is_a_line_with_its_reason_and_the_id_of_the_answer(self, audit: Audit, log: Log) -> None:
        refusal = InsufficientScope(frozenset({"b", "a"}), "it lacks b")
        refusal_id = audit.refused(refusal, "POST", ALICE, [CALL])
        (line,) = log.lines
        assert line["id"] == refusal_id
        assert (line["decision"], line["status"], line["reason"]) == ("refused", 403, "insufficient_scope")
        assert (line["detail"], line["scopes"]) == ("it lacks b", ["a", "b"])
        assert (line["subject"], line["target"]) == ("alice", "x y")

    def test_refusal_before_the_token_names_nobody(self, audit: Audit, log: Log) -> None:
        audit.refused(MissingToken("no Authorization header"), "GET")
        assert "subject" not in log.lines[0]

    def test_ids_differ(self, audit: Audit) -> None:
        assert len({audit.refused(MissingToken(""), "GET") for _ in range(100)}) == 100


class TestWriting:
    async def test_allowed_requests_are_gathered_and_written_together(self, audit: Audit, log: Log) -> None:
        for _ in range(3):
            audit.allowed(ALICE, "POST", [])
        assert not log.writes
        await log.written.wait()
        assert [write.count(b"\n") for write in log.writes] == [3]
        audit.flush()
        assert len(log.writes) == 1, "nothing is written twice, and nothing is not written"

    async def test_many_are_written_before_the_moment_is_over(self, audit: Audit, log: Log) -> None:
        for _ in range(GATHER_LINES):
            audit.allowed(ALICE, "POST", [])
        assert [write.count(b"\n") for write in log.writes] == [GATHER_LINES]

    async def test_refusal_is_written_at_once_after_what_came_before(self, audit: Audit, log: Log) -> None:
        audit.allowed(ALICE, "POST", [])
        audit.refused(MissingToken(""), "GET")
        assert [line["decision"] for line in log.lines] == ["allowed", "refused"]
        assert len(log.writes) == 1

    def test_without_a_log_nothing_is_kept_and_refusals_have_ids_all_the_same(self) -> None:
        audit = Audit(RESOURCE, None)
        audit.allowed(ALICE, "POST", [])
        assert len(audit.refused(MissingToken(""), "GET")) == 16
        audit.flush()
        assert not audit._lines

    async def test_what_was_gathered_is_written_when_the_gate_stops(self) -> None:
        async with gated() as door:
            await door.post(door.token())
            assert not door.log
        assert [line["decision"] for line in door.log] == ["allowed"]


class TestStrangersText:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            pytest.param("plain text", "plain text", id="plain"),
            pytest.param("a\r\nb\x1b[2J\x00", "a\\r\\nb\\x1b[2J\\x00", id="control characters"),
            pytest.param("é\u202e\u2028", "\\xe9\\u202e\\u2028", id="beyond ASCII"),
            pytest.param("\ud800", "\\ud800", id="half a character"),
            pytest.param("a" * 1000, "a" * MAX_TEXT, id="without end"),
            pytest.param("", "", id="nothing"),
        ],
    )
    def test_text_is_made_printable(self, text: str, shown: str) -> None:
        assert printable(text) == shown

    @given(st.text(st.characters()))
    def test_no_text_does_anything_to_a_terminal(self, text: str) -> None:
        shown = printable(text)
        assert shown.isascii()
        assert shown.isprintable() or not shown

    @given(st.text(st.characters(), min_size=1), st.text(st.characters()))
    def test_operation_a_stranger_made_up_is_one_line(self, method: str, name: str) -> None:
        log = Log()
        audit = Audit(RESOURCE, log)
        audit.refused(MissingToken(name), method[:20], ALICE, [Operation(method, (Target("tool", name),))])
        (write,) = log.writes
        assert write.count(b"\n") == 1
        assert json.loads(write)["reason"] == "missing_token"


async def test_no_token_is_in_a_log_or_in_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """GWP-14."""
    caplog.set_level(logging.DEBUG, "bearergate")
    rules = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}, {"tools": ["locked"], "groups": ["nobody"]}]
    async with gated(resource={"rules": rules}) as door:
        issuer = door.issuer
        good = door.token()
        tokens = [
            good,
            flip_bit(good, "signature"),
            flip_bit(good, "payload"),
            door.token(exp=0),
            door.token(aud="https://other.example"),
            door.token(iss="https://other.example"),
            door.token(scopes=[]),
            issuer.token("alice", CLIENT, header={"kid": "unknown"}),
            issuer.token("alice", CLIENT, header={"typ": "other"}),
            "opaque-token-of-a-stranger",
            "x" * 20_000,
        ]
        answers = ""
        for token in tokens:
            for message in (tools_call("hello"), tools_call("admin-x"), tools_call("locked")):
                response = await door.post(token, message)
                answers += response.text + str(response.headers)
            await door.post(None, headers={"authorization": f"Basic {token}"})
            await door.post(None, path=f"/mcp?access_token={token}")
            await door.post(good, path=f"/mcp?access_token={token}")
        assert door.reason
        own = "".join(record.getMessage() for record in caplog.records if record.name.startswith("bearergate"))
        written = json.dumps(door.log) + answers + own
        for token in tokens:
            assert token not in written
            assert all(part not in written for part in token.split(".") if len(part) > 20)
        reasons = {line.get("reason") for line in door.log}
        assert len(reasons) > 10
