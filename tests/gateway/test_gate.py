"""The path of a request: what passes, what is refused, in which order, and what reaches the app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from conformance.issuer import rsa_key
from gateway.app import build, drain
from gateway.sources import parse
from gateway.streams import completion
from tests.gated import (
    CLIENT,
    INITIALIZE,
    ISSUER,
    PUBLIC,
    RESOURCE,
    Recorder,
    cognito_issuer,
    gated,
    tools_call,
)

METADATA = f"{PUBLIC}/.well-known/oauth-protected-resource/mcp"
PAGE = "https://app.example"
ADMIN_RULE = {"tools": ["admin-*"], "scopes": ["mcp:admin", "mcp:write"]}
NOW = 1_800_000_000
VALID = {"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}]}


class TestPassing:
    async def test_verified_request_reaches_the_app_with_its_principal_and_without_its_token(self) -> None:
        async with gated() as door:
            response = await door.post(door.token())
            assert response.status_code == 200
            (principal,) = door.app.principals
            assert principal.issuer == door.issuer.url
            assert principal.scopes == {"mcp:use"}
            assert principal.groups == {"admins"}
            assert b"authorization" not in dict(door.app.scopes[0]["headers"])

    async def test_blanks_around_a_header_say_nothing(self) -> None:
        """RFC 9110 §5.5; not every server takes them off."""
        async with gated() as door:
            scope = post(door.token())
            scope["headers"] = [(name, b" \t" + value + b" ") for name, value in scope["headers"]]
            sent: list[Message] = []
            await door.gate(scope, says({"type": "http.request"}), hears(sent))
            assert sent[0]["status"] == 200

    async def test_everything_else_reaches_the_app_as_it_was_sent(self) -> None:
        """GWP-10."""
        async with gated() as door:
            fields = {"mcp-param-foo": "=?base64?w6k=?=", "x-own": "1", "mcp-session-id": "s"}
            await door.post(door.token(), INITIALIZE, path="/mcp?a=b", headers=fields)
            (scope,) = door.app.scopes
            assert fields.items() <= {name.decode(): value.decode() for name, value in scope["headers"]}.items()
            assert scope["query_string"] == b"a=b"
            assert json.loads(door.app.bodies[0]) == INITIALIZE

    async def test_cognito_token_without_audience_passes_by_client_and_scope(self) -> None:
        async with gated(cognito_issuer(), resource={"scopes": [f"{RESOURCE}/use"]}) as door:
            token = door.issuer.token("alice", CLIENT, [f"{RESOURCE}/use"])
            assert (await door.post(token)).status_code == 200
            other = door.issuer.token("alice", "client-two", [f"{RESOURCE}/use"])
            assert (await door.post(other)).status_code == 401
            assert door.reason == "client_not_allowed"

    async def test_nothing_is_remembered_from_one_request_to_the_next(self) -> None:
        """TRN-STATE-01: on one connection every request speaks for itself."""
        async with gated() as door:
            alice, bob = door.token(), door.token("bob")
            answers = [(await door.post(token)).status_code for token in (alice, None, bob, None, alice)]
            assert answers == [200, 401, 200, 401, 200]
            subjects = [principal.subject for principal in door.app.principals]
            assert subjects[0] == subjects[2] != subjects[1]

    async def test_token_that_expires_between_two_requests_is_refused(self) -> None:
        """SES-04."""
        async with gated() as door:
            token = door.token()
            assert (await door.post(token)).status_code == 200
            door.issuer.clock.move(3600 + 30)
            assert (await door.post(token)).status_code == 401
            assert door.reason == "expired_token"
            assert (await door.post(door.token())).status_code == 200

    async def test_state_of_the_apps_start_up_is_in_every_request(self) -> None:
        seen: list[Any] = []

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[dict[str, str]]:
            yield {"database": "open"}

        inner = Starlette(lifespan=lifespan)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                seen.append(scope["state"])
            await inner(scope, receive, send)

        async with gated(app=app) as door:
            await door.post(door.token())
        assert seen[0]["database"] == "open"
        assert seen[0]["principal"].client_id == CLIENT

    async def test_fault_of_the_app_is_not_made_an_answer_of_the_gate(self) -> None:
        async def app(scope: Scope, _: Receive, __: Send) -> None:
            raise OSError(scope["type"])

        async with gated(app=app) as door:
            with pytest.raises(OSError, match="http"):
                await door.post(door.token())


KIND = (b"content-type", b"application/json")


class TestWhatAppsSend:
    """Whatever shape ASGI lets an app give its headers (ASGI HTTP, Response Start)."""

    @pytest.mark.parametrize(
        ("headers", "kind"),
        [
            (lambda: {"headers": [KIND]}, KIND[1]),
            (lambda: {"headers": (list(KIND),)}, KIND[1]),
            (lambda: {"headers": iter([KIND])}, KIND[1]),
            (dict, None),
        ],
        ids=["tuples", "lists", "an iterator", "none"],
    )
    @pytest.mark.parametrize("resource", [{}, {"rules": [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]}])
    async def test_headers_come_in_any_pairs_or_not_at_all(
        self, headers: Callable[[], dict[str, Any]], kind: bytes | None, resource: dict[str, Any]
    ) -> None:
        async def app(_: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200, **headers()})
            await send({"type": "http.response.body", "body": bytearray(b'{"jsonrpc":"2.0","id":1,"result":{}}')})

        async with gated(app=app, resource=resource) as door:
            response = await door.post(door.token())
            assert response.status_code == 200
            assert response.headers.get("content-type", "").encode() == (kind or b"")


class TestRefusing:
    async def test_missing_scope_of_a_tool_is_one_challenge_with_every_scope_needed(self) -> None:
        """RS-403-01 to RS-403-04, RS-403-08."""
        async with gated(resource={"rules": [ADMIN_RULE]}) as door:
            response = await door.post(door.token(), tools_call("admin-reset"))
            assert response.status_code == 403
            assert response.headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')
            assert 'scope="mcp:admin mcp:use mcp:write"' in response.headers["www-authenticate"]
            assert f'resource_metadata="{METADATA}"' in response.headers["www-authenticate"]
            assert not door.app.scopes
            stepped_up = door.token(scopes=["mcp:admin", "mcp:use", "mcp:write"])
            assert (await door.post(stepped_up, tools_call("admin-reset"))).status_code == 200

    async def test_id_of_the_answer_finds_the_decision_in_the_log(self) -> None:
        async with gated() as door:
            refusal_id = (await door.post()).json()["error"]["data"]["refusal"]
            assert [line["reason"] for line in door.log if line["id"] == refusal_id] == ["missing_token"]

    @pytest.mark.parametrize(
        "method", ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND"]
    )
    async def test_every_method_needs_a_token(self, method: str) -> None:
        """RS-401-09."""
        async with gated() as door:
            response = await door.client.request(method, "/mcp", headers={"mcp-session-id": "known"})
            assert response.status_code == 401
            assert not door.app.scopes

    @pytest.mark.parametrize("down", [{"status": 500}, {"body": b"<html>"}, {"redirect_to": "https://evil.test/"}])
    async def test_keys_that_cannot_be_had_are_503_and_nothing_passes(self, down: dict[str, Any]) -> None:
        """JWT-JWKS-02, GWP-16."""
        async with gated() as door:
            vars(door.issuer.key_server).update(down)
            response = await door.post(door.token())
            assert response.status_code == 503
            assert 1 <= int(response.headers["retry-after"]) <= 31
            assert "www-authenticate" not in response.headers
            assert not door.app.scopes
            door.issuer.key_server.reset()
            door.issuer.clock.move(int(response.headers["retry-after"]))
            assert (await door.post(door.token())).status_code == 200

    async def test_rotated_key_is_found_and_the_old_one_serves_on(self) -> None:
        """JWT-KID-03."""
        async with gated() as door:
            old = door.token()
            await door.post(old)
            door.issuer.clock.move(30)
            door.issuer.keys.rotate(rsa_key(), door.issuer.keys.id)
            assert (await door.post(door.token())).status_code == 200
            assert (await door.post(old)).status_code == 200

    async def test_challenge_names_the_settings_url_whatever_the_request_says(self) -> None:
        """GWP-05."""
        fields = {"x-forwarded-host": "evil.test", "x-forwarded-proto": "http", "forwarded": "host=evil.test"}
        async with gated() as door:
            response = await door.post(headers=fields)
            assert f'resource_metadata="{METADATA}"' in response.headers["www-authenticate"]
            assert "evil" not in str(response.headers) + response.text


class TestOrder:
    @pytest.mark.parametrize(
        ("fields", "status", "reason"),
        [
            pytest.param({"host": "evil.test", "origin": "https://evil.test"}, 421, "host_refused", id="Host first"),
            pytest.param({"origin": "https://evil.test"}, 403, "origin_refused", id="then Origin"),
            pytest.param({"content-length": "x", "mcp-name": "y"}, 401, "missing_token", id="then the token"),
        ],
    )
    async def test_nothing_is_judged_before_its_turn(self, fields: dict[str, str], status: int, reason: str) -> None:
        async with gated(resource={"rules": [ADMIN_RULE]}) as door:
            response = await door.post(headers=fields, content=b"no json")
            assert (response.status_code, door.reason) == (status, reason)

    @pytest.mark.parametrize(
        ("fields", "content", "reason"),
        [
            pytest.param([("mcp-method", "a"), ("mcp-method", "a")], b"{}", "repeated_header", id="headers"),
            pytest.param([("content-length", "-1")], b"no json", "invalid_message", id="then length"),
            pytest.param([], b" " * 2000, "body_too_large", id="then size"),
            pytest.param([], b"no json", "invalid_json", id="then JSON"),
            pytest.param([], b"[]", "invalid_message", id="then message"),
            pytest.param(
                [("mcp-protocol-version", "2026-07-28")],
                b'{"id":1,"method":"ping"}',
                "header_mismatch",
                id="then mirror",
            ),
            pytest.param(
                [], b'{"method":"tools/call","params":{"name":"admin-x"}}', "insufficient_scope", id="then policy"
            ),
        ],
    )
    async def test_message_is_judged_after_the_token(self, fields: Any, content: bytes, reason: str) -> None:
        async with gated(resource={"rules": [ADMIN_RULE]}, max_body_bytes=1024) as door:
            await door.post(door.token(), headers=fields, content=content)
            assert door.reason == reason
            assert not door.app.scopes


class TestBodies:
    async def test_without_rules_the_body_is_left_to_the_app(self) -> None:
        async with gated() as door:
            assert (await door.post(door.token(), content=b"no json")).status_code == 200
            assert door.app.bodies == [b"no json"]

    async def test_without_rules_the_app_is_asked_before_the_body_is_there(self) -> None:
        order: list[str] = []
        recorder = Recorder()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            order.append(scope["type"])
            await recorder(scope, receive, send)

        async def receive() -> Message:
            order.append("body")
            return {"type": "http.request"}

        async with gated(app=app) as door:
            await door.gate(post(door.token()), receive, hears([]))
            assert order == ["lifespan", "http", "body"]

    async def test_body_that_was_judged_reaches_the_app_unchanged(self) -> None:
        body = b' {"method" : "tools/call", "params":{"name":"open"}}\n'
        async with gated(resource={"rules": [ADMIN_RULE]}) as door:
            await door.post(door.token(), content=body)
            assert door.app.bodies == [body]

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET"])
    async def test_forbidden_call_is_forbidden_by_any_method(self, method: str) -> None:
        async with gated(resource={"rules": [ADMIN_RULE]}) as door:
            headers = {"authorization": f"Bearer {door.token()}"}
            response = await door.client.request(method, "/mcp", headers=headers, json=tools_call("admin-x"))
            assert response.status_code == 403
            assert (await door.client.request(method, "/mcp", headers=headers)).status_code == 200

    @pytest.mark.parametrize("rules", [[], [ADMIN_RULE]])
    async def test_body_of_no_declared_length_is_held_to_the_limit(self, rules: list[Any]) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"id":' + b" " * 500
            yield b" " * 1000

        async with gated(resource={"rules": rules}, max_body_bytes=1024) as door:
            headers = {"authorization": f"Bearer {door.token()}"}
            response = await door.client.post("/mcp", headers=headers, content=chunks())
            assert response.status_code == 413
            assert response.headers["connection"] == "close"
            assert not door.app.scopes

    async def test_chunked_body_within_the_limit_reaches_the_app(self) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        async with gated() as door:
            await door.client.post("/mcp", headers={"authorization": f"Bearer {door.token()}"}, content=chunks())
            assert door.app.bodies == [b"ab"]

    async def test_client_that_goes_away_in_the_middle_reaches_nothing(self) -> None:
        async with gated(resource={"rules": [ADMIN_RULE]}) as door:
            messages: list[Message] = []
            await door.gate(post(door.token()), says({"type": "http.disconnect"}), hears(messages))
            assert messages == []
            assert not door.app.scopes


def post(token: str) -> dict[str, Any]:
    """A request as a server hands it over."""
    headers = [(b"host", b"gw.example"), (b"authorization", f"Bearer {token}".encode())]
    return {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}


def says(message: Message) -> Receive:
    """A client that says one thing, again and again."""

    async def receive() -> Message:
        return message

    return receive


def hears(messages: list[Message]) -> Send:
    """A client that keeps what it is told."""

    async def send(message: Message) -> None:
        messages.append(message)

    return send


class TestPages:
    async def test_refusals_and_answers_can_be_read_by_an_allowed_page(self) -> None:
        """TRN-CORS-02, TRN-CORS-03: 401, 403, 400, 404 and 200 alike."""
        rules = [ADMIN_RULE]
        async with gated(app=Recorder(status=404), resource={"rules": rules}, allowed_origins=[PAGE]) as door:
            page = {"origin": PAGE}
            answers = [
                await door.post(headers=page),
                await door.post(door.token(), tools_call("admin-x"), headers=page),
                await door.post(door.token(), headers=page, content=b"no json"),
                await door.post(door.token(), headers=page),
            ]
            assert [answer.status_code for answer in answers] == [401, 403, 400, 404]
            for answer in answers:
                assert answer.headers["access-control-allow-origin"] == PAGE
                assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
                assert answer.headers["vary"] == "Origin"
                assert "access-control-allow-credentials" not in answer.headers

    async def test_foreign_page_is_refused_and_learns_nothing(self) -> None:
        """TRN-ORIG-01."""
        async with gated(allowed_origins=[PAGE]) as door:
            response = await door.post(door.token(), headers={"origin": "https://evil.test"})
            assert (response.status_code, door.reason) == (403, "origin_refused")
            assert not [name for name in response.headers if name.startswith("access-control-")]

    async def test_preflight_of_an_allowed_page_needs_no_token_and_never_reaches_the_app(self) -> None:
        """TRN-CORS-01."""
        asks = {
            "origin": PAGE,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,mcp-param-region,x-own",
        }
        async with gated(allowed_origins=[PAGE]) as door:
            response = await door.client.options("/mcp", headers=asks)
            assert response.status_code == 204
            assert response.headers["access-control-allow-origin"] == PAGE
            assert response.headers["access-control-allow-headers"] == "authorization, mcp-param-region"
            assert "POST" in response.headers["access-control-allow-methods"]
            assert response.headers["access-control-max-age"] == "7200"
            foreign = await door.client.options("/mcp", headers=asks | {"origin": "https://evil.test"})
            assert foreign.status_code == 403
            assert not door.app.scopes

    @pytest.mark.parametrize(
        ("method", "fields"),
        [
            pytest.param("OPTIONS", {}, id="OPTIONS that asks for no method"),
            pytest.param("POST", {"access-control-request-method": "POST"}, id="another method that does"),
        ],
    )
    async def test_what_only_looks_like_a_preflight_needs_a_token(self, method: str, fields: dict[str, str]) -> None:
        async with gated(allowed_origins=[PAGE]) as door:
            response = await door.client.request(method, "/mcp", headers=fields | {"origin": PAGE})
            assert response.status_code == 401

    async def test_request_without_origin_is_no_page(self) -> None:
        async with gated() as door:
            response = await door.post(door.token())
            assert response.status_code == 200
            assert "access-control-allow-origin" not in response.headers


def read(uri: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}


class TestResourceUris:
    SALARIES = "reports://hr/salaries"

    @pytest.mark.parametrize(
        "uri",
        ["REPORTS://hr/salaries", " reports://hr/salaries", "reports://hr/x/../salaries", "reports://hr/salaries#1"],
    )
    @pytest.mark.parametrize(
        "guard",
        [
            pytest.param({"rules": [{"resources": ["reports://hr/*"], "groups": ["hr"]}]}, id="rules"),
            pytest.param(
                {
                    "cedar": {
                        "policies": "permit(principal, action, resource) unless { resource is Resource && "
                        'resource.name like "reports://hr/sal*" };'
                    }
                },
                id="Cedar",
            ),
        ],
    )
    async def test_uri_that_a_server_may_read_as_another_is_no_way_around_a_rule(
        self, guard: dict[str, Any], uri: str
    ) -> None:
        async with gated(resource=guard) as door:
            honest = await door.post(door.token(), read(self.SALARIES))
            assert honest.status_code == 403
            answer = await door.post(door.token(), read(uri))
            assert (answer.status_code, door.reason) == (400, "ambiguous_uri")
            assert (answer.json()["id"], answer.json()["error"]["code"]) == (1, -32602)
            assert "lower case" in answer.json()["error"]["message"]
            assert not door.app.scopes

    async def test_uris_are_nobodys_business_where_no_rule_asks_about_resources(self) -> None:
        async with gated(resource={"rules": [{"tools": ["x"], "scopes": ["s"]}]}) as door:
            assert (await door.post(door.token(), read("A:b#c"))).status_code == 200


class TestResources:
    def test_every_resource_needs_its_app(self) -> None:
        with pytest.raises(ValueError, match=r"\['/mcp'\], the apps are for \['/other'\]"):
            build(parse(VALID), {"/other": Recorder()})

    async def test_token_of_one_resource_opens_no_other(self) -> None:
        """JWT-AUD-01."""
        async with gated(resources=[{"path": "/mcp"}, {"path": "/other"}]) as door:
            assert (await door.post(door.token())).status_code == 200
            assert (await door.post(door.token(), path="/other")).status_code == 401
            assert door.log[-1]["reason"] == "wrong_audience"
            assert (await door.post(door.token(aud=f"{PUBLIC}/other"), path="/other")).status_code == 200

    async def test_challenge_names_the_metadata_of_the_resource_asked_for(self) -> None:
        async with gated(resources=[{"path": "/mcp"}, {"path": "/other", "scopes": ["o"]}]) as door:
            challenge = (await door.post(path="/other")).headers["www-authenticate"]
            assert challenge == f'Bearer scope="o", resource_metadata="{METADATA[:-4]}/other"'

    @pytest.mark.parametrize("path", ["/mcp/", "/mcp/x", "//mcp", "/MCP", "/mcp;x", "/mcp%2f", "/%6dcp/"])
    async def test_path_beside_the_endpoint_is_nothing(self, path: str) -> None:
        """GWP-06."""
        async with gated() as door:
            response = await door.client.post(PUBLIC + path, headers={"authorization": f"Bearer {door.token()}"})
            assert response.status_code in (401, 404)
            assert all(scope["path"] == "/mcp" for scope in door.app.scopes)

    async def test_most_particular_resource_gets_what_is_below_several(self) -> None:
        below = [{"path": "/a", "subpaths": True, "scopes": ["a"]}, {"path": "/a/b", "subpaths": True, "scopes": ["b"]}]
        async with gated(resources=[*below, {"path": "/a/b/c", "scopes": ["c"]}]) as door:
            wanted = {"/a": "a", "/a/x": "a", "/a/bb": "a", "/a/b": "b", "/a/b/x": "b", "/a/b/c": "c", "/a/b/c/d": "b"}
            for path, scope in wanted.items():
                challenge = (await door.post(path=path)).headers["www-authenticate"]
                assert f'scope="{scope}"' in challenge, path
            assert (await door.post(path="/ab")).status_code == 404

    async def test_whole_site_behind_the_gate_leaves_the_gates_own_paths_open(self) -> None:
        async with gated(resources=[{"path": "/", "subpaths": True}]) as door:
            for path in ("/.well-known/oauth-protected-resource", "/healthz", "/readyz"):
                assert (await door.client.get(path)).status_code != 401, path
            for path in ("/", "/anything", "/healthzz"):
                assert (await door.client.get(path)).status_code == 401, path

    async def test_websocket_never_reaches_an_app(self) -> None:
        sent: list[Message] = []
        scope = {"type": "websocket", "path": "/mcp", "headers": [], "query_string": b"", "subprotocols": []}
        async with gated(resource={"subpaths": True}) as door:
            await door.gate(scope, says({"type": "websocket.connect"}), hears(sent))
            assert sent[0]["type"] == "websocket.close"
            assert not door.app.scopes


class TestLists:
    @pytest.mark.parametrize("content_type", [b"application/json", b"text/event-stream"])
    async def test_list_shows_what_a_call_would_let_pass(self, content_type: bytes) -> None:
        tools = json.dumps({"result": {"tools": [{"name": "admin-x"}, {"name": "open"}]}}).encode()
        answer = tools if content_type == b"application/json" else b"data: " + tools + b"\n\n"
        async with gated(app=Recorder(answer, content_type), resource={"rules": [ADMIN_RULE]}) as door:
            admin = door.token(scopes=["mcp:use", "mcp:admin", "mcp:write"])
            assert "admin-x" in (await door.post(admin)).text
            shown = (await door.post(door.token())).text
            assert "admin-x" not in shown
            assert "open" in shown

    async def test_app_is_not_asked_to_compress_what_must_be_filtered(self) -> None:
        async with gated(resource={"rules": [ADMIN_RULE]}) as door:
            await door.post(door.token(), headers={"accept-encoding": "gzip"})
            await door.post(door.token(), tools_call("open"), headers={"accept-encoding": "gzip"})
            sent = [dict(scope["headers"]).get(b"accept-encoding") for scope in door.app.scopes]
            assert sent == [None, b"gzip"]

    async def test_stream_that_is_resumed_is_filtered_too(self) -> None:
        """A GET may replay an answer to tools/list."""
        replayed = b'id: 7\ndata: {"result":{"tools":[{"name":"admin-x"}]}}\n\n'
        async with gated(app=Recorder(replayed, b"text/event-stream"), resource={"rules": [ADMIN_RULE]}) as door:
            headers = {"authorization": f"Bearer {door.token()}", "last-event-id": "6"}
            assert "admin-x" not in (await door.client.get("/mcp", headers=headers)).text

    async def test_answer_that_no_rule_is_about_is_not_touched(self) -> None:
        answer = b'{"result" : {"tools":[{"name":"admin-x"}]}}'
        async with gated(app=Recorder(answer)) as door:
            assert (await door.post(door.token())).content == answer


class Streaming:
    """An app that sends one event, says so, and then waits until the client is gone."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.let_go = asyncio.Event()
        self.told = False  # that the client is gone

    async def listen(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.told = True
        scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        self.opened.set()
        async with anyio.create_task_group() as both:
            both.start_soon(self.listen, receive, both.cancel_scope)
            await self.let_go.wait()
            both.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": False})


class TestStreams:
    async def test_stream_ends_with_its_token_and_the_app_hears_of_it(self) -> None:
        """SES-05: at expiry and leeway, and what the app sends later goes nowhere."""
        async with gated(app=Streaming()) as door:
            door.issuer.clock.set(NOW)
            token = door.token(exp=NOW - 30 + 0.05)
            call = asyncio.create_task(door.post(token))
            assert (await call).text == "data: 1\n\n"
            assert door.app.told

    async def test_stopping_server_ends_streams_that_only_wait(self) -> None:
        async with gated(app=Streaming()) as door:
            headers = {"authorization": f"Bearer {door.token()}"}
            waiting = asyncio.create_task(door.client.get("/mcp", headers=headers))
            await door.app.opened.wait()
            drain(door.gate)
            assert (await waiting).text == "data: 1\n\n"
            drain(door.gate)

    @pytest.mark.parametrize("rules", [[], [ADMIN_RULE]])
    async def test_subscription_of_the_newest_revision_only_waits_and_is_told_of_its_end(
        self, rules: list[Any]
    ) -> None:
        fields = {"mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen"}
        message = {"jsonrpc": "2.0", "id": "mine", "method": "subscriptions/listen", "params": {"notifications": {}}}
        async with gated(app=Streaming(), resource={"rules": rules}) as door:
            listen = asyncio.create_task(door.post(door.token(), message, headers=fields))
            await door.app.opened.wait()
            drain(door.gate)
            assert (await listen).content == b"data: 1\n\n" + completion("mine")

    async def test_header_that_says_it_listens_ends_no_call_of_an_older_revision_with_a_completion(self) -> None:
        async with gated(app=Streaming()) as door:
            fields = {"mcp-method": "subscriptions/listen"}
            call = asyncio.create_task(door.post(door.token(), tools_call("slow"), headers=fields))
            await door.app.opened.wait()
            drain(door.gate)
            assert (await call).text == "data: 1\n\n"

    async def test_stopping_server_lets_a_call_finish(self) -> None:
        async with gated(app=Streaming()) as door:
            call = asyncio.create_task(door.post(door.token(), tools_call("slow")))
            await door.app.opened.wait()
            drain(door.gate)
            door.app.let_go.set()
            assert (await call).text == "data: 1\n\ndata: 2\n\n"

    async def test_stream_whose_app_fails_is_forgotten(self) -> None:
        async def app(scope: Scope, _: Receive, send: Send) -> None:
            assert scope["type"] == "http"
            head = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            raise OSError("in the middle")

        async with gated(app=app) as door:
            with pytest.raises(OSError, match="in the middle"):
                await door.client.get("/mcp", headers={"authorization": f"Bearer {door.token()}"})
            assert not door.gate.state.gates["/mcp"].waiting

    async def test_stream_that_is_over_is_forgotten(self) -> None:
        async with gated(app=Streaming()) as door:
            headers = {"authorization": f"Bearer {door.token()}"}
            door.app.let_go.set()
            assert (await door.client.get("/mcp", headers=headers)).text == "data: 1\n\ndata: 2\n\n"
            assert not door.gate.state.gates["/mcp"].waiting
