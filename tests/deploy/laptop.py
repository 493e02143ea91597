"""`bearergate dev` as a process of its own, and people and clients that use it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from html import unescape
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
    issuer: str  # that clients see
    behind: str  # host and port of the issuer behind the facade
    user: str
    password: str
    log: str  # the file that has every decision whole
    decisions: list[str]  # what it has printed since: a line for every decision
    reader: threading.Thread  # ends when the process does

    def scopes(self, *names: str) -> set[str]:
        """Scopes of its tools as its resource server spells them."""
        return {f"{self.endpoint}/{name}" for name in names}


@contextmanager
def laptop(*options: str, variables: Mapping[str, str] | None = None) -> Iterator[Laptop]:
    """`bearergate dev` on ports that are free, until the end of the block; it must leave cleanly."""
    command = [sys.executable, "-m", "deploy.cli", "dev", "--port", "0", "--issuer-port", "0", *options]
    environment = {**os.environ, **(variables or {})}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
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
                behind=found(r"behind it http://([^/]+)/", said),
                user=found(r"Log in as +(\S+)", said),
                password=found(r"with the password (\S+)", said),
                log=found(r"--log (\S+)", said),
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
    """What a person's browser brings back to the client: the parameters of the redirect that leads there."""
    redirect_uri = parse_qs(urlsplit(authorize_url).query)["redirect_uri"][0]
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(authorize_url)
        while not (location := answer.headers.get("location", "")).startswith(redirect_uri):
            if location:
                answer = await browser.get(answer.url.join(location))
            else:
                answer = await fill_in(browser, answer, {"username": user, "password": password, "decision": "approve"})
    query = parse_qs(urlsplit(location).query)
    return {name: values[0] for name, values in query.items()}


async def fill_in(browser: httpx.AsyncClient, page: httpx.Response, words: dict[str, str]) -> httpx.Response:
    """What comes of the form on a page: hidden fields as they are, and what a person has to say."""
    assert page.status_code == 200, page.text
    action = found(r'<form method="post" action="([^"]+)"', page.text)
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    asked = {name: value for name, value in words.items() if f'name="{name}"' in page.text}
    return await browser.post(page.url.join(unescape(action)), data={**hidden, **asked})


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

    def provider(self, endpoint: str, scope: str | None = None, document: str | None = None) -> OAuthClientProvider:
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
        return OAuthClientProvider(
            endpoint, metadata, self.storage, open_browser, come_back, client_metadata_url=document
        )

    @asynccontextmanager
    async def connected(
        self, endpoint: str, mode: str, document: str | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        """A stock client that is connected: `mode` is the SDK's, `legacy` or a revision.

        `document` is the URL of its metadata document; without one it registers itself, unless the storage says
        which client it is.
        """
        async with httpx2.AsyncClient(auth=self.provider(endpoint, document=document), timeout=30) as http:
            transport = streamable_http_client(endpoint, http_client=http)
            async with Client(transport, mode=mode, **options) as client:
                yield client
