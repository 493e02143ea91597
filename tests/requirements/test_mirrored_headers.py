"""TRN-HDR: the headers in which a 2026-07-28 request repeats what its body says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from conformance.requirements import requirement
from tests.requirements.callers import (
    MODERN,
    Caller,
    caller,
    encoded,
    error,
    exchange,
    guarded,
    message,
    on_socket,
    result,
    text_of,
    token_of,
    usual_headers,
)
from tests.requirements.workshop import LOOKS_ENCODED

# A gate with rules about tools reads bodies itself; one without leaves that to the server behind it.
WITH_AND_WITHOUT_RULES = pytest.mark.parametrize("resource", [{}, {"rules": []}], ids=["rules", "no rules"])

CALL = message(MODERN, "tools/call", {"name": "whoami", "arguments": {}}, 42)
GET = message(MODERN, "prompts/get", {"name": "greeting-template"}, 42)
READ = message(MODERN, "resources/read", {"uri": "greeting://resource"}, 42)
LIST = message(MODERN, "tools/list", {}, 42)


def mismatch(answer: httpx.Response, request_id: int | None = 42) -> None:
    """The refusal that a header gets which is not what the body says."""
    assert (answer.status_code, error(answer)["code"]) == (400, -32020), answer.text
    assert answer.json().get("id") == request_id


@pytest.mark.parametrize("sent", [CALL, GET, READ, LIST], ids=lambda sent: str(sent["method"]))
@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-01")
async def test_method_and_name_are_in_headers_that_equal_the_body(resource: dict[str, Any], sent: Any) -> None:
    async with guarded(resource=resource) as door:
        client = caller(door, MODERN)
        assert (await client.post(sent)).status_code == 200
        method = sent["method"]
        for other in (None, "tools/lists", method.upper(), f"{method} x", ""):
            mismatch(await client.post(sent, {"Mcp-Method": other}))
        if sent is not LIST:
            name = sent["params"].get("name", sent["params"].get("uri"))
            for other in (None, "another", name.upper(), f"{name}x", name[:-1], ""):
                mismatch(await client.post(sent, {"Mcp-Name": other}))
        else:
            assert (await client.post(sent, {"Mcp-Name": "ignored"})).status_code == 200


@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-01")
async def test_header_names_count_in_any_case_and_blanks_around_values_do_not(resource: dict[str, Any]) -> None:
    async with guarded(resource=resource) as door, on_socket(door.gate) as http:
        body = json.dumps(CALL).encode()
        fields = Caller(http, MODERN, token_of(door)).fields(usual_headers(MODERN, CALL), {})
        framing = f"POST /mcp HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        for change in (str.upper, str.lower, str.swapcase):
            head = "".join(f"{change(name)}: \t {value} \t\r\n" for name, value in fields.items())
            said = await exchange(http, f"{framing}{head}\r\n".encode() + body)
            assert said.startswith(b"HTTP/1.1 200 "), said


@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-01")
async def test_header_that_is_there_twice_is_refused(resource: dict[str, Any]) -> None:
    async with guarded(resource=resource) as door:
        usual = caller(door, MODERN).fields(usual_headers(MODERN, CALL), {})
        for name, value in (("Mcp-Name", "whoami"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "admin-reset")):
            answer = await door.client.post("/mcp", json=CALL, headers=[*usual.items(), (name, value)])
            assert answer.status_code == 400


@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-02")
async def test_name_that_no_header_holds_is_encoded_and_decoded(resource: dict[str, Any]) -> None:
    async with guarded(resource=resource) as door:
        client = caller(door, MODERN)
        for uri in ("note://Zoë", "note://日本語", "note://plain"):
            sent = message(MODERN, "resources/read", {"uri": uri})
            answer = await client.post(sent, {"Mcp-Name": encoded(uri)})
            assert result(answer)["contents"][0]["uri"] == uri


BAD = {
    "bad padding": "=?base64?bm90ZTovL1pvw6s?=",
    "too much padding": "=?base64?bm90ZTovL1pvw6s==?=",
    "bad alphabet": "=?base64?bm90ZTovL1pvw6s_?=",
    "blank inside": "=?base64?bm90 ZTovL1pvw6s=?=",
    "marker in upper case": "=?BASE64?bm90ZTovL1pvw6s=?=",
    "no end of the marker": "=?base64?bm90ZTovL1pvw6s=",
    "another name": encoded("note://Zoe"),
    "not UTF-8": "=?base64?bm90ZTovL1pv6w==?=",
    "nothing": "=?base64??=",
    "twice": encoded(encoded("note://Zoë")),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-02")
async def test_name_that_cannot_be_decoded_is_a_mismatch(resource: dict[str, Any], bad: str) -> None:
    async with guarded(resource=resource) as door:
        sent = message(MODERN, "resources/read", {"uri": "note://Zoë"}, 42)
        mismatch(await caller(door, MODERN).post(sent, {"Mcp-Name": bad}))


@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-02")
async def test_name_with_characters_that_a_header_may_not_hold_is_refused(resource: dict[str, Any]) -> None:
    async with guarded(resource=resource) as door:
        for name, raw in (("note://Zoë", "note://Zoë".encode("latin-1")), ("note://Zoë", "note://Zoë".encode())):
            sent = message(MODERN, "resources/read", {"uri": name}, 42)
            fields = caller(door, MODERN).fields(usual_headers(MODERN, sent), {"Mcp-Name": None})
            headers = [*((k.encode(), v.encode()) for k, v in fields.items()), (b"mcp-name", raw)]
            mismatch(await door.client.post("/mcp", content=json.dumps(sent).encode(), headers=headers))


@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-02")
async def test_control_character_in_a_header_is_refused(resource: dict[str, Any]) -> None:
    async with guarded(resource=resource) as door, on_socket(door.gate) as http:
        for control in ("\x00", "\x01", "\x7f", "\x1b"):
            sent = message(MODERN, "prompts/get", {"name": f"greeting{control}-template"}, 42)
            body = json.dumps(sent).encode()
            fields = Caller(http, MODERN, token_of(door)).fields(usual_headers(MODERN, sent), {})
            fields |= {"Host": "gw.example", "Connection": "close", "Content-Length": str(len(body))}
            head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            said = await exchange(http, b"POST /mcp HTTP/1.1\r\n" + head.encode() + b"\r\n" + body)
            assert said.startswith(b"HTTP/1.1 400 "), said


@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-02")
async def test_name_that_looks_encoded_is_encoded_once_more(resource: dict[str, Any]) -> None:
    async with guarded(resource=resource) as door:
        sent = message(MODERN, "prompts/get", {"name": LOOKS_ENCODED}, 42)
        client = caller(door, MODERN)
        said = result(await client.post(sent, {"Mcp-Name": encoded(LOOKS_ENCODED)}))
        assert said["messages"][0]["content"]["text"] == "Say foo."
        mismatch(await client.post(sent, {"Mcp-Name": LOOKS_ENCODED}))  # which says foo


REGION = [
    ({}, None, "in None"),
    ({"region": None}, None, "in None"),
    ({"region": 42}, "42", "in 42"),
    ({"region": 42}, "42.0", "in 42"),
    ({"region": 42}, encoded("42"), "in 42"),
    ({"region": 42}, None, None),
    ({"region": 42}, "43", None),
    ({"region": 42}, "42.5", None),
    ({"region": 42}, "", None),
    ({"region": 42}, "=?base64?NDI?=", None),
    ({}, "42", None),
    ({"region": None}, "42", None),
]


@pytest.mark.parametrize(("arguments", "header", "said"), REGION, ids=str)
@WITH_AND_WITHOUT_RULES
@requirement("TRN-HDR-03")
async def test_annotated_argument_is_in_its_header_exactly_if_it_has_a_value(
    resource: dict[str, Any], arguments: dict[str, Any], header: str | None, said: str | None
) -> None:
    async with guarded(resource=resource) as door:
        sent = message(MODERN, "tools/call", {"name": "place", "arguments": arguments}, 42)
        answer = await caller(door, MODERN).post(sent, {"Mcp-Param-Region": header})
        if said is None:
            mismatch(answer)
        else:
            assert text_of(answer) == said


@requirement("TRN-HDR-03")
async def test_filtered_list_keeps_the_annotations() -> None:
    async with guarded() as door:
        low = Caller(door.client, MODERN, token_of(door, scopes=["mcp:use"]))
        tools = {tool["name"]: tool for tool in result(await low.ask("tools/list"))["tools"]}
        assert "admin-reset" not in tools
        assert tools["place"]["inputSchema"]["properties"]["region"]["x-mcp-header"] == "Region"
