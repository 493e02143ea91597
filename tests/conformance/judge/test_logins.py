"""The judge logs in by every way that there is to become a client and to be a person: before `bearergate dev`."""

from __future__ import annotations

import base64
import html
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from conformance.command import main
from conformance.issuer import Client
from conformance.login import PORT
from tests.conformance.judge.login_server import CALLBACK, NAME, PASSWORD
from tests.conformance.judge.reported import report_of, run, target
from tests.deploy.laptop import ROOT, Laptop, laptop
from tests.official.client_document import client_document

# What is said of `bearergate dev` and why it stays so; docs/conformance.md has the same.
EXPLAINED = {
    "ASM-10": "A refresh token works for ten seconds more, so that two refreshes may race.",
    "PRM-03": "The document at the root serves clients that look only there.",
}


@dataclass
class Known:
    """`bearergate dev`, and a client whose document it can fetch."""

    laptop: Laptop
    document: str


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    folder = tmp_path_factory.mktemp("document")
    with (
        client_document(folder, ["http://127.0.0.1/callback"]) as (url, authority),
        laptop(variables={"SSL_CERT_FILE": str(authority)}) as started,
    ):
        yield Known(started, url)


def test_laptop_has_no_failure_and_no_remark_without_a_reason(known: Known, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "deploy.cli", "conformance", known.laptop.endpoint, "--json", str(file)]
    who = ["--username", known.laptop.user, "--password", known.laptop.password]
    ended = subprocess.run([*command, *who], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    told = json.loads(file.read_text())
    remarks = {each["id"] for each in told["requirements"] if each["verdict"] in ("failed", "warned", "informed")}
    assert remarks == EXPLAINED.keys()
    assert told["counts"]["passed"] > 70
    assert told["seconds"] < 60


def test_person_logs_in_with_a_browser_once(known: Known, tmp_path: Path) -> None:
    opened, file = tmp_path / "opened", tmp_path / "report.json"
    script = tmp_path / "browser"
    person = f"{shlex.quote(sys.executable)} -m tests.official.person"
    script.write_text(f'#!/bin/sh\necho "$1" >> {shlex.quote(str(opened))}\nexec {person} "$1"\n')
    script.chmod(0o700)
    variables = {
        **os.environ,
        "BROWSER": f"{script} %s &",
        "LAPTOP_USER": known.laptop.user,
        "LAPTOP_PASSWORD": known.laptop.password,
    }
    command = [sys.executable, "-m", "conformance", known.laptop.endpoint, "--browser", "--json", str(file)]
    only = ["--only", "TRN-DISC", "--only", "ASM-09"]
    ended = subprocess.run(
        [*command, *only], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    told = json.loads(file.read_text())
    assert (ended.returncode, told["stopped"]) == (0, ""), ended.stderr
    assert verdicts(told) == {"TRN-DISC-01": "passed", "ASM-09": "not tested"}
    assert "needs logins without a screen" in reasons(told)["ASM-09"]
    assert len(opened.read_text().splitlines()) == 1
    assert "Log in with your browser: http" in ended.stderr
    assert "code=" not in ended.stdout + ended.stderr + file.read_text()


def test_redirect_uri_that_is_taken_is_a_sentence(known: Known, tmp_path: Path) -> None:
    port = known.laptop.endpoint.rpartition(":")[2].partition("/")[0]
    where = f"http://127.0.0.1:{port}/callback"
    told = report_of(
        known.laptop.endpoint, tmp_path, "--browser", "--redirect-uri", where, "--only", "RS-401", status=2
    )
    assert f"Nothing can listen at {where}" in told["stopped"]
    assert verdicts(told)["RS-401-01"] == "passed"


def test_client_with_a_document_needs_no_registration(known: Known, tmp_path: Path) -> None:
    who = ("--username", known.laptop.user, "--password", known.laptop.password, "--client-document", known.document)
    told = report_of(known.laptop.endpoint, tmp_path, *who, "--only", "ASM-09", "--only", "ASM-12")
    assert verdicts(told) == {"ASM-09": "passed", "ASM-12": "passed"}


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"]], ids=lambda each: each[0])
def test_client_with_a_secret_shows_it_as_the_server_wants_it_and_no_report_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], methods: list[str]
) -> None:
    secret = 'a+b%/"c d&e<f>g'
    with target("answers may be stored", client=Client("known", (CALLBACK,), secret), methods=methods) as url:
        who = ("--username", NAME, "--password", PASSWORD, "--client-id", "known", "--client-secret", secret)
        only = ("--only", "ASM-09", "--only", "ASM-10", "--only", "ASM-13")
        told = report_of(url, tmp_path, *who, "--redirect-uri", CALLBACK, *only)
    found = verdicts(told)
    assert (found["ASM-09"], found["ASM-13"]) == ("passed", "warned")
    assert "has a secret, so its refresh tokens need not rotate" in reasons(told)["ASM-10"]
    shown = {each.name: each.read_text() for each in tmp_path.iterdir()} | {"terminal": capsys.readouterr().out}
    assert len(shown) == 5
    spelt = (secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1])
    basic = base64.b64encode(f"known:{quote(secret, safe='')}".encode()).decode()
    for name, text in shown.items():
        assert [each for each in (*spelt, basic, PASSWORD, "eyJ") if each in text] == [], name
        assert "grant_type=authorization_code" in text or name == "report.junit"


def test_client_that_nobody_knows_is_a_sentence(tmp_path: Path) -> None:
    with target() as url:
        who = ("--username", NAME, "--password", PASSWORD, "--client-id", "nobody", "--redirect-uri", CALLBACK)
        told = report_of(url, tmp_path, *who, "--only", "RS-401", status=2)
    assert "gave no code" in told["stopped"]


def test_server_that_lets_nobody_register_is_a_sentence(tmp_path: Path) -> None:
    with target("no registration") as url:
        told = report_of(url, tmp_path, "--username", NAME, "--password", PASSWORD, "--only", "RS-401", status=2)
    assert "offers no registration: give --client-id" in told["stopped"]


@pytest.mark.parametrize(
    ("fault", "requirement", "said"),
    [
        pytest.param("no refresh tokens", "ASM-10", "The login gives no refresh token.", id="no refresh tokens"),
        pytest.param("no refresh tokens", "ASM-13", "The login gives no refresh token.", id="nothing to revoke"),
        pytest.param("refreshing is refused", "ASM-10", "The refresh token does not work: 400", id="no refreshing"),
        pytest.param("no registration", "GWP-15", "a facade at which a second client can register", id="no facade"),
        pytest.param("second clients are refused", "GWP-15", "A second client cannot register.", id="one client"),
        pytest.param("no codes", "ASM-09", "The login gave no code: access_denied.", id="no codes"),
        pytest.param("no codes", "ASM-11", "The login gave no code: access_denied.", id="no tokens"),
        pytest.param("exchanging is refused", "ASM-09", "A code does not work even once: 400", id="no exchange"),
        pytest.param("exchanging is refused", "ASM-11", "The code was exchanged for 400", id="no token"),
    ],
)
def test_what_an_authorization_server_lacks_is_not_tested_and_never_passed(
    tmp_path: Path, fault: str, requirement: str, said: str
) -> None:
    known = Client("known", (CALLBACK,))
    with target(fault, client=known) as url:
        who = ["--username", NAME, "--password", PASSWORD]
        who += ["--client-id", "known"] if fault == "no registration" else []
        _, written = run(url, tmp_path, *who, "--only", requirement)
    told = json.loads(written["json"])
    checks = [check for each in told["requirements"] for check in each["checks"]]
    assert any(said in check["reason"] for check in checks), checks
    assert all(check["outcome"] != "error" for check in checks)


def test_server_without_revocation_is_warned_about(tmp_path: Path) -> None:
    with target("no revocation") as url:
        told = report_of(url, tmp_path, "--username", NAME, "--password", PASSWORD, "--only", "ASM-13")
    assert verdicts(told) == {"ASM-13": "warned"}


def test_two_people_and_fewer_scopes_are_two_more_logins(tmp_path: Path) -> None:
    with target() as url:
        who = ("--username", NAME, "--password", PASSWORD, "--second-username", "bob", "--second-password", PASSWORD)
        more = ("--low-scope", "mcp:use", "--privileged-tool", "admin")
        told = report_of(url, tmp_path, *who, *more, "--only", "SES-02", "--only", "RS-403-01")
    assert any("a second principal" in each for each in told["given"])
    assert any("a token without some scope" in each for each in told["given"])
    assert verdicts(told)["SES-02"] == "passed"


def verdicts(told: dict[str, object]) -> dict[str, str]:
    """The verdict of every requirement that was asked for."""
    return {each["id"]: each["verdict"] for each in told["requirements"]}  # type: ignore[attr-defined]


def reasons(told: dict[str, object]) -> dict[str, str]:
    """Why what was not tested was not."""
    found = told["requirements"]
    return {each["id"]: each.get("reason", "") for each in found}  # type: ignore[attr-defined]


def test_port_of_the_redirect_uri_is_the_one_that_is_registered() -> None:
    assert f":{PORT}/" in CALLBACK


def test_document_that_is_not_supported_is_registered_instead(tmp_path: Path) -> None:
    with target("documents are not supported") as url:
        who = ("--username", NAME, "--password", PASSWORD, "--client-document", "https://client.example/c.json")
        assert verdicts(report_of(url, tmp_path, *who, "--only", "ASM-12"))["ASM-12"] == "passed"


def test_report_that_cannot_be_written_is_a_sentence_and_keeps_no_other_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / ("x" * 300)
    with target() as url:
        assert main([url, "--only", "PRM-04", "--json", str(long), "--html", str(tmp_path / "page")]) == 2
    said = capsys.readouterr()
    assert "PRM-04" in said.out
    assert said.err == f"conformance: {long} cannot be written (File name too long).\n"
    assert (tmp_path / "page").exists()


def test_summary_that_nobody_reads_is_a_sentence_and_keeps_no_report_back(tmp_path: Path) -> None:
    with target() as url:
        command = [sys.executable, "-m", "conformance", url, "--only", "PRM-04", "--json", str(tmp_path / "told")]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            said = process.stderr.read().decode()
    assert (process.returncode, (tmp_path / "told").exists()) == (2, True)
    assert said.startswith("conformance: Standard output cannot be written (Broken pipe).")
