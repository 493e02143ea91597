"""A refusal's id leads to what was wrong and what to change."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from deploy.explain import in_words, remedies
from gateway.audit import Decision
from tests.deploy.laptop import laptop
from tests.deploy.test_command_line import bearergate
from tests.gated import Gated, gated, tools_call


async def refused(door: Gated) -> str:
    """The id of a refusal, as the person at the other end would read it out."""
    response = await door.post(door.token(), tools_call("admin-x"))
    return str(response.json()["error"]["data"]["refusal"])


async def test_explanation_names_request_principal_reason_and_remedy(tmp_path: Path) -> None:
    async with gated(resource={"rules": [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]}) as door:
        refusal = await refused(door)
        await door.post(None)
    log = tmp_path / "audit.jsonl"
    log.write_text("not a decision\n" + "\n".join(json.dumps(line) for line in door.log))
    done = bearergate("explain", refusal, "--log", str(log), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for part in (
        "UTC  refused 403",
        "tools/call admin-x",
        "insufficient_scope: it lacks mcp:admin",
        "mcp:admin mcp:use",
    ):
        assert part in done.stdout
    assert f"to change  {remedies()['insufficient_scope']}" in done.stdout


def test_decision_of_the_gate_on_a_laptop_is_explained_from_the_file_that_it_names(tmp_path: Path) -> None:
    with laptop() as running:
        refusal = httpx.post(running.endpoint).json()["error"]["data"]["refusal"]
        done = bearergate("explain", refusal, "--log", running.log, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reason     missing_token: " in done.stdout
    running.reader.join()
    assert any(line.startswith("  refused  401 missing_token: ") for line in running.decisions)
    assert not Path(running.log).exists(), "it was left behind"


async def test_log_can_be_piped_in(tmp_path: Path) -> None:
    async with gated() as door:
        response = await door.post(None)
    refusal = response.json()["error"]["data"]["refusal"]
    done = bearergate("explain", refusal, cwd=tmp_path, typed="\n".join(json.dumps(line) for line in door.log))
    assert "missing_token" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--log", "nope.jsonl"], "nope.jsonl cannot be read", id="no such log"),
        pytest.param(["--log", "empty.jsonl"], "has the id 0123456789abcdef: try an older log", id="no such decision"),
    ],
)
def test_what_cannot_be_explained_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "empty.jsonl").write_text('{"id":"0123456789abcdef"}\n{"time":1,"id":"x0123456789abcdef"}\n')
    done = bearergate("explain", "0123456789abcdef", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr


def test_every_reason_has_a_remedy() -> None:
    assert all(remedy.endswith(".") for remedy in remedies().values())
    assert len(remedies()) >= 24


def test_decision_that_was_allowed_is_told_too() -> None:
    decision = Decision(0.0, "a", "allowed", "https://gw.example/mcp", "POST")
    assert list(in_words(decision)) == ["1970-01-01 00:00:00 UTC  allowed", "  request    POST https://gw.example/mcp"]


def test_dry_run_is_told() -> None:
    decision = Decision(0.0, "a", "allowed", "https://gw.example/mcp", "POST", would_refuse="by policy nights")
    assert "  dry run    would be refused: by policy nights" in in_words(decision)


def test_log_is_the_file_of_the_settings_where_nothing_is_piped_in(tmp_path: Path) -> None:
    settings = {"public_url": "https://mcp.example.com", "issuers": [{"issuer": "https://issuer.example.com"}]}
    (tmp_path / "audit.jsonl").write_text('{"time":0,"id":"a","decision":"allowed","resource":"r","method":"GET"}\n')
    for destination, status, said in (
        ("audit.jsonl", 0, "request    GET r"),
        ("stderr", 1, "The settings send the audit log to stderr"),
    ):
        (tmp_path / "bearergate.yaml").write_text(json.dumps(settings | {"audit_log": destination}))
        done = bearergate("explain", "a", cwd=tmp_path, typed=None)
        assert done.returncode == status
        assert said in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            [],
            "No good settings say where the audit log is (bearergate check): name its file with --log, or pipe it in",
            id="none",
        ),
        pytest.param(["--file", "nope.yaml"], "nope.yaml", id="settings that are named"),
    ],
)
def test_log_that_no_settings_name_is_asked_for(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = bearergate("explain", "a", *arguments, cwd=tmp_path, typed=None)
    assert done.returncode == 1
    assert said in done.stderr
    assert "public_url" not in done.stderr
