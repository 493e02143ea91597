"""Tools are loaded behind the listening socket: requests wait for them, and hear it where they cannot be had."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from mcp.server.mcpserver import MCPServer

from gateway.lifespan import lifespan_of
from tests.tools.front import JSON, Front, call, connected, fronted, initialize, messages, modern, request
from tools.registry import Needs, Plugin, PluginError, find
from tools.server import app, check

LIST = request("tools/list")


class Slow:
    """A plugin that takes its time to register, until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.plugin = Plugin("slow", self.register, [Needs("tool", "hello")])

    def register(self, server: MCPServer) -> None:
        self.begun.set()
        assert self.let_go.wait(10)
        server.add_tool(hello)


def hello() -> str:
    """Say hello."""
    return "hello"


def plugin(name: str, register: Callable[[MCPServer], Any], *needs: Needs) -> Plugin:
    return Plugin(name, register, needs)


class TestWaiting:
    async def test_request_that_comes_before_the_tools_are_loaded_waits_for_them(self) -> None:
        slow = Slow()
        async with fronted(app([slow.plugin])) as http:
            waiting = asyncio.create_task(modern(http, call("hello")))
            assert await asyncio.to_thread(slow.begun.wait, 10)
            refused = await http.post("/mcp", json=LIST, headers={"x-who": "nobody"})  # does not wait for anything
            assert refused.status_code == 503
            assert not waiting.done()
            slow.let_go.set()
            (answer,) = messages(await waiting)
            assert answer["result"]["content"][0]["text"] == "hello"

    async def test_request_that_is_cancelled_while_it_waits_takes_nobody_with_it(self) -> None:
        slow = Slow()
        front = Front(app([slow.plugin]))
        in_process = httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://x", headers=JSON)
        async with lifespan_of(front), in_process as http:
            cancelled, waiting = (asyncio.create_task(modern(http, LIST)) for _ in range(2))
            assert await asyncio.to_thread(slow.begun.wait, 10)
            cancelled.cancel()
            await asyncio.wait([cancelled])
            slow.let_go.set()
            assert (await waiting).status_code == 200

    async def test_tools_are_loaded_without_being_asked_for(self) -> None:
        slow = Slow()
        slow.let_go.set()
        async with fronted(app([slow.plugin])):
            assert await asyncio.to_thread(slow.begun.wait, 10)

    async def test_server_that_stops_while_it_loads_stops(self) -> None:
        slow = Slow()
        async with lifespan_of(app([slow.plugin])):
            assert await asyncio.to_thread(slow.begun.wait, 10)
            asyncio.get_running_loop().call_soon(slow.let_go.set)


def explode(_: MCPServer) -> None:
    raise RuntimeError("boom\nand more")


def leave(_: MCPServer) -> None:
    raise SystemExit("no licence")


def give_up(_: MCPServer) -> None:
    raise asyncio.CancelledError


async def wait(_: MCPServer) -> None: ...


def come_and_go(_: MCPServer) -> Iterator[None]:
    yield


def spoil(server: MCPServer) -> None:
    del server._lowlevel_server


class TestFailure:
    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            pytest.param(
                plugin("bad", explode),
                "The plugin bad cannot register what it offers (RuntimeError: boom and more): correct or uninstall it.",
                id="register raises",
            ),
            pytest.param(
                plugin("bad", leave),
                "The plugin bad cannot register what it offers (SystemExit: no licence): correct or uninstall it.",
                id="register exits",
            ),
            pytest.param(
                plugin("bad", give_up),
                "The plugin bad cannot register what it offers (CancelledError:): correct or uninstall it.",
                id="register is cancelled",
            ),
            pytest.param(
                Plugin("bad", f"{__name__}:wait", []),
                "The plugin bad registers with a coroutine or generator: make it a plain function.",
                id="register is a coroutine",
            ),
            pytest.param(
                Plugin("bad", f"{__name__}:come_and_go", []),
                "The plugin bad registers with a coroutine or generator: make it a plain function.",
                id="register is a generator",
            ),
            pytest.param(
                Plugin("bad", "nowhere_at_all:register", []),
                "The plugin bad cannot import nowhere_at_all:register (ModuleNotFoundError: No module named "
                "'nowhere_at_all'): correct or uninstall it.",
                id="its module is missing",
            ),
            pytest.param(
                plugin("bad", lambda server: server.add_tool(hello)),
                "The plugin bad has a tool 'hello' but says nothing of what it needs: add Needs.",
                id="a tool without a statement",
            ),
        ],
    )
    async def test_plugin_that_cannot_be_used_is_one_line_in_the_log_and_503_to_all(
        self, broken: Plugin, said: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with fronted(app([*find(["greetings"]), broken])) as http:
            answers = [await modern(http, LIST), await http.post("/mcp", json=initialize("2025-11-25"))]
        for answer in answers:
            assert answer.status_code == 503
            assert messages(answer)[0]["error"] == {
                "code": -32603,
                "message": "The tools of this server cannot be loaded; its log says why.",
            }
        assert [(record.levelno, record.message, record.exc_info) for record in caplog.records] == [
            (logging.ERROR, said, None)
        ]

    async def test_fault_that_is_nobody_elses_is_logged_with_its_traceback_and_keeps_nobody_waiting(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with fronted(app([plugin("spoiler", spoil)])) as http:
            assert (await modern(http, LIST)).status_code == 503
        (record,) = caplog.records
        assert record.message == "The tools cannot be loaded."
        assert record.exc_info

    async def test_failure_that_nobody_asks_about_is_logged_as_well(self, caplog: pytest.LogCaptureFixture) -> None:
        bad = Slow()
        bad.let_go.set()
        async with lifespan_of(app([bad.plugin, plugin("bad", explode)])):
            assert await asyncio.to_thread(bad.begun.wait, 10)
        assert [record.levelno for record in caplog.records] == [logging.ERROR]


class TestRefusal:
    @pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
    async def test_request_without_a_principal_is_refused(self, greetings: httpx.AsyncClient, method: str) -> None:
        answer = await greetings.request(method, "/mcp", headers={"x-who": "nobody"})
        assert answer.status_code == 503
        assert "a gate has let through" in answer.json()["error"]["message"]

    async def test_principal_of_another_make_is_none(self) -> None:
        server = app(find(["greetings"]))

        async def forged(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = {"principal": {"subject": "alice"}}
            await server(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(forged), base_url="http://x") as http:
            answer = await http.post("/mcp", json=LIST)
        assert answer.status_code == 503
        assert "a gate has let through" in answer.json()["error"]["message"]

    async def test_server_whose_lifespan_nobody_runs_says_so_instead_of_waiting(self) -> None:
        transport = httpx.ASGITransport(Front(app(find(["greetings"]))))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            answer = await http.post("/mcp", json=LIST)
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "This server was not started: run its lifespan."


class TestEnd:
    async def test_stop_with_open_sessions_is_quiet_and_leaves_no_task(self, caplog: pytest.LogCaptureFixture) -> None:
        before = asyncio.all_tasks()
        async with fronted(app(find(["greetings"]))) as http:
            for revision in ("2025-03-26", "2025-11-25"):
                assert (await http.post("/mcp", json=initialize(revision))).status_code == 200
        left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]
        assert left <= {"_shutdown_watcher"}  # one of sse_starlette's for each loop, which ends with the loop
        assert not caplog.records

    async def test_server_can_be_started_again(self) -> None:
        server = app(find(["greetings"]))
        for _ in range(2):
            async with fronted(server) as http:
                assert (await modern(http, LIST)).status_code == 200


class TestLoad:
    def test_greetings_are_good_to_serve(self) -> None:
        check(find(["greetings"]))

    def test_no_plugin_at_all_is_good_to_serve(self) -> None:
        check([])

    @pytest.mark.parametrize("order", [1, -1], ids=["first come", "last come"])
    def test_two_plugins_with_a_tool_of_one_name_are_refused(self, order: int) -> None:
        two = [plugin(name, lambda server: server.add_tool(hello), Needs("tool", "hello")) for name in ("one", "two")]
        with pytest.raises(PluginError, match=r"^The plugin \w+ says what the tool 'hello' needs.* another plugin too"):
            check(two[::order])

    @pytest.mark.parametrize("order", [1, -1], ids=["first come", "last come"])
    def test_plugin_whose_statement_is_about_all_tools_is_refused_beside_another(self, order: int) -> None:
        greedy = plugin("greedy", lambda server: server.add_tool(hello), Needs("tool", "*", ("greedy:use",)))
        check([greedy])
        two = [greedy, *find(["greetings"])]
        with pytest.raises(PluginError, match=r"asked for '[\w-]+' of another plugin too: rename one, or leave one"):
            check(two[::order])

    def test_prompts_resources_and_templates_need_statements_as_well(self) -> None:
        def register(server: MCPServer) -> None:
            server.prompt("ask")(hello)
            server.resource("note://today")(hello)
            server.resource("note://of/{day}")(note_of)

        everything = [Needs("prompt", "ask"), Needs("resource", "note://today"), Needs("resource", "note://of/*")]
        check([plugin("notes", register, *everything)])
        for missing in everything:
            stated = [needs for needs in everything if needs is not missing]
            with pytest.raises(PluginError, match="but says nothing of what it needs"):
                check([plugin("notes", register, *stated)])

    async def test_server_introduces_itself_by_its_name_and_version(self) -> None:
        async with (
            fronted(app(find(["greetings"]), name="Greetings of the house")) as http,
            connected(http, "legacy") as client,
        ):
            assert client.server_info is not None
            assert client.server_info.name == "Greetings of the house"
            assert client.server_info.version == importlib.metadata.version("bearergate")


def note_of(day: str) -> None:
    """What was on a day."""
