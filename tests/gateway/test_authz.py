"""Forward-auth: a proxy is answered as the gate would answer, and nobody else is answered at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.app import build
from gateway.authz import field, principal_headers
from gateway.principal import Principal
from gateway.settings import Rule
from gateway.sources import SettingsError, parse
from tests.gated import ISSUER, PUBLIC, Gated, Recorder, gated, tools_call

METADATA = f'resource_metadata="{PUBLIC}/.well-known/oauth-protected-resource/mcp"'
Fields = Mapping[str, str] | Iterable[tuple[str, str]]


@asynccontextmanager
async def opened(mode: str = "head", **more: Any) -> AsyncIterator[Gated]:
    """A gate that proxies on this machine may ask about its resource."""
    resource = {"forward_auth": mode} | more.pop("resource", {})
    async with gated(resource=resource, **more) as door:
        yield door


async def ask(
    door: Gated,
    token: str | None = None,
    fields: Fields = (),
    *,
    path: str = "/authz/mcp",
    method: str = "GET",
    content: bytes = b"",
    peer: str = "127.0.0.1",
) -> httpx.Response:
    """What a proxy at an address is answered."""
    headers = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
    if token is not None:
        headers.append(("authorization", f"Bearer {token}"))
    transport = httpx.ASGITransport(door.gate, client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as proxy:
        return await proxy.request(method, path, headers=headers, content=content)


class TestAnswers:
    async def test_valid_token_is_answered_with_the_principal(self) -> None:
        async with opened() as door:
            answer = await ask(door, door.token(scopes=["mcp:use", "b"]))
            assert answer.status_code == 200
            said = {name: value for name, value in answer.headers.items() if name.startswith("x-auth-")}
            assert said == {
                "x-auth-issuer": ISSUER,
                "x-auth-subject": said["x-auth-subject"],
                "x-auth-kind": "person",
                "x-auth-client": "client-one",
                "x-auth-scopes": "b mcp:use",
                "x-auth-groups": "admins",
            }
            assert said["x-auth-subject"]
            assert answer.content == b""
            assert not door.app.scopes, "the resource itself is not asked"

    @pytest.mark.parametrize(
        ("changes", "status", "challenge"),
        [
            pytest.param(None, 401, f'Bearer {METADATA}, scope="mcp:use"', id="no token"),
            pytest.param({"exp": 1}, 401, f'Bearer error="invalid_token", {METADATA}', id="expired"),
            pytest.param({"aud": "https://other.example"}, 401, 'error="invalid_token"', id="for another resource"),
            pytest.param({"scope": "x"}, 403, 'error="insufficient_scope"', id="scope missing"),
        ],
    )
    async def test_challenge_is_the_gates_own(
        self, changes: dict[str, Any] | None, status: int, challenge: str
    ) -> None:
        async with opened() as door:
            token = None if changes is None else door.token(**changes)
            direct = await door.post(token)
            answer = await ask(door, token)
            assert (answer.status_code, direct.status_code) == (status, status)
            assert answer.headers["www-authenticate"] == direct.headers["www-authenticate"]
            for part in challenge.split(", "):
                assert part.removeprefix("Bearer ") in answer.headers["www-authenticate"]
            assert [line["reason"] for line in door.log][-1] == door.log[-2]["reason"]

    async def test_resource_is_the_one_that_the_path_names(self) -> None:
        async with opened(resources=[{"path": "/a", "forward_auth": "head"}, {"path": "/b"}]) as door:
            token = door.issuer.token("alice", "client-one", [], f"{PUBLIC}/a")
            assert (await ask(door, token, path="/authz/a")).status_code == 200
            assert (await ask(door, token, path="/authz/b")).status_code == 403, "it is not open to proxies"

    @pytest.mark.parametrize(
        ("path", "fields"),
        [
            pytest.param("/authz/mcp?a=b", {}, id="Envoy: prefix and path"),
            pytest.param(
                "/authz", {"x-forwarded-uri": "/mcp?a=b", "x-forwarded-method": "POST"}, id="Traefik and Caddy"
            ),
            pytest.param("/authz", {"x-original-uri": "/mcp", "x-original-method": "DELETE"}, id="nginx"),
            pytest.param("/authz/mcp", {"x-forwarded-uri": "/x"}, id="path of the proxy's own request counts alone"),
            pytest.param("/authz/mcp", {"x-forwarded-host": "gw.example", "host": "gate.internal"}, id="public host"),
        ],
    )
    async def test_proxies_say_what_is_asked_in_their_own_ways(self, path: str, fields: dict[str, str]) -> None:
        async with opened() as door:
            assert (await ask(door, door.token(), fields, path=path)).status_code == 200
            assert (await ask(door, None, fields, path=path)).status_code == 401

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_proxy_asks_by_get_or_post(self, method: str) -> None:
        async with opened() as door:
            assert (await ask(door, door.token(), method=method)).status_code == 200

    async def test_resource_with_subpaths_is_asked_about_below_its_path(self) -> None:
        async with opened(resource={"subpaths": True}) as door:
            token = door.token()
            assert (await ask(door, token, path="/authz/mcp/below")).status_code == 200
            for path in ("/authz/mcpx", "/authz/mcp/%2e%2e/x", "/authz/mcp//x", "/authz/mcp/a%2fb", "/authz/mcp/"):
                assert (await ask(door, token, path=path)).status_code == 403, path
            for path in ("/mcp/../x", "/mcp/./x", "/mcp/a;b", "/mcp\\x"):
                answer = await ask(door, token, [("x-original-uri", path)], path="/authz")
                assert answer.status_code == 403, path

    async def test_resource_at_the_root_is_asked_about_everywhere_but_where_the_gate_itself_answers(self) -> None:
        async with opened(resources=[{"path": "/", "subpaths": True, "forward_auth": "head"}]) as door:
            token = door.token(aud=PUBLIC)
            assert (await ask(door, token, path="/authz/x")).status_code == 200
            assert (await ask(door, token, path="/authz/healthz")).status_code == 403

    async def test_most_particular_resource_is_meant(self) -> None:
        resources = [
            {"path": "/a", "subpaths": True, "forward_auth": "head"},
            {"path": "/a/b", "subpaths": True, "forward_auth": "head", "scopes": ["more"]},
        ]
        async with opened(resources=resources) as door:
            answer = await ask(door, path="/authz/a/b/c")
            assert 'scope="more"' in answer.headers["www-authenticate"]


class TestRefusing:
    @pytest.mark.parametrize(
        ("peer", "status"),
        [
            ("127.0.0.1", 200),
            ("::1", 200),
            ("::ffff:127.0.0.1", 200),
            ("10.1.2.3", 403),
            ("::2", 403),
            ("", 403),
            ("testclient", 403),
        ],
    )
    async def test_only_proxies_on_this_machine_may_ask_unless_others_are_named(self, peer: str, status: int) -> None:
        async with opened() as door:
            assert (await ask(door, door.token(), peer=peer)).status_code == status
            assert door.reason == ("" if status == 200 else "forward_refused")

    async def test_peers_can_be_networks(self) -> None:
        async with opened(forward_auth_peers=["10.0.0.0/8"]) as door:
            assert (await ask(door, door.token(), peer="10.1.2.3")).status_code == 200
            assert (await ask(door, door.token(), peer="127.0.0.1")).status_code == 403
        with pytest.raises(SettingsError, match=r"forward_auth_peers: .*write an address or a network"):
            async with opened(forward_auth_peers=["10.0.0.1/8"]):
                raise AssertionError

    async def test_without_the_setting_there_is_nothing(self) -> None:
        async with gated() as door:
            assert (await ask(door, door.token())).status_code == 404

    async def test_refusal_names_nothing_but_an_id_that_finds_it(self) -> None:
        async with opened() as door:
            answer = await ask(door, path="/authz/other")
            assert answer.status_code == 403
            assert "www-authenticate" not in answer.headers
            assert door.log[-1]["id"] == answer.json()["error"]["data"]["refusal"]
            assert door.log[-1]["resource"] == f"{PUBLIC}/authz"
            assert door.log[-1]["detail"] == "no resource with forward_auth is at '/other'"

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param([], id="no path at all"),
            pytest.param([("x-forwarded-uri", "/mcp"), ("x-original-uri", "/mcp")], id="the client adds the other one"),
            pytest.param([("x-original-uri", "/mcp"), ("x-original-uri", "/mcp")], id="the client's own besides"),
            pytest.param([("x-original-uri", "https://gw.example/mcp")], id="a whole URL"),
            pytest.param([("x-original-uri", "/MCP")], id="case"),
            pytest.param([("x-original-uri", "/m%63p")], id="escape"),
            pytest.param([("x-original-uri", "/mcp/../mcp")], id="dots"),
            pytest.param([("x-original-uri", "//mcp")], id="two slashes"),
            pytest.param([("x-original-uri", "/mcp#x")], id="fragment"),
            pytest.param(
                [("x-original-uri", "/mcp"), ("x-original-method", "GET"), ("x-forwarded-method", "POST")],
                id="two methods",
            ),
            pytest.param([("x-original-uri", "/mcp"), ("x-original-method", "get it")], id="no method"),
            pytest.param(
                [("x-original-uri", "/mcp"), ("x-forwarded-host", "a"), ("x-forwarded-host", "b")], id="two hosts"
            ),
            pytest.param([("x-original-uri", "/mcp"), ("x-envoy-auth-partial-body", "true")], id="half a body"),
        ],
    )
    async def test_what_is_asked_must_be_clear(self, fields: list[tuple[str, str]]) -> None:
        async with opened() as door:
            assert (await ask(door, door.token(), fields, path="/authz")).status_code == 403
            assert door.reason == "forward_refused"

    async def test_two_tokens_are_none(self) -> None:
        async with opened() as door:
            token = door.token()
            assert (await ask(door, token, {"Authorization": f"Bearer {token}"})).status_code == 400
            assert (await ask(door, token, path="/authz/mcp?access_token=x")).status_code == 400
            other = {"x-original-uri": "/mcp?access_token=x"}
            assert (await ask(door, token, other, path="/authz")).status_code == 400

    async def test_page_of_a_foreign_origin_and_a_foreign_host_are_refused(self) -> None:
        async with opened() as door:
            token = door.token()
            assert (await ask(door, token, {"origin": "https://evil.example"})).status_code == 403
            assert (await ask(door, token, {"x-forwarded-host": "evil.example"})).status_code == 421

    async def test_preflight_does_not_open_the_way_for_a_request_without_a_token(self) -> None:
        fields = {
            "x-forwarded-method": "OPTIONS",
            "origin": PUBLIC,
            "access-control-request-method": "POST",
        }
        async with opened() as door:
            assert (await ask(door, None, fields)).status_code == 401

    async def test_headers_that_only_a_body_could_prove_decide_nothing(self) -> None:
        fields = {"mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen", "mcp-name": "x"}
        async with opened() as door:
            assert (await ask(door, door.token(), {**fields, "x-forwarded-method": "POST"})).status_code == 200

    async def test_session_id_of_the_upstream_is_not_taken_for_ours(self) -> None:
        async with opened() as door:
            assert (await ask(door, door.token(), {"mcp-session-id": "anything"})).status_code == 200


RULES = {"rules": [{"tools": ["admin-*"], "scopes": ["mcp:admin"]}]}


class TestBodies:
    async def test_body_that_the_proxy_sends_is_judged(self) -> None:
        async with opened("body", resource=RULES) as door:
            for name, status in (("admin-reset", 403), ("hello", 200)):
                body = json.dumps(tools_call(name)).encode()
                answer = await ask(door, door.token(), method="POST", content=body)
                assert answer.status_code == status

    async def test_body_that_comes_with_a_get_is_judged(self) -> None:
        """Traefik asks by GET, whatever the client's method, with the client's body."""
        async with opened("body", resource=RULES) as door:
            for name, status in (("admin-reset", 403), ("hello", 200)):
                body = json.dumps(tools_call(name)).encode()
                for fields in ({}, {"x-forwarded-method": "POST"}):
                    assert (await ask(door, door.token(), fields, content=body)).status_code == status

    async def test_mirrored_headers_must_be_those_of_the_body(self) -> None:
        async with opened("body", resource=RULES) as door:
            body = json.dumps(tools_call("admin-reset")).encode()
            fields = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "hello"}
            answer = await ask(door, door.token(), fields, method="POST", content=body)
            assert answer.status_code == 400
            assert door.reason == "header_mismatch"

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_call_without_its_body_is_refused(self, method: str) -> None:
        """A proxy that was to send it and does not."""
        async with opened("body", resource=RULES) as door:
            answer = await ask(door, door.token(), {"x-forwarded-method": "POST"}, method=method)
            assert answer.status_code == 400

    async def test_method_that_the_client_made_up_does_not_hide_the_body(self) -> None:
        async with opened("body", resource=RULES) as door:
            body = json.dumps(tools_call("admin-reset")).encode()
            fields = {"x-forwarded-method": "DELETE"}
            assert (await ask(door, door.token(), fields, method="POST", content=body)).status_code == 403

    async def test_policies_judge_arguments(self) -> None:
        policy = (
            'permit(principal, action == Action::"tools/call", resource == Tool::"pay") '
            "when { context.arguments has amount && context.arguments.amount <= 100 };"
        )
        cedar = {"policies": policy, "arguments": {"pay": {"amount": "Long"}}}
        async with opened("body", resource={"cedar": cedar}) as door:
            for amount, status in ((100, 200), (101, 403)):
                body = json.dumps(tools_call("pay", amount=amount)).encode()
                answer = await ask(door, door.token(), method="POST", content=body)
                assert answer.status_code == status

    def test_rules_without_bodies_stop_the_start(self) -> None:
        values = {"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}]}
        with pytest.raises(SettingsError, match="forward_auth: with `head` nobody sees what a request calls"):
            parse(values | {"resources": [{"forward_auth": "head", **RULES}]})

    def test_needs_of_tools_without_bodies_stop_the_start(self) -> None:
        """Tool plugins state theirs after the settings are read."""
        values = {"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [{"forward_auth": "head"}]}
        made = parse(values)
        (resource,) = made.resources
        needing = replace(resource, rules=[Rule(tools=["x"], scopes=["a"])])
        with pytest.raises(SettingsError, match="forward_auth: the tools at /mcp need scopes of their own"):
            build(replace(made, resources=[needing]), {"/mcp": Recorder()})


class TestHeaders:
    @pytest.mark.parametrize(
        ("text", "header"),
        [
            pytest.param("alice", b"alice", id="plain"),
            pytest.param("https://issuer.example/a?b=c#d", b"https://issuer.example/a?b=c#d", id="URL"),
            pytest.param("a b,c%", b"a%20b%2Cc%25", id="what separates"),
            pytest.param('a"b\\c', b"a%22b%5Cc", id="what quotes"),
            pytest.param("a\r\nX-Auth-Groups: admins", b"a%0D%0AX-Auth-Groups:%20admins", id="injection"),
            pytest.param("a\x00\x7f", b"a%00%7F", id="control"),
            pytest.param("\xe9\u20ac", b"%C3%A9%E2%82%AC", id="UTF-8"),
            pytest.param("\ud800", b"%ED%A0%80", id="half a character"),
            pytest.param("", b"", id="nothing"),
        ],
    )
    def test_text_stands_in_a_header(self, text: str, header: bytes) -> None:
        assert field(text) == header

    @given(st.text(), st.text())
    def test_different_texts_stay_different_and_none_leaves_its_header(self, one: str, other: str) -> None:
        assert (field(one) == field(other)) is (one == other)
        assert all(0x21 <= byte <= 0x7E for byte in field(one))

    def test_every_header_is_there_even_where_there_is_nothing_to_say(self) -> None:
        nobody = Principal("i", "m", "", frozenset(), frozenset(), 0.0, is_client=True)
        assert dict(principal_headers(nobody)) == {
            b"x-auth-issuer": b"i",
            b"x-auth-subject": b"m",
            b"x-auth-kind": b"machine",
            b"x-auth-client": b"",
            b"x-auth-scopes": b"",
            b"x-auth-groups": b"",
        }

    def test_groups_are_told_apart(self) -> None:
        somebody = Principal("i", "s", "c", frozenset(), frozenset({"a,b", "c d"}), 0.0)
        assert dict(principal_headers(somebody))[b"x-auth-groups"] == b"a%2Cb,c%20d"
