"""The official suite's authorization scenarios against the facade of `bearergate dev`: consent and login included."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from tests.deploy.laptop import Laptop, log_in
from tests.official.node import NODE
from tests.official.registration import register
from tests.official.suite import program, read
from tests.ports import free_port

SECONDS = 60  # it takes less than one
PASSED = {"authorization-server-metadata-endpoint": {"SUCCESS": 2}, "authorization-code-grant": {"SUCCESS": 1}}


@pytest.mark.parametrize("resource", [pytest.param(True, id="for the gate"), pytest.param(False, id="for no resource")])
async def test_metadata_and_code_grant_pass_without_a_warning(running: Laptop, resource: bool, tmp_path: Path) -> None:
    port = free_port()
    callback = f"http://127.0.0.1:{port}/callback"
    client = await register(running.issuer, "Official suite", callback)
    arguments = ["--url", running.issuer, "--client-id", client.client_id, "--port", str(port), "-o", str(tmp_path)]
    arguments += ["--resource", running.endpoint] if resource else []
    suite = await asyncio.create_subprocess_exec(
        NODE, program(), "authorization", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            back = await log_in(await authorize_url(suite), running.user, running.password)
            await bring(f"{callback}?{urlencode(back)}")
            said, _ = await suite.communicate()
    finally:
        if suite.returncode is None:
            suite.kill()
            await suite.wait()
    ends = {scenario: Counter(check.status for check in checks) for scenario, checks in read(tmp_path)}
    assert ends == PASSED, said.decode()
    assert suite.returncode == 0


async def authorize_url(suite: asyncio.subprocess.Process) -> str:
    """The address that the suite asks a person to open."""
    assert suite.stdout is not None
    said = ""
    while line := (await suite.stdout.readline()).decode():
        said += line
        if re.match(r"https?://\S+\?\S*response_type=code", line):
            return line.strip()
    pytest.fail(f"the suite ended before it asked for a login: {said}")


async def bring(location: str) -> None:
    """Follow the redirect to the suite's listener, which may not be there at once."""
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=6)) as browser:
        answer = await browser.get(location)
    assert answer.status_code == 200, answer.text
