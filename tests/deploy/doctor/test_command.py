"""`bearergate doctor` as it is typed: its options, where the token comes from, what it prints and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from deploy.cli import main
from deploy.doctor.command import ended
from deploy.doctor.output import Text
from tests.deploy.doctor.server import RESOURCE, Reply, Server, running, said
from tests.deploy.doctor.test_clients import visit_of
from tests.deploy.doctor.test_findings import examined
from tests.deploy.laptop import ROOT
from tests.deploy.test_command_line import bearergate


class Terminal(io.StringIO):
    """Standard output that somebody looks at."""

    def isatty(self) -> bool:
        return True


@contextmanager
def there() -> Iterator[Server]:
    """A healthy server, in another thread."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running()) as server:
        yield server


def doctor(*arguments: str) -> int:
    """The status with which the command ends, in a thread of its own: connecting confuses what traces the caller."""
    with ThreadPoolExecutor(1) as thread:
        left = thread.submit(main, ["doctor", "--timeout", "3", *arguments]).exception()
    assert left is None or isinstance(left, SystemExit)
    return 0 if left is None else int(left.args[0])


@pytest.fixture(autouse=True)
def no_token_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCESS_TOKEN", raising=False)
    monkeypatch.setenv("COLUMNS", "60")


def test_nothing_wrong_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with there() as server:
        assert doctor(server.url) == 0
    out = capsys.readouterr().out
    assert "Nothing wrong was found; 2 not tested." in out
    assert "\x1b" not in out
    assert "ready      Python SDK" in out


def test_advice_alone_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with there() as server:
        server.issuer = {"registration_endpoint": None}
        assert doctor(server.url) == 0
    out = capsys.readouterr().out
    assert "Nothing wrong was found, 1 thing to consider; 2 not tested." in out
    assert "with help  VS Code: type a client id when it asks for one" in out.replace("\n             ", " ")


def test_findings_end_with_1_and_say_what_rule_and_change(capsys: pytest.CaptureFixture[str]) -> None:
    with there() as server:
        server.challenge_name = "x-amzn-Remapped-www-authenticate"
        assert doctor(server.url) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "!! challenge-renamed The challenge arrives as x-amzn-remapped-www-authenticate" in out
    assert "rule: RFC 9728 §5.1" in out
    assert "change: Let the front send WWW-Authenticate: Bearer" in out
    assert out.endswith("1 thing wrong, 0 to consider, 2 not tested.")


def test_what_cannot_be_examined_ends_with_2_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor("http://127.0.0.1:1/mcp") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("bearergate: http://127.0.0.1:1/mcp does not answer")
    assert said.err.count("\n") == 1


def test_json_says_the_same_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    with there() as server:
        token = server.token(server.invalid(), exp=1)
        assert doctor(server.url, "--token", token, "--json") == 1
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in told["findings"]] == ["token-refused", "token-expired"]
    assert set(told["findings"][0]) == {"id", "issuer", "level", "what", "rule", "change"}
    assert told["exit_code"] == 1
    assert {each["client"] for each in told["clients"]} >= {"VS Code", "Claude Code", "Cursor"}
    assert told["not_tested"] == [
        {"what": "buffering of event streams", "needs": "an access token that the server takes"}
    ]


@pytest.mark.parametrize(
    "how", ["option", "variable", "named variable", "file", "at file", "input", "dash", "prefixed"]
)
def test_token_comes_from_where_it_is_kept_and_is_never_shown(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with there() as server:
        token = server.token(padding="p" * 300)
        file = tmp_path / "token"
        file.write_text(f"{token}\n")
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token}\n"))
        monkeypatch.setenv("MINE", token)
        if how == "variable":
            monkeypatch.setenv("ACCESS_TOKEN", token)
        given = {
            "option": ("--token", token),
            "prefixed": ("--token", f"Bearer {token}"),
            "variable": (),
            "named variable": ("--token", "env:MINE"),
            "file": ("--token-file", str(file)),
            "at file": ("--token", f"@{file}"),
            "input": ("--token-file", "-"),
            "dash": ("--token", "-"),
        }[how]
        # A server that says every token back, in whatever way.
        server.over[RESOURCE] = lambda _: said({"resource": token, "token": token}, access_control_allow_origin=token)
        server.issuer = {"issuer": token}
        assert doctor(server.url, *given) == 1
        assert doctor(server.url, *given, "--json") in (1, 2)
        carried = {request.headers["authorization"] for request in server.asked if "authorization" in request.headers}
        assert f"Bearer {token}" in carried
    shown = capsys.readouterr()
    for part in (token, token[:60], token[-60:]):
        assert part not in shown.out + shown.err
        assert part not in "".join(shown.out.split()), "nor is it cut or wrapped"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(["--token", "a", "--token-file", "b"], "not both", id="two tokens"),
        pytest.param(["--token", "env:NOT_THERE"], "NOT_THERE is not set", id="no such variable"),
        pytest.param(["--token-file", "/not/there"], "/not/there cannot be read", id="no such file"),
        pytest.param(["--token", "@\0"], "cannot be read", id="no file at all"),
        pytest.param(["--token", "-"], "Standard input cannot be read, or holds nothing", id="nothing piped in"),
        pytest.param(["--token", "two words"], "a bearer token has letters", id="no token"),
        pytest.param(["--token", "a" * 70_000], "a bearer token has letters", id="too long a token"),
        pytest.param(["--origin", "https://app.example.com/"], "an origin alone", id="no origin"),
        pytest.param(["--tool", "slow=[1]"], "must be a JSON object", id="arguments that are none"),
        pytest.param(["--tool", "slow={"], "must be a JSON object", id="arguments that are no JSON"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_asked(
    arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with there() as server:
        assert doctor(server.url, *arguments) == 2
        assert server.asked == []
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1


def test_who_interrupts_it_sees_no_traceback() -> None:
    with pytest.raises(SystemExit) as left, ended():
        raise KeyboardInterrupt
    assert left.value.code == 130


@pytest.mark.parametrize("seconds", ["0", "-1", "301", "soon", "nan"])
def test_timeout_is_a_number_of_seconds(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor("https://gw.example.com/mcp", "--timeout", seconds) == 2
    assert f"{seconds} is no number of seconds" in capsys.readouterr().err


def test_page_and_tool_are_looked_at_when_they_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with there() as server:
        token = server.token()
        arguments = ("--token", token, "--origin", "https://app.example.com", "--tool", 'greet={"name": "Ada"}')
        assert doctor(server.url, *arguments) == 0
        called = next(request for request in server.asked if request.rpc == "tools/call")
        assert called.body["params"]["arguments"] == {"name": "Ada"}
    out = " ".join(capsys.readouterr().out.split())
    assert "Pages of https://app.example.com can call, and read refusals" in out
    assert "- progress of greet needs an answer that is a stream of events" in out


def test_report_is_readable_at_60_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with there() as server:
        server.challenge = ""
        server.metadata = {"resource": "https://other.example.com/mcp"}
        assert doctor(server.url) == 1
    for shown in capsys.readouterr().out.splitlines():
        assert len(shown) <= 60 or len(shown.split()) == 1, "only a single long word goes beyond"


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_are_for_terminals_that_want_them(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with there() as server:
        assert doctor(server.url) == 0
    assert ("\x1b[32m" in terminal.getvalue()) == (environment == {})


async def test_text_of_strangers_cannot_move_the_cursor() -> None:
    async with running() as server:
        server.metadata = {"authorization_servers": [server.origin, "\x1b[2Jhttps://evil\u202e.test"]}
        visit = await examined(server)
        text = Text(visit, columns=200, colours=False).written()
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "issuers-wrong" in text


def test_report_has_no_empty_parts() -> None:
    text = Text(visit_of(), columns=200, colours=False).written()
    assert not any(f"\n{title}\n" in text for title in ("Well", "Wrong", "Advice", "Not tested"))


async def test_front_that_is_told_stands_in_the_first_line() -> None:
    async with running(Server(more={"x-amz-cf-id": "one"})) as server:
        visit = await examined(server)
        assert Text(visit, columns=200, colours=False).written().startswith(f"{server.url}, behind CloudFront\n")


def test_it_runs_as_a_program_and_its_help_names_the_options(tmp_path: Path) -> None:
    shown = bearergate("doctor", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    for option in ("--token", "--token-file", "--origin", "--tool", "--timeout", "--json"):
        assert option in shown.stdout
    refused = bearergate("doctor", "ftp://a.example/mcp", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "bearergate: This URL cannot be examined: the URL's scheme is not https.\n"


def test_answer_that_repeats_an_opaque_token_does_not_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    with there() as server:
        secret = "opaque-secret-of-somebody"
        server.tokens[secret] = Reply(500, {"content-type": f"text/{secret}", "www-authenticate": f"Bearer x={secret}"})
        assert doctor(server.url, "--token", secret) == 1
    assert secret not in capsys.readouterr().out


@pytest.mark.parametrize("closed", [True, False])
def test_reader_that_leaves_or_knows_few_letters_sees_no_traceback(closed: bool) -> None:
    with there() as server:
        server.challenge = ""
        command = [sys.executable, "-m", "deploy.cli", "doctor", server.url]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            if closed:
                process.stdout.close()
            else:
                assert b"RFC 9728 \\xa7" in process.stdout.read()
            assert process.stderr.read() == b""
            assert process.wait() == (0 if closed else 1)
