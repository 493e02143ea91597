"""docs/facade.md is true: its settings are good, its tables are the code's, and `check` says what to register."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from gateway.facade.errors import REMEDIES
from gateway.facade.quirks import KNOWN, OTHER, Quirks
from tests.deploy.laptop import ROOT
from tests.deploy.test_command_line import bearergate

PAGE = (ROOT / "docs" / "facade.md").read_text()
ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the settings of the page, and the secrets that its commands make."""
    (settings,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "bearergate.yaml").write_text(settings)
    commands = re.findall(r"^ {7}(\w.*)$", PAGE, re.MULTILINE)
    subprocess.run(["bash", "-ec", "umask 022\n" + "\n".join(commands)], cwd=tmp_path, check=True)
    return tmp_path


def test_commands_of_the_page_make_the_secrets(folder: Path) -> None:
    assert len(base64.b64decode((folder / "secrets" / "seal-keys").read_text())) == 32
    assert (folder / "secrets" / "cognito-client").read_text() == "the app client secret"
    for made in (folder / "secrets", *(folder / "secrets").iterdir()):
        assert made.stat().st_mode & 0o077 == 0, f"{made} can be read by others"


def test_check_says_what_to_register_and_no_secret(folder: Path) -> None:
    done = bearergate("check", cwd=folder)
    assert done.returncode == 0, done.stderr
    for line in (
        "Facade https://mcp.example.com before https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example1",
        "  client      1example23456789, confidential",
        "  callback    https://mcp.example.com/oauth/callback",
        "  kind        cognito",
        "  clients     registration, metadata documents",
        "  seal keys   1; the first seals",
        '        "https://mcp.example.com"',
    ):
        assert line in done.stdout.splitlines()
    for secret in (folder / "secrets").iterdir():
        assert secret.read_text().strip() not in done.stdout + done.stderr


@pytest.mark.parametrize("page", ["docs/facade.md", "README.md"])
def test_login_with_the_scope_of_the_example_may_call_tools(folder: Path, page: str) -> None:
    (settings,) = [
        block for block in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL) if "facade:" in block
    ]
    (folder / "bearergate.yaml").write_text(settings)
    claims = {"iss": ISSUER, "sub": "ada", "aud": "https://mcp.example.com/mcp", "exp": time.time() + 600}
    claims |= {"token_use": "access", "client_id": "1example23456789", "scope": "https://mcp.example.com/mcp/use"}
    (folder / "claims.json").write_text(json.dumps(claims))
    done = bearergate("policy", "test", "claims.json", "tools/call", "greet", "--claims", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_facade_is_off_by_one_setting(folder: Path) -> None:
    done = bearergate("check", cwd=folder, BEARERGATE_FACADE="off")
    assert done.returncode == 0, done.stderr
    assert "Facade" not in done.stdout
    assert '"https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example1"' in done.stdout


def test_insecure_option_is_shouted(folder: Path) -> None:
    settings = folder / "bearergate.yaml"
    option = "facade:\n  insecure_client_document_hosts: [localhost]\n"
    settings.write_text(settings.read_text().replace("facade:\n", option))
    assert "  INSECURE    documents of clients may be at localhost" in bearergate("check", cwd=folder).stdout


@pytest.mark.parametrize("quirks", [*KNOWN, OTHER], ids=lambda quirks: quirks.kind)
def test_table_of_issuers_is_the_one_that_is_used(quirks: Quirks) -> None:
    told = f"`{quirks.resource}`" if quirks.resource else "nothing"
    if quirks.resource and not quirks.resource_at_token:
        told += ", to authorize only"
    drops = ", ".join(f"`{scope}`" for scope in sorted(quirks.drops)) or "none"
    adds = ", ".join(f"`{scope}`" for scope in quirks.adds) or "none"
    assert f"| `{quirks.kind}` | {told} | {drops} | {adds} | {quirks.why} |" in PAGE.splitlines()


def test_every_reason_is_in_the_table() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|$", PAGE, re.MULTILINE))
    assert {reason: rows.get(reason) for reason in REMEDIES} == REMEDIES
