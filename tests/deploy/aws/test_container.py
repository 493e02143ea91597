"""The image: its Dockerfile read by a linter, and carried out here; it serves as a container and as a function.

A Docker daemon builds nothing in these tests: what a daemon adds is the base image and the isolation.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.aws.runtime import runtime_api
from tests.deploy.aws.dockerfile import Image, build, ignored
from tests.deploy.aws.test_template import template
from tests.deploy.laptop import ROOT
from tests.ports import free_port

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
SETTINGS = "public_url: https://mcp.example.com\nissuers: [{issuer: https://issuer.example.com}]\naudit_log: 'off'\n"
CHALLENGE = 'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"'
LINTER = Path(sys.executable).with_name("hadolint")
EVENT = {
    "version": "2.0",
    "rawPath": "/mcp",
    "rawQueryString": "",
    "headers": {"host": "mcp.example.com"},
    "requestContext": {
        "stage": "$default",
        "http": {"method": "POST", "path": "/mcp", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1", "userAgent": ""},
    },
    "body": "{}",
    "isBase64Encoded": False,
}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image of this checkout, in a folder that somebody else than its owner may read."""
    folder = Path(tempfile.mkdtemp(prefix="bearergate-image-"))
    folder.chmod(0o755)
    try:
        made = build(DOCKERFILE, ROOT, folder)
        (made.folder / "bearergate.yaml").write_text(SETTINGS)  # as `docker run -v` puts it there
        yield made
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def container(image: Image, *command: str, **over: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = image.start(*command, **over)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_linter_finds_nothing_in_the_dockerfile(tmp_path: Path) -> None:
    """hadolint, as PyPI has it: the judge most people put before their Dockerfiles."""
    linter = [str(LINTER), "--no-color", "--failure-threshold", "style"]
    done = subprocess.run([*linter, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    spoilt = tmp_path / "Dockerfile"
    spoilt.write_text(DOCKERFILE.read_text().replace("FROM python:${PYTHON}-trixie AS build", "FROM python AS build"))
    assert subprocess.run([*linter, str(spoilt)], capture_output=True, check=False).returncode == 1, "it does look"


def test_image_is_made_in_two_stages_from_a_base_that_is_pinned_and_has_no_root(image: Image) -> None:
    assert len(image.stages) == 2
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", image.stages[1])
    assert image.stages[0] == f"{image.stages[1].replace('slim-', '')} AS build", "the same system, with a compiler"
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", image.user), "a number, so that Kubernetes sees that it is not root"
    assert image.ports == ["8000"]
    assert list(image.root.glob("opt/bearergate/lib/*/site-packages/gateway/upstream.*.so")), "it is compiled"
    assert not list(image.root.glob("opt/bearergate/lib/*/site-packages/pip")), "nothing is installed later"


def test_context_of_the_image_holds_what_it_is_made_from_and_no_secret() -> None:
    left_out = (".git/config", ".venv/bin/python", "tests/ports.py", "bearergate.yaml", ".coverage", "docs/aws.md")
    assert all(ignored(Path(name), ROOT / ".dockerignore") for name in (*left_out, "gateway/__pycache__/app.pyc"))
    kept = ("gateway/app.py", "deploy/template.yaml", "pyproject.toml", "a.whl", "settings/bearergate.yaml")
    assert not any(ignored(Path(name), ROOT / ".dockerignore") for name in kept)


def test_container_serves_without_root_and_writes_no_file(image: Image) -> None:
    port = free_port()
    before = image.files()
    with container(image, BEARERGATE_PORT=str(port), BEARERGATE_HOST="127.0.0.1"):
        health = [*image.health]
        deadline = time.monotonic() + 60
        while subprocess.run(health, env=image.environment(BEARERGATE_PORT=str(port)), check=False).returncode:
            assert time.monotonic() < deadline
        answer = httpx.post(f"http://127.0.0.1:{port}/mcp", headers={"host": "mcp.example.com"})
    assert answer.status_code == 401
    assert CHALLENGE in answer.headers["www-authenticate"]
    assert image.files() == before
    gone = subprocess.run(health, env=image.environment(BEARERGATE_PORT=str(port)), check=False, capture_output=True)
    assert gone.returncode != 0, "the health check does look"


@pytest.mark.parametrize("streams", [False, True], ids=["in one piece", "as it is made"])
def test_same_image_answers_as_a_function_with_the_entry_points_of_the_template(image: Image, streams: bool) -> None:
    configured = template()["Resources"]["Function"]["Properties"]["ImageConfig"]["Fn::If"][1]
    entry_point = configured["EntryPoint"]["Fn::If"][1 if streams else 2]
    with runtime_api() as api:
        over = {"AWS_LAMBDA_RUNTIME_API": api.address, "AWS_LAMBDA_FUNCTION_NAME": "gate"}
        with container(image, *configured["Command"], entry_point=entry_point, **over) as process:
            made = api.open(EVENT)
            if streams:
                prelude, body = made.whole()
            else:
                prelude = json.loads(made.everything())
                body = prelude["body"].encode()
            api.waiting.put(None)
            process.wait(30)
    assert prelude["statusCode"] == 401
    assert CHALLENGE in prelude["headers"]["www-authenticate"]
    assert b"error" in body


def test_authorizer_of_the_template_has_the_entry_point_of_the_image() -> None:
    configured = template()["Resources"]["AuthorizerFunction"]["Properties"]["ImageConfig"]["Fn::If"][1]
    assert configured == {"EntryPoint": ["python", "-m", "awslambdaric"], "Command": ["deploy.authorizer.handler"]}
