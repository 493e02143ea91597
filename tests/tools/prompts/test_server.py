"""The library as the SDK's own client sees it on both wires."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import PromptsListChanged
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolResult,
    Completion,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from tests.tools.front import MODERN, connected, fronted, initialize, modern, next_event, request, text
from tests.tools.prompts.conftest import REGION, template
from tests.tools.prompts.faulty import faulty
from tools.greetings import plugin as greetings
from tools.prompts import plugin
from tools.prompts.bucket import BucketStore
from tools.prompts.editing import MAX_PROBLEMS
from tools.prompts.folder import FolderStore
from tools.prompts.library import Library
from tools.prompts.server import MAX_COMPLETIONS, put
from tools.prompts.store import Store
from tools.registry import Needs, Plugin, PluginError
from tools.server import app, check

WIRES = pytest.mark.parametrize("mode", ["legacy", MODERN])
SECONDS = 0.05  # between two looks
ARGUMENTS = (
    "[{name: days, type: integer, default: 7, description: How far back.}, "
    "{name: tone, type: choice, choices: [kind, plain, kinder]}, {name: loud, type: boolean, default: false}]"
)
WEEKLY = template("{{days}} days, {{tone}}, {{loud}}", "Weekly", ARGUMENTS).decode()


@asynccontextmanager
async def serving(store: Store, *, sessions: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """A server of a library and the greetings."""
    prompts = Plugin("prompts", lambda server: put(Library(store), server, SECONDS), plugin.needs)
    async with fronted(app([greetings, prompts], sessions=sessions)) as http:
        yield http


def structured(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result
    assert result.structured_content is not None
    assert json.loads(text(result)) == result.structured_content
    content: dict[str, Any] = result.structured_content
    return content


async def rendered(client: Client, prompt: str, **arguments: str) -> str:
    result = await client.get_prompt(prompt, arguments)
    (message,) = result.messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


async def names(client: Client) -> list[str]:
    return [prompt.name for prompt in (await client.list_prompts()).prompts]


@WIRES
async def test_prompt_is_created_listed_rendered_updated_and_removed(store: Store, mode: str) -> None:
    async with serving(store) as http, connected(http, mode) as client:
        assert await names(client) == ["greeting-template"]
        made = structured(await client.call_tool("create_prompt", {"name": "weekly", "template": WEEKLY}))
        assert (made["name"], made["prompt"]) == ("weekly", "library.weekly")
        listed = (await client.list_prompts(cache_mode="refresh")).prompts[-1]
        assert (listed.name, listed.title, listed.description) == ("library.weekly", "Weekly", "A description.")
        assert [(one.name, one.description, one.required) for one in listed.arguments or ()] == [
            ("days", "How far back. (a whole number; 7 unless given)", False),
            ("tone", "(one of kind, plain, kinder)", True),
            ("loud", "(true or false; false unless given)", False),
        ]
        assert await rendered(client, "library.weekly", tone="kind", days="3") == "3 days, kind, false"
        changed = await client.call_tool(
            "update_prompt",
            {"name": "library.weekly", "template": template().decode(), "etag": made["etag"]},
        )
        etag = structured(changed)["etag"]
        assert await rendered(client, "library.weekly", name="Ada") == "Greet Ada."
        read = structured(await client.call_tool("read_prompt", {"name": "weekly"}))
        assert (read["template"], read["etag"]) == (template().decode(), etag)
        versions = structured(await client.call_tool("list_prompt_versions", {"name": "library.weekly"}))["versions"]
        assert [one["latest"] for one in versions] == [True, False]
        old = await client.call_tool("read_prompt", {"name": "weekly", "version": versions[1]["version"]})
        assert structured(old)["template"] == WEEKLY
        removed = await client.call_tool("remove_prompt", {"name": "weekly", "etag": etag})
        assert text(removed).startswith("weekly is removed. list_prompt_versions tells")
        assert await names(client) == ["greeting-template"]
        with pytest.raises(MCPError, match="The library has no prompt weekly") as refused:
            await client.get_prompt("library.weekly")
        assert refused.value.error.code == INVALID_PARAMS


@WIRES
async def test_argument_that_does_not_fit_is_invalid_params_in_one_sentence(folder: FolderStore, mode: str) -> None:
    folder.write("weekly", WEEKLY.encode(), None)
    async with serving(folder) as http, connected(http, mode) as client:
        for arguments, said in (
            ({}, "The prompt needs the argument tone."),
            ({"tone": "rude"}, "The argument tone must be one of kind, plain, kinder, not 'rude'."),
            ({"tone": "kind", "days": "x"}, "The argument days must be a whole number such as 7, not 'x'."),
            ({"tone": "kind", "day": "1"}, "The prompt has no argument 'day': it has days, tone, loud."),
        ):
            with pytest.raises(MCPError) as refused:
                await client.get_prompt("library.weekly", arguments)
            assert (refused.value.error.code, refused.value.error.message) == (INVALID_PARAMS, said)


@WIRES
async def test_prompts_of_other_plugins_are_as_before(folder: FolderStore, mode: str) -> None:
    async with serving(folder) as http, connected(http, mode) as client:
        assert "for Ada" in await rendered(client, "greeting-template", name="Ada")


@WIRES
async def test_arguments_and_names_are_completed(folder: FolderStore, mode: str) -> None:
    folder.write("weekly", WEEKLY.encode(), None)
    folder.write("monthly", template(), None)
    weekly = PromptReference(name="library.weekly")
    source = ResourceTemplateReference(uri="prompt-library://{name}")
    async with serving(folder) as http, connected(http, mode) as client:

        async def completed(ref: PromptReference | ResourceTemplateReference, name: str, value: str) -> list[str]:
            return (await client.complete(ref, {"name": name, "value": value})).completion.values

        assert await completed(weekly, "tone", "") == ["kind", "plain", "kinder"]
        assert await completed(weekly, "tone", "KI") == ["kind", "kinder"]
        assert await completed(weekly, "tone", "in") == ["kind", "plain", "kinder"]
        assert await completed(weekly, "tone", "x") == []
        assert await completed(weekly, "loud", "t") == ["true"]
        assert await completed(weekly, "days", "") == ["7"]
        assert await completed(weekly, "other", "") == []
        assert await completed(source, "name", "") == ["monthly", "weekly"]
        assert await completed(source, "name", "w") == ["weekly"]
        assert await completed(source, "name", "library.w") == ["weekly"]
        assert await completed(PromptReference(name="greeting-template"), "name", "") == []
        assert await completed(ResourceTemplateReference(uri="other://{name}"), "name", "") == []
        with pytest.raises(MCPError, match="has no prompt nobody"):
            await completed(PromptReference(name="library.nobody"), "name", "")


async def test_completions_are_no_more_than_the_protocol_allows(folder: FolderStore) -> None:
    for number in range(MAX_COMPLETIONS + 1):
        (folder.folder / f"p{number:03}.md").write_bytes(template())
    ref = ResourceTemplateReference(uri="prompt-library://{name}")
    async with serving(folder) as http, connected(http, MODERN) as client:
        found = (await client.complete(ref, {"name": "name", "value": "p"})).completion
    assert (len(found.values), found.total, found.has_more) == (MAX_COMPLETIONS, MAX_COMPLETIONS + 1, True)


async def test_completion_of_another_plugin_stays(folder: FolderStore) -> None:
    def register(server: MCPServer) -> None:
        async def complete(*_: object) -> Completion:
            return Completion(values=["theirs"])

        server.completion()(complete)  # type: ignore[no-untyped-call] # of the SDK

    prompts = Plugin("prompts", lambda server: put(Library(folder), server, SECONDS), plugin.needs)
    async with fronted(app([Plugin("other", register, []), prompts])) as http, connected(http, MODERN) as client:
        found = await client.complete(PromptReference(name="x"), {"name": "name", "value": ""})
    assert found.completion.values == ["theirs"]


@WIRES
async def test_template_is_a_resource(folder: FolderStore, mode: str) -> None:
    folder.write("weekly", WEEKLY.encode(), None)
    async with serving(folder) as http, connected(http, mode) as client:
        (listed,) = (await client.list_resource_templates()).resource_templates
        assert (listed.uri_template, listed.mime_type) == ("prompt-library://{name}", "text/markdown")
        (content,) = (await client.read_resource("prompt-library://weekly")).contents
        assert isinstance(content, TextResourceContents)
        assert content.text == WEEKLY
        for uri in ("prompt-library://nobody", "prompt-library://..%2Fsecret", "prompt-library://%00"):
            with pytest.raises(MCPError):
                await client.read_resource(uri)


@WIRES
@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        pytest.param("read_prompt", {"name": "nobody"}, "has no prompt nobody", id="no such prompt"),
        pytest.param("read_prompt", {"name": "weekly", "version": "9"}, "has no version '9'", id="no such version"),
        pytest.param("list_prompt_versions", {"name": "nobody"}, "has never had a prompt", id="nothing ever"),
        pytest.param("read_prompt", {"name": "../weekly"}, "is no name of a prompt", id="a path"),
        pytest.param("create_prompt", {"name": "a/b", "template": WEEKLY}, "is no name", id="a path to write to"),
        pytest.param("create_prompt", {"name": "weekly", "template": WEEKLY + "."}, "already", id="taken"),
        pytest.param("create_prompt", {"name": "new", "template": "Hi"}, "front matter", id="no template"),
        pytest.param(
            "create_prompt",
            {"name": "new", "template": template("{{nme}}").decode()},
            "uses {{nme}}, which its front matter does not declare",
            id="an unknown variable",
        ),
        pytest.param(
            "create_prompt",
            {"name": "new", "template": "x" * 99_999},
            "more than 65536 bytes: shorten it",
            id="too large",
        ),
        pytest.param(
            "update_prompt",
            {"name": "weekly", "template": template().decode(), "etag": "abc"},
            "is not what you have read (etag abc)",
            id="another etag",
        ),
        pytest.param("remove_prompt", {"name": "nobody", "etag": "abc"}, "any more", id="removed meanwhile"),
    ],
)
async def test_what_is_refused_is_an_error_of_the_tool_and_changes_nothing(
    folder: FolderStore, mode: str, tool: str, arguments: dict[str, str], said: str
) -> None:
    folder.write("weekly", WEEKLY.encode(), None)
    async with serving(folder) as http, connected(http, mode) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert said in text(result)
    assert "Traceback" not in text(result)
    assert str(folder.folder) not in text(result)
    assert sorted(path.name for path in folder.folder.iterdir()) == ["weekly.md"]
    assert (folder.folder / "weekly.md").read_bytes() == WEEKLY.encode()


@WIRES
async def test_report_tells_what_is_listed_and_what_is_wrong(folder: FolderStore, mode: str) -> None:
    folder.write("weekly", WEEKLY.encode(), None)
    folder.write("bad", b"Hello", None)
    (folder.folder / os.fsdecode(b"\xff.md")).write_text("Hello")
    async with serving(folder) as http, connected(http, mode) as client:
        report = structured(await client.call_tool("check_prompt_library"))
        assert await names(client) == ["greeting-template", "library.weekly"]
        with pytest.raises(MCPError, match="bad cannot be used until its template is corrected"):
            await client.get_prompt("library.bad")
    assert report["prompts"] == ["library.weekly"]
    strange, problem = report["problems"]
    assert (strange["name"], problem["name"]) == (r"\xff", "bad")
    assert "must begin with front matter" in problem["problem"]


async def test_report_on_a_folder_of_other_things_is_no_longer_than_anybody_reads(folder: FolderStore) -> None:
    for number in range(MAX_PROBLEMS + 3):
        (folder.folder / f"NOTE {number:04}.md").write_text("Hello")
    async with serving(folder) as http, connected(http, "legacy") as client:
        *told, rest = structured(await client.call_tool("check_prompt_library"))["problems"]
    assert [one["name"] for one in told] == [f"NOTE {number:04}" for number in range(MAX_PROBLEMS)]
    assert rest == {"name": "*", "problem": "There are 3 more files that are no prompts: see to these first."}


@WIRES
async def test_s3_out_of_reach_hides_no_other_prompt_and_is_said(credentials: None, mode: str) -> None:
    del credentials
    with faulty() as s3:
        s3.refuse(403, "AccessDenied")
        away = BucketStore("a-bucket", "prompts/", region=REGION, endpoint=s3.endpoint)
        async with serving(away) as http, connected(http, mode) as client:
            assert await names(client) == ["greeting-template"]
            for tool, arguments in (
                ("check_prompt_library", {}),
                ("read_prompt", {"name": "weekly"}),
                ("list_prompt_versions", {"name": "weekly"}),
                ("create_prompt", {"name": "weekly", "template": WEEKLY}),
            ):
                result = await client.call_tool(tool, arguments)
                assert result.is_error
                assert "may not do s3:" in text(result)
            with pytest.raises(MCPError, match="may not do s3:GetObject") as refused:
                await client.get_prompt("library.weekly")
            assert refused.value.error.code == INTERNAL_ERROR
            with pytest.raises(MCPError, match="may not do s3:GetObject"):
                await client.read_resource("prompt-library://weekly")


class Heard:
    """The notifications that a client hears."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self._more = anyio.Event()

    async def __call__(self, message: object) -> None:
        self.methods.append(str(getattr(message, "method", type(message))))
        self._more.set()
        self._more = anyio.Event()

    async def until(self, count: int) -> None:
        with anyio.fail_after(10):
            while self.methods.count("notifications/prompts/list_changed") < count:
                await self._more.wait()


def write(store: Store) -> None:
    store.write("weekly", WEEKLY.encode(), None)


def remove(store: Store) -> None:
    store.remove("weekly", store.scan().etags["weekly"])


class TestChanges:
    async def test_session_is_told_of_what_others_change(self, store: Store) -> None:
        heard = Heard()
        async with serving(store) as http, connected(http, "legacy", message_handler=heard) as client:
            assert client.server_capabilities.prompts is not None
            assert client.server_capabilities.prompts.list_changed
            assert await names(client) == ["greeting-template"]
            async with connected(http, MODERN, "bob") as other:
                made = structured(await other.call_tool("create_prompt", {"name": "weekly", "template": WEEKLY}))
                await heard.until(1)
                await other.call_tool("remove_prompt", {"name": "weekly", "etag": made["etag"]})
                await heard.until(2)

    async def test_subscriber_is_told_of_what_others_change(self, store: Store) -> None:
        async with serving(store) as http, connected(http, MODERN) as client:
            told = (await modern(http, request("server/discover"))).json()["result"]["capabilities"]
            assert told["prompts"] == {"listChanged": True}
            assert "completions" in told
            await names(client)
            async with (
                client.listen(prompts_list_changed=True) as changes,
                connected(http, "legacy", "bob") as other,
            ):
                structured(await other.call_tool("create_prompt", {"name": "weekly", "template": WEEKLY}))
                with anyio.fail_after(10):
                    assert isinstance(await anext(changes), PromptsListChanged)
                assert await names(client) == ["greeting-template", "library.weekly"]

    @pytest.mark.parametrize("change", [write, remove])
    async def test_session_is_told_of_what_another_process_changes(
        self, store: Store, change: Callable[[Store], None]
    ) -> None:
        if change is remove:
            write(store)
        heard = Heard()
        async with serving(store) as http, connected(http, "legacy", message_handler=heard) as client:
            before = await names(client)
            await asyncio.to_thread(change, store)
            await heard.until(1)
            assert await names(client) != before

    async def test_subscriber_is_told_of_what_another_process_changes(self, store: Store) -> None:
        async with serving(store) as http, connected(http, MODERN) as client:
            await names(client)
            async with client.listen(prompts_list_changed=True) as changes:
                await asyncio.to_thread(write, store)
                with anyio.fail_after(10):
                    assert isinstance(await anext(changes), PromptsListChanged)

    async def test_nobody_is_told_where_nothing_changes(self, folder: FolderStore) -> None:
        write(folder)
        heard = Heard()
        async with serving(folder) as http, connected(http, "legacy", message_handler=heard) as client:
            for _ in range(3):
                await names(client)
                await rendered(client, "library.weekly", tone="kind")
            folder.write("other", template(), None)
            await heard.until(1)
        assert heard.methods.count("notifications/prompts/list_changed") == 1

    async def test_session_that_has_not_begun_is_told_nothing(self, folder: FolderStore) -> None:
        heard = Heard()
        async with serving(folder) as http:
            opened = await http.post("/mcp", json=initialize("2025-11-25"))
            half = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
            async with (
                connected(http, "legacy", message_handler=heard) as client,
                http.stream("GET", "/mcp", headers=half) as stream,
            ):
                lines = stream.aiter_lines()
                await names(client)
                write(folder)
                await heard.until(1)
                await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=half)
                remove(folder)
                event = await next_event(lines)
                while not event.data:  # of the one that only opens the stream
                    event = await next_event(lines)
                await heard.until(2)
                await http.delete("/mcp", headers=half)
                rest = [line async for line in lines if "list_changed" in line]
        assert event.message["method"] == "notifications/prompts/list_changed"
        assert rest == []

    async def test_server_without_sessions_promises_nothing_it_cannot_keep(self, folder: FolderStore) -> None:
        async with serving(folder, sessions=False) as http:
            answer = await http.post("/mcp", json=initialize("2025-11-25"))
            assert '"prompts":{"listChanged":false}' in answer.text
            listed = await modern(http, request("prompts/list"))
            assert listed.json()["result"]["prompts"][0]["name"] == "greeting-template"


class TestPlugin:
    def test_library_that_is_empty_when_the_server_starts_is_served(self, folder: FolderStore) -> None:
        check([Plugin("prompts", lambda server: put(Library(folder), server), plugin.needs)])

    def test_prompts_of_others_must_not_have_the_names_of_the_library(self, folder: FolderStore) -> None:
        def register(server: MCPServer) -> None:
            server.prompt("library.mine")(lambda: "Hello")

        other = Plugin("other", register, [Needs("prompt", "library.mine")])
        with pytest.raises(PluginError, match=r"library.mine"):
            check([other, Plugin("prompts", lambda server: put(Library(folder), server), plugin.needs)])

    def test_everything_that_writes_has_a_scope_of_its_own(self) -> None:
        scopes = {needs.name: needs.scopes for needs in plugin.needs}
        writing = {"create_prompt", "update_prompt", "remove_prompt"}
        assert {name for name, needed in scopes.items() if "prompts:write" in needed} == writing
        assert all("prompts:read" in needed for needed in scopes.values())

    def test_settings_that_cannot_be_meant_are_said_at_the_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEARERGATE_PROMPTS_BUCKET", "s3://x")
        with pytest.raises(PluginError, match="BEARERGATE_PROMPTS_BUCKET: must be the name of a bucket"):
            check([plugin])

    async def test_plugin_as_it_is_installed_shows_the_samples(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        monkeypatch.setenv("BEARERGATE_PROMPTS_FOLDER", str(tmp_path / "prompts"))
        async with fronted(app([plugin])) as http, connected(http, MODERN) as client:
            assert await names(client) == ["library.explain-refusal", "library.usage-review"]
            assert "last" not in await rendered(client, "library.usage-review")
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == {needs.name for needs in plugin.needs if needs.kind == "tool"}
            assert all(tool.title and tool.description and tool.annotations for tool in tools)
            assert all(tool.output_schema for tool in tools)
        assert not (tmp_path / "prompts").exists()
