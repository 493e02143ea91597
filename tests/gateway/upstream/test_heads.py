"""What crosses with a request and with an answer, and what does not."""

from __future__ import annotations

import json

import pytest

from gateway.errors import InvalidMessage
from gateway.request_head import RequestHeads, without_credentials
from gateway.settings import UpstreamSettings
from tests.gateway.upstream.scripted import OK, asked, before, proxy, saying, then_closing, upstream

FORGED = [
    "Authorization",
    "Cookie",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Forwarded",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-User",
    "X-Forwarded-Access-Token",
    "X-Real-IP",
    "X-Auth-Request-User",
    "X-Amzn-Oidc-Data",
    "X-Amzn-Oidc-Identity",
    "X-Remote-User",
    "Remote-User",
    "X-Ms-Client-Principal-Id",
    "X-Goog-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "X-Original-URL",
    "X-HTTP-Method-Override",
    "X-Bearergate-Identity",
    "X_Forwarded_User",
    "x_auth_user",
    "REMOTE_USER",
    "X-Forwarded_For",
    "X.Forwarded.For",
    "TE",
    "Upgrade",
    "Keep-Alive",
    "Origin",
    "Referer",
    "Sec-Fetch-Site",
]


@pytest.mark.parametrize("name", FORGED)
async def test_header_that_an_upstream_may_believe_never_crosses(name: str) -> None:
    async with upstream(saying(OK)) as behind:
        (answer,) = await asked(proxy(behind.url), {name: "forged", "X_Own": "kept"})
    assert answer.status == 200
    assert b"forged" not in behind.requests[0]
    assert b"\r\nx-own: kept\r\n" in behind.requests[0]


async def test_headers_that_connection_names_end_at_the_gate() -> None:
    async with upstream(saying(OK)) as behind:
        headers = {"Connection": "keep-alive, X-Own, Content-Length, Host", "X_Own": "a", "X_Other": "b"}
        (answer,) = await asked(proxy(behind.url), headers)
    assert answer.status == 200
    assert b"x-own" not in behind.requests[0]
    for kept in (b"x-other: b\r\n", b"content-length: 2\r\n", b"host: 127.0.0.1:%d\r\n" % behind.port):
        assert kept in behind.requests[0]


async def test_public_host_and_origin_pass_where_the_settings_say_so() -> None:
    async with upstream(saying(OK)) as behind:
        await asked(proxy(behind.url, preserve_host=True), {"Origin": "https://gw.example"})
    assert b"\r\nhost: gw.example\r\n" in behind.requests[0]
    assert b"\r\norigin: https://gw.example\r\n" in behind.requests[0]


def written(headers: list[tuple[bytes, bytes]], **scope: object) -> bytes:
    """The head of a request, as any server may hand it over."""
    heads = RequestHeads(UpstreamSettings(url="http://up.example/base"), "/mcp", b"up.example", {})
    whole = {"method": "POST", "path": "/mcp", "query_string": b"", "headers": headers, **scope}
    return heads.write(whole, b"", b"")


@pytest.mark.parametrize("value", [b"a\r\nX-B: c", b"a\nX-B: c", b"a\rb", b"a\0b"])
def test_value_that_would_end_its_line_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidMessage):
        written([(b"x-a", value)])


def test_name_that_is_none_does_not_cross() -> None:
    assert b"evil" not in written([(b"x-a: b\r\nx-evil", b"c"), (b"x evil", b"c")])


def test_names_beyond_number_are_not_remembered() -> None:
    heads = RequestHeads(UpstreamSettings(url="http://up.example/base"), "/mcp", b"up.example", {})
    for number in range(2_000):
        heads.write(
            {"method": "GET", "path": "/mcp", "query_string": b"", "headers": [(b"x-%d" % number, b"")]}, b"", b""
        )
    assert len(heads._known) <= 512


def test_every_connection_field_names_headers() -> None:
    heads = RequestHeads(UpstreamSettings(url="http://127.0.0.1/mcp"), "/mcp", b"127.0.0.1", {})
    fields = [(b"connection", b"x-one"), (b"x-one", b"1"), (b"connection", b"keep-alive"), (b"x-two", b"2")]
    written = heads.write({"method": "GET", "path": "/mcp", "query_string": b"", "headers": fields}, b"", b"")
    assert b"x-one" not in written
    assert b"x-two: 2" in written


@pytest.mark.parametrize(
    ("query", "passed"),
    [
        (b"a=b&c=%20d", b"a=b&c=%20d"),
        (b"token=x&a=b", b"a=b"),
        (b"a=b;Access_Token=x", b"a=b"),
        (b"%61ccess_token=x", b""),
        (b"access-token=x", b""),
        (b"api_key=x&authorization=y&id_token=z", b""),
        (b"next=eyJhbGciOiJub25lIn0.e30.x&a=b", b"a=b"),
        (b"next=/eyJhbGciOiJub25lIn0.e30.x&a=b", b"a=b"),
    ],
)
def test_credentials_in_the_query_do_not_cross(query: bytes, passed: bytes) -> None:
    assert without_credentials(query) == passed


def test_query_that_begins_like_a_token_again_and_again_is_read_once() -> None:
    """Read anew at each beginning, it would take ten minutes, and pytest would end the run."""
    assert without_credentials(b"x=" + b"eyJ" * 500_000) == b"x=" + b"eyJ" * 500_000


def test_query_with_a_line_break_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        without_credentials(b"a=b\r\nX: y")


async def test_path_below_the_resource_is_mapped_below_the_upstream() -> None:
    async with upstream(saying(OK)) as behind:
        app = proxy(behind.url, resource={"subpaths": True})
        paths = (
            "/mcp/a%20b?x=y",
            "/mcp/a/%2e%2e/b",
            "/mcp/.well-known/oauth-protected-resource",
            "/mcp/%2e/x",
            "/mcp/x%5cy",
            "/mcp/..;/x",
            "/mcp/a/.;b=c/x",
            "/mcp/a;b",
        )
        answers = await asked(app, *({"target": path} for path in paths))
    assert [answer.status for answer in answers] == [200, 404, 404, 404, 404, 404, 404, 200]
    assert [request.split(b" ")[1] for request in behind.requests] == [b"/mcp/a%20b?x=y", b"/mcp/a;b"]


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND"])
async def test_method_that_does_not_just_ask_is_refused(method: str) -> None:
    async with upstream(saying(OK)) as behind:
        (answer,) = await asked(proxy(behind.url), {"method": method, "body": b""})
    assert (answer.status, behind.requests) == (501, [])


FOREIGN = [
    "Set-Cookie: a=b",
    "WWW-Authenticate: Bearer realm=x",
    "Access-Control-Allow-Origin: *",
    "Access-Control-Allow-Credentials: true",
    "Location: http://inside.example/",
    "Alt-Svc: h3=:443",
    "Strict-Transport-Security: max-age=1",
    "Connection: X-Named",
    "X-Named: a",
    "Keep-Alive: timeout=5",
    "Proxy-Authenticate: Basic",
]


async def test_headers_of_an_answer_that_speak_for_another_origin_do_not_cross() -> None:
    said = f"HTTP/1.1 200 OK\r\nX-Own: kept\r\n{''.join(f'{line}{chr(13)}{chr(10)}' for line in FOREIGN)}"
    async with upstream(saying(said.encode() + b"Content-Length: 2\r\n\r\n{}")) as behind:
        (answer,) = await asked(proxy(behind.url))
    names = {line.partition(":")[0].lower() for line in FOREIGN}
    assert answer.headers["x-own"] == "kept"
    assert names & answer.headers.keys() == set()
    assert [name for name, _ in answer.fields].count("date") == 1


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        pytest.param(
            b'401 No\r\nWWW-Authenticate: Bearer resource_metadata="http://inside"',
            502,
            "upstream_refused_gate",
            id="401",
        ),
        pytest.param(b"401 No", 502, "upstream_refused_gate", id="401 without a challenge"),
        pytest.param(
            b"403 No\r\nWWW-Authenticate: Bearer error=insufficient_scope",
            502,
            "upstream_refused_gate",
            id="403 with a challenge",
        ),
        pytest.param(b"407 No\r\nProxy-Authenticate: Basic", 502, "upstream_refused_gate", id="407"),
        pytest.param(b"307 Go\r\nLocation: http://inside/mcp/", 502, "upstream_redirected", id="redirect"),
        pytest.param(b"403 No", 403, "", id="the upstream's own decision"),
        pytest.param(b"404 No", 404, "", id="an unknown session"),
        pytest.param(b"500 No", 500, "", id="the upstream's own fault"),
    ],
)
async def test_challenge_to_the_gate_is_none_to_the_client(said: bytes, status: int, reason: str) -> None:
    log: list[bytes] = []
    async with upstream(saying(b"HTTP/1.1 " + said + b"\r\nContent-Length: 6\r\n\r\ninside")) as behind:
        (answer,) = await asked(proxy(behind.url, log=log))
    assert answer.status == status
    assert "www-authenticate" not in answer.headers
    assert (b"inside" in answer.body) == (not reason)
    assert [json.loads(line)["reason"] for line in log] == [reason] * bool(reason)
    assert "http://inside" not in str(answer.fields)


async def test_redirect_of_an_upload_under_way_closes_the_connection() -> None:
    redirect = b"HTTP/1.1 308 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
    async with upstream(then_closing(redirect)) as behind, before(proxy(behind.url)) as connect:
        client = await connect()
        client.writer.write(b"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 10\r\n\r\nhalf")
        client.writer.write(b"-other")
        assert (await client.answer()).status == 502


async def test_refused_answer_of_any_size_holds_up_no_later_request() -> None:
    large = b"HTTP/1.1 401 No\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    async with upstream(saying(large)) as behind:
        answers = await asked(proxy(behind.url, first_byte_seconds=2), *[{}] * 4)
    assert [answer.status for answer in answers] == [502] * 4
