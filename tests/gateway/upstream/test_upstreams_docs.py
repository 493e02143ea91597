"""docs/upstreams.md: its settings are good ones, its numbers those of the code, and what it says of sharing is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from discovery.fetch import Fetch
from gateway.app import build
from gateway.connection import HELD_BYTES
from gateway.errors import Refusal
from gateway.settings import CredentialSettings, IdentitySettings, Settings, UpstreamSettings
from gateway.sources import parse
from gateway.streams import MAX_HELD
from tests.gated import CLIENT, ISSUER, Recorder, plain_issuer

PAGE = (Path(__file__).parents[3] / "docs" / "upstreams.md").read_text("utf-8")
EXAMPLES = [yaml.safe_load(example) for example in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
DEFAULTS = UpstreamSettings(url="http://localhost/mcp")


@pytest.mark.parametrize("example", EXAMPLES[:2])
def test_examples_are_good_settings(example: dict[str, Any]) -> None:
    (resource,) = parse(example).resources
    assert resource.upstream is not None


def test_examples_are_found() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize(
    ("setting", "unit", "text"),
    [
        ("max_header_bytes", 1024, "64 KiB"),
        ("max_connections", 1, "10,000"),
        ("connect_seconds", 1, "5"),
        ("first_byte_seconds", 1, "300"),
        ("idle_seconds", 1, "60"),
        ("keep_alive_seconds", 1, "4"),
        ("detached_seconds", 1, "300"),
    ],
)
def test_limit_is_the_default(setting: str, unit: int, text: str) -> None:
    (line,) = [
        line
        for line in PAGE.splitlines()
        if line.startswith("|") and f"`{setting}`" in line and "|--" not in line and line.count("|") == 5
    ]
    assert f"| {text} |" in line
    assert f"{getattr(DEFAULTS, setting) / unit:,g}" == text.partition(" ")[0]


def test_other_numbers_are_those_of_the_code() -> None:
    (body,) = [field.default for field in msgspec.structs.fields(Settings) if field.name == "max_body_bytes"]
    assert f"| `max_body_bytes` | {body >> 20} MiB |" in PAGE
    assert f"| | {MAX_HELD >> 20} MiB |" in PAGE
    assert f"some {HELD_BYTES >> 10} KiB of each" in PAGE


def test_every_setting_of_an_upstream_is_on_the_page() -> None:
    for kind in (UpstreamSettings, CredentialSettings, IdentitySettings):
        for name in kind.__struct_fields__:
            assert re.search(rf"\b{name}\b", PAGE), name


def test_reasons_are_those_of_refusals() -> None:
    named = set(re.findall(r"`((?:upstream|body|headers)_[a-z]+(?:_[a-z]+)?)`", PAGE)) - set(DEFAULTS.__struct_fields__)
    kinds, known = [Refusal], set[str]()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        known.add(getattr(kind, "reason", ""))
    assert named
    assert named <= known


async def test_resources_share_tokens_as_the_page_says() -> None:
    example = EXAMPLES[2]
    for resource in example["resources"]:
        resource.pop("upstream", None)
        resource.pop("command", None)
    public = example["public_url"]
    issuer = plain_issuer()
    trusted = {"issuers": [{"issuer": ISSUER, "token_type": "at+jwt"}]}
    paths = [resource["path"] for resource in example["resources"]]
    gate = build(
        parse(example | trusted),
        {path: Recorder() for path in paths},
        fetch=Fetch(transport=lambda: httpx.ASGITransport(issuer.app)),
    )

    async def opens(token: str) -> list[str]:
        headers = {"authorization": f"Bearer {token}"}
        return [path for path in paths if (await http.post(path, headers=headers, content=b"{}")).status_code == 200]

    async with (
        gate.router.lifespan_context(gate),
        httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=public) as http,
    ):
        scopes = ["reports:read", "files:read"]
        tokens = {path: issuer.token("alice", CLIENT, scopes, public + path) for path in paths}
        assert await opens(tokens["/reports"]) == ["/reports", "/archive"]
        assert await opens(tokens["/archive"]) == ["/archive"]
        assert await opens(tokens["/files"]) == ["/files"]
        challenge = (await http.post("/archive", headers={"authorization": f"Bearer {tokens['/files']}"})).headers
        assert (
            f'resource_metadata="{public}/.well-known/oauth-protected-resource/archive"'
            in challenge["www-authenticate"]
        )
