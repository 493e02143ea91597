"""Whatever bytes a stranger sends, the answer is no fault of the server, and half a request is none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from gateway.lifespan import lifespan_of
from tests.tools.front import JSON, META, PRINCIPALS, Front, Session, call, open_session
from tools.registry import find
from tools.revisions import MAX_BODY
from tools.server import ToolServer, app

VERSIONS = st.sampled_from(["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "tomorrow", "", None])
METHODS = ["ping", "tools/list", "tools/call", "prompts/get", "resources/read", "notifications/initialized", "no/such"]
NAMES = st.sampled_from(["greet", "greeting-template", "greeting://resource", "nope"])

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), NAMES, st.just(META)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=3), st.sampled_from(["name", "uri", "_meta"])), inner, max_size=3),
    ),
    max_leaves=8,
)
# Messages that are nearly right, so that they get far.
nearly = st.fixed_dictionaries(
    {"jsonrpc": st.one_of(st.just("2.0"), values)},
    optional={
        "id": st.one_of(st.integers(), values),
        "method": st.one_of(st.sampled_from(METHODS), values),
        "params": st.one_of(
            st.fixed_dictionaries(
                {},
                optional={
                    "name": st.one_of(NAMES, values),
                    "uri": st.one_of(NAMES, values),
                    "arguments": values,
                    "_meta": st.one_of(st.just(META), values),
                    "protocolVersion": VERSIONS,
                },
            ),
            values,
        ),
        "result": values,
        "error": values,
    },
)
bodies = st.one_of(
    st.binary(max_size=200),
    values.map(lambda value: json.dumps(value).encode()),
    nearly.map(lambda message: json.dumps(message).encode()),
    st.lists(nearly, max_size=3).map(lambda batch: json.dumps(batch).encode()),
)


@pytest.fixture(scope="module", params=[True, False], ids=["with sessions", "stateless"])
async def session(request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    """A caller without a socket between, so that many requests take little time."""
    front = Front(app(find(["greetings"]), sessions=request.param))
    async with (
        lifespan_of(front),
        httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://x", headers=JSON) as http,
    ):
        yield await open_session(http, "2025-11-25") if request.param else Session(http, "2025-11-25", "none")


@given(body=bodies, version=VERSIONS, method=st.sampled_from([None, *METHODS]), name=st.one_of(st.none(), NAMES))
async def test_no_body_is_a_fault_of_the_server(
    session: Session, body: bytes, version: str | None, method: str | None, name: str | None
) -> None:
    headers = session.headers(mcp_protocol_version=version, mcp_method=method, mcp_name=name)
    answer = await session.http.post("/mcp", content=body, headers=headers)
    assert answer.status_code < 500
    assert "Traceback" not in answer.text


@given(
    headers=st.dictionaries(
        st.sampled_from(["content-type", "accept", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"]),
        st.binary(max_size=30).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b"")),
    )
)
async def test_no_header_is_a_fault_of_the_server(session: Session, headers: dict[str, bytes]) -> None:
    body = json.dumps({**call("greet"), "params": {"name": "greet", "arguments": {}, "_meta": META}})
    sent = {name: value.encode() for name, value in session.headers().items()} | headers
    answer = await session.http.post("/mcp", content=body, headers=[(k.encode(), value) for k, value in sent.items()])
    assert answer.status_code < 500


class TestBody:
    @pytest.mark.parametrize(
        "begin",
        [
            pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"', id="one message"),
            pytest.param(b'[{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"', id="a batch"),
        ],
    )
    @pytest.mark.parametrize("pieces", [1, 100])
    async def test_body_beyond_the_limit_is_413(self, greetings: httpx.AsyncClient, begin: bytes, pieces: int) -> None:
        body = begin + b"x" * MAX_BODY

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), len(body) // pieces):
                yield body[start : start + len(body) // pieces]

        answer = await greetings.post("/mcp", content=chunks())
        assert answer.status_code == 413
        assert answer.json()["error"]["message"] == f"Send no more than {MAX_BODY} bytes at once."

    async def test_body_up_to_the_limit_is_served(self, stateless: httpx.AsyncClient) -> None:
        (begin, end) = json.dumps(call("greet", pad="?")).encode().split(b"?")
        body = begin + b"x" * (MAX_BODY - len(begin) - len(end)) + end
        answer = await stateless.post("/mcp", content=body)
        assert len(body) == MAX_BODY
        assert answer.status_code == 200
        assert "Hello, World!" in answer.text

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param([call("greet")], id="what would be a whole batch"),
            pytest.param(call("greet"), id="what would be a whole message"),
        ],
    )
    async def test_client_that_goes_away_within_its_body_has_sent_nothing(
        self, sent: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = app(find(["greetings"]), sessions=False)
        async with lifespan_of(server):
            assert await exchanged(server, [{"type": "http.disconnect"}], sent) == []
            whole: Message = {"type": "http.request", "body": b"", "more_body": False}
            assert (await exchanged(server, [whole], sent))[0]["status"] == 200
        assert not caplog.records


async def exchanged(server: ToolServer, then: list[Message], sent: Any) -> list[Message]:
    """What a server answers to a body that comes in two parts, the second of which may be missing."""
    body = json.dumps(sent).encode()
    received: list[Message] = [{"type": "http.request", "body": body, "more_body": True}, *then]
    answered: list[Message] = []

    async def receive() -> Message:
        return received.pop(0) if received else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in JSON.items()],
        "state": {"principal": PRINCIPALS["alice"]},
    }
    await server(scope, receive, send)
    return answered
