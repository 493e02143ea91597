"""Sessions of the revisions up to 2025-11-25: opened by `initialize`, bound to a principal, and gone when ended."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.tools.front import INITIALIZED, OLDER, call, events, initialize, messages, open_session, request

REVISIONS = pytest.mark.parametrize("revision", OLDER)
THIEVES = pytest.mark.parametrize(
    "thief", ["bob", "alice of another issuer", "machine called alice", "machine called an-app"]
)
NOT_FOUND = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Session not found"}}


@REVISIONS
async def test_initialize_is_answered_with_the_revision_asked_for(greetings: httpx.AsyncClient, revision: str) -> None:
    (answer,) = messages(await greetings.post("/mcp", json=initialize(revision)))
    assert answer["result"]["protocolVersion"] == revision


@pytest.mark.parametrize("revision", ["1999-01-01", "2026-07-28", ""])
async def test_initialize_of_a_revision_without_a_handshake_is_answered_with_one_that_has(
    greetings: httpx.AsyncClient, revision: str
) -> None:
    (answer,) = messages(await greetings.post("/mcp", json=initialize(revision)))
    assert answer["result"]["protocolVersion"] == "2025-11-25"


@REVISIONS
async def test_session_ids_are_unguessable_and_chosen_by_the_server(
    greetings: httpx.AsyncClient, revision: str
) -> None:
    sent = [{"mcp-session-id": "my-own"} if i % 2 else {} for i in range(30)]
    answers = await asyncio.gather(
        *(greetings.post("/mcp", json=initialize(revision), headers=headers) for headers in sent)
    )
    ids = {answer.headers["mcp-session-id"] for answer in answers}
    assert len(ids) == len(sent)
    assert "my-own" not in ids
    assert all(len(session_id) * 4 >= 128 and session_id.isalnum() and session_id.isascii() for session_id in ids)


@REVISIONS
async def test_initialize_with_the_id_of_an_open_session_opens_another(
    greetings: httpx.AsyncClient, revision: str
) -> None:
    session = await open_session(greetings, revision)
    answer = await session.post(initialize(revision))
    assert answer.status_code == 200
    assert answer.headers["mcp-session-id"] != session.id
    assert (await session.post(request("ping"))).status_code == 200


@REVISIONS
async def test_session_id_alone_opens_nothing(greetings: httpx.AsyncClient, revision: str) -> None:
    session = await open_session(greetings, revision)
    assert (await session.post(call("greet"), x_who="nobody")).status_code == 503
    assert (await session.send("GET", x_who="nobody")).status_code == 503
    assert (await session.send("DELETE", x_who="nobody")).status_code == 503
    assert (await session.post(call("greet"))).status_code == 200


@THIEVES
@REVISIONS
async def test_session_of_somebody_else_is_not_there(greetings: httpx.AsyncClient, revision: str, thief: str) -> None:
    session = await open_session(greetings, revision)
    (event, *_) = events((await session.post(call("greet"))).text)
    stolen = [
        await session.post(call("greet", name="Mallory"), x_who=thief),
        await session.post(INITIALIZED, x_who=thief),
        await session.send("GET", x_who=thief),
        await session.send("GET", x_who=thief, last_event_id=event.id),
        await session.send("GET", x_who=thief, last_event_id="made-up"),
        await session.send("DELETE", x_who=thief),
    ]
    for answer in stolen:
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
        assert "mcp-session-id" not in answer.headers
    assert (await session.post(call("greet"))).status_code == 200


@REVISIONS
async def test_new_token_of_the_same_person_carries_on(greetings: httpx.AsyncClient, revision: str) -> None:
    session = await open_session(greetings, revision)
    (answer,) = messages(await session.post(call("greet", name="Ada"), x_who="alice with a new token"))
    assert answer["result"]["content"][0]["text"] == "Hello, Ada!"
    assert (await session.send("DELETE", x_who="alice with a new token")).status_code == 200


@REVISIONS
async def test_ended_session_is_not_there(greetings: httpx.AsyncClient, revision: str) -> None:
    session = await open_session(greetings, revision)
    other = await open_session(greetings, revision)
    assert (await session.send("DELETE")).status_code == 200
    for answer in (
        await session.post(call("greet")),
        await session.post(INITIALIZED),
        await session.send("GET"),
        await session.send("DELETE"),
    ):
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    assert (await other.post(call("greet"))).status_code == 200


@REVISIONS
async def test_unknown_session_is_not_there(greetings: httpx.AsyncClient, revision: str) -> None:
    session = await open_session(greetings, revision)
    for answer in (
        await session.post(call("greet"), mcp_session_id="0" * 32),
        await session.send("GET", mcp_session_id="0" * 32),
        await session.send("DELETE", mcp_session_id="0" * 32),
    ):
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


@REVISIONS
async def test_request_without_a_session_is_told_to_initialize_and_gets_no_id(
    greetings: httpx.AsyncClient, revision: str
) -> None:
    session = await open_session(greetings, revision)
    answers = [
        await session.post(call("greet", 7), mcp_session_id=None),
        await session.post(INITIALIZED, mcp_session_id=None),
        await session.post({"jsonrpc": "2.0", "id": 7, "result": {}}, mcp_session_id=None),
        await session.send("GET", mcp_session_id=None),
        await session.send("DELETE", mcp_session_id=None),
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("Send initialize first")
        assert "mcp-session-id" not in answer.headers
    assert answers[0].json()["id"] == 7


@REVISIONS
@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "HEAD"])
async def test_verb_that_mcp_does_not_have_is_405_with_those_it_has(
    greetings: httpx.AsyncClient, revision: str, method: str
) -> None:
    session = await open_session(greetings, revision)
    for session_id in (session.id, None):
        answer = await session.send(method, mcp_session_id=session_id)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST, DELETE")
    assert (await session.post(call("greet"))).status_code == 200


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("version", ["1999-01-01", "abc", ""])
async def test_version_that_is_none_is_400(greetings: httpx.AsyncClient, revision: str, version: str) -> None:
    session = await open_session(greetings, revision)
    assert (await session.post(request("tools/list"), mcp_protocol_version=version)).status_code == 400
    assert (await session.post(request("tools/list"))).status_code == 200


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
async def test_request_without_the_version_is_one_of_its_session(greetings: httpx.AsyncClient, revision: str) -> None:
    session = await open_session(greetings, revision)
    (answer,) = messages(await session.post(call("greet"), mcp_protocol_version=None))
    assert "result" in answer


@REVISIONS
async def test_request_is_answered_and_what_asks_for_nothing_is_accepted(
    greetings: httpx.AsyncClient, revision: str
) -> None:
    session = await open_session(greetings, revision)
    answer = await session.post(request("tools/list"))
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    for message in (INITIALIZED, {"jsonrpc": "2.0", "id": 99, "result": {}}):
        accepted = await session.post(message)
        assert (accepted.status_code, accepted.content) == (202, b"")


@REVISIONS
@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b'{"jsonrpc":"2.0","method":5}', -32600, id="a method that is a number"),
        pytest.param(b'{"jsonrpc":"2.0"}', -32602, id="nothing"),
        pytest.param(b'{"method":"ping","id":1}', -32602, id="another protocol"),
        pytest.param(b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, id="an id that is an object"),
        pytest.param(b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, id="an id that is null"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600, id="parameters without names"),
        pytest.param(b'"ping"', -32600, id="a text"),
        pytest.param(b"null", -32600, id="null"),
        pytest.param(b"{", -32700, id="half a message"),
        pytest.param(b"", -32700, id="no body"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700, id="not UTF-8"),
        pytest.param(b'{"a":' * 100_000, -32700, id="nested without end"),
    ],
)
async def test_message_that_is_none_is_refused(
    greetings: httpx.AsyncClient, revision: str, body: bytes, code: int
) -> None:
    session = await open_session(greetings, revision)
    answer = await greetings.post("/mcp", content=body, headers=session.headers())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@REVISIONS
async def test_unknown_method_is_an_error_in_an_answer(greetings: httpx.AsyncClient, revision: str) -> None:
    session = await open_session(greetings, revision)
    answer = await session.post(request("no/such", 3))
    (message,) = messages(answer)
    assert (answer.status_code, message["id"], message["error"]["code"]) == (200, 3, -32601)


@REVISIONS
@pytest.mark.parametrize(
    ("accept", "status"),
    [
        pytest.param("application/json, text/event-stream", 200, id="both"),
        pytest.param("*/*", 200, id="anything"),
        pytest.param("application/json", 406, id="no stream"),
        pytest.param("text/event-stream", 406, id="no JSON"),
    ],
)
async def test_client_accepts_json_and_streams(
    greetings: httpx.AsyncClient, revision: str, accept: str, status: int
) -> None:
    session = await open_session(greetings, revision)
    assert (await session.post(request("ping"), accept=accept)).status_code == status
    assert (await session.send("GET", accept="application/json")).status_code == 406
