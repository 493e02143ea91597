"""One process for every principal: nothing of one reaches another."""

from __future__ import annotations

import anyio
import pytest

from tests.tools.front import MODERN, OLDER, fronted, initialize, messages, modern, next_event, open_session, request
from tests.tools.stdio_front import NEWS, error, hanging, parrot, parroting, pid_of, result, until
from tools.stdio import app


@pytest.mark.parametrize("revision", OLDER)
async def test_sessions_are_apart_though_the_process_is_one(revision: str) -> None:
    async with parroting(shared=True) as http:
        alice = await open_session(http, revision)
        bob = await open_session(http, revision, "bob")
        assert alice.id != bob.id
        assert await pid_of(alice) == await pid_of(bob)
        assert (await alice.post(request("echo"), x_who="bob")).status_code == 404
        heard = result(await alice.post(request("heard")))["heard"]
        assert [each["method"] for each in heard] == ["notifications/initialized"], "which is ours"
        assert (await alice.send("DELETE")).status_code == 204
        assert (await alice.post(request("echo"))).status_code == 404
        assert (await bob.post(request("echo"))).status_code == 200


@pytest.mark.parametrize(
    ("asked", "spoken", "agreed"),
    [
        pytest.param("2025-06-18", "legacy", "2025-06-18", id="what the client asks for"),
        pytest.param("2025-11-25", "2025-06-18", "2025-06-18", id="what the command speaks at most"),
        pytest.param("1999-01-01", "legacy", "2025-11-25", id="what nobody knows"),
    ],
)
async def test_command_introduces_itself_to_each_without_what_it_cannot_keep_apart(
    asked: str, spoken: str, agreed: str
) -> None:
    async with parroting(spoken, shared=True) as http:
        said = result(await http.post("/mcp", json=initialize(asked)))
        assert said["protocolVersion"] == agreed
        assert said["capabilities"] == {"tools": {}, "resources": {"listChanged": True}}
        assert said["serverInfo"]["name"] == "parrot"


async def test_same_ids_and_tokens_of_two_clients_do_not_meet() -> None:
    async with parroting(shared=True) as http:
        sessions = [await open_session(http, "2025-11-25", who) for who in ("alice", "bob")]
        answers: dict[str, list[object]] = {}

        async def progress(who: str, steps: int) -> None:
            session = sessions[who == "bob"]
            answer = await session.post(request("progress", 1, steps=steps, _meta={"progressToken": 1}))
            answers[who] = [each.get("params", {}).get("progress") for each in messages(answer)]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(progress, "alice", 3)
            tasks.start_soon(progress, "bob", 5)
        assert answers == {"alice": [1, 2, 3, None], "bob": [1, 2, 3, 4, 5, None]}


async def test_one_client_cannot_cancel_for_another() -> None:
    async with parroting(shared=True) as http:
        alice = await open_session(http, "2025-11-25")
        bob = await open_session(http, "2025-11-25", "bob")
        async with hanging(alice, 1):
            given = {"requestId": "hang 0"}
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": given}
            assert (await bob.post(cancel)).status_code == 202
            heard = result(await bob.post(request("heard")))["heard"]
            assert [each["method"] for each in heard] == ["notifications/initialized"]


async def test_what_names_nobody_reaches_nobody_but_news_about_lists_reach_all() -> None:
    async with parroting(shared=True) as http:
        alice = await open_session(http, "2025-11-25")
        bob = await open_session(http, "2025-11-25", "bob")
        async with bob.stream("GET") as stream:
            lines = stream.aiter_lines()
            assert len(messages(await alice.post(request("log", data="a secret of alice")))) == 1
            await alice.post(request("later", message=NEWS))
            assert (await next_event(lines)).message["method"] == NEWS["method"]


@pytest.mark.parametrize(
    ("method", "answered"), [("ping", {"result": {}}), ("sampling/createMessage", {"error": {"code": -32601}})]
)
async def test_command_may_ask_nobody(method: str, answered: dict[str, dict[str, int]]) -> None:
    async with parroting(shared=True) as http:
        alice = await open_session(http, "2025-11-25")
        answer = result(await alice.post(request("ask", what=method)))["answer"]
        answer.get("error", {}).pop("message", None)
        assert answer == {"jsonrpc": "2.0", "id": "asked", **answered}
        assert (await alice.post({"jsonrpc": "2.0", "id": 1, "result": {}})).status_code == 202


@pytest.mark.parametrize("method", ["logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/list"])
async def test_what_cannot_be_kept_apart_is_not_served(method: str) -> None:
    async with parroting(shared=True) as http:
        alice = await open_session(http, "2025-11-25")
        answer = await alice.post(request(method, 3))
        assert (answer.status_code, error(answer)["code"], messages(answer)[0]["id"]) == (200, -32601, 3)


async def test_requests_of_the_newest_revision_share_a_process_too() -> None:
    async with parroting("both", shared=True) as http:
        pids = {result(await modern(http, request("echo"), {"x-who": who}))["pid"] for who in ("alice", "bob")}
        assert len(pids) == 1


async def test_line_of_the_log_reaches_nobody_when_several_want_some() -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/logLevel": "info",
    }
    async with parroting("modern", shared=True) as http, anyio.create_task_group() as tasks:
        assert len(messages(await modern(http, request("log"), {"x-who": "bob"}, meta))) == 2
        tasks.start_soon(modern, http, request("hang", "h"), {}, meta)

        async def hangs() -> bool:
            return bool(result(await modern(http, request("heard")))["hanging"])

        await until(hangs)
        assert len(messages(await modern(http, request("log"), {"x-who": "bob"}, meta))) == 1
        tasks.cancel_scope.cancel()


async def test_client_that_does_not_read_loses_its_answer_and_nobody_waits_for_it() -> None:
    async with parroting(shared=True) as http:
        slow = await open_session(http, "2025-11-25")
        bob = await open_session(http, "2025-11-25", "bob")
        asked = request("progress", "p", steps=60_000, _meta={"progressToken": "t" * 500})
        async with slow.stream("POST", asked):
            assert (await bob.post(request("echo"))).status_code == 200


async def test_session_that_is_not_used_ends_and_so_does_the_process() -> None:
    async with parroting(shared=True, idle_seconds=0.3) as http:
        alice = await open_session(http, "2025-11-25")
        pid = await pid_of(alice)
        with anyio.move_on_after(1.0):
            await anyio.sleep_forever()
        assert (await alice.post(request("echo"))).status_code == 404
        assert await pid_of(await open_session(http, "2025-11-25")) != pid


async def test_process_goes_on_while_somebody_listens() -> None:
    async with parroting(shared=True, idle_seconds=0.3) as http:
        alice = await open_session(http, "2025-11-25")
        pid = await pid_of(alice)
        async with alice.stream("GET"):
            await anyio.sleep(0.8)
            assert await pid_of(alice) == pid


async def test_command_that_refuses_initialize_serves_nobody() -> None:
    async with fronted(app(parrot("refuses", shared=True))) as http:
        answer = await http.post("/mcp", json=initialize("2025-11-25"))
        assert (answer.status_code, messages(answer)[0]["id"]) == (502, 1)


async def test_no_more_sessions_are_open_than_allowed() -> None:
    async with parroting(shared=True, max_sessions=1) as http:
        await open_session(http, "2025-11-25")
        answer = await http.post("/mcp", json=initialize("2025-11-25"))
        assert (answer.status_code, error(answer)["message"]) == (503, "Too many sessions are open: try again later.")


async def test_command_without_resources_introduces_itself_as_it_is() -> None:
    async with parroting("both", shared=True) as http:
        assert result(await modern(http, request("echo")))
        assert result(await http.post("/mcp", json=initialize("2025-11-25")))["capabilities"] == {"tools": {}}


async def test_notifications_for_nobody_in_particular_are_taken_and_dropped() -> None:
    async with parroting(shared=True) as http:
        alice = await open_session(http, "2025-11-25")
        own = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
        assert (await alice.post(own)).status_code == 202
        heard = result(await alice.post(request("heard")))["heard"]
        assert [each["method"] for each in heard] == ["notifications/initialized", own["method"]]
