"""Two `bearergate serve` with the same seal keys are one: nothing of a login stays with the process that began it."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import yaml

from conformance.issuer import Client, Issuer, ResourceServer, User
from tests.conformance.issuer.journey import VERIFIER, s256
from tests.deploy.laptop import ROOT, fill_in
from tests.deploy.test_serving import answers
from tests.ports import free_port
from tests.served import served

CALLBACK = "http://127.0.0.1/callback"
USER = User("ada", "a password")


class Replicas(httpx.AsyncBaseTransport):
    """A load balancer: requests to the public URL go to one replica after the other, all others where they lead."""

    def __init__(self, public_port: int, ports: list[int]) -> None:
        self.public_port = public_port
        self.ports = ports
        self.turn = 0
        self.network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.port == self.public_port:
            self.turn += 1
            port = self.ports[self.turn % len(self.ports)]
            request = httpx.Request(
                request.method,
                request.url.copy_with(port=port),
                headers=request.headers,  # Host among them: the replica is asked as the public URL
                stream=request.stream,
                extensions=request.extensions,
            )
        return await self.network.handle_async_request(request)

    async def aclose(self) -> None:
        await self.network.aclose()


class Deployment:
    """A folder with settings, an issuer that has a client for the gate, and replicas that come and go."""

    def __init__(self, folder: Path, issuer: str) -> None:
        self.folder = folder
        self.public_port = free_port()
        self.origin = f"http://localhost:{self.public_port}"
        self.keys: list[str] = [new_key()]
        self.settings = {
            "public_url": self.origin,
            "issuers": [{"issuer": issuer, "kind": "cognito", "resource_binding": True}],
            "resources": [{"scopes": [f"{self.origin}/mcp/use"]}],
            "facade": {"client_id": "gate", "client_secret": "a-secret", "kind": "cognito"},
            "seal_keys_file": "seal-keys",
            "audit_log": "audit.jsonl",
        }

    @contextlib.contextmanager
    def replica(self) -> Iterator[int]:
        """A replica with the keys there are now; yields its port. It is killed, not asked to leave."""
        (self.folder / "seal-keys").write_text("\n".join(self.keys))
        (self.folder / "bearergate.yaml").write_text(yaml.safe_dump(self.settings))
        port = free_port()
        command = [sys.executable, "-m", "deploy.cli", "serve", "--port", str(port)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, cwd=self.folder, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                answers(f"http://localhost:{port}/healthz")
                yield port
            finally:
                process.send_signal(signal.SIGKILL)

    async def log_in(self, replicas: Replicas, between: Callable[[], None]) -> httpx.Response:
        """The answer to the refresh of a whole login, `between` being what happens while the person types."""
        async with httpx.AsyncClient(transport=replicas, base_url=self.origin) as browser:
            registered = await browser.post("/oauth/register", json={"redirect_uris": [CALLBACK]})
            client_id = registered.json()["client_id"]
            asked = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "state": "s"}
            asked |= {"code_challenge": s256(VERIFIER), "code_challenge_method": "S256"}
            page = await browser.get("/oauth/authorize", params=asked)
            login = await fill_in(browser, page, {"decision": "approve"})
            form = await browser.get(login.headers["location"], follow_redirects=True)
            between()
            back = await fill_in(browser, form, {"username": USER.name, "password": USER.password})
            done = await browser.get(back.headers["location"])
            code = parse_qs(urlsplit(done.headers["location"]).query)["code"][0]
            grant = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
            tokens = await browser.post("/oauth/token", data={**grant, "client_id": client_id})
            assert tokens.status_code == 200, tokens.text
            called = await browser.get("/mcp", headers={"Authorization": f"Bearer {tokens.json()['access_token']}"})
            assert called.status_code not in (401, 403, 503), called.text
            refresh = {"grant_type": "refresh_token", "refresh_token": tokens.json()["refresh_token"]}
            return await browser.post("/oauth/token", data={**refresh, "client_id": client_id})


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@asynccontextmanager
async def deployment(folder: Path) -> AsyncIterator[Deployment]:
    """A deployment before an issuer that is up."""
    port = free_port()
    issuer = Issuer.cognito(
        f"http://localhost:{port}", users=[USER], refresh_rotation=True, insecure_loopback_resources=True
    )
    async with served(issuer.app, port=port):
        made = Deployment(folder, issuer.url)
        issuer.add_resource(ResourceServer(f"{made.origin}/mcp", {"use": "Use it"}))
        issuer.add_client(Client("gate", (f"{made.origin}/oauth/callback",), "a-secret"))
        yield made


async def test_requests_alternate_and_one_replica_dies_in_the_middle_of_a_login(tmp_path: Path) -> None:
    async with deployment(tmp_path) as made:
        with contextlib.ExitStack() as running:
            dying = contextlib.ExitStack()
            ports = [running.enter_context(made.replica()), dying.enter_context(made.replica())]
            replicas = Replicas(made.public_port, ports)

            def die_and_come_back() -> None:
                dying.close()
                ports[1] = running.enter_context(made.replica())

            refreshed = await made.log_in(replicas, die_and_come_back)
    assert refreshed.status_code == 200, refreshed.text
    assert replicas.turn == 7


async def test_keys_are_exchanged_in_the_middle_of_a_login(tmp_path: Path) -> None:
    async with deployment(tmp_path) as made:
        with contextlib.ExitStack() as running:
            old = contextlib.ExitStack()
            ports = [old.enter_context(made.replica())]

            def exchange_keys() -> None:
                old.close()
                made.keys.insert(0, new_key())
                ports[:] = [running.enter_context(made.replica()) for _ in range(2)]

            refreshed = await made.log_in(Replicas(made.public_port, ports), exchange_keys)
    assert refreshed.status_code == 200, refreshed.text
