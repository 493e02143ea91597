"""A local command behind the gate, for clients with sessions: messages pass to the letter, each to whom it is for."""

from __future__ import annotations

import json
import re
from typing import Any

import anyio
import httpx
import pytest

from tests.tools.front import OLDER, initialize, messages, next_event, open_session, request
from tests.tools.stdio_front import NAME, NEWS, error, hang, hanging, parroting, pid_of, result, until

EACH = pytest.mark.parametrize("revision", OLDER)


@EACH
async def test_session_is_opened_used_and_ended(revision: str) -> None:
    async with parroting() as http:
        session = await open_session(http, revision)
        assert re.fullmatch(r"[0-9a-f]{32}", session.id)
        assert session.initialized is not None
        assert messages(session.initialized)[0]["result"]["protocolVersion"] == revision
        assert result(await session.post(request("echo", text="é\n\u2028"))) == {
            "params": {"text": "é\n\u2028"},
            "pid": await pid_of(session),
        }
        assert (await session.send("DELETE")).status_code == 204
        assert (await session.post(request("echo"))).status_code == 404


async def test_message_passes_to_the_letter() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        sent = (
            '{"jsonrpc" : "2.0",\n\r\n "id": "a\\u0062", "method":"echo", "params": {"n": 10000000000000000000000, \n'
        )
        sent += ' "deep": [[{"a": 1.50, "\\ud83d\\ude00": null}]]}, "more": true}'
        answer = await http.post("/mcp", content=sent.encode(), headers=session.headers())
        assert messages(answer)[0]["id"] == "ab"
        assert result(answer)["params"] == {"n": 10**22, "deep": [[{"a": 1.5, "😀": None}]]}


@pytest.mark.parametrize("request_id", [7, "seven", "7", 0, -1, 2**60])
async def test_answer_carries_the_id_of_its_request(request_id: int | str) -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        (answer,) = messages(await session.post(request("echo", request_id)))
        assert answer["id"] == request_id
        assert type(answer["id"]) is type(request_id)


async def test_error_of_the_command_is_the_answer() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        answer = await session.post(request("no/such/method"))
        assert answer.status_code == 200
        assert error(answer) == {"code": -32601, "message": "no such method"}


async def test_every_session_has_a_process_of_its_own() -> None:
    async with parroting() as http:
        sessions = [await open_session(http, "2025-11-25", who) for who in ("alice", "alice", "bob")]
        assert len({await pid_of(session) for session in sessions}) == 3
        assert await pid_of(sessions[0]) == await pid_of(sessions[0])


@pytest.mark.parametrize("thief", ["bob", "alice of another issuer", "machine called alice"])
async def test_session_does_not_exist_for_another_principal(thief: str) -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        for verb in ("GET", "DELETE"):
            assert (await session.send(verb, x_who=thief)).status_code == 404
        stolen = await session.post(request("echo"), x_who=thief)
        unknown = await session.post(request("echo"), x_who=thief, mcp_session_id="0" * 32)
        assert (stolen.status_code, stolen.content) == (unknown.status_code, unknown.content)
        assert stolen.status_code == 404
        assert error(stolen)["code"] == -32600
        assert (await session.post(request("echo"), x_who="alice with a new token")).status_code == 200


async def test_nobody_is_served_without_a_principal() -> None:
    async with parroting() as http:
        assert (await http.post("/mcp", json=initialize("2025-11-25"), headers={"x-who": "nobody"})).status_code == 503


async def test_progress_comes_before_the_answer_with_the_token_of_the_client() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        answer = await session.post(request("progress", "mine", _meta={"progressToken": "tok", "other": 1}))
        assert answer.headers["content-type"] == "text/event-stream"
        *steps, last = messages(answer)
        assert [(step["method"], step["params"]) for step in steps] == [
            ("notifications/progress", {"progressToken": "tok", "progress": n}) for n in (1, 2, 3)
        ]
        assert (last["id"], last["result"]) == ("mine", {})


async def test_progress_that_nobody_asked_for_goes_nowhere() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        for token in (99, "x", 3):
            stray = {"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}
            assert len(messages(await session.post(request("say", message=stray)))) == 1


async def test_command_asks_the_client_in_the_middle_of_a_call() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with session.stream("POST", request("ask", 5, what="sampling/createMessage")) as stream:
            lines = stream.aiter_lines()
            asked = (await next_event(lines)).message
            assert asked["method"] == "sampling/createMessage"
            given = {"jsonrpc": "2.0", "id": asked["id"], "result": {"role": "user"}}
            assert (await session.post({**given, "id": 999})).status_code == 202  # of nothing that was asked
            assert (await session.post(given)).status_code == 202
            said = (await next_event(lines)).message
        assert said["id"] == 5
        assert said["result"]["answer"] == {**given, "id": "asked"}


async def test_command_withdraws_what_it_has_asked() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with session.stream("GET") as stream:
            lines = stream.aiter_lines()
            await session.post(request("later", message={"id": "q", "method": "roots/list"}))
            asked = (await next_event(lines)).message
            for named in ("other", "q"):
                cancel = {"method": "notifications/cancelled", "params": {"requestId": named}}
                await session.post(request("later", message=cancel))
            withdrawn = (await next_event(lines)).message
        assert withdrawn["params"]["requestId"] == asked["id"]


async def test_what_is_said_during_the_only_request_is_taken_to_be_about_it() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with session.stream("GET"):
            said = messages(await session.post(request("log", data="x")))
        assert [each.get("method") for each in said] == ["notifications/message", None]


async def test_what_is_about_no_request_waits_for_the_open_stream() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        assert len(messages(await session.post(request("later", message=NEWS)))) == 1
        async with session.stream("GET") as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            assert (await next_event(stream.aiter_lines())).message == {"jsonrpc": "2.0", **NEWS}


async def test_what_is_about_no_request_comes_with_the_next_answer_where_no_stream_is_open() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        await session.post(request("later", message=NEWS))
        said = messages(await session.post(request("echo")))
        assert [each.get("method") for each in said] == [NEWS["method"], None]


async def test_with_several_requests_under_way_the_open_stream_has_what_is_about_none() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with hanging(session, 2), session.stream("GET") as stream:
            assert len(messages(await session.post(request("log", data="x")))) == 1
            assert (await next_event(stream.aiter_lines())).message["params"]["data"] == "x"


async def test_with_several_requests_under_way_and_no_stream_the_last_one_has_it() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with hanging(session, 2):
            assert len(messages(await session.post(request("log", data="x")))) == 2


async def test_messages_that_nobody_comes_for_are_lost_in_the_end() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        await session.post(request("later", message=NEWS, times=150))
        async with session.stream("GET") as stream:
            lines = stream.aiter_lines()
            assert [(await next_event(lines)).message["params"]["number"] for _ in range(100)] == list(range(100))


async def test_second_stream_takes_the_place_of_the_first() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with session.stream("GET") as first, session.stream("GET") as second:
            assert {line async for line in first.aiter_lines()} == {": ping", ""}
            await session.post(request("later", message=NEWS))
            assert (await next_event(second.aiter_lines())).message["method"] == NEWS["method"]


async def test_notifications_pass_and_a_cancelled_request_ends() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        own = {"jsonrpc": "2.0", "method": "notifications/own", "params": {"any": [1]}}
        assert (await session.post(own)).status_code == 202
        async with anyio.create_task_group() as tasks:
            answers: list[httpx.Response] = []

            async def hang() -> None:
                answers.append(await session.post(request("hang", "slow")))

            tasks.start_soon(hang)
            while not answers:  # until the request is there to be cancelled
                given = {"requestId": "slow", "reason": "enough"}
                cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": given}
                assert (await session.post(cancel)).status_code == 202
                await anyio.sleep(0.01)
        assert error(answers[0])["code"] == -32800
        heard = result(await session.post(request("heard")))["heard"]
        assert [each["method"] for each in heard] == [
            "notifications/initialized",
            "notifications/own",
            "notifications/cancelled",
        ]
        assert heard[1] == own
        assert heard[2]["params"]["reason"] == "enough"
        assert isinstance(heard[2]["params"]["requestId"], int), "the id by which the command knows it"


async def test_client_that_goes_away_has_not_cancelled_anything() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        with anyio.move_on_after(0.2):
            await session.post(request("hang"))
        heard = result(await session.post(request("heard")))["heard"]
        assert [each["method"] for each in heard] == ["notifications/initialized"]


async def test_batches_of_the_command_are_messages() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-03-26")
        assert result(await session.post(request("batch", "b", text="x"))) == {"text": "x"}


async def test_batches_of_the_oldest_revision_are_answered() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-03-26")
        answer = await session.post([request("echo", 1), request("progress", 2, _meta={"progressToken": 9})])
        assert [each.get("id") for each in messages(answer)] == [1, None, None, None, 2]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"content": b"{"}, 400, id="no JSON"),
        pytest.param({"content": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}'}, 400, id="no UTF-8"),
        pytest.param({"content": b'{"id":1,"method":"echo"}'}, 400, id="no JSON-RPC"),
        pytest.param({"content": b'{"jsonrpc":"2.0","id":1}'}, 400, id="neither request nor response"),
        pytest.param({"content": b'{"jsonrpc":"2.0","id":null,"method":"echo"}'}, 400, id="an id that is none"),
        pytest.param({"content": b"[" * 5000}, 400, id="nesting without end"),
        pytest.param({"content": b" " * (4 * 1024 * 1024 + 1)}, 413, id="too long"),
        pytest.param({"headers": {"content-type": "text/plain"}}, 415, id="another kind"),
        pytest.param({"headers": {"accept": "application/json"}}, 406, id="no event stream"),
        pytest.param({"headers": {"accept": "text/event-stream"}}, 406, id="no JSON"),
        pytest.param({"headers": {"accept": "text/*;q=1, application/*"}}, 200, id="anything of both kinds"),
        pytest.param({"headers": {"mcp-session-id": ""}}, 404, id="an empty session"),
    ],
)
async def test_request_that_is_none_is_refused_in_one_sentence(changes: dict[str, Any], status: int) -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        content = changes.get("content", json.dumps(request("echo")).encode())
        answer = await http.post("/mcp", content=content, headers={**session.headers(), **changes.get("headers", {})})
        assert answer.status_code == status, answer.text
        assert status == 200 or error(answer)["message"].endswith(".")


async def test_other_methods_and_missing_sessions_are_refused() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        assert (await session.send("PUT")).status_code == 405
        assert (await session.send("GET", accept="application/json")).status_code == 406
        for verb in ("GET", "DELETE"):
            assert (await session.send(verb, mcp_session_id=None)).status_code == 400
        assert (await session.post(request("echo"), mcp_session_id=None)).status_code == 400


async def test_command_that_refuses_initialize_opens_no_session() -> None:
    async with parroting("refuses") as http:
        answer = await http.post("/mcp", json=initialize("2025-11-25"))
        assert "mcp-session-id" not in answer.headers
        assert error(answer)["code"] == -32601


async def test_command_that_does_not_answer_initialize_is_given_up() -> None:
    async with parroting("mute", start_seconds=0.3) as http:
        answer = await http.post("/mcp", json=initialize("2025-11-25"))
        assert (answer.status_code, error(answer)["message"]) == (504, f"The command {NAME} does not answer.")


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-11-25"])
async def test_silence_is_broken_by_comments(revision: str) -> None:
    async with parroting(silence_seconds=0.05) as http:
        session = await open_session(http, revision)
        async with session.stream("POST", request("ask", 5, what="roots/list")) as stream:
            lines = stream.aiter_lines()
            asked = (await next_event(lines)).message
            silent = [await anext(lines) for _ in range(4)]
            assert ": ping" in silent
            await session.post({"jsonrpc": "2.0", "id": asked["id"], "result": {}})
            assert "answer" in (await next_event(lines)).message["result"]
        slow = session.stream("POST", request("hang", 6))
        async with slow as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            assert await anext(stream.aiter_lines()) == ": ping"


@pytest.mark.parametrize(
    "error_member", [pytest.param("a sentence", id="no object"), pytest.param({"code": "x"}, id="a code that is none")]
)
async def test_error_of_an_odd_shape_is_the_answer_all_the_same(error_member: object) -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        (said,) = messages(await session.post(request("odd", 7, error=error_member)))
        assert (said["id"], said["error"]) == (7, error_member)


STRAYS: list[dict[str, Any]] = [
    {"id": 77, "result": {}},
    {"id": "x", "result": {}},
    {"id": None, "error": {}},
    {"method": 7},
    {"method": "notifications/progress", "params": 7},
]


@pytest.mark.parametrize("stray", STRAYS)
async def test_what_is_about_nothing_goes_nowhere(stray: dict[str, Any]) -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        assert len(messages(await session.post(request("say", message=stray)))) == 1


async def test_session_that_ends_ends_what_is_under_way() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        async with session.stream("GET") as stream, anyio.create_task_group() as tasks:
            answers: list[httpx.Response] = []

            async def fail() -> None:
                answers.append(await session.post(request("hang", "h")))

            tasks.start_soon(fail)
            await until(lambda: hang(session))
            assert (await session.send("DELETE")).status_code == 204
            assert {line async for line in stream.aiter_lines()} == {": ping", ""}
        assert error(answers[0]) == {"code": -32603, "message": "The session has ended."}


async def test_notification_of_a_session_that_is_none_is_refused_without_an_id() -> None:
    async with parroting() as http:
        session = await open_session(http, "2025-11-25")
        note = {"jsonrpc": "2.0", "method": "notifications/own"}
        answer = await session.post(note, mcp_session_id="0" * 32)
        assert (answer.status_code, "id" in answer.json()) == (404, False)
