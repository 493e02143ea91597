"""docs/serve.md and deploy/examples/server: the gate on a machine of its own, with Debian's nginx before it."""

from __future__ import annotations

import asyncio
import configparser
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from deploy.cli import command_line
from gateway.settings import Settings
from gateway.sources import parse
from tests.deploy.fronted import EXAMPLES, Front
from tests.deploy.laptop import ROOT
from tests.deploy.test_examples_nginx import nginx

SERVER = EXAMPLES / "server"
PAGE = (ROOT / "docs" / "serve.md").read_text()


@pytest.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with nginx(tmp_path_factory.mktemp("server"), SERVER / "nginx.conf") as fronted:
        yield fronted


async def test_challenge_leads_to_the_metadata(front: Front) -> None:
    refused = await front.post()
    assert refused.status_code == 401
    (metadata,) = re.findall(r'resource_metadata="([^"]+)"', refused.headers["www-authenticate"])
    assert (await front.client.get(metadata)).json()["resource"] == f"{front.origin}/mcp"


async def test_valid_token_reaches_the_server_without_the_token(front: Front) -> None:
    assert (await front.post(front.token())).status_code == 200
    assert "authorization" not in front.server.headers[-1]


async def test_event_arrives_before_the_next_one_is_made(front: Front) -> None:
    asked = {"authorization": f"Bearer {front.token()}", "accept": "text/event-stream"}
    async with front.client.stream("GET", "/mcp", headers=asked) as stream:
        events = stream.aiter_text()
        assert await asyncio.wait_for(anext(events), 10) == "data: first\n\n"
        front.server.release.set()
        assert await asyncio.wait_for(anext(events), 10) == "data: second\n\n"


async def test_foreign_host_is_misdirected(front: Front) -> None:
    assert (await front.post(host="evil.example")).status_code == 421


def test_nginx_takes_bodies_as_large_as_the_gate_does() -> None:
    limit = (SERVER / "nginx.conf").read_text()
    assert "client_max_body_size    4m;" in limit
    assert Settings(public_url="https://mcp.example.com", issuers=[]).max_body_bytes == 4 * 1024 * 1024


def test_unit_runs_what_is_there_and_waits_longer_than_the_gate() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[method-assign, assignment]  # systemd's names have capitals
    unit.read(SERVER / "bearergate.service")
    service = unit["Service"]
    program, *arguments = service["ExecStart"].split()
    assert program == "/opt/bearergate/bin/bearergate"
    assert command_line().parse_args(arguments).run.__name__ == "serve"
    settings = yaml.safe_load((SERVER / "bearergate.yaml").read_text())
    assert int(service["TimeoutStopSec"]) > Settings(public_url="", issuers=[]).drain_seconds
    assert Path(settings["audit_log"]).parent == Path("/var/log") / service["LogsDirectory"]
    assert Path(settings["seal_keys_file"]).parent == Path(service["WorkingDirectory"])


def test_settings_are_good_but_for_the_file_that_is_made_by_hand() -> None:
    settings = yaml.safe_load((SERVER / "bearergate.yaml").read_text())
    del settings["seal_keys_file"]
    assert parse(settings).url_of(parse(settings).resources[0]) == "https://mcp.example.com/mcp"


def test_page_names_files_and_settings_that_are_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
    for key in re.findall(r"`((?!bearergate_)[a-z]+_[a-z_]+)`", PAGE):  # series have a test of their own
        assert key in Settings.__struct_fields__, key
