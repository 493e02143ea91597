"""`call`, `login`, `token` and `shell` as a script uses them, against `bearergate dev`."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys

import pytest

from tests.client.browser import variable
from tests.client.conftest import Home
from tests.client.test_walk import redirect
from tests.deploy.laptop import Laptop

NOWHERE = "http://127.0.0.1:9/mcp"  # the discard port, where nothing listens
SEED = [
    "connect",
    "disconnect",
    "terminate-session",
    "reconnect",
    "list-tools",
    "call-tool",
    "greet",
    "multi-greet",
    "list-resources",
    "bedrock-report",
    "auth",
    "set-auth-method",
    "debug",
    "help",
    "quit",
]


@pytest.fixture(scope="module")
def first(running: Laptop, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Where somebody logged in."""
    home = Home(tmp_path_factory.mktemp("first"))
    home.variables.update(variable(running, home.folder / "page.html"))
    done = home.run("login", running.endpoint)
    assert done.returncode == 0, done.stderr
    assert f"Logged in as {running.user} at {running.issuer}." in done.stderr
    return home


@pytest.fixture
def logged_in(first: Home, member: Home) -> Home:
    """Somebody with the same login, who neither renews nor ends it."""
    shutil.copytree(first.folder / "state", member.folder / "state")
    return member


@pytest.fixture
def alone(running: Laptop, member: Home) -> Home:
    """Somebody with a login of their own."""
    assert member.run("login", running.endpoint).returncode == 0
    return member


def test_call_without_a_login_says_what_to_do(running: Laptop, home: Home) -> None:
    done = home.run("call", running.endpoint, "greet")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"bearergate: You are not logged in: run bearergate login {running.endpoint} (in the shell: auth login)\n"
    )


def test_login_shows_in_the_browser_how_it_ended(first: Home) -> None:
    assert "You are logged in." in (first.folder / "page.html").read_text()


def test_tokens_are_kept_in_files_of_their_owner(alone: Home) -> None:
    kept = list((alone.folder / "state/bearergate/tokens").iterdir())
    assert kept
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}
    assert stat.S_IMODE(kept[0].parent.stat().st_mode) == 0o700


def test_call_prints_the_answer_and_nothing_else(running: Laptop, logged_in: Home) -> None:
    done = logged_in.run("call", running.endpoint, "greet", '{"name": "Ada"}')
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello, Ada!\n", "")
    piped = logged_in.run("call", running.endpoint, "greet", "-", typed='{"name": "Bob"}')
    assert piped.stdout == "Hello, Bob!\n"


def test_call_with_json_prints_the_whole_result_in_a_line(running: Laptop, logged_in: Home) -> None:
    done = logged_in.inside("call", "--json", running.endpoint, "greet", '{"name": "Ada"}')
    assert json.loads(done.stdout)["structuredContent"] == {"result": "Hello, Ada!"}
    assert done.stdout.count("\n") == 1


def test_token_is_printed_for_other_programs(running: Laptop, logged_in: Home) -> None:
    done = logged_in.inside("token", running.endpoint)
    assert done.returncode == 0
    assert done.stdout.count(".") == 2
    other = logged_in.inside(
        "call", running.endpoint, "greet", ACCESS_TOKEN=done.stdout.strip(), XDG_STATE_HOME="/nowhere"
    )
    assert other.stdout == "Hello, World!\n"
    told = json.loads(logged_in.inside("token", "--json", running.endpoint).stdout)
    assert set(told) == {"access_token", "expires_at", "scope"}


def test_exit_statuses_tell_the_causes_apart(running: Laptop, logged_in: Home) -> None:
    assert logged_in.inside("call", NOWHERE, "greet").returncode == 5
    assert logged_in.inside("call", running.endpoint, "greet", '{"name": 7}').returncode == 4
    assert logged_in.inside("call", running.endpoint, "greet", "[]").returncode == 2
    assert logged_in.inside("call", "ftp://x", "greet").returncode == 2
    assert logged_in.inside("token", NOWHERE).returncode == 3


def test_what_needs_more_scopes_says_which(running: Laptop, logged_in: Home) -> None:
    done = logged_in.inside("call", running.endpoint, "multi-greet")
    assert done.returncode == 3
    assert "bearergate login --scope" in done.stderr
    assert "greetings:many" in done.stderr


def test_login_with_more_scopes_is_enough_for_more(running: Laptop, member: Home) -> None:
    (many,) = running.scopes("greetings:many")
    assert member.run("login", "--scope", many, running.endpoint).returncode == 0
    done = member.inside("call", running.endpoint, "multi-greet", '{"name": "Ada"}')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"Hello, Ada! ({count})" for count in (1, 2, 3)]
    assert "[info] Greeting 2 of 3: hello, Ada!" in done.stderr
    assert "2/3" in done.stderr


def test_shell_runs_the_commands_of_a_script(running: Laptop, alone: Home) -> None:
    script = 'connect\nlist-tools\ngreet Ada\ncall-tool greet {"name": "Bob"}\nlist-resources\nlist-prompts\n'
    script += 'get-prompt greeting-template {"style": "dry"}\nread-resource greeting://resource\nauth status\n'
    script += "auth refresh\nhistory\nreconnect\ndebug on\nlist-tools\ndebug off\nterminate-session\ndisconnect\nquit\n"
    done = alone.run("shell", running.endpoint, "-c", script)
    assert done.returncode == 0, done.stderr
    for said in ("Hello, Ada!", "Hello, Bob!", "greeting://resource\t", "Write a dry greeting", "principal\talice"):
        assert said in done.stdout
    for said in (
        "Connected to bearergate on this laptop",
        "Renewed: the new token expires at ",
        "[debug] POST /mcp",
        "Disconnected.",
    ):
        assert said in done.stderr


def test_shell_reads_commands_from_a_pipe(running: Laptop, logged_in: Home) -> None:
    done = logged_in.run("shell", typed="greet\n\nquit\ngreet\n", MCP_SERVER_URL=running.endpoint)
    assert (done.returncode, done.stdout) == (0, "Hello, MCP User!\n")


def test_script_ends_with_the_status_of_its_first_failure(running: Laptop, logged_in: Home) -> None:
    done = logged_in.inside("shell", running.endpoint, "-c", "greet Ada\nnonsense\ngreet Bob")
    assert (done.returncode, done.stdout) == (2, "Hello, Ada!\n")
    assert done.stderr == "There is no command nonsense: type help for those there are\n"


def test_json_of_the_shell_is_one_document_for_each_command(running: Laptop, logged_in: Home) -> None:
    done = logged_in.inside(
        "shell", "--json", running.endpoint, "-c", "list-tools", "-c", "greet Ada", "-c", "auth status"
    )
    tools, result, status = [json.loads(line) for line in done.stdout.splitlines()]
    assert [tool["name"] for tool in tools] == ["greet"]
    assert result["content"][0]["text"] == "Hello, Ada!"
    assert status["principal"] == running.user


def test_status_never_shows_a_token(running: Laptop, logged_in: Home) -> None:
    token = logged_in.inside("token", running.endpoint).stdout.strip()
    done = logged_in.inside("shell", running.endpoint, "-c", "auth status", "-c", "debug on", "-c", "greet")
    for part in token.split("."):
        assert part not in done.stdout + done.stderr
    assert "scopes\t" in done.stdout
    assert "expires\tat " in done.stdout


def test_logout_forgets_and_revokes(running: Laptop, alone: Home) -> None:
    done = alone.inside("shell", running.endpoint, "-c", "auth logout", "-c", "auth status", "-c", "auth logout")
    assert "Logged out." in done.stderr
    assert "login\tnone" in done.stdout
    assert "There was no login." in done.stderr
    assert not list((alone.folder / "state/bearergate/tokens").glob("*.json"))


def test_every_command_of_the_seed_is_there(home: Home) -> None:
    done = home.inside("shell", NOWHERE, "-c", "help")
    listed = {line.split("\t")[0].split()[0] for line in done.stdout.splitlines()}
    assert set(SEED) < listed
    assert {"read-resource", "list-prompts", "get-prompt", "history"} < listed


def test_bedrock_report_asks_the_tool_with_the_seeds_arguments(running: Laptop, logged_in: Home) -> None:
    done = logged_in.inside("shell", running.endpoint, "-c", "bedrock-report us-east-1 /logs none")
    assert done.returncode == 2
    assert "whole number" in done.stderr
    assert logged_in.inside("shell", running.endpoint, "-c", "bedrock-report").returncode in (0, 3, 4)


def test_environment_chooses_as_it_did_in_the_seed(running: Laptop, logged_in: Home) -> None:
    token = logged_in.inside("token", running.endpoint).stdout.strip()
    variables = {"MCP_SERVER_URL": running.endpoint, "AUTH_METHOD": "lambda", "ACCESS_TOKEN": token}
    done = logged_in.inside("shell", "-c", "greet Ada\nauth status", MCP_CLIENT_DEBUG="true", **variables)
    assert done.returncode == 0, done.stderr
    assert "auth method\tlambda" in done.stdout
    assert "[debug] POST /mcp" in done.stderr
    assert token not in done.stdout + done.stderr
    wrong = logged_in.inside("shell", "-c", "greet", **{**variables, "ACCESS_TOKEN": "wrong"})
    assert wrong.returncode == 3
    assert "ACCESS_TOKEN" in wrong.stderr
    assert logged_in.inside("shell", "-c", "help", AUTH_METHOD="magic").returncode == 2


def test_pasted_redirect_logs_in_where_there_is_no_browser(running: Laptop, member: Home) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "login", "--no-browser", running.endpoint],
        cwd=member.folder,
        env=member.environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        url = next(line.strip() for line in process.stderr if line.startswith("http"))
        process.stdin.write(redirect(member, running, url) + "\n")
        process.stdin.close()
        said = process.stderr.read()
        assert process.wait(30) == 0, said
    assert f"Logged in as {running.user}" in said


def test_known_client_id_needs_no_registration(running: Laptop, member: Home) -> None:
    done = member.run("login", running.endpoint, OAUTH_CLIENT_ID="laptop")
    assert done.returncode == 0, done.stderr
    done = member.inside("shell", running.endpoint, "-c", "auth status", OAUTH_CLIENT_ID="laptop")
    assert "client\tlaptop" in done.stdout
    assert member.inside("call", running.endpoint, "greet").returncode == 3, "another client's login is not used"


def test_secret_is_never_an_argument(running: Laptop, home: Home) -> None:
    options = home.run("login", "--help").stdout
    assert "--client-secret-file" in options
    assert "--client-secret " not in options
    missing = home.run("login", "--client-id", "x", "--client-secret-file", "absent", running.endpoint)
    assert missing.returncode == 2
    assert "absent cannot be read" in missing.stderr


def test_folder_that_cannot_be_written_costs_only_what_is_kept(running: Laptop, member: Home) -> None:
    blocked = member.folder / "state"
    blocked.write_text("a file where a folder should be")
    done = member.run("login", running.endpoint)
    assert done.returncode == 0, done.stderr
    assert "only as long as this program runs" in done.stderr
    assert "Logged in as" in done.stderr


def test_missing_part_is_named_in_one_sentence() -> None:
    code = (
        "import sys; sys.modules['mcp'] = None; from deploy.cli import main; main(['call', 'http://localhost/', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "bearergate[client]" in done.stderr
