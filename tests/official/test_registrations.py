"""Every stock client, by every way to become known: it registers, it has a document, or the settings know it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator

import pytest
from mcp.shared.auth import OAuthClientInformationFull
from mcp.types import TextContent
from pydantic import AnyUrl

from tests.deploy.laptop import REDIRECT, ROOT, Laptop, Person, laptop
from tests.official.client_document import client_document
from tests.official.node import HERE, node

SECONDS = 60  # it takes three
KNOWN = "laptop"
CALLBACKS = ["http://127.0.0.1/callback", "http://localhost/callback"]

WAYS = pytest.mark.parametrize("way", ["registers", "has a document", "is known"])


@pytest.fixture(scope="module")
def document_and_laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Laptop]]:
    folder = tmp_path_factory.mktemp("document")
    with (
        client_document(folder, CALLBACKS) as (url, authority),
        laptop(variables={"SSL_CERT_FILE": str(authority)}) as started,
    ):
        yield url, started


@WAYS
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_client_of_the_python_sdk(document_and_laptop: tuple[str, Laptop], way: str, mode: str) -> None:
    document, running = document_and_laptop
    alice = Person(running.user, running.password)
    if way == "is known":
        alice.storage.client = OAuthClientInformationFull(
            client_id=KNOWN,
            redirect_uris=[AnyUrl(REDIRECT)],
            token_endpoint_auth_method="none",
            issuer=running.issuer,
        )
    url = document if way == "has a document" else None
    async with alice.connected(running.endpoint, mode, document=url) as client:
        result = await client.call_tool("greet", {"name": "Ada"})
        assert isinstance(result.content[0], TextContent)
        assert result.content[0].text == "Hello, Ada!"
    used = alice.storage.client.client_id if alice.storage.client else None
    check_id(used, way, document)
    assert len(alice.logins) == 1


@WAYS
@pytest.mark.parametrize(("generation", "revision"), [(1, "2025-11-25"), (2, "2025-11-25"), (2, "2026-07-28")])
def test_client_of_the_typescript_sdk(
    document_and_laptop: tuple[str, Laptop], way: str, generation: int, revision: str
) -> None:
    document, running = document_and_laptop
    asked = {
        "generation": generation,
        "revision": revision,
        "endpoint": running.endpoint,
        "user": running.user,
        "password": running.password,
        "document": document if way == "has a document" else None,
        "clientId": KNOWN if way == "is known" else None,
    }
    ended = node(json.dumps(asked), script=HERE / "typescript_client.mjs", seconds=SECONDS)
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert seen["greeting"] == "Hello, Ada!"
    assert seen["toolsAfterStepUp"] == ["greet", "multi-greet"]
    check_id(seen["logins"][0]["client_id"], way, document)


@WAYS
async def test_client_of_fastmcp(document_and_laptop: tuple[str, Laptop], way: str) -> None:
    document, running = document_and_laptop
    told = {"registers": "registers", "has a document": document, "is known": KNOWN}[way]
    variables = {
        "BROWSER": f"{sys.executable} -m tests.official.person %s &",  # in the background, as a browser is
        "LAPTOP_USER": running.user,
        "LAPTOP_PASSWORD": running.password,
    }
    before = len(running.decisions)
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        HERE / "fastmcp_client.py",
        running.endpoint,
        told,
        cwd=ROOT,
        env={**os.environ, **variables, "PYTHONWARNINGS": "ignore"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, complaints = await client.communicate()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
    assert client.returncode == 0, complaints.decode()
    seen = json.loads(said.decode().splitlines()[-1])
    assert "greet" in seen["tools"]
    assert seen["greeting"] == "Hello, Ada!"
    registered = any("registration" in line for line in running.decisions[before:])
    assert registered == (way == "registers")


def check_id(used: str | None, way: str, document: str) -> None:
    """The id is the one of its way: sealed, the document's address, or the one that is known."""
    assert used is not None
    assert {"has a document": used == document, "is known": used == KNOWN, "registers": used.count(".") == 4}[way]
