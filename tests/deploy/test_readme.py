"""The README is true: its commands run, its example works in a stranger's project, its table names what there is."""

from __future__ import annotations

import base64
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from tests.deploy.laptop import ROOT, found
from tests.deploy.test_command_line import bearergate

README = (ROOT / "README.md").read_text()
PAGES = sorted(
    page.relative_to(ROOT) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("conformance/*.md"))
)
COMMANDS = re.findall(r"^    (python3 -m venv .*)$", README, re.MULTILINE)


def test_there_are_two_commands_and_ci_runs_the_second() -> None:
    run, test = COMMANDS
    assert run.endswith(".venv/bin/bearergate dev")
    assert test.endswith(".venv/bin/pytest --cov")
    ci = (ROOT / ".ci" / "run").read_text()
    extract = found(r"test_command=\$\((.*)\)", ci)
    extracted = subprocess.run(["bash", "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True)
    assert extracted.stdout.strip() == test


def test_first_command_runs_the_gate_on_a_clean_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
    command = f"exec bash -c '{COMMANDS[0].replace(chr(39), chr(34))} --port 0 --issuer-port 0'"
    with subprocess.Popen(["bash", "-c", command], cwd=checkout, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            refused = httpx.post(found(r"MCP endpoint +(\S+)", said))
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith('Bearer scope="http://localhost:')
        finally:
            subprocess.run(["pkill", "-TERM", "-P", str(process.pid)], check=False)
            process.send_signal(signal.SIGTERM)


def test_example_guards_a_strangers_app_in_a_project_with_packages_of_our_names(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 5
    (settings, *_) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "bearergate.yaml").write_text(settings)
    for package in ("tools", "deploy", "client", "conformance"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('this is the stranger, not bearergate')\n")
    (tmp_path / "my_server.py").write_text("async def app(scope, receive, send):\n    raise AssertionError\n")
    (tmp_path / "main.py").write_text(
        example
        + "\nfrom starlette.testclient import TestClient\n"
        + "refused = TestClient(app, base_url='https://mcp.example.com').post('/mcp')\n"
        + "assert refused.status_code == 401, refused\n"
        + "print(refused.headers['www-authenticate'])\n"
    )
    done = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'scope="mcp:use"' in done.stdout


@pytest.mark.parametrize("settings", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
def test_settings_shown_are_good_to_serve(tmp_path: Path, settings: str) -> None:
    assert yaml.safe_load(settings)
    (tmp_path / "bearergate.yaml").write_text(settings)
    (tmp_path / "secrets").mkdir()  # what the page on the facade tells how to make
    (tmp_path / "secrets" / "cognito-client").write_text("a secret")
    (tmp_path / "secrets" / "seal-keys").write_text(base64.b64encode(bytes(range(32))).decode())
    done = bearergate("check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_table_of_commands_names_what_there_is(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `bearergate (\w+)[^`]*` \| (.*) \|$", README, re.MULTILINE)
    there_is = re.findall(r"^    (\w+)(?: |$)", bearergate("--help", cwd=tmp_path).stdout, re.MULTILINE)
    assert {command for command, _ in rows} == set(there_is)
    for command, text in rows:
        shown = bearergate(command, "--help", cwd=tmp_path).stdout
        for option in re.findall(r"`(--[a-z-]+)`", text):
            assert option in shown


def anchors(page: Path) -> set[str]:
    """What links can name in a page, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    for link, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if link.startswith("http"):
            continue
        target = (ROOT / page).parent / link if link else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    assert {page.as_posix() for page in PAGES if page.parent.name == "docs"} <= set(
        re.findall(r"docs/\w[\w-]*\.md", README)
    )
