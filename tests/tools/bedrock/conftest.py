"""A server of the Bedrock tools, in front of AWS services on loopback, and callers of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from boto3.session import Session
from mcp import Client
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult, TextContent
from moto.server import ThreadedMotoServer

from gateway.principal import Principal
from tests.tools.bedrock.cloud import Cloud, serving
from tests.tools.bedrock.records import NOW
from tests.tools.front import principal
from tools.bedrock import prices
from tools.bedrock.aws import Aws
from tools.bedrock.insights import Limits
from tools.bedrock.reports import Reports
from tools.bedrock.server import register_reports
from tools.bedrock.settings import Settings
from tools.sdk import as_user

Call = tuple[str, dict[str, Any]]  # as botocore makes it: `logs:StartQuery`, parameters
ENDPOINTS = ("CLOUDWATCH_LOGS", "COST_EXPLORER", "BEDROCK", "STS")


class Clock:
    """Seconds since the epoch, and of the timer; both are set by hand."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def texts(result: CallToolResult) -> list[str]:
    """What a tool answered, content by content."""
    return [content.text for content in result.content if isinstance(content, TextContent)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of nobody, and no way to the real AWS."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAOWN",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Our own AWS, which stands for every service."""
    with serving(Cloud()) as running:
        for service in ENDPOINTS:
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", running.url)
        yield running


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a fresh moto server; a test says which services it stands for."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    try:
        yield url
    finally:
        server.stop()


@pytest.fixture
def made() -> list[Call]:
    """Every call that botocore makes during a test."""
    return []


Ask = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def tools(clock: Clock, made: list[Call]) -> Ask:
    """A client of the tools, with settings, as somebody; `answer` stands in for a service, by botocore's event."""
    answers: dict[str, Callable[..., Any]] = {}

    def session() -> Session:
        opened = Session()

        def note(params: dict[str, Any], model: Any, **_: Any) -> None:
            made.append((f"{model.service_model.signing_name}:{model.name}", params))

        opened.events.register("provide-client-params", note)
        for event, answer in answers.items():
            opened.events.register(event, answer)
        return opened

    @asynccontextmanager
    async def ask(
        settings: Settings | None = None,
        *,
        who: Principal | None = None,
        attempts: int = 2,
        priced: str | None = None,
        services: Any = None,
        limits: Limits | None = None,
        answer: dict[str, Callable[..., Any]] | None = None,
    ) -> Any:
        answers.update(answer or {})
        server = MCPServer("bedrock", log_level="ERROR")
        chosen = settings or Settings()
        made_by = services or Aws(session, attempts=attempts)
        reports = Reports(chosen, prices.load(priced), made_by, now=clock, timer=clock, limits=limits)
        register_reports(server, reports)
        token = auth_context_var.set(as_user(who or principal("alice")))
        try:
            async with Client(server) as client:
                yield client
        finally:
            auth_context_var.reset(token)

    return ask
