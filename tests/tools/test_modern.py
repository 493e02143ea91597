"""2026-07-28: every request stands alone, names its revision twice, and says in its headers what its body says."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from mcp.client import ClientRequestContext
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitRequestParams, ElicitResult, InputRequiredResult
from pydantic import BaseModel

from tests.tools.front import (
    META,
    MODERN,
    call,
    connected,
    events,
    fronted,
    initialize,
    messages,
    modern,
    next_event,
    text,
)
from tests.tools.front import request as message
from tools.registry import Needs, Plugin
from tools.server import app

LIST = message("tools/list", 7)
VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"


def error(answer: httpx.Response) -> tuple[int, int, Any]:
    """Status, code and id of an error."""
    (said,) = messages(answer)
    return answer.status_code, said["error"]["code"], said.get("id")


def sentinel(value: str) -> str:
    """A value as headers carry what is no plain ASCII."""
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


@pytest.fixture(scope="module", params=["greetings", "stateless"])
def server(request: pytest.FixtureRequest) -> httpx.AsyncClient:
    """With sessions and without: this revision cannot tell the difference."""
    client: httpx.AsyncClient = request.getfixturevalue(request.param)
    return client


class TestAnswers:
    async def test_discover_tells_versions_that_work(self, server: httpx.AsyncClient) -> None:
        (answer,) = messages(await modern(server, message("server/discover")))
        result = answer["result"]
        assert result["supportedVersions"] == [MODERN]
        assert {"tools", "prompts", "resources"} <= result["capabilities"].keys()
        assert result["resultType"] == "complete"
        assert result["ttlMs"] >= 0
        assert result["cacheScope"] in ("public", "private")
        for version in result["supportedVersions"]:
            again = await modern(server, LIST, {"mcp-protocol-version": version}, {**META, VERSION: version})
            assert again.status_code == 200

    @pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"])
    async def test_lists_say_how_long_and_for_whom_they_hold(self, server: httpx.AsyncClient, method: str) -> None:
        (answer,) = messages(await modern(server, message(method)))
        assert answer["result"]["resultType"] == "complete"
        assert answer["result"]["ttlMs"] >= 0
        assert answer["result"]["cacheScope"] == "private"

    async def test_request_is_answered_with_one_json_object(self, server: httpx.AsyncClient) -> None:
        answer = await modern(server, call("greet", 7, name="Ada"))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json()["id"] == 7
        assert answer.json()["result"]["content"] == [{"type": "text", "text": "Hello, Ada!"}]

    async def test_sessions_are_gone(self, server: httpx.AsyncClient) -> None:
        plain = await modern(server, LIST)
        with_junk = await modern(server, LIST, {"mcp-session-id": "junk", "last-event-id": "junk"})
        assert with_junk.json() == plain.json()
        assert "mcp-session-id" not in plain.headers
        assert "mcp-session-id" not in with_junk.headers
        for method in ("GET", "DELETE", "PUT"):
            answer = await server.request(method, "/mcp", headers={"mcp-protocol-version": MODERN})
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
            assert "mcp-session-id" not in answer.headers

    async def test_unknown_method_is_404_with_the_id(self, server: httpx.AsyncClient) -> None:
        assert error(await modern(server, message("no/such", 7))) == (404, -32601, 7)

    async def test_notification_is_accepted_with_headers_and_without(self, server: httpx.AsyncClient) -> None:
        for headers in ({}, {"mcp-method": None}):
            answer = await modern(server, {"jsonrpc": "2.0", "method": "notifications/x"}, headers)
            assert (answer.status_code, answer.content) == (202, b"")

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            pytest.param({"jsonrpc": "2.0", "id": 1, "result": {}}, -32600, id="a response of the client"),
            pytest.param({"jsonrpc": "2.0", "method": 5}, -32600, id="a malformed notification"),
            pytest.param({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600, id="an id that is null"),
            pytest.param([message("tools/list")], -32600, id="a batch"),
            pytest.param([], -32600, id="a batch of nothing"),
        ],
    )
    async def test_what_is_no_request_is_refused(self, server: httpx.AsyncClient, sent: Any, code: int) -> None:
        headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/list"}
        answer = await server.post("/mcp", json=sent, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            pytest.param({"accept": "*/*"}, 200, id="accepts anything"),
            pytest.param({"accept": "application/json"}, 406, id="accepts no stream"),
            pytest.param({"accept": "text/event-stream"}, 406, id="accepts no JSON"),
            pytest.param({"content-type": "text/plain"}, 415, id="sends text"),
            pytest.param({"content-type": "application/json-patch+json"}, 415, id="sends other JSON"),
            pytest.param({"content-type": "application/json; charset=utf-8"}, 200, id="names its charset"),
        ],
    )
    async def test_media_types_are_those_of_mcp(
        self, server: httpx.AsyncClient, headers: dict[str, str | None], status: int
    ) -> None:
        assert (await modern(server, LIST, headers)).status_code == status


class TestEnvelope:
    @pytest.mark.parametrize(
        ("header", "inside"),
        [
            pytest.param(MODERN, "2025-11-25", id="older inside"),
            pytest.param("2025-11-25", MODERN, id="older in the header"),
            pytest.param("2025-03-26", MODERN, id="of the batches in the header"),
            pytest.param(None, MODERN, id="no header"),
            pytest.param(None, "2025-03-26", id="no header, older inside"),
        ],
    )
    async def test_header_must_say_what_the_message_says(
        self, server: httpx.AsyncClient, header: str | None, inside: str
    ) -> None:
        answer = await modern(server, LIST, {"mcp-protocol-version": header}, {**META, VERSION: inside})
        assert error(answer) == (400, -32020, 7)

    async def test_escaped_name_of_the_revision_is_read_as_well(self, server: httpx.AsyncClient) -> None:
        body = json.dumps({**LIST, "params": {"_meta": META}}).replace("/protocolVersion", "\\/protocol\\u0056ersion")
        assert error(await server.post("/mcp", content=body)) == (400, -32020, 7)

    async def test_older_message_that_names_its_own_revision_is_none_of_this(
        self, greetings: httpx.AsyncClient
    ) -> None:
        answer = await modern(greetings, LIST, {"mcp-protocol-version": "2025-11-25"}, {**META, VERSION: "2025-11-25"})
        assert error(answer) == (400, -32600, 7)  # it lacks a session
        assert "initialize" in answer.json()["error"]["message"]

    async def test_version_that_is_not_served_is_refused_with_those_that_are(self, server: httpx.AsyncClient) -> None:
        answer = await modern(server, LIST, {"mcp-protocol-version": "1900-01-01"}, {**META, VERSION: "1900-01-01"})
        assert error(answer) == (400, -32022, 7)
        assert answer.json()["error"]["data"] == {"supported": [MODERN], "requested": "1900-01-01"}

    @pytest.mark.parametrize(
        "meta",
        [
            pytest.param(None, id="no _meta"),
            pytest.param({CAPABILITIES: {}}, id="no version"),
            pytest.param({VERSION: MODERN}, id="no capabilities"),
        ],
    )
    async def test_request_without_its_envelope_is_refused(
        self, server: httpx.AsyncClient, meta: dict[str, Any] | None
    ) -> None:
        assert error(await modern(server, LIST, meta=meta)) == (400, -32602, 7)

    async def test_client_that_names_itself_as_another_gets_nothing_more(self, server: httpx.AsyncClient) -> None:
        named = {**META, "io.modelcontextprotocol/clientInfo": {"name": "admin-console", "version": "1"}}
        assert (await modern(server, LIST, meta=named)).json() == (await modern(server, LIST)).json()

    async def test_handshake_under_this_version_is_refused(self, server: httpx.AsyncClient) -> None:
        answer = await server.post("/mcp", json=initialize("2025-11-25"), headers={"mcp-protocol-version": MODERN})
        assert answer.status_code == 400

    async def test_both_eras_take_turns_on_one_connection(self, greetings: httpx.AsyncClient) -> None:
        for _ in range(2):
            assert (await modern(greetings, LIST)).status_code == 200
            assert (await greetings.post("/mcp", json=initialize("2025-11-25"))).status_code == 200


class TestHeaders:
    @pytest.mark.parametrize(
        ("sent", "headers"),
        [
            pytest.param(LIST, {"mcp-method": None}, id="no method"),
            pytest.param(LIST, {"mcp-method": "tools/call"}, id="another method"),
            pytest.param(LIST, {"mcp-method": "TOOLS/LIST"}, id="a method in another case"),
            pytest.param(call("greet", 7), {"mcp-name": None}, id="no name"),
            pytest.param(call("greet", 7), {"mcp-name": "multi-greet"}, id="another name"),
            pytest.param(call("greet", 7), {"mcp-name": "Greet"}, id="a name in another case"),
            pytest.param(call("greet", 7), {"mcp-name": "=?base64?Z3JlZXQ?="}, id="bad padding"),
            pytest.param(call("greet", 7), {"mcp-name": "=?base64?Z3Jl*ZXQ=?="}, id="bad alphabet"),
            pytest.param(call("greet", 7), {"mcp-name": "=?BASE64?Z3JlZXQ=?="}, id="the marker in another case"),
            pytest.param(call("greet", 7), {"mcp-name": "=?base64?/w==?="}, id="no UTF-8"),
            pytest.param(message("prompts/get", 7, name="greeting-template"), {"mcp-name": None}, id="no prompt"),
            pytest.param(message("resources/read", 7, uri="greeting://resource"), {"mcp-name": None}, id="no URI"),
        ],
    )
    async def test_header_that_contradicts_the_body_is_refused(
        self, server: httpx.AsyncClient, sent: dict[str, Any], headers: dict[str, str | None]
    ) -> None:
        assert error(await modern(server, sent, headers)) == (400, -32020, 7)

    async def test_name_that_looks_like_base64_arrives_wrapped_in_it(self, server: httpx.AsyncClient) -> None:
        name = sentinel("greet")
        assert error(await modern(server, call(name, 7), {"mcp-name": name})) == (400, -32020, 7)
        answer = await modern(server, call(name), {"mcp-name": sentinel(name)})
        assert answer.json()["result"]["content"][0]["text"] == f"Unknown tool: {name}"

    async def test_header_that_is_there_twice_is_refused(self, server: httpx.AsyncClient) -> None:
        headers = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/list"), ("mcp-method", "tools/list")]
        sent = {**LIST, "params": {"_meta": META}}
        assert error(await server.post("/mcp", json=sent, headers=headers)) == (400, -32020, 7)

    @pytest.mark.parametrize(
        ("sent", "headers"),
        [
            pytest.param(call("greet"), {"mcp-name": sentinel("greet")}, id="a name in Base64"),
            pytest.param(call("greet"), {"mcp-name": "greet", "mcp-param-foo": "x"}, id="a parameter nobody knows"),
            pytest.param(call("greet"), {"MCP-Name": "greet", "mcp-name": None}, id="a field in another case"),
            pytest.param(
                message("resources/read", uri="greeting://resource"),
                {"mcp-name": sentinel("greeting://resource")},
                id="a URI in Base64",
            ),
        ],
    )
    async def test_header_that_says_the_same_another_way_is_accepted(
        self, server: httpx.AsyncClient, sent: dict[str, Any], headers: dict[str, str | None]
    ) -> None:
        assert (await modern(server, sent, headers)).status_code == 200


def forecast(day: str) -> str:
    """What is to come."""
    return f"Sun on {day}"


async def slowly(ctx: Context) -> str:
    """Report progress twice."""
    await ctx.report_progress(1, 2)
    await ctx.report_progress(2, 2)
    return "done"


async def announce(ctx: Context) -> str:
    """Say that the tools and a note are others now."""
    await ctx.notify_tools_changed()
    await ctx.notify_resource_updated("note://mine")
    await ctx.notify_resource_updated("note://theirs")
    return "announced"


async def confirm(ctx: Context) -> str | InputRequiredResult:
    """Ask the person, keep who was asked in the state that the client carries."""
    if ctx.input_responses:
        return f"confirmed after {ctx.request_state}"
    form = ElicitRequestFormParams(message="Sure?", requested_schema={"type": "object", "properties": {}})
    return InputRequiredResult(input_requests={"sure": ElicitRequest(params=form)}, request_state="asked")


class Answer(BaseModel):
    """What a person says."""

    name: str


def question() -> Elicit[Answer]:
    """What a person is asked."""
    return Elicit("Who are you?", Answer)


def ask(answer: Annotated[Answer, Resolve(question)]) -> str:
    """Ask the person, whatever the revision."""
    return f"It is {answer.name}"


def register(server: MCPServer) -> None:
    for tool in (forecast, slowly, announce, confirm, ask):
        server.add_tool(tool)
    server.resource("weather://{+day}")(forecast)


@pytest.fixture(scope="module")
async def weather() -> AsyncIterator[httpx.AsyncClient]:
    plugin = Plugin("weather", register, [Needs("tool", "*"), Needs("resource", "weather://*")])
    async with fronted(app([plugin])) as http:
        yield http


@pytest.mark.parametrize("day", ["Mönchstag/☃", " blank "])
async def test_name_that_no_header_can_carry_arrives_in_base64(weather: httpx.AsyncClient, day: str) -> None:
    uri = f"weather://{day}"
    answer = await modern(weather, message("resources/read", uri=uri), {"mcp-name": sentinel(uri)})
    assert answer.json()["result"]["contents"][0]["text"] == f"Sun on {day}"


class TestStreams:
    async def test_stream_holds_what_belongs_to_the_request_and_no_request(self, weather: httpx.AsyncClient) -> None:
        answer = await modern(weather, call("slowly", 7), meta={**META, "progressToken": "p"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        *told, last = messages(answer)
        assert [said["params"]["progress"] for said in told] == [1, 2]
        assert (last["id"], last["result"]["content"][0]["text"]) == (7, "done")
        assert not [said for said in told if "id" in said]
        assert not [event for event in events(answer.text) if event.id or event.retry]

    async def test_subscription_is_acknowledged_first_and_delivers_what_was_asked_for(
        self, weather: httpx.AsyncClient
    ) -> None:
        asked = {"toolsListChanged": True, "resourceSubscriptions": ["note://mine"]}
        listen = message("subscriptions/listen", "s", notifications=asked, _meta=META)
        headers = {"mcp-protocol-version": MODERN, "mcp-method": "subscriptions/listen"}
        async with weather.stream("POST", "/mcp", json=listen, headers=headers) as response:
            lines = response.aiter_lines()
            first = (await next_event(lines)).message
            await modern(weather, call("announce"))
            then = [(await next_event(lines)).message for _ in range(2)]
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"]["notifications"] == asked
        assert [said["method"] for said in then] == [
            "notifications/tools/list_changed",
            "notifications/resources/updated",
        ]
        assert then[1]["params"]["uri"] == "note://mine"
        for said in (first, *then):
            assert said["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "s"


ASKING = {**META, CAPABILITIES: {"elicitation": {"form": {}}}}
ANSWERS = {"sure": {"action": "accept", "content": {}}}


class TestAsking:
    async def test_tool_that_asks_needs_the_capability_on_this_very_request(self, weather: httpx.AsyncClient) -> None:
        assert (await modern(weather, call("ask"), meta=ASKING)).status_code == 200
        answer = await modern(weather, call("ask", 7))
        assert error(answer) == (400, -32021, 7)
        assert answer.json()["error"]["data"]["requiredCapabilities"].keys() == {"elicitation"}

    @pytest.mark.parametrize(
        ("who", "carries_on"),
        [
            ("alice", True),
            ("alice with a new token", True),
            ("bob", False),
            ("alice of another issuer", False),
            ("machine called alice", False),
        ],
    )
    async def test_state_that_a_client_carries_is_worth_nothing_to_another(
        self, weather: httpx.AsyncClient, who: str, carries_on: bool
    ) -> None:
        (asked,) = messages(await modern(weather, call("confirm"), meta=ASKING))
        assert asked["result"]["resultType"] == "input_required"
        state = asked["result"]["requestState"]
        assert "asked" not in state
        retried = call("confirm", 8)
        retried["params"] |= {"requestState": state, "inputResponses": ANSWERS}
        answer = await modern(weather, retried, {"x-who": who}, ASKING)
        if carries_on:
            assert answer.json()["result"]["content"][0]["text"] == "confirmed after asked"
        else:
            assert error(answer) == (400, -32602, 8)


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_tool_may_ask_the_person_on_every_wire(weather: httpx.AsyncClient, mode: str) -> None:
    async def answer(_: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert params.message == "Who are you?"
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with connected(weather, mode, elicitation_callback=answer) as client:
        assert text(await client.call_tool("ask")) == "It is Ada"


async def test_stock_client_reads_everything(greetings: httpx.AsyncClient) -> None:
    async with connected(greetings, "auto") as client:
        assert client.protocol_version == MODERN
        assert {tool.name for tool in (await client.list_tools()).tools} == {"greet", "multi-greet"}
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["greeting-template"]
        assert [str(resource.uri) for resource in (await client.list_resources()).resources] == ["greeting://resource"]
