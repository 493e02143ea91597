"""What the documentation tells people to type exists and works: options, the action, and any folder to start in."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import conformance
from conformance.arguments import command_line, read
from conformance.serving import serving
from tests.conformance.judge.correct import Protected
from tests.deploy.laptop import ROOT
from tests.ports import free_port

ACTION = ROOT / "conformance" / "action.yml"
PAGES = [ROOT / "conformance" / "README.md", ROOT / "docs" / "conformance.md"]
OPTIONS = {name for action in command_line("x")._actions for name in action.option_strings}


def action() -> dict[str, Any]:
    """The action's definition."""
    return dict(yaml.safe_load(ACTION.read_text()))


def commands() -> list[list[str]]:
    """Every command line of the judge that the documentation shows as a whole, as arguments."""
    found = []
    for page in PAGES:
        text = re.sub(r"\s*\n\s+--", " --", page.read_text())  # lines that YAML folds
        found += re.findall(r"bearergate conformance (http[^`\n]+)", text)
    return [shlex.split(each) for each in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_option_that_is_named_exists_and_nobody_is_a_placeholder(page: Path) -> None:
    text = "\n".join(line for line in page.read_text().splitlines() if not line.startswith(("docker ", "RUN ")))
    known = OPTIONS | {"--network"}
    assert {name for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text) if name not in known} == set()
    assert "OWNER" not in text


@pytest.mark.parametrize("arguments", commands(), ids=lambda each: " ".join(each[1:3]) or "the URL alone")
def test_command_that_is_shown_is_understood(arguments: list[str]) -> None:
    assert len(commands()) >= 5
    said = command_line("x").parse_args(arguments)
    assert read(said).url == arguments[0]


@pytest.fixture(scope="module")
def url() -> Any:
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    with serving(Protected(f"{own}/mcp", own, servers=(own,)), port, lifespan=True):
        yield f"{own}/mcp"


def environment(**more: str) -> dict[str, str]:
    """What a shell has in which the package is installed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **more}


def test_action_runs_what_it_says(url: str, tmp_path: Path) -> None:
    inputs = {name.upper(): str(each.get("default", "")) for name, each in action()["inputs"].items()}
    *_, judge = action()["runs"]["steps"]
    assert set(judge["env"]) == set(re.findall(r"\$([A-Z]+)", judge["run"]))
    said = {**inputs, "URL": url, "ARGUMENTS": "--only PRM-04 --only PRM-01"}
    subprocess.run(["bash", "-ec", judge["run"]], cwd=tmp_path, env=environment(**said), check=True, timeout=60)
    assert {each.name for each in tmp_path.iterdir()} == {"conformance.sarif", "conformance.html"}


def test_action_names_only_inputs_that_it_has() -> None:
    named = set(re.findall(r"inputs\.(\w+)", ACTION.read_text()))
    assert named == set(action()["inputs"])
    assert all(each["description"] for each in action()["inputs"].values())


def test_action_is_put_into_a_repository_as_the_page_says(tmp_path: Path) -> None:
    copying = re.search(r"```\n(mkdir .*?)```", PAGES[1].read_text(), re.DOTALL)
    assert copying
    subprocess.run(["bash", "-ec", copying[1]], cwd=tmp_path, env=environment(), check=True, timeout=60)
    assert (tmp_path / ".github/actions/judge/action.yml").read_text() == ACTION.read_text()


def test_pytest_settings_of_whoever_runs_it_have_no_say(url: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--nonsense"\n')
    (tmp_path / "conftest.py").write_text("raise SystemExit('their conftest ran')\n")
    (tmp_path / "tests").mkdir()
    command = [sys.executable, "-m", "conformance", url, "--only", "PRM-04"]
    theirs = environment(PYTEST_ADDOPTS="--nonsense", PYTEST_PLUGINS="no_such_plugin")
    ended = subprocess.run(command, cwd=tmp_path, env=theirs, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert "pass PRM-04" in ended.stdout
    assert {each.name for each in tmp_path.iterdir()} - {"__pycache__"} == {"pyproject.toml", "conftest.py", "tests"}


def test_wheel_brings_what_the_command_and_the_pages_need() -> None:
    folder = Path(conformance.__path__[0])
    assert all((folder / name).is_file() for name in ("pytest.ini", "action.yml", "README.md", "RESULTS.md"))
    settings = (ROOT / "pyproject.toml").read_text()
    assert '"conformance"]' in settings.partition("[tool.hatch.build.targets.wheel]")[2].partition("\n\n")[0]
