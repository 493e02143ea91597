"""TRN-POST and TRN-BATCH: bodies, media types and what comes back for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.requirements import requirement
from tests.requirements.callers import (
    EACH_HANDSHAKE,
    EACH_VERSION,
    EVERY_SCOPE,
    LOW,
    MODERN,
    Caller,
    caller,
    error,
    guarded,
    message,
    messages,
    result,
    text_of,
    token_of,
)
from tests.requirements.challenges import lacks_scope, told_to_log_in
from tests.requirements.workshop import Workshop

READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
BOTH = "application/json, text/event-stream"


@EACH_VERSION
@requirement("TRN-POST-01")
async def test_request_is_answered_by_one_response_as_json_or_events(version: str) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        answer = await client.post(message(version, "tools/list", number=42))
        assert answer.status_code == 200
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in ("application/json", "text/event-stream")
        (response,) = messages(answer)
        assert (response["id"], "tools" in response["result"]) == (42, True)


@EACH_VERSION
@requirement("TRN-POST-01")
async def test_notification_is_answered_by_an_empty_202(version: str) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        for headers in ({}, {"Mcp-Method": None}):
            answer = await client.post(READY, headers)
            assert (answer.status_code, answer.content) == (202, b"")


@EACH_VERSION
@requirement("TRN-POST-01")
async def test_message_that_cannot_be_accepted_is_a_4xx(version: str) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        malformed: list[Any] = [
            {"jsonrpc": "2.0", "method": 5},
            {"jsonrpc": "1.0", "method": "notifications/initialized"},
            {"method": "notifications/initialized"},
            {"jsonrpc": "2.0"},
            {"jsonrpc": "2.0", "id": {}, "method": "tools/list"},
            "tools/list",
            5,
            None,
        ]
        for sent in malformed:
            assert 400 <= (await client.post(sent)).status_code < 500, sent


@EACH_VERSION
@requirement("TRN-POST-01")
async def test_response_of_a_client_is_for_older_revisions(version: str) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        answer = await client.post({"jsonrpc": "2.0", "id": 1, "result": {}})
        if version == MODERN:
            assert 400 <= answer.status_code < 500
        else:
            assert (answer.status_code, answer.content) == (202, b"")


ACCEPT = [
    ("application/json", (200, 406)),
    ("text/event-stream", (200, 406)),
    ("*/*", (200,)),
    (BOTH, (200,)),
    (f"{BOTH}, text/html;q=0.1", (200,)),
    ("application/json;q=0, text/event-stream;q=0", (200, 406)),
    ("text/html", (406,)),
    (None, (200, 406)),
]


@pytest.mark.parametrize(("accept", "statuses"), ACCEPT, ids=[str(row[0]) for row in ACCEPT])
@EACH_VERSION
@requirement("TRN-POST-02")
async def test_answer_that_the_client_cannot_read_is_a_406(
    version: str, accept: str | None, statuses: tuple[int, ...]
) -> None:
    async with guarded() as door:
        del door.client.headers["accept"]  # what the HTTP client would put in its place
        client = await caller(door, version).open()
        answer = await client.ask("tools/list", headers={"Accept": accept})
        assert answer.status_code in statuses
        told_to_log_in(await client.with_token(None).ask("tools/list", headers={"Accept": accept}))


KINDS = [
    ("application/json", (200,)),
    ("application/json; charset=utf-8", (200,)),
    ("APPLICATION/JSON", (200, 415)),
    ("text/plain", (415,)),
    ("multipart/form-data", (415,)),
    ("application/jsonx", (415,)),
    ("", (415,)),
    (None, (415,)),
]


@pytest.mark.parametrize(("kind", "statuses"), KINDS, ids=[str(row[0]) for row in KINDS])
@EACH_VERSION
@requirement("TRN-POST-02")
async def test_body_that_is_not_json_by_its_type_is_a_415(
    version: str, kind: str | None, statuses: tuple[int, ...]
) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        assert (await client.ask("tools/list", headers={"Content-Type": kind})).status_code in statuses
        told_to_log_in(await client.with_token(None).ask("tools/list", headers={"Content-Type": kind}))


@pytest.mark.parametrize("body", [b"{", b"", b"tools/list", b"\xff", b'{"jsonrpc":"2.0",}', b'{"a":' * 100_000])
@EACH_VERSION
@requirement("TRN-POST-02")
async def test_body_that_is_no_json_is_a_400_with_the_code_for_that(version: str, body: bytes) -> None:
    async with guarded() as door:
        client = await caller(door, version).open()
        fields = client.fields({"Accept": BOTH, "Content-Type": "application/json"}, {})
        if version != "2025-03-26":
            fields["MCP-Protocol-Version"] = version
        answer = await door.client.post("/mcp", content=body, headers=fields)
        assert (answer.status_code, error(answer)["code"]) == (400, -32700)
        del fields["Authorization"]
        told_to_log_in(await door.client.post("/mcp", content=body, headers=fields))


@EACH_VERSION
@requirement("TRN-POST-02")
async def test_oversized_body_is_a_413(version: str) -> None:
    async with guarded(max_body_bytes=10_000) as door:
        client = await caller(door, version).open()
        long = message(version, "tools/call", {"name": "greet", "arguments": {"name": "x" * 10_000}})
        assert (await client.post(long)).status_code == 413
        told_to_log_in(await client.with_token(None).post(long))

        async def parts() -> Any:
            yield json.dumps(long).encode()

        chunked = await door.client.post("/mcp", content=parts(), headers=client.fields({}, {}))
        assert chunked.status_code == 413


def call(tool: str, number: int) -> dict[str, Any]:
    return message("2025-03-26", "tools/call", {"name": tool, "arguments": {}}, number)


@requirement("TRN-BATCH-01")
async def test_batch_of_2025_03_26_is_answered_member_by_member() -> None:
    async with guarded() as door:
        client = await caller(door, "2025-03-26").open()
        answer = await client.post([call("whoami", 7), READY, call("greet", 8)])
        assert answer.status_code == 200
        responses = messages(answer)
        assert {response["id"] for response in responses} == {7, 8}
        assert all("result" in response for response in responses)
        assert (await client.post([READY, READY])).status_code == 202


@requirement("TRN-BATCH-01")
async def test_every_member_of_a_batch_needs_its_own_permission() -> None:
    workshop = Workshop()
    async with guarded(workshop) as door:
        low = await Caller(door.client, "2025-03-26", token_of(door, scopes=LOW)).open()
        for batch in (["whoami", "admin-reset"], ["admin-reset", "whoami"], ["admin-reset"], ["admin-reset"] * 2):
            sent = [call(tool, number) for number, tool in enumerate(batch, 5)]
            assert lacks_scope(await low.post(sent)) >= {"mcp:admin", "mcp:write"}
        assert not workshop.done
        assert not workshop.tokens  # nothing of any batch was done
        allowed = low.with_token(token_of(door, scopes=EVERY_SCOPE))
        assert (await allowed.post([call("admin-reset", 5), call("whoami", 6)])).status_code == 200
        assert workshop.done == ["admin-reset"]


@requirement("TRN-BATCH-01")
async def test_initialize_is_not_part_of_a_batch() -> None:
    async with guarded() as door:
        client = await caller(door, "2025-03-26").open()
        opening = message("2025-03-26", "initialize")
        for batch in ([opening], [opening, call("greet", 2)], [call("greet", 2), opening]):
            assert (await client.post(batch)).status_code == 400
            client.session, kept = "", client.session
            assert (await client.post(batch)).status_code == 400
            client.session = kept


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", MODERN])
@requirement("TRN-BATCH-02")
async def test_later_revisions_refuse_a_list(version: str) -> None:
    workshop = Workshop()
    async with guarded(workshop) as door:
        client = await caller(door, version).open()
        reset = message(version, "tools/call", {"name": "admin-reset", "arguments": {}})
        header: dict[str, str | None] = {"MCP-Protocol-Version": version}
        batches: list[list[Any]] = [[reset], [reset, reset], [], [[]], [READY]]
        for batch in batches:
            assert (await client.post(batch, header)).status_code == 400
            named = {**header, "Mcp-Method": "tools/call", "Mcp-Name": "admin-reset"}
            assert (await client.post(batch, named)).status_code == 400
        assert not workshop.done
        assert text_of(await client.call("admin-reset")) == "reset"


@requirement("TRN-BATCH-02")
async def test_list_behind_headers_that_name_a_permitted_tool_does_not_pass() -> None:
    workshop = Workshop()
    async with guarded(workshop) as door:
        low = Caller(door.client, MODERN, token_of(door, scopes=LOW))
        sent = [message(MODERN, "tools/call", {"name": tool, "arguments": {}}) for tool in ("whoami", "admin-reset")]
        named = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "whoami"}
        assert (await low.post(sent, named)).status_code in (400, 403)
        assert (await low.post([sent[0]], named)).status_code == 400
        assert not workshop.done
        assert not workshop.tokens


@EACH_HANDSHAKE
@requirement("TRN-BATCH-02")
async def test_single_message_is_answered_in_every_older_revision(version: str) -> None:
    async with guarded() as door:
        assert result(await (await caller(door, version).open()).ask("tools/list"))["tools"]
