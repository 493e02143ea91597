"""GWP, as far as a gate before tools in its own process can show it; `out_of_reach` says what it cannot."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from conformance.issuer import ABSENT
from conformance.requirements import requirement
from gateway.app import build
from gateway.sources import SettingsError, parse
from tests.gated import CLIENT, ISSUER, PUBLIC, RESOURCE, SCOPES, Recorder, gated, plain_issuer
from tests.requirements.callers import (
    EACH_HANDSHAKE,
    EACH_VERSION,
    EVERY_SCOPE,
    LOW,
    METADATA,
    MODERN,
    Caller,
    caller,
    encoded,
    exchange,
    guarded,
    message,
    messages,
    names,
    on_socket,
    opening,
    result,
    text_of,
    token_of,
    usual_headers,
)
from tests.requirements.challenges import challenge, lacks_scope, refused_token
from tests.requirements.workshop import Workshop

SPOOFED = {
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "8080",
    "X-Forwarded-Server": "evil.test",
    "X-Forwarded-Prefix": "/evil.test",
    "X-Original-URL": "https://evil.test/mcp",
    "X-Host": "evil.test",
    "Forwarded": "host=evil.test;proto=http",
    "Via": "1.1 evil.test",
}


@pytest.mark.parametrize("name", [*SPOOFED, "Host"])
@EACH_VERSION
@requirement("GWP-05")
async def test_what_the_gate_calls_itself_does_not_come_from_the_request(version: str, name: str) -> None:
    async with guarded() as door:
        spoofed = {name: SPOOFED.get(name, "evil.test")}
        for answer in (
            await Caller(door.client, version, None).post(opening(version), spoofed),
            await Caller(door.client, version, "x").post(opening(version), spoofed),
            await door.client.get(METADATA, headers=spoofed),
            await door.client.get("/.well-known/oauth-protected-resource", headers=spoofed),
            await door.client.get("/nothing", headers=spoofed),
        ):
            assert "evil.test" not in answer.text + str(answer.headers)
            if "www-authenticate" in answer.headers:
                assert challenge(answer)["resource_metadata"] == METADATA
            elif answer.status_code == 200:
                assert answer.json()["resource"] == RESOURCE
            else:
                assert answer.status_code in (404, 421)


PATHS = [
    "//mcp",
    "/mcp/",
    "/mcp/.",
    "/%6dcp",
    "/%6D%63%70",
    "/mcp;x",
    "/mcp;jsessionid=1",
    "/MCP",
    "/.well-known/oauth-protected-resource/../mcp",
    "/.well-known/oauth-protected-resource/..%2fmcp",
    "/.well-known/../mcp",
    "/healthz/../mcp",
    "/healthz/..;/mcp",
    "/./mcp",
    "/mcp%00",
    "/mcp%2f",
    "/mcp?/healthz",
    "/mcp#/healthz",
    "/mcp%23/healthz",
    "\\mcp",
    "/%2e/mcp",
    "/mcp%20",
    "/mcp/../mcp",
    "http://gw.example/mcp",
    "http://gw.example//mcp",
    "http://evil.test/mcp",
    "https://gw.example/mcp",
    "mcp",
    "*",
]


@requirement("GWP-06")
async def test_no_spelling_of_the_path_leads_around_the_gate() -> None:
    async with gated() as door, on_socket(door.gate) as http:
        for path in PATHS:
            for credentials in ("", "Authorization: Bearer not-a-token\r\n"):
                head = f"POST {path} HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\n{credentials}"
                said = await exchange(http, f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
                assert said.split(b" ")[1] in (b"400", b"401", b"404", b"405", b"421"), (path, said)
        assert not door.app.scopes


@requirement("GWP-06")
async def test_path_that_chose_the_gate_is_the_path_the_app_sees() -> None:
    async with gated(resource={"subpaths": True}) as door, on_socket(door.gate) as http:
        for path in (*PATHS, "/mcp/a/../b", "/mcp//x", "/mcp/%2e%2e/x", "/mcp/x;y"):
            head = f"POST {path} HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\nContent-Length: 2\r\n"
            await exchange(http, f"{head}Authorization: Bearer {token_of(door)}\r\n\r\n{{}}".encode())
        assert door.app.scopes
        for scope in door.app.scopes:
            assert scope["path"] == "/mcp" or scope["path"].startswith("/mcp/")
            assert scope["state"]["principal"].scopes == set(EVERY_SCOPE)


def ambiguous(token: str) -> dict[str, str]:
    """Requests whose end can be seen in two places, or whose lines can be read in two ways."""
    head = f"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {token}\r\n"
    smuggled = (
        f"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n{{}}"
    )
    return {
        "length and chunks": f"{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        "chunks and length": f"{head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{smuggled}",
        "two lengths": f"{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}\n{smuggled}",
        "two equal lengths": f"{head}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}",
        "list of lengths": f"{head}Content-Length: 2, 3\r\n\r\n{{}}\n{smuggled}",
        "negative length": f"{head}Content-Length: -2\r\n\r\n{{}}{smuggled}",
        "signed length": f"{head}Content-Length: +2\r\n\r\n{{}}{smuggled}",
        "length in hexadecimal": f"{head}Content-Length: 0x2\r\n\r\n{{}}{smuggled}",
        "folded line": f"{head}X-A: b\r\n Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}",
        "blank before the colon": f"{head}Content-Length : 2\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}",
        "bare line feeds": f"{head}Content-Length: 2\r\n\r\n{{}}".replace("\r\n", "\n") + smuggled,
        "bare carriage return": f"{head}X-A: b\rContent-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}",
        "unknown coding": f"{head}Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}",
        "two codings": f"{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}",
        "chunk of no size": f"{head}Transfer-Encoding: chunked\r\n\r\nx\r\n{{}}\r\n0\r\n\r\n{smuggled}",
    }


@pytest.mark.parametrize("kind", ambiguous(""))
@requirement("GWP-07")
async def test_ambiguous_framing_is_refused(kind: str) -> None:
    async with gated() as door, on_socket(door.gate) as http:
        said = await exchange(http, ambiguous(token_of(door))[kind].encode())
        assert b" 400 " in said.partition(b"\r\n")[0]
        assert not door.app.scopes


@requirement("GWP-08")
async def test_modern_header_that_names_a_permitted_tool_does_not_open_a_forbidden_one() -> None:
    workshop = Workshop()
    async with guarded(workshop) as door:
        low = Caller(door.client, MODERN, token_of(door, scopes=LOW))
        forbidden = message(MODERN, "tools/call", {"name": "admin-reset", "arguments": {}})
        permitted = message(MODERN, "tools/call", {"name": "whoami", "arguments": {}})
        for sent, headers in (
            (forbidden, {"Mcp-Name": "whoami"}),
            (permitted, {"Mcp-Name": "admin-reset"}),
            (forbidden, {"Mcp-Method": "tools/list"}),
            (forbidden, {"Mcp-Method": "tools/list", "Mcp-Name": None}),
            (forbidden, {"Mcp-Name": encoded("whoami")}),
        ):
            answer = await low.post(sent, headers)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == -32020
        assert not workshop.done
        assert not workshop.tokens


@pytest.mark.parametrize("header", ["2025-11-25", "2025-06-18", "2025-03-26", None])
@requirement("GWP-08")
async def test_mirrored_headers_decide_nothing_for_older_revisions(header: str | None) -> None:
    workshop = Workshop()
    async with guarded(workshop) as door:
        version = header or "2025-03-26"
        low = await Caller(door.client, version, token_of(door, scopes=LOW)).open()
        forbidden = message(version, "tools/call", {"name": "admin-reset", "arguments": {}})
        for spoofed in (
            {"Mcp-Method": "tools/call", "Mcp-Name": "whoami"},
            {"Mcp-Method": "tools/list"},
            {"Mcp-Method": "tools/list", "Mcp-Name": "whoami"},
        ):
            answer = await low.post(forbidden, {**spoofed, "MCP-Protocol-Version": header})
            assert lacks_scope(answer) >= {"mcp:admin", "mcp:write"}
        assert not workshop.done
        permitted = message(version, "tools/call", {"name": "whoami", "arguments": {}})
        wrong: dict[str, str | None] = {"Mcp-Method": "tools/call", "Mcp-Name": "admin-reset"}
        assert (await low.post(permitted, {**wrong, "MCP-Protocol-Version": header})).status_code == 200


@requirement("GWP-08")
async def test_version_header_that_leaves_the_checks_out_reaches_no_tool_of_2026_07_28() -> None:
    workshop = Workshop()
    async with guarded(workshop) as door:
        low = Caller(door.client, MODERN, token_of(door, scopes=LOW))
        forbidden = message(MODERN, "tools/call", {"name": "admin-reset", "arguments": {}})
        for header in ("2025-11-25", None, "2024-11-05", "1999-01-01", MODERN):
            answer = await low.post(forbidden, {"MCP-Protocol-Version": header, "Mcp-Name": "whoami"})
            assert answer.status_code in (400, 403)
        assert not workshop.done


@requirement("GWP-10")
async def test_parameter_headers_are_passed_on_as_they_are_and_decide_nothing() -> None:
    sentinel = "=?base64?4pyTIMOg?="
    async with gated(resource={"rules": [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]}) as door:
        low = Caller(door.client, MODERN, token_of(door, scopes=SCOPES))
        for name, status in (("whoami", 200), ("admin-reset", 403)):
            for value in (sentinel, "=?base64?broken", "whoami"):
                sent = message(MODERN, "tools/call", {"name": name})
                answer = await low.post(sent, {"Mcp-Param-Foo": value, "Mcp-Param-Name": "whoami"})
                assert answer.status_code == status
        seen = [dict(scope["headers"])[b"mcp-param-foo"] for scope in door.app.scopes]
        assert seen == [sentinel.encode(), b"=?base64?broken", b"whoami"]


class Ticker:
    """An app that streams: each event is sent when the test has seen the one before it."""

    def __init__(self) -> None:
        self.seen = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "there is nothing to start"
        await receive()
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in EVENTS:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self.seen.wait()
            self.seen = anyio.Event()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


EVENTS = [
    b": a comment that keeps the connection alive\r\n\r\n",
    b"id: 1\r\nretry: 500\r\ndata: \r\n\r\n",
    b'event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\r\n\r\n',
    b": another one\n\n",
    b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n',
]


@pytest.mark.parametrize("method", ["tools/list", "tools/call"])
@EACH_VERSION
@requirement("GWP-11")
async def test_every_event_goes_on_at_once_and_to_the_letter(version: str, method: str) -> None:
    rules = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]  # so that lists are filtered
    ticker = Ticker()
    async with gated(app=ticker, resource={"rules": rules}) as door, on_socket(door.gate) as http:
        sent = message(version, method, {"name": "whoami"} if method == "tools/call" else {})
        headers = Caller(http, version, token_of(door)).fields(
            usual_headers(version, sent), {"Accept-Encoding": "gzip"}
        )
        async with http.stream("POST", "/mcp", json=sent, headers=headers) as answer:
            assert answer.headers["x-accel-buffering"] == "no"
            assert "content-encoding" not in answer.headers
            chunks = answer.aiter_raw()
            for event in EVENTS:
                with anyio.fail_after(5):  # were it held back, nothing would ever come: the app waits for us
                    assert await anext(chunks) == event
                ticker.seen.set()


@EACH_VERSION
@requirement("GWP-11")
async def test_streams_of_the_tools_ask_proxies_not_to_buffer(version: str) -> None:
    async with guarded() as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        sent = {"name": "report", "arguments": {}}
        if version == MODERN:
            sent["_meta"] = {**message(MODERN, "x")["params"]["_meta"], "progressToken": 1}
        answer = await client.ask("tools/call", sent, headers={"Accept-Encoding": "gzip, br"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in answer.headers


@requirement("GWP-12")
async def test_client_that_hangs_up_cancels_a_modern_request() -> None:
    workshop = Workshop()
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        await hang_up(Caller(http, MODERN, token_of(door)), workshop)
        with anyio.fail_after(5):
            await workshop.ended.wait()
        assert workshop.cancelled
        assert not workshop.done


@EACH_HANDSHAKE
@requirement("GWP-12")
async def test_client_that_hangs_up_does_not_cancel_an_older_request(version: str) -> None:
    workshop = Workshop()
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        client = await Caller(http, version, token_of(door)).open()
        last = await hang_up(client, workshop)
        assert (await client.call("greet")).status_code == 200  # by now the server knows
        workshop.release.set()
        with anyio.fail_after(5):
            await workshop.ended.wait()
        assert workshop.done == ["wait"]
        if last:
            resumed = await client.send("GET", {"Last-Event-ID": last})
            assert text_of(resumed) == "waited"


async def hang_up(client: Caller, workshop: Workshop) -> str:
    """Call the tool that waits, and drop the connection; returns the id of the event that began the stream, if any."""
    sent = message(client.version, "tools/call", {"name": "wait", "arguments": {}}, 7)
    fields = client.fields(usual_headers(client.version, sent), {})
    primed: list[str] = []
    ready = anyio.Event()

    async def call() -> None:
        async with client.http.stream("POST", "/mcp", json=sent, headers=fields) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id:"):
                    primed.append(line[3:].strip())
                    ready.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await workshop.started.wait()
            if client.version == "2025-11-25":
                await ready.wait()
            tasks.cancel_scope.cancel()
    return "".join(primed)


@requirement("GWP-13")
async def test_list_is_private_to_the_principal_it_was_made_for() -> None:
    async with guarded() as door:
        low = Caller(door.client, MODERN, token_of(door, "bob", scopes=LOW))
        refreshed = token_of(door, scopes=LOW)
        for method, member in (("tools/list", "tools"), ("prompts/list", "prompts"), ("resources/list", "resources")):
            shown = {}
            for client in (caller(door, MODERN), low, caller(door, MODERN), low.with_token(refreshed)):
                answer = await client.ask(method)
                assert result(answer)["cacheScope"] == "private"
                shown[client.token] = names(answer, member)
        tools = [names(await client.ask("tools/list")) for client in (caller(door, MODERN), low)]
        assert "admin-reset" in tools[0] - tools[1]


@requirement("GWP-13")
async def test_public_result_becomes_private_where_the_gate_filters_it() -> None:
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("whoami", "admin-reset")]
    listed = {"resultType": "complete", "tools": tools, "ttlMs": 3_600_000, "cacheScope": "public"}
    app = Recorder(answer=json.dumps({"jsonrpc": "2.0", "id": 1, "result": listed}).encode())
    rules = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]
    async with gated(app=app, resource={"rules": rules}) as door:
        for user, scopes in (("alice", EVERY_SCOPE), ("bob", LOW), ("alice", LOW), ("alice", EVERY_SCOPE)):
            answer = await Caller(door.client, MODERN, token_of(door, user, scopes)).ask("tools/list")
            assert result(answer)["cacheScope"] == "private"
            assert ("admin-reset" in names(answer)) == ("mcp:admin" in scopes)
            assert "public" not in answer.headers.get("cache-control", "")
    assert len(app.scopes) == 4  # and nothing was kept


@requirement("GWP-13")
async def test_result_of_several_round_trips_is_not_kept() -> None:
    async with guarded() as door:
        envelope = {**message(MODERN, "x")["params"]["_meta"]}
        envelope["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {"form": {}}}
        call = {"name": "ask", "arguments": {}, "_meta": envelope}
        client = caller(door, MODERN)
        for colour in ("blue", "red"):
            asked = result(await client.ask("tools/call", call))
            answers = {key: {"action": "accept", "content": {"colour": colour}} for key in asked["inputRequests"]}
            more = {"requestState": asked["requestState"], "inputResponses": answers}
            answer = await client.ask("tools/call", {**call, **more})
            assert text_of(answer) == colour
            assert "max-age" not in answer.headers.get("cache-control", "")


@requirement("GWP-14")
async def test_no_token_is_in_a_log_an_answer_or_a_tool(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    workshop = Workshop()
    spoken: list[str] = []
    async with guarded(workshop) as door, on_socket(door.gate) as http:
        tokens = [
            token_of(door),
            token_of(door, scopes=LOW),
            token_of(door, exp=1),
            token_of(door, aud="https://other.example"),
            token_of(door, cnf={"jkt": "x"}),
            token_of(door, iss=ABSENT),
            door.issuer.token("alice", CLIENT, LOW, RESOURCE, header={"kid": "unknown"}),
            door.issuer.token("alice", CLIENT, LOW, RESOURCE, signature=b"marker-signature-of-a-forgery"),
            door.issuer.refresh_token("alice", CLIENT, LOW, RESOURCE),
            "marker-of-an-opaque-token",
        ]
        for token in tokens:
            for version in ("2025-11-25", MODERN):
                client = Caller(http, version, token)
                answers = (
                    await client.post(opening(version)),
                    await client.call("whoami"),
                    await client.call("admin-reset"),
                    await client.post(opening(version), query=f"?access_token={token}"),
                    await client.post(opening(version), {"Authorization": f"Bearer {token}, Bearer {token}"}),
                    await client.send("GET", {"Origin": "https://evil.test"}),
                )
                spoken += [answer.text + str(answer.headers) for answer in answers]
    told = caplog.text + json.dumps(door.log) + "".join(spoken) + repr(door.gate.state.gates["/mcp"].__dict__)
    assert "bearer" not in json.dumps(door.log).lower()
    assert workshop.tokens
    assert set(workshop.tokens) == {""}
    assert any(line["decision"] == "refused" for line in door.log)
    for token in tokens:
        assert token not in told
        assert token.rpartition(".")[2] not in told


async def unreachable(*_: object) -> None:
    """A network on which everything fails in a way nobody expects."""
    raise ZeroDivisionError


@requirement("GWP-16")
async def test_unreachable_keys_refuse_and_reach_no_tool() -> None:
    for network in (unreachable, Recorder(status=500), Recorder(answer=b"no json"), Recorder(answer=b'{"keys":[]}')):
        async with gated(network=network) as door:
            assert (await caller(door, MODERN).post(opening(MODERN))).status_code == 503
            assert not door.app.scopes


@pytest.mark.parametrize("broken", ["clock", "audit"])
@requirement("GWP-16")
async def test_fault_inside_the_gate_ends_in_a_500_and_reaches_no_tool(broken: str) -> None:
    def fail(*_: Any) -> float:
        raise ZeroDivisionError

    issuer, app = plain_issuer(), Recorder()
    parts: dict[str, Callable[..., Any]] = {"clock": lambda: build(settings(), {"/mcp": app}, now=fail)}
    parts["audit"] = lambda: build(settings(), {"/mcp": app}, audit=fail)
    token = issuer.token("alice", CLIENT, SCOPES, RESOURCE) if broken == "clock" else "not-a-token"
    transport = httpx.ASGITransport(parts[broken](), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as http:
        assert (await Caller(http, MODERN, token).post(opening(MODERN))).status_code == 500
    assert not app.scopes


def settings() -> Any:
    return parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER, "token_type": "at+jwt"}]})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"issuers": []}, "issuers"),
        ({"issuers": [{"issuer": ""}]}, "issuer"),
        ({"issuers": [{"issuer": ISSUER, "kind": "cognito"}]}, "no audience rule"),
        ({"issuers": [{"issuer": ISSUER, "kind": "cognito", "client_ids": [""]}]}, "client_ids"),
        ({"issuers": [{"issuer": ISSUER, "algorithms": []}]}, "algorithms"),
        ({"issuers": [{"issuer": ISSUER, "algorithms": ["none"]}]}, "algorithms"),
        ({"issuers": [{"issuer": ISSUER, "algorithms": ["HS256"]}]}, "algorithms"),
        ({"public_url": ""}, "public_url"),
        ({"resources": []}, "resources"),
        ({"resources": [{"rules": [{"tools": ["admin-*"]}]}]}, "rules"),
        ({"resources": [{"rules": [{"scopes": ["mcp:admin"]}]}]}, "rules"),
        ({"resources": [{"aliases": [""]}]}, "aliases"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:60],
)
@requirement("GWP-16")
def test_gate_does_not_start_with_settings_that_would_refuse_nobody(values: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], **values})


@requirement("GWP-16")
async def test_answer_that_cannot_be_filtered_is_not_shown() -> None:
    rules = [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]
    for answer in (b"{", b'{"result":{"tools":[{"no":"name"}]}}', b'{"result":{"tools":5}}'):
        async with gated(app=Recorder(answer=answer), resource={"rules": rules}) as door:
            shown = await caller(door, MODERN).ask("tools/list")
            assert (shown.status_code, shown.content) == (502, b"")


@requirement("GWP-16")
async def test_request_that_no_gate_has_passed_reaches_no_tool() -> None:
    async with guarded() as door:
        transport = httpx.ASGITransport(door.app)  # around the gate, as a wrong deployment might
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as http:
            for version in ("2025-11-25", MODERN):
                answer = await Caller(http, version, token_of(door)).post(opening(version))
                assert answer.status_code == 503
                assert "result" not in messages(answer)[0]
        refused_token(await Caller(door.client, MODERN, "x").post(opening(MODERN)))
