"""Messages: what the policy decides on is what is executed, whatever headers, batches and doubled members pretend."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pydantic_core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.types import CallToolRequestParams, JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from gateway.errors import Refusal
from gateway.operation import operations
from tests.attacks.battery import Answer, Fields, Verdict, ask, bearer, honest, refused_as, standing
from tests.gated import INITIALIZE, Gated, tools_call

MODERN = (b"mcp-protocol-version", b"2026-07-28")
CALL = (b"mcp-method", b"tools/call")
RULES = [
    {"tools": ["admin-*"], "scopes": ["mcp:admin"]},
    {"prompts": ["secret"], "scopes": ["mcp:admin"]},
    {"resources": ["secret://*"], "scopes": ["mcp:admin"]},
    {"tools": ["for-root"], "groups": ["root"]},
]
MISMATCH = Verdict("header_mismatch", 400, None, challenged=False)
REPEATED = Verdict("repeated_header", 400, None, challenged=False)
INVALID = Verdict("invalid_message", 400, None, challenged=False)
NOT_JSON = Verdict("invalid_json", 400, None, challenged=False)
TOO_LARGE = Verdict("body_too_large", 413, None, challenged=False)
DENIED = Verdict("denied_by_policy", 403, None, challenged=False)
NO_SCOPE = Verdict("insufficient_scope", 403, "insufficient_scope")

OPEN, FORBIDDEN = tools_call("open"), tools_call("admin-reset")
CODES = {"header_mismatch": -32020, "invalid_message": -32600, "repeated_header": -32600, "invalid_json": -32700}


@asynccontextmanager
async def ruled(**more: Any) -> AsyncIterator[Gated]:
    """A standing gate whose honest principal may call everything but what the rules keep for others."""
    async with standing(resource={"rules": RULES}, **more) as door:
        yield door


async def send(door: Gated, body: bytes, fields: Fields = ()) -> Answer:
    return await ask(door, fields=[bearer(honest(door.issuer)), *fields], body=body)


async def stopped(door: Gated, body: bytes, expected: Verdict, fields: Fields = ()) -> Answer:
    """This body of an honest principal does not reach the app."""
    reached = len(door.app.scopes)
    answer = await send(door, body, fields)
    refused_as(answer.response, expected, scope="mcp:admin mcp:use")
    error = json.loads(answer.body)["error"]
    assert error["code"] == CODES.get(expected.reason, -32010)
    assert door.reason == expected.reason
    assert len(door.app.scopes) == reached
    assert (await send(door, json.dumps(OPEN).encode())).status == 200
    return answer


def sentinel(encoded: bytes) -> tuple[bytes, bytes]:
    return b"mcp-name", b"=?base64?" + encoded + b"?="


def mirrored_rows() -> Iterator[Any]:
    """Headers of 2026-07-28 around a call of `open` that say anything else."""
    right = (b"mcp-name", b"open")
    lies: dict[str, tuple[list[tuple[bytes, bytes]], Verdict]] = {
        "no Mcp-Method": ([right], MISMATCH),
        "no Mcp-Name": ([CALL], MISMATCH),
        "neither": ([], MISMATCH),
        "Mcp-Method empty": ([(b"mcp-method", b""), right], MISMATCH),
        "Mcp-Method of a list": ([(b"mcp-method", b"tools/list"), right], MISMATCH),
        "Mcp-Method in upper case": ([(b"mcp-method", b"TOOLS/CALL"), right], MISMATCH),
        "Mcp-Method with a blank": ([(b"mcp-method", b"tools/ call"), right], MISMATCH),
        "Mcp-Method escaped": ([(b"mcp-method", b"tools%2Fcall"), right], MISMATCH),
        "Mcp-Method with a slash": ([(b"mcp-method", b"/tools/call"), right], MISMATCH),
        "Mcp-Method in base64": ([(b"mcp-method", b"=?base64?dG9vbHMvY2FsbA==?="), right], MISMATCH),
        "Mcp-Method twice": ([CALL, CALL, right], REPEATED),
        "Mcp-Method twice, a lie first": ([(b"mcp-method", b"ping"), CALL, right], REPEATED),
        "Mcp-Method twice, a lie last": ([CALL, (b"mcp-method", b"ping"), right], REPEATED),
        "Mcp-Name empty": ([CALL, (b"mcp-name", b"")], MISMATCH),
        "Mcp-Name of another tool": ([CALL, (b"mcp-name", b"other")], MISMATCH),
        "Mcp-Name of a forbidden tool": ([CALL, (b"mcp-name", b"admin-reset")], MISMATCH),
        "Mcp-Name in upper case": ([CALL, (b"mcp-name", b"OPEN")], MISMATCH),
        "Mcp-Name with a blank": ([CALL, (b"mcp-name", b"op en")], MISMATCH),
        "Mcp-Name in quotes": ([CALL, (b"mcp-name", b'"open"')], MISMATCH),
        "Mcp-Name escaped": ([CALL, (b"mcp-name", b"op%65n")], MISMATCH),
        "Mcp-Name with a NUL": ([CALL, (b"mcp-name", b"open\0")], MISMATCH),
        "Mcp-Name folded": ([CALL, (b"mcp-name", b"open, admin-reset")], MISMATCH),
        "Mcp-Name twice": ([CALL, right, right], REPEATED),
        "Mcp-Name twice, a lie first": ([CALL, (b"mcp-name", b"admin-reset"), right], REPEATED),
        "Mcp-Name twice, a lie last": ([CALL, right, (b"mcp-name", b"admin-reset")], REPEATED),
        "base64 of another name": ([CALL, sentinel(base64.b64encode(b"admin-reset"))], MISMATCH),
        "base64 of nothing": ([CALL, sentinel(b"")], MISMATCH),
        "base64 without padding": ([CALL, sentinel(b"b3Blbg")], MISMATCH),
        "base64 with too much padding": ([CALL, sentinel(b"b3Blbg====")], MISMATCH),
        "base64 with stray bits": ([CALL, sentinel(b"b3Blbh==")], MISMATCH),
        "base64 with a newline": ([CALL, sentinel(b"b3Bl\nbg==")], MISMATCH),
        "base64 with a blank": ([CALL, sentinel(b"b3Bl bg==")], MISMATCH),
        "base64 with a star": ([CALL, sentinel(b"b3Bl*bg==")], MISMATCH),
        "base64 of base64": ([CALL, sentinel(base64.b64encode(b"=?base64?b3Blbg==?="))], MISMATCH),
        "base64 of no UTF-8": ([CALL, sentinel(base64.b64encode(b"open\xff"))], MISMATCH),
        "base64 with a NUL": ([CALL, sentinel(base64.b64encode(b"open\0"))], MISMATCH),
        "base64 in upper case": ([CALL, (b"mcp-name", b"=?BASE64?b3Blbg==?=")], MISMATCH),
        "base64 of a charset": ([CALL, (b"mcp-name", b"=?utf-8?B?b3Blbg==?=")], MISMATCH),
        "base64 without its end": ([CALL, (b"mcp-name", b"=?base64?b3Blbg==")], MISMATCH),
        "base64 begun and nothing else": ([CALL, (b"mcp-name", b"=?base64?=")], MISMATCH),
        "two versions": ([CALL, right, MODERN], REPEATED),
        "two versions, an old one last": ([CALL, right, (b"mcp-protocol-version", b"2025-11-25")], REPEATED),
        "two sessions": ([CALL, right, (b"mcp-session-id", b"a"), (b"mcp-session-id", b"b")], REPEATED),
        "two origins": ([CALL, right, *[(b"origin", b"https://gw.example")] * 2], REPEATED),
        "two lengths": ([CALL, right, *[(b"content-length", b"99")] * 2], REPEATED),
    }
    for name, (fields, expected) in lies.items():
        yield pytest.param(fields, expected, id=name)


@pytest.mark.parametrize(("fields", "expected"), list(mirrored_rows()))
async def test_header_that_does_not_mirror_the_body_is_refused(fields: Fields, expected: Verdict) -> None:
    async with ruled() as door:
        answer = await stopped(door, json.dumps(OPEN).encode(), expected, [MODERN, *fields])
        assert ("id" in json.loads(answer.body)) == (expected is MISMATCH)


@pytest.mark.parametrize(
    "version", [b"9999-12-31", b"1999-01-01", b"", b"abc", b"2026-07-28 ", b"2025-11-25,2026-07-28"]
)
async def test_unknown_revision_is_held_to_the_mirrored_headers(version: bytes) -> None:
    async with ruled() as door:
        await stopped(door, json.dumps(OPEN).encode(), MISMATCH, [(b"mcp-protocol-version", version)])


@pytest.mark.parametrize("fields", [[CALL, (b"mcp-name", b"open")], [CALL, sentinel(b"b3Blbg==")]])
async def test_headers_that_mirror_the_body_are_accepted(fields: Fields) -> None:
    async with ruled() as door:
        assert (await send(door, json.dumps(OPEN).encode(), [MODERN, *fields])).status == 200


@pytest.mark.parametrize("version", [None, b"2024-11-05", b"2025-03-26", b"2025-06-18", b"2025-11-25", b"2026-07-28"])
@pytest.mark.parametrize(
    "lies",
    [
        pytest.param([], id="no headers"),
        pytest.param([CALL, (b"mcp-name", b"open")], id="headers of an allowed tool"),
        pytest.param([(b"mcp-method", b"tools/list")], id="headers of a list"),
        pytest.param([(b"mcp-method", b"ping"), (b"mcp-name", b"open")], id="headers of a ping"),
        pytest.param([CALL, (b"mcp-name", b"admin-reset")], id="headers that are true"),
    ],
)
async def test_forbidden_tool_is_never_called_whatever_the_headers_say(version: bytes | None, lies: Fields) -> None:
    fields = [*([(b"mcp-protocol-version", version)] if version else []), *lies]
    true = (b"mcp-name", b"admin-reset") in lies
    async with ruled() as door:
        expected = MISMATCH if version == MODERN[1] and not true else NO_SCOPE
        await stopped(door, json.dumps(FORBIDDEN).encode(), expected, fields)


def batch_rows() -> Iterator[Any]:
    batches: dict[str, tuple[Any, Verdict]] = {
        "allowed and forbidden": ([OPEN, FORBIDDEN], NO_SCOPE),
        "forbidden and allowed": ([FORBIDDEN, OPEN], NO_SCOPE),
        "forbidden among many": ([OPEN] * 99 + [FORBIDDEN], NO_SCOPE),
        "forbidden as a notification": ([OPEN, {**FORBIDDEN, "id": None}], NO_SCOPE),
        "forbidden behind initialize": ([INITIALIZE, FORBIDDEN], NO_SCOPE),
        "denied by group": ([OPEN, tools_call("for-root")], DENIED),
        "nothing": ([], INVALID),
        "a batch": ([[FORBIDDEN]], INVALID),
        "a batch behind a message": ([OPEN, [FORBIDDEN]], INVALID),
        "a number": ([1], INVALID),
        "null": ([None], INVALID),
        "a text": (["tools/call"], INVALID),
        "a message and a number": ([OPEN, 1], INVALID),
        "too many": ([OPEN] * 101, INVALID),
        "very many": ([{}] * 100_000, INVALID),
    }
    for name, (batch, expected) in batches.items():
        yield pytest.param(json.dumps(batch).encode(), expected, id=name)


@pytest.mark.parametrize(("body", "expected"), list(batch_rows()))
async def test_batch_with_anything_forbidden_in_it_is_refused_as_a_whole(body: bytes, expected: Verdict) -> None:
    async with ruled() as door:
        await stopped(door, body, expected)
        await stopped(door, b" \n" + body, expected)


async def test_batch_of_the_newest_revision_is_refused() -> None:
    async with ruled() as door:
        fields = [MODERN, CALL, (b"mcp-name", b"open")]
        await stopped(door, json.dumps([OPEN, OPEN]).encode(), INVALID, fields)


def message_rows() -> Iterator[Any]:
    call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'
    texts: dict[str, tuple[str | bytes, Verdict]] = {
        "empty": ("", NOT_JSON),
        "a blank": (" ", NOT_JSON),
        "half": ('{"jsonrpc":', NOT_JSON),
        "a text": ('"tools/call"', INVALID),
        "a number": ("5", INVALID),
        "null": ("null", INVALID),
        "true": ("true", INVALID),
        "two messages": (json.dumps(OPEN) * 2, NOT_JSON),
        "a message and a NUL": (json.dumps(FORBIDDEN) + "\0", NOT_JSON),
        "a comma behind": (call + '{"name":"admin-reset"},}', NOT_JSON),
        "a comment": (call + '{"name":"admin-reset"}/**/}', NOT_JSON),
        "single quotes": ("{'method':'tools/call'}", NOT_JSON),
        "NaN": (call + '{"name":"open","arguments":NaN}}', NOT_JSON),
        "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(FORBIDDEN).encode(), NOT_JSON),
        "UTF-16": (json.dumps(FORBIDDEN).encode("utf-16"), NOT_JSON),
        "UTF-16 without its mark": (json.dumps(FORBIDDEN).encode("utf-16-le"), NOT_JSON),
        "UTF-32": (json.dumps(FORBIDDEN).encode("utf-32-be"), NOT_JSON),
        "UTF-7": (json.dumps(FORBIDDEN).encode("utf-7"), NO_SCOPE),
        "bytes": (bytes(range(256)), NOT_JSON),
        "half a surrogate": (call + '{"name":"admin-\\ud800"}}', NOT_JSON),
        "depth": (call + '{"name":"open","arguments":' + "[" * 100_000 + "]" * 100_000 + "}}", NOT_JSON),
        "depth without an end": ("[" * 100_000, NOT_JSON),
        "depth of objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, NOT_JSON),
        "no parameters": ('{"jsonrpc":"2.0","id":1,"method":"tools/call"}', INVALID),
        "parameters null": (call + "null}", INVALID),
        "parameters a list": (call + '["admin-reset"]}', INVALID),
        "parameters a text": (call + '"admin-reset"}', INVALID),
        "no name": (call + "{}}", INVALID),
        "name null": (call + '{"name":null}}', INVALID),
        "name a number": (call + '{"name":5}}', INVALID),
        "name a list": (call + '{"name":["admin-reset"]}}', INVALID),
        "name an object": (call + '{"name":{"a":1}}}', INVALID),
        "method a number": ('{"jsonrpc":"2.0","id":1,"method":5}', INVALID),
        "method null": ('{"jsonrpc":"2.0","id":1,"method":null}', INVALID),
        "method a list": ('{"jsonrpc":"2.0","id":1,"method":["tools/call"]}', INVALID),
        "id true": ('{"jsonrpc":"2.0","id":true,"method":"ping"}', INVALID),
        "id a list": ('{"jsonrpc":"2.0","id":[1],"method":"ping"}', INVALID),
        "id an object": ('{"jsonrpc":"2.0","id":{},"method":"ping"}', INVALID),
        "no uri": ('{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{}}', INVALID),
        "no reference": ('{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{}}', INVALID),
    }
    for name, (text, expected) in texts.items():
        yield pytest.param(text if isinstance(text, bytes) else text.encode(), expected, id=name)
    doubled: dict[str, str] = {
        "method, ping first": '"method":"ping","method":"tools/call","params":{"name":"admin-reset"}',
        "method, escaped last": '"method":"ping","\\u006dethod":"tools/call","params":{"name":"admin-reset"}',
        "params, open first": '"method":"tools/call","params":{"name":"open"},"params":{"name":"admin-reset"}',
        "name, open first": '"method":"tools/call","params":{"name":"open","name":"admin-reset"}',
        "name, escaped last": '"method":"tools/call","params":{"name":"open","n\\u0061me":"admin-reset"}',
        "method, in capitals": '"method":"ping","METHOD":"tools/call","params":{"name":"admin-reset"}',
        "name, forbidden first": '"method":"tools/call","params":{"name":"admin-reset","name":"open"}',
        "name, in capitals": '"method":"tools/call","params":{"name":"open","Name":"admin-reset"}',
    }
    for name, members in doubled.items():  # an upstream may read the first, or take no notice of case
        yield pytest.param(f'{{"jsonrpc":"2.0","id":1,{members}}}'.encode(), INVALID, id=f"twice: {name}")
    hidden: dict[str, str] = {
        "name escaped inside": '"method":"tools/call","params":{"name":"\\u0061dmin-reset"}',
        "name beside uri": '"method":"tools/call","params":{"uri":"a","name":"admin-reset"}',
        "uri beside name": '"method":"resources/read","params":{"name":"open","uri":"secret://a"}',
        "reference to both": '"method":"completion/complete","params":{"ref":{"type":"ref/resource","name":"open",'
        '"uri":"secret://a"}}',
        "reference to a prompt and a uri": '"method":"completion/complete","params":{"ref":{"type":"ref/prompt",'
        '"name":"secret","uri":"open://a"}}',
        "subscription": '"method":"resources/subscribe","params":{"uri":"secret://a"}',
        "listening": '"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":'
        '["open://a","secret://a"]}}',
        "prompt": '"method":"prompts/get","params":{"name":"secret"}',
    }
    for name, members in hidden.items():
        yield pytest.param(f'{{"jsonrpc":"2.0","id":1,{members}}}'.encode(), NO_SCOPE, id=f"forbidden by {name}")


@pytest.mark.parametrize(("body", "expected"), list(message_rows()))
async def test_message_that_cannot_be_told_or_is_forbidden_is_refused(body: bytes, expected: Verdict) -> None:
    async with ruled() as door:
        await stopped(door, body, expected)


@pytest.mark.parametrize(
    "name", ["Admin-reset", "ADMIN-RESET", "admin", "xadmin-reset", " admin-reset", "\u0430dmin-reset"]
)
async def test_name_that_only_resembles_a_forbidden_one_is_another_tool(name: str) -> None:
    async with ruled() as door:
        assert (await send(door, json.dumps(tools_call(name)).encode())).status == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "HEAD", "TRACE", "post", "PROPFIND"])
async def test_forbidden_call_by_another_method_is_refused_too(method: str) -> None:
    async with ruled() as door:
        body = json.dumps(FORBIDDEN).encode()
        for framing in ((b"content-length", str(len(body)).encode()), (b"transfer-encoding", b"chunked")):
            fields = [bearer(honest(door.issuer)), framing]
            assert (await ask(door, method, fields=fields, body=body)).status == 403
        assert len(door.app.scopes) == 1


@pytest.mark.parametrize(
    "request_id",
    [
        '"<script>alert(1)</script>"',
        '"\\r\\nX-Evil: 1"',
        '"\\u2028"',
        "-1",
        "1.5",
        "1e400",
        "null",
        str(2**63),
        "9" * 400,
        "9" * 5000,
        '"' + "i" * 10_000 + '"',
        '""',
    ],
)
async def test_odd_id_is_echoed_as_json_or_not_at_all(request_id: str) -> None:
    async with ruled() as door:
        body = f'{{"jsonrpc":"2.0","id":{request_id},"method":"tools/call","params":{{}}}}'
        answer = await send(door, body.encode())
        assert answer.status == 400
        echoed = json.loads(answer.body).get("id")
        assert echoed is None or json.dumps(echoed) == json.dumps(json.loads(request_id))
        assert answer.header("content-type") == "application/json"
        assert len(door.app.scopes) == 1


LIMIT = 2048


def size_rows() -> Iterator[Any]:
    body = json.dumps({**OPEN, "x": "y" * LIMIT}).encode()
    thirds = [body[:700], body[700:1400], body[1400:]]
    length = (b"content-length", str(len(body)).encode())
    chunked = (b"transfer-encoding", b"chunked")
    yield pytest.param([length], [body], TOO_LARGE, id="length said")
    yield pytest.param([length], [b""], TOO_LARGE, id="length said, no body")
    yield pytest.param([], [body], TOO_LARGE, id="no length said")
    yield pytest.param([], thirds, TOO_LARGE, id="no length said, in parts")
    yield pytest.param([chunked], thirds, TOO_LARGE, id="chunked")
    yield pytest.param([chunked], [b"x"] * (LIMIT + 1), TOO_LARGE, id="chunked, byte by byte")
    yield pytest.param([(b"content-length", b"10")], [body], TOO_LARGE, id="less said")
    yield pytest.param([(b"content-length", b"10")], thirds, TOO_LARGE, id="less said, in parts")
    for value in (
        b"-1",
        b"+5",
        b"5,5",
        b"0x10",
        b"1e3",
        b" ",
        b"",
        b"5 5",
        b"9" * 19,
        b"\xb2",
        b"1_0",
        b"NaN",
        b"\xd9\xa1",
    ):
        yield pytest.param([(b"content-length", value)], [b"{}"], INVALID, id=f"length {value!r}")
    yield pytest.param([(b"content-length", b"9" * 18)], [b"{}"], TOO_LARGE, id="length of 18 digits")


@pytest.mark.parametrize(("fields", "chunks", "expected"), list(size_rows()))
async def test_body_beyond_the_limit_is_refused(fields: Fields, chunks: list[bytes], expected: Verdict) -> None:
    async with ruled(max_body_bytes=LIMIT) as door:
        answer = await ask(door, fields=[bearer(honest(door.issuer)), *fields], body=chunks)
        refused_as(answer.response, expected)
        assert door.reason == expected.reason
        assert len(door.app.scopes) == 1
        if expected is TOO_LARGE:
            assert answer.header("connection") == "close"
        assert (await send(door, json.dumps(OPEN).encode())).status == 200


async def test_client_that_leaves_before_the_end_of_its_body_reaches_nothing() -> None:
    async with ruled() as door:
        answer = await ask(door, fields=[bearer(honest(door.issuer))], body=[b'{"half', b" a body"], complete=False)
        assert answer.status == 0
        assert len(door.app.scopes) == 1


def executed(body: bytes) -> list[str]:
    """The tools that servers built on the SDK would call for a body, by each way the SDK reads one."""
    found = []
    for read in (pydantic_core.from_json, json.loads):
        with suppress(ValueError, RecursionError, ValidationError):
            message = jsonrpc_message_adapter.validate_python(read(body), by_name=False)
            if isinstance(message, JSONRPCRequest) and message.method == "tools/call":
                found.append(CallToolRequestParams.model_validate(message.params, by_name=False).name)
    return found


def members(*pairs: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A JSON object of some of these members, in any order, any of them several times."""
    return st.lists(st.one_of(*pairs), max_size=6).map(lambda chosen: "{" + ",".join(chosen) + "}")


def key(name: str) -> st.SearchStrategy[str]:
    """A member's name, some of its letters escaped, or in another case."""
    spelled = st.lists(st.booleans(), min_size=len(name), max_size=len(name)).map(
        lambda escaped: "".join(f"\\u{ord(c):04x}" if e else c for c, e in zip(name, escaped, strict=True))
    )
    return st.one_of(st.just(name), spelled, st.just(name.title())).map(lambda text: f'"{text}"')


def member(name: str, *values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(key(name), st.one_of(*values)).map(":".join)


NAMES = st.sampled_from(
    ['"open"', '"admin-reset"', '"\\u0061dmin-reset"', '"Admin-Reset"', "null", "5", '["admin-reset"]']
)
PARAMS = members(member("name", NAMES), member("uri", NAMES), member("arguments", st.sampled_from(["{}", "[[]]"])))
MESSAGES = members(
    member("jsonrpc", st.just('"2.0"')),
    member("id", st.sampled_from(["1", '"1"', "null", "1.0", "1.5"])),
    member("method", st.sampled_from(['"tools/call"', '"ping"', '"tools\\/call"', '"tools/list"', "null"])),
    member("params", PARAMS, PARAMS, st.just("null")),
)


async def test_what_passes_the_policy_calls_no_forbidden_tool_by_any_reading() -> None:
    async with ruled() as door:
        gate, principal = door.gate.state.gates["/mcp"], door.app.principals[0]
    called: list[str] = []

    @settings(max_examples=500, deadline=None)
    @given(MESSAGES)
    def judge(text: str) -> None:
        body = ('{"jsonrpc":"2.0","id":1,"method":"tools/call",' + text[1:]).replace(",}", "}").encode()
        try:
            gate.policy.check(principal, operations(body))
        except Refusal:
            return
        called.extend(executed(body))
        assert "admin-reset" not in called

    judge()
    assert "open" in called, "nothing was let through, so nothing was tried"
