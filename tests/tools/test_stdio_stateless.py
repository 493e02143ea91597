"""A local command for clients of 2026-07-28: checked against the headers, passed on, cancelled by going away."""

from __future__ import annotations

import sys
from typing import Any

import anyio
import httpx
import pytest

from tests.tools.front import MODERN, call, fronted, initialize, messages, modern, open_session, request
from tests.tools.stdio_front import NAME, error, parrot, parroting, result, until
from tools.stdio import app

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def test_message_passes_with_its_envelope() -> None:
    async with parroting("modern") as http:
        answer = await modern(http, request("echo", "one", text="x"))
        assert result(answer)["params"] == {"text": "x", "_meta": META}
        assert messages(answer)[0]["id"] == "one"
        assert "mcp-session-id" not in answer.headers
        assert result(await modern(http, request("server/discover")))["supportedVersions"] == [MODERN]


async def test_requests_of_a_principal_share_a_process_and_no_others() -> None:
    async with parroting("modern") as http:
        pids = [
            result(await modern(http, request("echo"), {"x-who": who}))["pid"]
            for who in ("alice", "alice with a new token", "bob", "machine called alice")
        ]
        assert pids[0] == pids[1]
        assert len(set(pids)) == 3


async def test_one_command_serves_both_kinds_of_clients() -> None:
    async with parroting("both") as http:
        session = await open_session(http, "2025-11-25")
        assert result(await session.post(request("echo")))["params"] == {}
        assert result(await modern(http, request("echo")))["params"] == {"_meta": META}


@pytest.mark.parametrize(
    ("method", "status"),
    [pytest.param("no/such/method", 404, id="unknown method"), pytest.param("echo", 200, id="known method")],
)
async def test_errors_have_the_status_of_their_code(method: str, status: int) -> None:
    async with parroting("modern") as http:
        assert (await modern(http, request(method))).status_code == status


async def test_progress_comes_with_the_token_of_the_client() -> None:
    async with parroting("modern") as http:
        answer = await modern(http, request("progress", 3), meta={**META, "progressToken": "mine"})
        assert answer.status_code == 200
        assert [each.get("params", {}).get("progressToken") for each in messages(answer)] == ["mine"] * 3 + [None]


async def test_subscription_has_the_id_of_the_client_in_all_it_says() -> None:
    async with parroting("modern") as http:
        said = messages(await modern(http, request("subscriptions/listen", "sub")))
        ids = [
            (each.get("params") or each["result"])["_meta"]["io.modelcontextprotocol/subscriptionId"] for each in said
        ]
        assert ids == ["sub"] * 3
        assert said[-1]["id"] == "sub"


async def test_client_that_goes_away_has_cancelled() -> None:
    async with parroting("modern") as http:
        with anyio.move_on_after(0.3):
            await modern(http, request("hang", "h"))

        async def cancelled() -> bool:
            heard.extend(result(await modern(http, request("heard")))["heard"])
            return bool(heard)

        heard: list[dict[str, Any]] = []
        await until(cancelled)
        assert [each["method"] for each in heard] == ["notifications/cancelled"]


async def test_line_of_the_log_goes_to_the_request_that_wants_some() -> None:
    async with parroting("modern") as http:
        assert len(messages(await modern(http, request("log")))) == 1
        wanting = {**META, "io.modelcontextprotocol/logLevel": "info"}
        assert [
            each.get("method") for each in messages(await modern(http, request("log", data="x"), meta=wanting))
        ] == [
            "notifications/message",
            None,
        ]


async def test_command_may_ask_nobody() -> None:
    async with parroting("modern") as http:
        answered = result(await modern(http, request("ask", what="sampling/createMessage")))["answer"]
        assert (answered["id"], answered["error"]["code"]) == ("asked", -32601)


@pytest.mark.parametrize(
    ("headers", "meta", "code"),
    [
        pytest.param({"mcp-method": "other"}, META, -32020, id="another method in the header"),
        pytest.param({"mcp-method": None}, META, -32020, id="no method in the header"),
        pytest.param({"mcp-name": "other"}, META, -32020, id="another name in the header"),
        pytest.param({"mcp-name": "=?base64?Y2FsbA==?="}, META, 200, id="the name in Base64"),
        pytest.param({"mcp-name": "=?base64?!?="}, META, -32020, id="a name that is no Base64"),
        pytest.param({"mcp-protocol-version": "2027-01-01"}, META, -32020, id="another version in the header"),
        pytest.param({}, None, -32602, id="no envelope"),
        pytest.param({}, {"io.modelcontextprotocol/protocolVersion": MODERN}, -32602, id="no capabilities"),
        pytest.param({"mcp-param-region": "west"}, META, 200, id="a parameter that agrees"),
        pytest.param({"mcp-param-region": "east"}, META, -32020, id="a parameter that does not"),
        pytest.param({"mcp-param-region": None}, META, -32020, id="a parameter that is missing"),
    ],
)
async def test_headers_say_what_the_body_says(headers: dict[str, str | None], meta: Any, code: int) -> None:
    async with parroting("modern") as http:
        given = {"mcp-param-region": "west", **headers}
        answer = await modern(http, call("call", 9, region="west"), given, meta)
        if code == 200:
            assert result(answer)["called"]["arguments"] == {"region": "west"}
        else:
            assert (answer.status_code, error(answer)["code"]) == (400, code)
            assert messages(answer)[0]["id"] == 9


async def test_tools_of_no_list_are_the_commands_business() -> None:
    async with parroting("modern") as http:
        assert result(await modern(http, call("unlisted", 9, region="west")))["called"]["name"] == "unlisted"
        assert result(await modern(http, request("tools/call", 9, name="call")))["called"]["name"] == "call"
        assert result(await modern(http, request("tools/call", 9, name="call", arguments=[1])))["called"]


async def test_version_that_nobody_speaks_is_refused_with_those_that_are() -> None:
    async with parroting("modern") as http:
        meta = {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
        answer = await modern(http, request("echo"), {"mcp-protocol-version": "2099-01-01"}, meta)
        assert (answer.status_code, error(answer)["code"]) == (400, -32022)
        assert error(answer)["data"] == {"supported": [MODERN], "requested": "2099-01-01"}


@pytest.mark.parametrize(("spoken", "revision"), [("legacy", "2025-11-25"), ("2025-03-26", "2025-03-26")])
async def test_command_of_older_revisions_says_which_it_speaks(spoken: str, revision: str) -> None:
    async with parroting(spoken) as http:
        for request_id in ("first", "second"):
            answer = await modern(http, request("server/discover", request_id))
            assert (answer.status_code, error(answer)["code"]) == (400, -32022)
            assert error(answer)["data"] == {"supported": [revision], "requested": MODERN}
            assert messages(answer)[0]["id"] == request_id
        session = await open_session(http, revision)
        assert (await session.post(request("echo"))).status_code == 200


async def test_command_that_dies_is_not_taken_for_one_that_does_not_speak_it() -> None:
    async with parroting("dead") as http:
        answer = await modern(http, request("echo", 4))
        assert (answer.status_code, error(answer)["code"]) == (502, -32603)
        assert messages(answer)[0]["id"] == 4


async def test_command_that_refuses_everything_is_refused() -> None:
    async with parroting("refuses") as http:
        answer = await modern(http, request("echo", 4))
        assert (answer.status_code, error(answer)["message"]) == (
            502,
            "The command does not answer initialize with a result.",
        )


async def test_command_serves_on_after_it_has_died() -> None:
    async with parroting("modern") as http:
        assert error(await modern(http, request("die")))["code"] == -32603
        assert result(await modern(http, request("echo")))


async def test_revision_without_sessions_has_no_other_methods() -> None:
    async with parroting("modern") as http:
        for verb in ("GET", "DELETE"):
            answer = await http.request(verb, "/mcp", headers={"mcp-protocol-version": MODERN})
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[]", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"1", 400),
        (b'{"jsonrpc":"2.0","method":"notifications/own"}', 202),
        (b'{"jsonrpc":"2.0","method":7,"id":1}', 400),
        (b'{"method":"echo","id":1}', 400),
        (b'{"jsonrpc":"2.0","method":"echo","id":1.5}', 400),
        (b'{"jsonrpc":"2.0","method":"echo","id":true}', 400),
        (b'{"jsonrpc":"2.0","result":{},"id":1}', 400),
    ],
)
async def test_body_that_is_no_request_is_refused(content: bytes, status: int) -> None:
    async with parroting("modern") as http:
        answer = await http.post("/mcp", content=content, headers={"mcp-protocol-version": MODERN})
        assert answer.status_code == status, answer.text


async def test_one_principal_has_a_process_of_this_kind_among_its_others() -> None:
    async with parroting("both", max_processes_each=1) as http:
        session = await open_session(http, "2025-11-25")
        assert result(await modern(http, request("echo")))
        assert (await session.post(request("echo"))).status_code == 404
        assert (await http.post("/mcp", json=initialize("2025-11-25"))).status_code == 200


async def test_process_that_does_not_answer_the_first_question_is_given_up() -> None:
    command = parrot(arguments=(sys.executable, "-c", "import time; time.sleep(60)"), start_seconds=0.2, max_requests=1)
    async with fronted(app(command)) as http:
        for _ in range(2):
            answer: httpx.Response = await modern(http, request("echo"))
            assert (answer.status_code, "does not answer" in error(answer)["message"]) == (504, True)


async def test_command_may_list_older_revisions_alone() -> None:
    async with parroting("lists") as http:
        answer = await modern(http, request("echo", 4))
        assert error(answer)["data"] == {"supported": ["2025-06-18", "2025-11-25"], "requested": MODERN}


async def test_what_the_command_ends_itself_has_the_id_of_the_client() -> None:
    async with parroting("modern") as http:
        ended, _ = messages(await modern(http, request("cancel", "mine")))
        assert ended["params"] == {"requestId": "mine", "reason": "over"}


async def test_command_that_lists_what_nobody_can_read_is_asked_by_initialize() -> None:
    async with parroting("odd") as http:
        answer = await modern(http, request("echo", 4))
        assert error(answer)["data"] == {"supported": ["2025-11-25"], "requested": MODERN}


@pytest.mark.parametrize("spoken", [pytest.param("endless", id="without end"), pytest.param("both", id="unreadable")])
async def test_list_of_tools_that_is_of_no_use_stops_no_call(spoken: str) -> None:
    async with parroting(spoken) as http:
        for _ in range(2):  # the second time, it is known
            assert result(await modern(http, call("call", 9, region="west")))["called"]["name"] == "call"


# It answers what it is asked first, a call, and what it has heard; nothing else.
LISTS_NOTHING = """
import json, sys
heard = []
for line in sys.stdin:
    asked = json.loads(line)
    heard.append(asked["method"])
    given = {"server/discover": {"supportedVersions": ["2026-07-28"]}, "heard": {"heard": heard}, "tools/call": {}}
    if asked["method"] in given:
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": given[asked["method"]]}
        print(json.dumps(answer), flush=True)
"""


async def test_command_that_never_lists_its_tools_holds_no_call_up_for_long() -> None:
    given: dict[str, Any] = {"arguments": (sys.executable, "-c", LISTS_NOTHING), "shared": True, "max_requests": 2}
    async with parroting("", start_seconds=1.5, **given) as http:
        answers: list[httpx.Response] = []

        async def ask(number: int) -> None:
            answers.append(await modern(http, call("call", number, region="west")))

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(ask, number)
        assert anyio.current_time() - began < 5, "they all wait for the same list"
        assert [answer.status_code for answer in answers] == [504] * 5
        assert {messages(answer)[0]["id"] for answer in answers} == set(range(5))
        assert error(answers[0]) == {"code": -32603, "message": f"The command {NAME} does not answer tools/list."}
        heard = result(await modern(http, request("heard")))["heard"]
        assert heard == ["server/discover", "tools/list", "notifications/cancelled", "heard"]
        assert result(await modern(http, request("tools/call", 9, name="call"))) == {}


# It lists its tools when it is asked to `go_on`, which is after it was asked for them; before, it says something.
LISTS_LATE = """
import json, sys
heard, listed = [], []
for line in sys.stdin:
    asked = json.loads(line)
    heard.append(asked["method"])
    answers = [(asked.get("id"), {})]
    if asked["method"] == "server/discover":
        answers = [(asked["id"], {"supportedVersions": ["2026-07-28"]})]
    elif asked["method"] == "heard":
        answers = [(asked["id"], {"heard": list(heard)})]
    elif asked["method"] == "tools/list":
        listed.append(asked["id"])
        token = asked["params"]["_meta"].get("progressToken")
        params = {"progressToken": token, "progress": 1}
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}), flush=True)
        continue
    elif asked["method"] == "go_on":
        properties = {"region": {"type": "string", "x-mcp-header": "Region"}}
        tool = {"name": "call", "inputSchema": {"type": "object", "properties": properties}}
        answers += [(listed.pop(), {"tools": [tool]})]
    for number, result in answers:
        print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)
"""


async def is_listing(http: httpx.AsyncClient) -> bool:
    """Whether the command has been asked for its tools."""
    return "tools/list" in result(await modern(http, request("heard")))["heard"]


async def test_call_whose_client_has_gone_before_the_tools_were_listed_is_not_made() -> None:
    async with parroting(arguments=(sys.executable, "-c", LISTS_LATE)) as http:
        west = {"mcp-param-region": "west"}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(modern, http, call("call", 1, region="west"), west)
            await until(lambda: is_listing(http))
            tasks.cancel_scope.cancel()
        await modern(http, request("go_on"))
        assert result(await modern(http, call("call", 2, region="west"), west)) == {}
        heard = result(await modern(http, request("heard")))["heard"]
        assert heard.count("tools/call") == 1


async def test_tools_are_listed_by_the_answer_and_not_by_what_comes_before_it() -> None:
    async with parroting(arguments=(sys.executable, "-c", LISTS_LATE)) as http:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            meta = {**META, "progressToken": "mine"}
            answers.append(await modern(http, call("call", 1, region="west"), {"mcp-param-region": "east"}, meta))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(lambda: is_listing(http))
            await modern(http, request("go_on"))
        assert (answers[0].status_code, error(answers[0])["code"]) == (400, -32020)


async def test_initialize_is_no_method_of_this_revision() -> None:
    async with parroting("modern") as http:
        answer = await modern(http, request("initialize", 4))
        assert (answer.status_code, error(answer)["code"], messages(answer)[0]["id"]) == (404, -32601, 4)


@pytest.mark.parametrize("argument", ["1" * 5000, "[" * 900 + "]" * 900])
async def test_body_that_is_hard_to_read_is_refused_or_served(argument: str) -> None:
    async with parroting("modern") as http:
        meta = '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        meta += '"io.modelcontextprotocol/clientCapabilities":{}}'
        body = f'{{"jsonrpc":"2.0","id":1,"method":"echo","params":{{{meta},"x":{argument}}}}}'
        answer = await http.post(
            "/mcp", content=body.encode(), headers={"mcp-protocol-version": MODERN, "mcp-method": "echo"}
        )
        assert answer.status_code in (200, 400)


async def test_requests_that_come_together_hear_the_same_of_a_command_of_older_revisions() -> None:
    async with parroting("legacy") as http, anyio.create_task_group() as tasks:
        codes: list[int] = []

        async def ask(number: int) -> None:
            codes.append(error(await modern(http, request("echo", number)))["code"])

        for number in range(5):
            tasks.start_soon(ask, number)
    assert codes == [-32022] * 5
