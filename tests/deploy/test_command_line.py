"""The command line as a person meets it: every bad input ends in one sentence, and nothing is a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.deploy.laptop import ROOT

GOOD = {
    "public_url": "https://mcp.example.com",
    "issuers": [{"issuer": "https://issuer.example.com"}],
    "resources": [
        {"scopes": ["mcp:use"], "rules": [{"tools": ["greet"], "groups": ["staff"], "claims": {"vip": True}}]}
    ],
}


def bearergate(
    *arguments: str, cwd: Path, typed: str | None = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, as a shell would; `typed` is piped in, None is no standard input at all."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BEARERGATE_", "COGNITO_"))}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(ROOT)} | environment,
        input=typed,
        stdin=subprocess.DEVNULL if typed is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def written(folder: Path, settings: object) -> Path:
    file = folder / "bearergate.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def test_check_shows_what_would_be_published(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    done = bearergate("check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "https://mcp.example.com/.well-known/oauth-protected-resource/mcp" in done.stdout
    assert 'WWW-Authenticate: Bearer scope="mcp:use"' in done.stdout
    assert "tool multi-greet needs  greetings:many" in done.stdout
    assert "behind it   the gate's own tools" in done.stdout
    assert "tool greet needs  a group of staff and claim vip = True" in done.stdout
    assert done.stdout.endswith("These settings are good to serve.\n")


def test_check_names_rules_about_what_is_not_there(tmp_path: Path) -> None:
    rules = [
        {"tools": ["greeet", "greet", "multi-*"], "prompts": ["greeting-template", "library.*", "x?"], "scopes": ["s"]}
    ]
    written(tmp_path, GOOD | {"resources": [{"rules": rules}]})
    done = bearergate("check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cautions = [
        line.partition(" is about ")[2].partition(",")[0] for line in done.stdout.splitlines() if "CAUTION" in line
    ]
    assert cautions == ["tool greeet", "prompt x?"]


def test_check_says_how_cognito_tokens_are_known_to_be_meant_for_this_server(tmp_path: Path) -> None:
    variables = {"COGNITO_USER_POOL_ID": "us-east-1_Example1", "COGNITO_ALLOWED_CLIENT_IDS": "one,two"}
    done = bearergate("check", cwd=tmp_path, BEARERGATE_PUBLIC_URL="https://mcp.example.com", **variables)
    assert done.returncode == 0, done.stderr
    assert "without it, clients one, two" in done.stdout


def test_schema_judges_settings_as_the_loader_does(tmp_path: Path) -> None:
    done = bearergate("check", "--schema", cwd=tmp_path)
    schema = json.loads(done.stdout)
    jsonschema.validate(GOOD, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(GOOD | {"prot": 1}, schema)


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        pytest.param(["check"], {}, "public_url: missing", id="nothing set"),
        pytest.param(["check"], GOOD | {"prot": 1}, "prot: not a setting; did you mean port?", id="unknown key"),
        pytest.param(["serve"], GOOD | {"public_url": "http://mcp.example.com"}, "public_url: ", id="plain http"),
        pytest.param(["check", "--file", "nope.yaml"], GOOD, "nope.yaml: no such file", id="no such file"),
        pytest.param(["check", "--file", "."], GOOD, ".: cannot be read", id="a folder for a file"),
        pytest.param(["serve", "--host", "192.0.2.1"], GOOD, "Cannot listen on 192.0.2.1", id="address of others"),
        pytest.param(
            ["serve"], GOOD | {"resources": [{"tools": ["nope"]}]}, "No plugin is called nope", id="unknown plugin"
        ),
        pytest.param(
            ["serve"], GOOD | {"audit_log": "no/such/folder/log"}, "audit_log: no/such/folder/log", id="audit log"
        ),
        pytest.param(
            ["check"], GOOD | {"audit_log": "no/such/log"}, "audit_log: no/such/log is in a folder", id="checked log"
        ),
    ],
)
def test_bad_input_is_one_sentence_and_status_1(
    tmp_path: Path, arguments: list[str], settings: object, said: str
) -> None:
    written(tmp_path, settings)
    done = bearergate(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("bearergate: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_port_in_use_is_said(tmp_path: Path, command: str) -> None:
    written(tmp_path, GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = bearergate(command, "--port", port, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"bearergate: Port {port} is in use: stop what listens there, or choose another port.\n"


@pytest.mark.parametrize("arguments", [["check"], ["check", "--schema"]])
def test_reader_who_has_seen_enough_ends_it_without_a_word(tmp_path: Path, arguments: list[str]) -> None:
    written(tmp_path, GOOD)
    gone, given = os.pipe()
    os.close(gone)
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=given,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(given)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "arguments",
    [["frob"], ["serve", "--port", "70000"], ["dev", "--nope"], ["dev", "--token-seconds", "0"], ["explain"]],
)
def test_misspelt_command_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    done = bearergate(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_version_is_printed(tmp_path: Path) -> None:
    assert bearergate("--version", cwd=tmp_path).stdout == "0.1.0\n"


def test_without_a_command_the_commands_are_shown(tmp_path: Path) -> None:
    done = bearergate(cwd=tmp_path)
    assert done.returncode == 2
    assert all(command in done.stderr for command in ("dev", "serve", "check"))


@pytest.mark.parametrize(("command", "missing", "extra"), [("dev", "authlib", "dev"), ("serve", "mcp", "tools")])
def test_missing_extra_is_named(tmp_path: Path, command: str, missing: str, extra: str) -> None:
    written(tmp_path, GOOD)
    # What Python itself does with a name that is None is what it does with one that is not installed.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    done = bearergate(command, "--port", "0", cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 1
    assert f"pip install 'bearergate[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
