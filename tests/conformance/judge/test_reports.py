"""What the judge writes: every report can be read by what reads such reports, and none shows a secret."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance import junit, sarif, terminal
from conformance.command import main
from conformance.redaction import Redaction
from conformance.report import Check, Problem, Report
from conformance.revisions import HANDSHAKE
from deploy.cli import main as bearergate
from tests.conformance.judge.login_server import NAME, PASSWORD
from tests.conformance.judge.reported import run, target
from tests.ports import free_port


def test_reports_hold_the_failures_and_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_PASSWORD", PASSWORD)
    faults = ("query is a bearer method", "tokens in the query count", "answers may be stored")
    with target(*faults) as url:
        status, said = run(url, tmp_path, "--username", NAME, "--password", "env:JUDGE_PASSWORD")
    printed = capsys.readouterr().out
    assert status == 1
    told = json.loads(said["json"])
    failed = {each["id"] for each in told["requirements"] if each["verdict"] == "failed"}
    assert failed == {"PRM-06", "RS-CRED-01"} == set(told["unexpected"]), told["counts"]
    assert told["counts"]["warned"] >= 1
    cases = ET.fromstring(said["junit"]).iter("testcase")  # noqa: S314 - our own
    assert {case.get("classname") for case in cases if case.find("failure") is not None} == failed
    results = json.loads(said["sarif"])["runs"][0]["results"]
    assert {each["ruleId"] for each in results if each["level"] == "error"} == failed
    HTMLParser().feed(said["html"])
    assert "<script" not in said["html"]
    assert "2 requirements are not met" in said["html"]
    for text in (printed, *said.values()):
        assert all(name in text for name in failed)
        assert PASSWORD not in text
        assert "eyJ" not in text, text[max(text.find("eyJ") - 200, 0) : text.find("eyJ") + 100]
        assert "=[redacted]" in text


def test_failure_that_is_expected_is_none_and_one_that_is_met_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "expected"
    options = ("--only", "PRM-04", "--only", "PRM-01", "--expected-failures", str(listed))
    with target("resource has a slash") as url:
        assert run(url, tmp_path, "--only", "PRM-04")[0] == 1
        listed.write_text("# known\nPRM-04 a slash that clients rely on\n")
        status, said = run(url, tmp_path, *options)
        assert status == 0
        assert json.loads(said["sarif"])["runs"][0]["results"] == []
        listed.write_text("PRM-04\ta slash\nPRM-01 long mended\n")
        status, said = run(url, tmp_path, *options)
        assert status == 1
        assert json.loads(said["json"])["stale"] == ["PRM-01"]
        assert [each["ruleId"] for each in json.loads(said["sarif"])["runs"][0]["results"]] == ["PRM-01"]
        cases = ET.fromstring(said["junit"]).iter("testcase")  # noqa: S314 - our own
        assert [case.get("classname") for case in cases if case.find("failure") is not None] == ["PRM-01"]
        for text in (capsys.readouterr().out, said["html"]):
            assert "PRM-01 is listed as an expected failure and does not fail" in text
        listed.write_text("PRM-01 of another server\n")
        assert run(url, tmp_path, "--only", "PRM-04", "--expected-failures", str(listed))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["ftp://x/mcp"], "is no URL of an MCP endpoint", id="another scheme"),
        pytest.param(["http://127.0.0.1:1/mcp", "--token", "env:NOT_SET_AT_ALL"], "is not set", id="no variable"),
        pytest.param(["http://127.0.0.1:1/mcp", "--token", "@/no/such/file"], "cannot be read", id="no file"),
        pytest.param(["http://127.0.0.1:1/mcp", "--claim", "a"], "is not NAME=JSON", id="no claim"),
        pytest.param(["http://127.0.0.1:1/mcp", "--claim", "a=b"], "is no JSON", id="no JSON"),
        pytest.param(["http://127.0.0.1:1/mcp", "--expected-failures", "/no/such"], "cannot be read", id="no list"),
        pytest.param(["http://127.0.0.1:1/mcp", "--token", f"@{sys.executable}"], "is no text in UTF-8", id="no text"),
        pytest.param(["http://127.0.0.1:1/mcp", "--token", ""], "A secret is empty", id="an empty token"),
        pytest.param(["http://127.0.0.1:1/mcp", "--token", "a\nb"], "A token has no blanks", id="two lines"),
        pytest.param(["http://127.0.0.1:1/mcp", "--token", "tök"], "A token has no blanks", id="no ASCII"),
        pytest.param(["http://127.0.0.1:1/m cp"], "is no URL of an MCP endpoint", id="a blank"),
        pytest.param(["http://127.0.0.1:99999/mcp"], "is no URL of an MCP endpoint", id="no port"),
        pytest.param(["http://[::1/mcp"], "is no URL of an MCP endpoint", id="no host"),
        pytest.param(["http://u@127.0.0.1/mcp"], "is no URL of an MCP endpoint", id="user info"),
        pytest.param(["http://127.0.0.1:1/mcp", "--only", "NO"], "No requirement's id begins with NO", id="no id"),
        pytest.param(["http://127.0.0.1:1/mcp", "--username", "a"], "come together", id="no password"),
        pytest.param(["http://127.0.0.1:1/mcp", "--second-password", "abc"], "come together", id="no second name"),
        pytest.param(
            ["http://127.0.0.1:1/mcp", "--second-username", "b", "--second-password", "abc"],
            "of no use without a first login",
            id="a second login alone",
        ),
        pytest.param(["http://127.0.0.1:1/mcp", "--redirect-uri", "x"], "--redirect-uri 'x' is no URL", id="no URI"),
        pytest.param(["http://127.0.0.1:1/mcp", "--issuer-client", "x"], "--issuer-client x is not", id="no client"),
        pytest.param(["http://127.0.0.1:1/mcp", "--privileged-tool", "x=[1]"], "is no JSON object", id="no arguments"),
        pytest.param(["http://127.0.0.1:1/mcp", "--log", "/no/such"], "--log /no/such is no file", id="no log"),
        pytest.param(["http://127.0.0.1:1/mcp", "--html", "/no/such/x"], "cannot be written", id="no folder"),
        pytest.param(["http://127.0.0.1:1/mcp", "--json", "/"], "cannot be written", id="a folder"),
    ],
)
def test_option_that_cannot_be_used_is_a_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--timeout", "0"),
        ("--timeout", "nan"),
        ("--max-seconds", "-1"),
        ("--grace", "soon"),
        ("--issuer-port", "70000"),
        ("--upstream-port", "0"),
    ],
)
def test_number_that_is_out_of_range_is_a_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["http://127.0.0.1:1/mcp", option, value])
    assert ended.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err


def test_status_says_that_something_was_judged_though_nothing_passed() -> None:
    warned = Check("RS-401-04", "x::test_it", "it", "", "warned")
    assert Report("http://127.0.0.1/mcp", "now", checks=[warned], filtered=True).exit_code == 0
    assert Report("http://127.0.0.1/mcp", "now", checks=[replace(warned, outcome="not tested")]).exit_code == 2


def test_sarif_names_places_as_code_hosts_take_them_and_each_problem_once() -> None:
    problem = Problem("It is wrong.", "failed", None, "Mend it.")
    checks = [Check("PRM-04", "x::test_it", "it", revision, "failed", problems=(problem,)) for revision in HANDSHAKE]
    run = json.loads(sarif.write(Report("http://127.0.0.1:80/a b", "now", checks=checks)))["runs"][0]
    (result,) = run["results"]
    place = result["locations"][0]
    # GitHub refuses a whole file for one URI with a scheme other than file.
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "127.0.0.1%3A80/a%20b"},
        "region": {"startLine": 1},
    }
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "http://127.0.0.1:80/a b"
    assert all(revision in result["message"]["text"] for revision in HANDSHAKE)


def test_junit_counts_what_it_holds() -> None:
    checks = [
        Check("PRM-04", "x::test_it", "it", "", outcome, problems=(Problem("No.", "failed", None, "Mend it."),))
        for outcome in ("failed", "error", "not tested", "passed")
    ]
    root = ET.fromstring(junit.write(Report("http://h/mcp", "now", checks=checks, filtered=True)))  # noqa: S314 - our own
    assert {name: root[0].get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    assert root.attrib.keys() == {"name", "time", "tests", "failures", "errors"}


def test_secret_is_taken_out_of_the_summary_before_its_lines_are_broken() -> None:
    report = Report("http://h/mcp", "now", filtered=True)
    report.secrets.hide("correct horse battery")
    what = f"{'x' * 90} correct horse battery"
    report.checks = [
        Check("PRM-04", "x::test_it", "it", "", "failed", problems=(Problem(what, "failed", None, "Mend it."),))
    ]
    assert "correct" not in terminal.write(report)
    assert "battery" not in terminal.write(report)


def test_summary_has_colours_where_they_are_asked_for_alone() -> None:
    report = Report("http://h/mcp", "now", filtered=True, checks=[Check("PRM-04", "x::test_it", "it", "", "failed")])
    assert "\x1b[31mFAIL\x1b[0m PRM-04" in terminal.write(report, colours=True)
    assert "\x1b" not in terminal.write(report)


def test_expected_failure_of_no_requirement_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list").write_text("RS-999-01 never\n")
    assert main(["http://127.0.0.1:1/mcp", "--expected-failures", str(tmp_path / "list")]) == 2
    assert "there is no requirement RS-999-01" in capsys.readouterr().err


def test_port_that_is_taken_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with target() as url:
        port = url.rpartition(":")[2].removesuffix("/mcp")
        assert main([url, "--issuer-port", port]) == 2
    assert "cannot be used" in capsys.readouterr().err


def test_wrong_password_leaves_the_rest_to_be_judged_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with target() as url:
        status, said = run(url, tmp_path, "--username", NAME, "--password", "not-" + PASSWORD)
    assert status == 2
    assert "the password was refused" in json.loads(said["json"])["stopped"]
    assert json.loads(said["json"])["counts"]["passed"] > 20
    assert "the password was refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "Bearer eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl",
        "https://x/cb?code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj",
        '{"access_token": "2YotnFZFEjr1zCsicMWpAA", "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA"}',
        "password=correct-horse",
        "the very-secret itself",
        "escaped: very%20secret%2F",
    ],
)
def test_secret_is_taken_out(text: str) -> None:
    redaction = Redaction()
    redaction.hide("very-secret", "very secret/", "", None, "ab")
    told = redaction.text(text)
    for secret in ("eyJ", "Splxl", "af0if", "2Yotn", "tGzv3", "correct-horse", "very-secret", "very%20secret"):
        assert secret not in told
    assert redaction.header("Authorization", "Bearer abcdefgh") == "Bearer [8 characters]"
    assert redaction.header("Cookie", "a=b") == "[3 characters]"
    assert redaction.text("code: a word about the state of things") == "code: a word about the state of things"


def test_secret_that_was_cut_is_taken_out_too() -> None:
    redaction = Redaction()
    redaction.hide("opaque-token-0123456789-abcdefgh", "opaque-token-9876543210-hgfedcba")
    for text in ("opaque-token-01234567", 'error="opaque-token-98765432"', "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEi"):
        told = redaction.text(f"{text}, and more")
        assert [
            part for part in ("token", "0123", "9876", "eyJ", "GciO") if part in told.replace("[a token]", "")
        ] == []
        assert "and more" in told


def test_text_of_a_stranger_is_cleaned_in_bounded_time() -> None:
    started = time.monotonic()
    Redaction().text("ey-" * 100_000)
    assert time.monotonic() - started < 2


def test_verb_of_the_command_runs_the_judge(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bearergate(["conformance", f"http://127.0.0.1:{free_port()}/mcp"])
    assert ended.value.code == 2
    assert "cannot be judged" in capsys.readouterr().err
