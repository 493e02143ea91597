"""What a target does not have, or the judge was not given, is said to be untested; and what breaks off is said too."""

from __future__ import annotations

import _thread
import json
import signal
import socket
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from conformance import junit, page, sarif, terminal, test_issuer
from conformance.judge import _find_authorization_server, judge
from conformance.options import Options
from conformance.plugin import Judge
from conformance.redaction import Redaction
from conformance.report import Check, Report
from conformance.revisions import MODERN
from conformance.target import CannotJudge, Target
from conformance.verdicts import refused
from conformance.wire import Answer, Wire
from tests.conformance.judge.correct import BASE
from tests.conformance.judge.judged import server
from tests.conformance.judge.test_hostile import HEAD, asked_for, never, raw_server

BLANK = Answer("GET", "http://127.0.0.1/", (), b"")


def untested(report: Report) -> dict[str, str]:
    """Why what was not tested was not."""
    return {
        each.id: report.reason(each.id) for each in report.requirements() if report.verdict(each.id) == "not tested"
    }


def test_revision_that_is_not_asked_for_is_not_judged() -> None:
    report = server(revisions=(MODERN,), only=("TRN-VER", "SES", "TRN-GET"))
    found = untested(report)
    assert "The target speaks no revision in which a GET opens a stream." in found["SES-05"]
    assert report.verdict("TRN-VER-06") == "passed"  # it answers initialize, though nobody asked about that era
    assert report.revisions == (MODERN,)


def test_older_revisions_alone_leave_what_is_new_untested() -> None:
    report = server(revisions=("2025-03-26",), only=("TRN-META", "TRN-VER-03", "PRM-06", "JWT-SIG"))
    assert report.revisions == ("2025-03-26",)
    assert "error" not in {check.outcome for check in report.checks}


def test_without_a_privileged_tool_what_needs_one_is_not_tested() -> None:
    report = server(
        privileged_tool="", scopes=(BASE,), low_scopes=None, logs=None, only=("RS-403", "TRN-BATCH", "TRN-RPC")
    )
    assert report.verdict("RS-403-01") == "passed"  # the first scope is asked for before any tool
    assert any(
        "give --privileged-tool" in reason or "give --low-scope" in reason for reason in untested(report).values()
    )


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        pytest.param(BLANK, "failed", "no answer, where a 401 was due", id="no answer"),
        pytest.param(replace(BLANK, status=500), "failed", "as if it were the server's fault", id="a crash"),
        pytest.param(replace(BLANK, status=400), "warned", "answered 400, where 401 is due", id="a bad request"),
        pytest.param(replace(BLANK, status=200), "failed", "answered 200, where 401 is due", id="it is served"),
        pytest.param(replace(BLANK, status=401), "passed", "", id="a refusal"),
    ],
)
def test_token_that_is_no_good_is_a_401(answer: Answer, outcome: str, words: str) -> None:
    taken = Judge("failed")
    assert refused(taken, answer, "A bad token", "Refuse it.") is (outcome == "passed")
    assert taken.result() == outcome
    assert all(words in problem.what for problem in taken.problems)


def test_profile_that_binds_not_everybody_softens_unless_strict() -> None:
    easy, strict = Judge("failed"), Judge("failed", strict=True)
    for each in (easy, strict):
        each.soften("warned")
        each.expect(False, "It is wrong.", fix="Mend it.")
    assert (easy.result(), strict.result()) == ("warned", "failed")


def test_target_that_falls_silent_ends_the_run_with_a_sentence() -> None:
    asked = 0

    def tires(connection: socket.socket, _: str) -> None:
        nonlocal asked
        asked_for(connection)
        asked += 1
        if asked < 10:
            connection.sendall(HEAD.format(401, "WWW-Authenticate: Bearer a=b\r\nContent-Length: 0\r\n").encode())
        else:
            never(connection, "")

    with raw_server(tires) as url:
        report = judge(Options(url, patience=0.3))
    assert "The target stopped answering during test_" in report.stopped
    assert "3 times in a row" in report.stopped
    assert report.exit_code in (1, 2)


def test_target_that_falls_silent_at_once_cannot_be_judged() -> None:
    asked = 0

    def once(connection: socket.socket, _: str) -> None:
        nonlocal asked
        asked_for(connection)
        asked += 1
        if asked == 1:
            connection.sendall(HEAD.format(401, "WWW-Authenticate: Bearer a=b\r\nContent-Length: 0\r\n").encode())
        else:
            never(connection, "")

    with raw_server(once) as url, pytest.raises(CannotJudge, match="3 times in a row"):
        judge(Options(url, patience=0.2, issuer_port=0))


def test_target_that_limits_every_request_cannot_be_judged() -> None:
    def limits(connection: socket.socket, _: str) -> None:
        asked_for(connection)
        connection.sendall(HEAD.format(429, "Retry-After: 0\r\nContent-Length: 0\r\n").encode())

    with raw_server(limits) as url, pytest.raises(CannotJudge, match="cannot be judged: The target answered 429"):
        judge(Options(url, patience=1))


def test_run_that_is_interrupted_says_so() -> None:
    asked = 0

    def interrupts(connection: socket.socket, _: str) -> None:
        nonlocal asked
        asked_for(connection)
        asked += 1
        if asked == 20:
            _thread.interrupt_main()
        connection.sendall(HEAD.format(401, "WWW-Authenticate: Bearer a=b\r\nContent-Length: 0\r\n").encode())

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a run in the background has not
    try:
        with raw_server(interrupts) as url:
            report = judge(Options(url, patience=5))
    finally:
        signal.signal(signal.SIGINT, before)
    assert report.stopped == "The run was interrupted."
    assert report.exit_code != 0


def test_issuer_that_is_not_asked_is_not_said_to_be_silent() -> None:
    wire = Wire()
    said = json.dumps({"authorization_servers": ["http://10.0.0.1/issuer"]}).encode()
    target = Target(Options("https://mcp.example.com/mcp"), wire, Redaction())
    target.found.documents["path"] = replace(BLANK, status=200, body=said)
    _find_authorization_server(target)
    taken = Judge("failed")
    with pytest.raises(pytest.skip.Exception, match="is at no public https address, so it was not asked"):
        test_issuer.test_issuer_publishes_a_discovery_document(target, taken)
    wire.close()
    assert taken.problems == []


def test_run_that_takes_too_long_is_ended_with_a_sentence() -> None:
    report = server(seconds=0.0, only=("RS-401",))
    assert report.stopped == "The run was ended after 0 s: see --max-seconds."


def test_suite_that_fails_itself_is_an_error_in_every_report_and_no_verdict() -> None:
    why = "The suite itself failed: KeyError: 'a' (test_token.py:1) \x00"
    check = Check("PRM-01", "x::test_it", "it", "", "error", why)
    report = Report("http://127.0.0.1/mcp", "now", checks=[check], filtered=True)
    assert report.exit_code == 2
    cases = ET.fromstring(junit.write(report)).iter("testcase")  # noqa: S314 - our own
    assert [case.find("error") is not None for case in cases] == [True]
    assert all("The suite itself failed" in text for text in (terminal.write(report), page.write(report)))
    assert '"results": []' in sarif.write(report)
