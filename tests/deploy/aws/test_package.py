"""The package: made by the real pip for the function's platform, small, without secrets, and the same bytes twice."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import Distribution
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from deploy import package as packaging
from deploy.package import CannotPackage, Package, Runtime, settings_files, zipped
from tests.deploy.laptop import ROOT

HERE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
SETTINGS = {
    "public_url": "https://mcp.example.com",
    "issuers": [{"issuer": "https://issuer.example.com", "jwks_file": "keys.json"}],
    "seal_keys_file": "aws:secretsmanager:seal",
}


def written(folder: Path, settings: object) -> Path:
    (folder / "keys.json").write_text('{"keys": []}')
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def names(made: Package) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(made.content)).namelist())


@pytest.fixture(scope="module")
def programs() -> dict[str, Package]:
    """What is packaged whatever the settings are, made once for each of these tests; pip waits more than it works."""
    wanted = {name: Runtime(name) for name in packaging.PLATFORMS}
    wanted |= {"here": Runtime(HERE, sys.version_info.minor)}
    wanted |= {"with Cedar": replace(wanted["here"], cedar=True)}
    with ThreadPoolExecutor(len(wanted) + 1) as at_once:
        again = at_once.submit(packaging.program, Runtime("arm64"))
        made = dict(zip(wanted, at_once.map(packaging.program, wanted.values()), strict=True))
        return made | {"arm64 again": again.result()}


def test_package_is_the_same_bytes_twice(programs: dict[str, Package], tmp_path: Path) -> None:
    assert programs["arm64"].digest == programs["arm64 again"].digest
    files = dict(settings_files(written(tmp_path, SETTINGS)))
    made = [programs[name].holding(files) for name in ("arm64", "arm64 again")]
    assert made[0].digest == made[1].digest != programs["arm64"].digest
    assert made[0].holding(files).digest == made[0].digest
    assert repr(made[0]) == "Package()", "a failing test would show twenty megabytes"


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_package_is_small_and_for_its_platform(programs: dict[str, Package], tmp_path: Path, architecture: str) -> None:
    made = packaging.small_enough(programs[architecture].holding(dict(settings_files(written(tmp_path, SETTINGS)))))
    assert len(made.content) <= 20_000_000
    held = names(made)
    assert {"bearergate.yaml", "keys.json", "deploy/aws_lambda.py", "mangum/__init__.py", "streaming"} <= held
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[architecture]
    libraries = [name for name in held if name.endswith(".so") and "cpython-" in name]
    assert libraries
    assert all(f"cpython-313-{machine}" in name for name in libraries)
    assert any(name.endswith("entry_points.txt") and name.startswith("bearergate-") for name in held)
    assert not [name for name in held if name.startswith(("uvloop/", "prometheus_client/", "botocore/data/ec2/"))]


def test_package_holds_the_versions_that_are_tested_and_no_newer_ones(programs: dict[str, Package]) -> None:
    """So that what comes out next week is no change of a stack."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    tested = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    for made in programs.values():
        notes = {name.partition("/")[0].removesuffix(".dist-info") for name in names(made) if ".dist-info/" in name}
        held = {canonicalize_name(name): version for name, _, version in (note.rpartition("-") for note in notes)}
        del held[canonicalize_name("bearergate")]
        assert len(held) > 40
        assert held.items() <= tested.items()


def test_byte_code_is_there_only_where_this_python_makes_what_the_runtime_reads(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "module.py").write_text("ANSWER = 42\n")
    packaging.byte_compile(tmp_path)
    compiled = zipped(tmp_path, {})
    packaging.byte_compile(tmp_path)
    assert zipped(tmp_path, {}) == compiled
    assert any("gateway/__pycache__/module.cpython-" in name for name in names(Package(compiled)))
    assert packaging.compiles_for(Runtime(minor=sys.version_info.minor))
    assert not packaging.compiles_for(Runtime(minor=sys.version_info.minor + 1))
    assert not packaging.compiles_for(Runtime(minor=sys.version_info.minor, cedar=True)), "there is no room for both"


def test_order_and_times_of_files_do_not_change_the_bytes(tmp_path: Path) -> None:
    for folder, order in (("a", "xy"), ("b", "yx")):
        (tmp_path / folder).mkdir()
        for name in order:
            (tmp_path / folder / name).write_text(name)
    assert zipped(tmp_path / "a", {"z": b""}) == zipped(tmp_path / "b", {"z": b""})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        pytest.param({"seal_keys_file": "keys.txt"}, "a secret is not packaged", id="a secret in a file"),
        pytest.param(
            {"facade": {"client_id": "a", "client_secret_file": "s"}}, "facade.client_secret_file", id="nested"
        ),
        pytest.param(
            {"issuers": [{"issuer": "https://a", "jwks_file": "none.json"}]},
            "issuers.0.jwks_file: none.json cannot be read",
            id="a file that is not there",
        ),
        pytest.param(
            {"issuers": [{"issuer": "https://a", "jwks_file": "../keys.json"}]}, "lies outside", id="a file elsewhere"
        ),
        pytest.param(
            {"facade": {"client_id": "a", "client_secret": "hush"}},
            "facade.client_secret: a secret is not packaged; .* write client_secret_file: aws:secretsmanager:NAME",
            id="a secret in the settings",
        ),
        pytest.param(
            {"seal_keys_file": "", "seal_keys": ["hush"]}, "seal_keys: .* write seal_keys_file: aws:", id="seal keys"
        ),
        pytest.param(
            {"audit_log": "audit.jsonl"}, "audit_log: a function keeps no files; write stderr", id="an audit log"
        ),
    ],
)
def test_settings_that_cannot_be_packaged_end_in_a_sentence(
    tmp_path: Path, changed: dict[str, object], sentence: str
) -> None:
    with pytest.raises(CannotPackage, match=sentence):
        dict(settings_files(written(tmp_path, SETTINGS | changed)))


def test_settings_file_that_is_not_there_ends_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotPackage, match="no such file"):
        dict(settings_files(tmp_path / "none.yaml"))


def test_package_that_becomes_too_large_is_refused() -> None:
    with pytest.raises(CannotPackage, match="The package has 20,000,001 bytes, more than 20,000,000"):
        packaging.small_enough(Package(bytes(20_000_001)))


def test_wheel_is_put_together_where_the_project_was_installed_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `pip install bearergate` leaves it: no source to build from, and the same bytes whenever."""
    source, installed = tmp_path / "wheel", tmp_path / "site"
    monkeypatch.setenv("HATCH_BUILD_HOOKS_ENABLE", "1")
    packaging.wheel(source)
    (built,) = source.glob("*.whl")
    assert built.name.endswith("-py3-none-any.whl"), "nothing is compiled for this machine"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(installed), str(built)], check=True)
    (own,) = Distribution.discover(name="bearergate", path=[str(installed)])
    (installed / "gateway" / "app.cpython-311.so").touch()  # as in a wheel that is compiled
    with (installed / f"bearergate-{own.version}.dist-info" / "RECORD").open("a") as record:
        record.write("gateway/app.cpython-311.so,,\n")
    assert packaging.source_of(own) is None
    made = [packaging.wheel(tmp_path / name, own).read_bytes() for name in ("one", "two")]
    assert made[0] == made[1]
    held = names(Package(made[0]))
    assert {"deploy/template.yaml", "deploy/Dockerfile", "gateway/app.py"} <= held
    assert not [name for name in held if "__pycache__" in name or name.startswith("../") or name.endswith(".so")]


def test_pip_that_is_not_there_ends_in_a_sentence(tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=False, symlinks=True)
    bare = [str(tmp_path / "bin" / "python"), "-c", "from deploy import package; package.pip('list')"]
    done = subprocess.run(bare, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "CannotPackage: Packaging needs pip: python -m ensurepip" in done.stderr
    assert packaging.complaint("python: No module named pip") == "Packaging needs pip: python -m ensurepip"


def test_what_pip_says_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(CannotPackage, match=r"pip could not get what the function needs: .*"):
        packaging.pip("install", "--no-index", "--target", str(tmp_path), "no-such-thing-of-ours")


STARTED = """
import json, sys
sys.path.insert(0, {folder!r})
from deploy import aws_lambda
http = {{"method": "POST", "path": "/mcp", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1", "userAgent": ""}}
event = {{"version": "2.0", "rawPath": "/mcp", "rawQueryString": "", "headers": {{"host": "mcp.example.com"}}}}
event |= {{"requestContext": {{"stage": "$default", "http": http}}, "body": "{{}}", "isBase64Encoded": False}}
answer = aws_lambda.handler(event, None)
aws_lambda.handler.close()
import boto3, mcp.server, deploy.authorizer, deploy.aws_streaming
from tools.bedrock import prices
from tools.bedrock.picture import Chart, drawn
assert drawn(Chart("Spend", "dollars", {{("2026-11-21", "claude"): 1.5}})).data.startswith("iVBOR"), "a PNG"
assert prices.load(None).models
for service in {services!r}:
    boto3.client(service, region_name="eu-central-1")
print(answer["statusCode"], answer["headers"]["www-authenticate"], aws_lambda.__cached__)
"""


@pytest.mark.parametrize("name", ["here", "with Cedar"])
def test_package_starts_by_itself_from_byte_code_and_has_every_service_that_is_asked(
    programs: dict[str, Package], tmp_path: Path, name: str
) -> None:
    """Made for this machine and this Python, and run without anything that is installed here."""
    settings = tmp_path / "mine.yaml"
    said = {**SETTINGS, "issuers": [{"issuer": "https://a.example"}], "seal_keys_file": ""}
    cedar = {"policies": "permit(principal, action, resource);"}
    settings.write_text(yaml.safe_dump(said | ({"resources": [{"cedar": cedar}]} if name == "with Cedar" else {})))
    made = packaging.small_enough(programs[name].holding(dict(settings_files(settings))))
    folder = tmp_path / "task"
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        archive.extractall(folder)
    code = STARTED.format(folder=str(folder), services=sorted(packaging.SERVICES))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    status, challenge = done.stdout.split(maxsplit=1)
    assert status == "401"
    assert 'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"' in challenge
    compiled = f"{folder}/deploy/__pycache__/aws_lambda.cpython-3{sys.version_info.minor}.pyc"
    assert compiled in challenge
    assert (f"deploy/__pycache__/aws_lambda.cpython-3{sys.version_info.minor}.pyc" in names(made)) == (name == "here")
