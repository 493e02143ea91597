"""The shell in a real terminal, as a person meets it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.client.conftest import Home
from tests.client.stock import listening, stock_server
from tests.client.tmux import terminal
from tests.deploy.laptop import ROOT, Laptop, laptop
from tests.ports import free_port

CONNECTED = r"^Connected to"


@pytest.fixture
def logged_in(running: Laptop, member: Home) -> Home:
    assert member.run("login", running.endpoint).returncode == 0
    return member


def test_person_logs_in_calls_and_leaves(running: Laptop, member: Home) -> None:
    with terminal(member, "shell", running.endpoint) as screen:
        screen.sees(r"Not connected yet: you are not logged in")
        screen.type("auth login")
        screen.sees(r"^Logged in as alice")
        screen.type("connect")
        screen.sees(CONNECTED)
        screen.type("greet Ada")
        screen.sees(r"^Hello, Ada!")
        screen.type("auth status")
        screen.sees(r"principal +alice")
        screen.type("quit")
        screen.sees(r"^left 0")


def test_login_happens_by_itself_when_a_command_needs_it_and_again_when_it_needs_more(
    running: Laptop, member: Home
) -> None:
    with terminal(member, "shell", running.endpoint) as screen:
        screen.sees(r"Not connected yet")
        screen.type("greet Ada")
        screen.sees(r"^Hello, Ada!")
        screen.type("multi-greet Bob")
        screen.sees(r"^\[info\] Greeting 3 of 3: hello, Bob!")
        screen.sees(r"^Hello, Bob! \(3\)")
        screen.type("list-tools")
        screen.sees(r"multi-greet +\[name\]")


def test_ctrl_c_cancels_the_call_and_not_the_shell(running: Laptop, member: Home) -> None:
    (many,) = running.scopes("greetings:many")
    assert member.run("login", "--scope", many, running.endpoint).returncode == 0
    with terminal(member, "shell", running.endpoint) as screen:
        screen.sees(CONNECTED)
        screen.type("multi-greet Bob")
        screen.sees(r"\[info\] Greeting 1")
        screen.press("C-c")
        screen.sees(r"^Cancelled\.")
        screen.type("half a line", "C-c")
        screen.type("greet Ada")
        screen.sees(r"^Hello, Ada!")
        screen.press("C-d")
        screen.sees(r"^left 0")


def test_missing_arguments_are_asked_for_and_results_are_tables_and_files(home: Home) -> None:
    with stock_server() as stock, terminal(home, "shell", stock.url) as screen:
        screen.sees(CONNECTED)
        screen.type("call-tool pay")
        screen.sees(r"^amount .*:")
        screen.type("lots")
        screen.sees(r"a number\):")
        screen.type("7")
        screen.sees(r"^paid 7")
        screen.type("call-tool rows")
        screen.sees(r"name +count")
        screen.type("call-tool picture")
        saved = screen.sees(r"Image saved: (\S+)")[1]
        assert (home.folder / saved).read_bytes().startswith(b"\x89PNG")
        screen.type("call-tool broken")
        screen.sees(r"The tool broken failed\.")
        screen.type("call-tool asks")
        screen.sees(r"The server asks: Who are you\?")
        screen.sees(r"^name .*:")
        screen.type("Ada")
        screen.sees(r"accept name='Ada'")


@pytest.mark.parametrize("columns", [100, 60])
def test_nothing_of_a_hostile_server_reaches_the_terminal_raw(home: Home, columns: int) -> None:
    port = free_port()
    with listening([sys.executable, "-m", "tests.client.hostile_server", str(port)], port):
        with terminal(home, "shell", f"http://127.0.0.1:{port}/mcp", columns=columns, PAGER="cat") as screen:
            screen.sees(CONNECTED)
            for typed, seen in (
                ("connect", r"Connected to hostile \\x1b\]0;owned"),
                ("list-tools", r"^  say +Says"),
                ("list-resources", r"^  hostile://one"),
                ("list-prompts", r"^  demand +of"),
                ("call-tool say", r"\\x1b\]0;owned\\x07\\x1b\[2J\\x1b\[31mred"),
                ("call-tool fail", r"The tool fail failed\."),
                ("call-tool report", r"^\[warning\] \\x1b"),
                ("read-resource hostile://one", r"^> read-resource hostile://one\n\\x1b"),
                ('get-prompt demand {"of": "Ada"}', r"^Ada \\x1b"),
                ("call-tool ask", r"The server asks: Who \\x1b"),
                ("me", r"answered name='me'"),
                ("read-resource hostile://none", r"^The server refuses: "),
            ):
                screen.type(typed)
                screen.sees(seen)
            screen.type("call-tool ", "Tab", "Tab")
            screen.sees("say .*fail|fail .*say|report")
            screen.press("C-c")
        raw = screen.raw.read_text()
    assert raw.count("owned") > 10
    for harm in ("\x1b]0;owned", "\x1b[2J\x1b[31mred", "\u202e", "\x9b1A", "\r over"):
        assert harm not in raw


def test_long_answer_is_paged_and_whole(home: Home) -> None:
    with stock_server() as stock, terminal(home, "shell", stock.url, PAGER="dd of=answer") as screen:
        screen.sees(CONNECTED)
        screen.type('call-tool long {"megabytes": 20}')
        screen.sees(r"records out")
        answer = (home.folder / "answer").read_text()
        assert (len(answer), answer.count("\n")) == (19_999_999, 199_999)
    with stock_server() as stock, terminal(home, "shell", stock.url, PAGER="less") as screen:
        screen.sees(CONNECTED)
        screen.type('call-tool long {"megabytes": 20}')
        screen.sees(r"^000000000 x")
        screen.press("G")
        screen.sees(r"^000199999 x")
        screen.press("q")
        screen.type("call-tool rows")
        screen.sees(r"name +count")


def test_shell_is_readable_at_60_columns_without_colour(running: Laptop, logged_in: Home) -> None:
    with terminal(logged_in, "shell", running.endpoint, columns=60) as screen:
        screen.sees(CONNECTED)
        screen.type("help")
        screen.sees(r"quit +Leave")
        screen.type("list-tools")
        screen.sees(r"Say hello once\.")
        assert max(len(line) for line in screen.text().splitlines() if "─" in line) <= 60
        raw = screen.raw.read_text()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", raw)


def test_commands_names_and_arguments_are_completed(running: Laptop, logged_in: Home) -> None:
    with terminal(logged_in, "shell", running.endpoint) as screen:
        screen.sees(CONNECTED)
        for typed, completed in (("call-t", "> call-tool"), (" gr", "> call-tool greet"), (" {", 'greet {"name":')):
            screen.type(typed, "Tab")
            screen.sees(completed)
        screen.type('"Ada"}')
        screen.sees(r"^Hello, Ada!")


def test_history_is_kept_without_secrets(home: Home) -> None:
    with stock_server() as stock:
        with terminal(home, "shell", stock.url) as screen:
            screen.sees(CONNECTED)
            screen.type('call-tool pay {"amount": 3, "password": "hunter2"}')
            screen.type("call-tool rows")
            screen.sees(r"name +count")
            screen.type("history")
            screen.sees(r" 2 +call-tool rows")
            screen.type("quit")
            screen.sees("^left 0")
        with terminal(home, "shell", stock.url) as screen:
            screen.sees(CONNECTED)
            screen.press("Up", "Up", "Up")
            screen.sees(r"^> call-tool rows")
    file = home.folder / "state/bearergate/history"
    assert "hunter2" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_restarted_server_is_connected_to_again(home: Home) -> None:
    with stock_server() as stock, terminal(home, "shell", stock.url) as screen:
        screen.sees(CONNECTED)
        stock.stop()
        screen.type("call-tool rows")
        screen.sees(r"cannot be reached")
        stock.start()
        screen.type("call-tool rows")
        screen.sees(r"name +count")


def test_token_that_ends_during_a_long_call_is_renewed_for_the_next(member: Home) -> None:
    with laptop("--token-seconds", "3") as short:
        (many,) = short.scopes("greetings:many")
        assert member.run("login", "--scope", many, short.endpoint).returncode == 0
        with terminal(member, "shell", short.endpoint) as screen:
            screen.sees(CONNECTED)
            for name in ("Ada", "Bob", "Eve"):
                screen.type(f"multi-greet {name}")
                screen.sees(rf"^Hello, {name}! \(3\)")
            assert "Log in with" not in screen.text()


def test_first_prompt_does_not_wait_for_the_sdk() -> None:
    """How long it takes is measured by tests/benchmarks/client.py; the SDK would be more than half of it."""
    code = "import sys, deploy.cli, client.shell, client.commands, client.terminal; print('mcp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_ctrl_c_that_comes_too_late_does_not_end_the_shell(home: Home) -> None:
    with stock_server() as stock, terminal(home, "shell", stock.url) as screen:
        screen.sees(CONNECTED)
        screen.type("call-tool slow")
        screen.sees(r"1 slow has begun")
        screen.press(*["C-c"] * 20)
        screen.sees(r"^Cancelled\.")
        screen.type("call-tool rows")
        screen.sees(r"name +count")
