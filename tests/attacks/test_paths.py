"""Hosts, paths and methods: no spelling of them reaches the app without a token or moves what the gate says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.attacks.battery import (
    METADATA,
    MISSING,
    NOW,
    Answer,
    Fields,
    Verdict,
    ask,
    bearer,
    honest,
    refused_as,
    standing,
)
from tests.gated import ISSUER, PUBLIC, RESOURCE, TOOLS_LIST, Gated, gated, plain_issuer

JSON = json.dumps(TOOLS_LIST).encode()
DOCUMENT = "/.well-known/oauth-protected-resource/mcp"
METHODS = ("POST", "GET", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "post", "")
EVIL = b"evil.test"


def silent_about_evil(answer: Answer) -> None:
    """Nothing that a stranger put into a request is in the answer."""
    assert b"evil" not in answer.body.lower()
    assert not any(b"evil" in (name + value).lower() for name, value in answer.headers)


HOSTS = [
    pytest.param(host, id=f"Host {host!r}")
    for host in (
        *(
            None,
            b"",
            b" ",
            b"evil.test",
            b"evil.test:443",
            b"gw.example.evil.test",
            b"evilgw.example",
            b"gw.example:8443",
        ),
        *(
            b"gw.example:80",
            b"gw.example.",
            b"gw.example, evil.test",
            b"evil.test, gw.example",
            b"evil.test@gw.example",
        ),
        *(b"gw.example@evil.test", b"gw.example/evil", b"gw.example#evil", b"gw.example?evil", b"gw. example"),
        *(
            b"gw.example\v",
            b"gw.example\0",
            b"gw.example\r\nX-Evil: 1",
            b"gw\xc2\xadexample",
            "gw.ex\u0430mple".encode(),
        ),
        *(b"localhost", b"127.0.0.1", b"[::1]", b"192.0.2.2", b"*", b"https://gw.example", b"gw.example:443:443"),
        b"evil" * 20_000,
    )
]


@pytest.mark.parametrize("host", HOSTS)
async def test_request_for_another_host_is_refused_with_and_without_a_token(host: bytes | None) -> None:
    async with standing() as door:
        for fields in ([], [bearer(honest(door.issuer))]):
            answer = await ask(door, fields=fields, body=JSON, host=host)
            refused_as(answer.response, Verdict("host_refused", 421, None, challenged=False))
            assert door.reason == "host_refused"
            silent_about_evil(answer)
        assert len(door.app.scopes) == 1
        document = await ask(door, "GET", DOCUMENT, host=host)
        assert (document.status, json.loads(document.body)["resource"]) == (200, RESOURCE)
        silent_about_evil(document)


@pytest.mark.parametrize("hosts", [(b"gw.example", EVIL), (EVIL, b"gw.example"), (b"gw.example", b"gw.example")])
async def test_second_host_is_refused_in_every_order(hosts: tuple[bytes, bytes]) -> None:
    async with standing() as door:
        fields = [(b"host", host) for host in hosts]
        answer = await ask(door, fields=[*fields, bearer(honest(door.issuer))], body=JSON, host=None)
        assert (answer.status, door.reason) in {(421, "host_refused"), (400, "repeated_header")}
        assert len(door.app.scopes) == 1
        silent_about_evil(answer)


FORWARDING: list[Any] = [
    pytest.param([(name, value)], id=f"{name.decode()}: {value.decode()}")
    for name, value in (
        *(
            (b"x-forwarded-host", EVIL),
            (b"x-forwarded-host", b"gw.example, evil.test"),
            (b"x-forwarded-proto", b"evil"),
        ),
        *((b"x-forwarded-port", b"6666"), (b"x-forwarded-prefix", b"/evil"), (b"x-forwarded-server", EVIL)),
        *((b"forwarded", b'host=evil.test;proto=http;for="[::1]"'), (b"x-host", EVIL), (b"x-original-host", EVIL)),
        *((b"x-original-url", b"/evil"), (b"x-rewrite-url", b"/healthz"), (b"x-http-method-override", b"GET")),
        *((b"x-forwarded-for", b"127.0.0.1"), (b"x-real-ip", b"127.0.0.1"), (b"x-forwarded-user", b"evil")),
        *((b"x-remote-user", b"evil"), (b"remote-user", b"evil"), (b"via", b"1.1 evil.test"), (b"client-ip", b"::1")),
        *((b"x-amzn-oidc-identity", b"evil"), (b"x-forwarded-ssl", b"off"), (b"front-end-https", b"evil")),
        *(
            (b"x-forwarded-client-cert", b"By=evil"),
            (b"referer", b"https://evil.test/"),
            (b"connection", b"host, evil"),
        ),
    )
]


@pytest.mark.parametrize("fields", FORWARDING)
async def test_forwarding_field_moves_neither_the_challenge_nor_the_metadata(fields: Fields) -> None:
    async with standing() as door:
        answer = await ask(door, fields=fields, body=JSON)
        refused_as(answer.response, MISSING)
        silent_about_evil(answer)
        assert METADATA in answer.header("www-authenticate")
        document = await ask(door, "GET", DOCUMENT, fields)
        assert json.loads(document.body)["resource"] == RESOURCE
        assert json.loads(document.body)["authorization_servers"] == [ISSUER]
        silent_about_evil(document)
        assert len(door.app.scopes) == 1


PATHS = {
    "/mcp": 401,
    "/%6dcp": 401,
    "/%6D%63%70": 401,
    "/mcp?x=1": 401,
    "%2Fmcp": 401,
    **dict.fromkeys(
        (
            *(
                "//mcp",
                "///mcp",
                "/mcp/",
                "/mcp//",
                "/mcp/.",
                "/mcp/..",
                "/./mcp",
                "/../mcp",
                "/x/../mcp",
                "/mcp/../mcp",
            ),
            *("/mcp;x", "/mcp;x=1", "/;/mcp", "/MCP", "/Mcp", "/mcp%2F", "/mcp%2f..%2fmcp", "/%2fmcp"),
            *("/%2e%2e/mcp", "/%2e/mcp", "/%252e%252e/mcp", "/%256dcp", "/..%2fmcp", "/..%5cmcp", "\\mcp", "/\\mcp"),
            *("/mcp\\", "/mcp%5c", "/mcp%00", "/mcp%00.json", "/mcp%0a", "/mcp%0d%0aX-Evil:%201", "/mcp%20", "/mcp%09"),
            *("/mcp.json", "/mcp.", "/mcp~", "/mcp*", "/mcp%23", "/mcp%3f", "/mcp&x", "/mcp=", "/mcp/x", "/mcp/mcp"),
            *(
                "/%EF%BD%8Dcp",
                "/m\u0441p",
                "/mcp%cc%81",
                "/%c0%afmcp",
                "/%ff",
                "http://gw.example/mcp",
                "//gw.example/mcp",
            ),
            *("https://evil.test/mcp", "*", "mcp", "", "/", "/sse", "/messages", "/oauth/token", "/authz", "/metrics"),
            *("/.well-known/oauth-protected-resource/../mcp", "/.well-known/..;/mcp", "/.well-known/%2e%2e/mcp"),
            *("/healthz/../mcp", "/healthz/", "/readyz/", "/healthz;/mcp", "/.well-known/oauth-protected-resource/"),
            *("/.well-known/oauth-protected-resource/mcp/", "/.well-known/oauth-protected-resource/mcp/../../mcp"),
            *("/.well-known/oauth-protected-resource/nope", "/.well-known//oauth-protected-resource/mcp"),
            *("/.well-known/oauth-protected-resource%2fmcp/x", "/.WELL-KNOWN/oauth-protected-resource/mcp"),
            *("/.well-known/oauth-authorization-server", "/mcp/.well-known/oauth-protected-resource", "/docs"),
            *("/static/../../etc/passwd", "/openapi.json", "/favicon.ico", "/debug", "/admin", "/%", "/%zz", "/mcp%"),
        ),
        404,
    ),
}


@pytest.mark.parametrize(("target", "status"), PATHS.items())
async def test_path_that_only_looks_like_the_endpoint_never_reaches_the_app(target: str, status: int) -> None:
    async with standing() as door:
        for method in ("POST", "GET", "DELETE"):
            answer = await ask(door, method, target, body=JSON)
            metadata_by_post = 405 if method != "GET" and target.startswith("/.well-known/oauth-prot") else status
            assert answer.status in {status, metadata_by_post}
            silent_about_evil(answer)
            assert not answer.header("location")
            evil = await ask(door, method, target, body=JSON, host=EVIL)
            assert evil.status in {421, 404, 405}
            silent_about_evil(evil)
        token = [bearer(honest(door.issuer))]
        assert (await ask(door, "POST", target, token, JSON)).status == (200 if status == 401 else answer.status)
        assert len(door.app.scopes) == (2 if status == 401 else 1)


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_needs_a_token(method: str) -> None:
    async with standing() as door:
        refused_as((await ask(door, method, body=JSON)).response, MISSING)
        assert len(door.app.scopes) == 1
        answer = await ask(door, method, fields=[bearer("a.b.c")], body=JSON)
        refused_as(answer.response, Verdict("malformed_token"))
        assert len(door.app.scopes) == 1
        assert (await ask(door, method, fields=[bearer(honest(door.issuer))], body=JSON)).status == 200


def preflight_rows() -> Iterator[Any]:
    origin = (b"origin", b"https://gw.example")
    asks = (b"access-control-request-method", b"POST")
    yield pytest.param("OPTIONS", [asks], 401, id="preflight without an origin")
    yield pytest.param("OPTIONS", [origin], 401, id="OPTIONS that is no preflight")
    yield pytest.param("POST", [origin, asks], 401, id="POST that looks like a preflight")
    yield pytest.param("options", [origin, asks], 401, id="preflight in lower case")
    yield pytest.param("OPTIONS", [(b"origin", b"https://evil.test"), asks], 403, id="preflight of a foreign origin")
    yield pytest.param("OPTIONS", [origin, asks], 204, id="preflight")


@pytest.mark.parametrize(("method", "fields", "status"), list(preflight_rows()))
async def test_preflight_is_answered_and_never_handed_on(method: str, fields: Fields, status: int) -> None:
    async with standing() as door:
        answer = await ask(door, method, fields=fields, body=JSON)
        assert answer.status == status
        silent_about_evil(answer)
        assert len(door.app.scopes) == 1


@pytest.mark.parametrize("path", ["/mcp", "/", "/healthz", DOCUMENT])
async def test_websocket_never_reaches_the_app(path: str) -> None:
    async with standing() as door:
        for fields in ([], [bearer(honest(door.issuer))]):
            assert await upgrade(door, path, fields) == ["websocket.close"]
        assert len(door.app.scopes) == 1


async def upgrade(door: Gated, path: str, fields: Fields) -> list[str]:
    """The kinds of messages that a websocket handshake is answered with."""
    headers = [(b"host", b"gw.example"), *fields]
    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "headers": headers, "query_string": b""}
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await door.gate(
        {**scope, "subprotocols": [], "root_path": "", "scheme": "ws", "state": {}}, asyncio.Queue().get, send
    )
    return sent


ORIGINS = [
    pytest.param(origin, id=f"Origin {origin!r}")
    for origin in (
        *(
            b"https://evil.test",
            b"null",
            b"",
            b" ",
            b"http://gw.example",
            b"https://gw.example:8443",
            b"https://gw.example/",
        ),
        *(b"https://gw.example.evil.test", b"https://evilgw.example", b"https://gw.example@evil.test", b"gw.example"),
        *(b"https://gw.example, https://evil.test", b"https://gw.example https://evil.test", b"file://", b"*"),
        *(b"https://gw.example\r\nX-Evil: 1", b"https://gw.example\0", b"https://gw.example#", b"https://gw.example?"),
        *(b"https://localhost", b"http://127.0.0.1", b"chrome-extension://evil", "https://gw.ex\u0430mple".encode()),
        b"https://" + b"evil" * 20_000,
    )
]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_page_of_a_foreign_origin_is_refused_and_told_nothing(origin: bytes) -> None:
    async with standing() as door:
        for fields in ([], [bearer(honest(door.issuer))]):
            answer = await ask(door, fields=[(b"origin", origin), *fields], body=JSON)
            refused_as(answer.response, Verdict("origin_refused", 403, None, challenged=False))
            assert not answer.header("access-control-allow-origin")
            silent_about_evil(answer)
        assert len(door.app.scopes) == 1


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(b"authorization, x-evil", id="a header that MCP has not"),
        pytest.param(b"authorization\r\nX-Evil: 1", id="CRLF"),
        pytest.param(b"authorization, mcp-param-a\r\nx-evil: 1", id="CRLF in a parameter header"),
        pytest.param(b"authorization, mcp-param-\x00evil", id="NUL"),
        pytest.param(b"authorization, mcp-param-" + b"evil" * 100, id="too long"),
        pytest.param(b"authorization," + b"evil," * 20_000, id="many"),
        pytest.param(b'authorization, "evil"', id="quotes"),
        pytest.param(b"authorization, *, cookie", id="a star and cookies"),
    ],
)
async def test_preflight_grants_only_what_mcp_uses(asked: bytes) -> None:
    async with standing() as door:
        fields = [(b"origin", b"https://gw.example"), (b"access-control-request-method", b"POST")]
        answer = await ask(door, "OPTIONS", fields=[*fields, (b"access-control-request-headers", asked)])
        assert answer.status == 204
        assert answer.header("access-control-allow-headers") in {"authorization", ""}
        silent_about_evil(answer)


LOOPBACK = "http://127.0.0.1:8000"
NEIGHBOURS = (
    *(b"evil.test", b"evil.test:8000", b"localhost.evil.test", b"127.0.0.1.evil.test", b"evil.test@127.0.0.1"),
    *(b"127.0.0.1@evil.test", b"127.0.0.1:8000:8000", b"localhost:999999", b"[::1", b"::1", b"0.0.0.0", b"0", b"[::]"),
    *(b"10.0.0.1", b"169.254.169.254", b"192.168.1.1:8000", b"localhost\0", b"localhost\r\nX-Evil: 1", b"local host"),
    *(
        b"2130706433",
        b"0x7f000001",
        b"127.1",
        b"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1",
        b"localhost/evil",
        b"",
        b"*",
    ),
)


@pytest.mark.parametrize("name", NEIGHBOURS)
async def test_page_that_rebinds_its_name_to_a_laptop_is_refused(name: bytes) -> None:
    async with gated(public_url=LOOPBACK) as door:
        answer = await ask(door, body=JSON, host=name)
        assert (answer.status, door.reason) == (421, "host_refused")
        silent_about_evil(answer)
        answer = await ask(door, fields=[(b"origin", b"http://" + name)], body=JSON, host=b"127.0.0.1:8000")
        assert (answer.status, door.reason) == (403, "origin_refused")
        silent_about_evil(answer)


@pytest.mark.parametrize("name", [b"localhost", b"LOCALHOST:1", b"127.0.0.1:8000", b"127.0.0.2", b"[::1]:8000"])
async def test_every_loopback_name_is_the_laptop_itself(name: bytes) -> None:
    async with gated(public_url=LOOPBACK) as door:
        assert (await ask(door, fields=[(b"origin", b"http://" + name.lower())], body=JSON, host=name)).status == 401


async def test_token_for_one_resource_opens_no_other() -> None:
    issuer = plain_issuer()
    issuer.clock.set(NOW)
    urls = {path: f"{PUBLIC}{path}" for path in ("/mcp", "/mcp/admin", "/admin")}
    resources = [{"path": path, "scopes": ["mcp:use"], "subpaths": path == "/mcp"} for path in urls]
    async with gated(issuer, resources=resources) as door:
        for named in (*([url] for url in urls.values()), list(urls.values()), [urls["/mcp"], urls["/admin"]]):
            field = bearer(honest(issuer, claims={"aud": named}))
            for path, url in urls.items():
                answer = await ask(door, "POST", path, [field], JSON)
                assert answer.status == (200 if url in named else 401)
                if answer.status == 401:
                    assert f'resource_metadata="{PUBLIC}/.well-known/oauth-protected-resource{path}"' in answer.header(
                        "www-authenticate"
                    )
            for path in ("/mcp/%61dmin", "/mcp/admin/", "/mcp//admin", "/mcp/./admin", "/mcp/x/../admin", "/mcp/x"):
                owner = urls["/mcp/admin"] if path == "/mcp/%61dmin" else urls["/mcp"]
                assert (await ask(door, "POST", path, [field], JSON)).status == (200 if owner in named else 401)
