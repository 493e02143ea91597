"""GWP-05 to GWP-10: the gate's own name, paths, framing and mirrored headers; `out_of_reach` says what is missing."""

from __future__ import annotations

import pytest

from conformance.requirements import requirement
from tests.gated import RESOURCE, SCOPES, gated
from tests.requirements.callers import (
    EACH_VERSION,
    EVERY_SCOPE,
    LOW,
    METADATA,
    MODERN,
    Caller,
    encoded,
    exchange,
    guarded,
    message,
    on_socket,
    opening,
    token_of,
)
from tests.requirements.challenges import challenge, lacks_scope
from tests.requirements.workshop import Workshop

SPOOFED = {
    "Host": "evil.test",
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


@pytest.mark.parametrize("name", SPOOFED)
@EACH_VERSION
@requirement("GWP-05")
async def test_what_the_gate_calls_itself_does_not_come_from_the_request(version: str, name: str) -> None:
    async with guarded() as door:
        spoofed = {name: SPOOFED[name]}
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


@requirement("GWP-07")
async def test_ambiguous_framing_is_refused() -> None:
    async with gated() as door, on_socket(door.gate) as http:
        for kind, sent in ambiguous(token_of(door)).items():
            said = await exchange(http, sent.encode())
            assert said.split(b" ")[1] == b"400", kind
            assert not door.app.scopes, kind


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
