"""`bearergate dev` as a process of its own, and people and clients that use it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

ROOT = Path(__file__).resolve().parents[2]
REDIRECT = "http://127.0.0.1:8765/callback"


@dataclass
class Laptop:
    """A running `bearergate dev`."""

    process: subprocess.Popen[str]
    endpoint: str
    issuer: str
    user: str
    password: str
    decisions: list[str]  # what it has printed since: a line for every decision
    reader: threading.Thread  # ends when the process does


@contextmanager
def laptop(*options: str) -> Iterator[Laptop]:
    """`bearergate dev` on ports that are free, until the end of the block; it must leave cleanly."""
    command = [sys.executable, "-m", "deploy.cli", "dev", "--port", "0", "--issuer-port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, f"bearergate dev ended with status {process.wait()}: {said}"
                said += line
            decisions: list[str] = []
            reader = threading.Thread(target=decisions.extend, args=[process.stdout], daemon=True)
            reader.start()  # a pipe that nobody reads would stop the process in the middle of a line
            yield Laptop(
                process,
                endpoint=found(r"MCP endpoint +(\S+)", said),
                issuer=found(r"Issuer +(\S+)", said),
                user=found(r"Log in as +(\S+)", said),
                password=found(r"with the password (\S+)", said),
                decisions=decisions,
                reader=reader,
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


def found(pattern: str, text: str) -> str:
    """The first group of a pattern that is there."""
    match = re.search(pattern, text)
    assert match, f"{pattern} is not in {text}"
    return match[1]


async def log_in(authorize_url: str, user: str, password: str) -> dict[str, str]:
    """What a person's browser brings back from the issuer: the parameters of the redirect."""
    async with httpx.AsyncClient() as browser:
        page = await browser.get(authorize_url, follow_redirects=True)
        action = found(r'action="([^"]+)"', page.text).replace("&amp;", "&")
        answer = await browser.post(
            page.url.join(action),
            data={"username": user, "password": password},
        )
    assert answer.status_code in (302, 303), answer.text
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


@dataclass
class Storage:
    """Tokens and registration of one client, in memory, as the SDK wants them kept."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Person:
    """Somebody who uses a client of the SDK and logs in when the client asks for it."""

    user: str
    password: str
    storage: Storage = field(default_factory=Storage)
    logins: list[str] = field(default_factory=list)  # the authorization URLs the client opened

    def provider(self, endpoint: str, scope: str | None = None) -> OAuthClientProvider:
        """The SDK's own OAuth client, its browser being this person."""
        back: dict[str, str] = {}

        async def open_browser(url: str) -> None:
            self.logins.append(url)
            back.clear()
            back.update(await log_in(url, self.user, self.password))

        async def come_back() -> AuthorizationCodeResult:
            return AuthorizationCodeResult(code=back["code"], state=back["state"], iss=back.get("iss"))

        metadata = OAuthClientMetadata(
            client_name="Stock client",
            redirect_uris=[AnyUrl(REDIRECT)],
            scope=scope,
            token_endpoint_auth_method="none",
        )
        return OAuthClientProvider(endpoint, metadata, self.storage, open_browser, come_back)

    @asynccontextmanager
    async def connected(self, endpoint: str, mode: str, **options: Any) -> AsyncIterator[Client]:
        """A stock client that is connected: `mode` is the SDK's, `legacy` or a revision."""
        async with httpx2.AsyncClient(auth=self.provider(endpoint), timeout=30) as http:
            transport = streamable_http_client(endpoint, http_client=http)
            async with Client(transport, mode=mode, **options) as client:
                yield client
