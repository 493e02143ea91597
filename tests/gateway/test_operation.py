"""What a request does, told from its body alone; headers that mirror the body are compared and decide nothing."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import HeaderMismatch, InvalidJson, InvalidMessage, ProtocolError
from gateway.operation import (
    HANDSHAKE_REVISIONS,
    MAX_BATCH,
    Operation,
    Target,
    check_mirrored,
    decode_mirrored,
    operations,
)

NEW = b"2026-07-28"


def message(method: str, params: Any = None, **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}, **members}


def read(body: Any) -> list[Operation]:
    return operations(json.dumps(body).encode())


class TestTargets:
    @pytest.mark.parametrize(
        ("method", "params", "targets"),
        [
            pytest.param("tools/call", {"name": "x", "arguments": {"name": "y"}}, [("tool", "x")], id="tool"),
            pytest.param("prompts/get", {"name": "x"}, [("prompt", "x")], id="prompt"),
            pytest.param("resources/read", {"uri": "a:b", "name": "x"}, [("resource", "a:b")], id="resource read"),
            pytest.param("resources/subscribe", {"uri": "a:b"}, [("resource", "a:b")], id="resource subscribed"),
            pytest.param("resources/unsubscribe", {"uri": "a:b"}, [("resource", "a:b")], id="resource unsubscribed"),
            pytest.param(
                "completion/complete",
                {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "y", "value": "z"}},
                [("prompt", "x")],
                id="completion for a prompt",
            ),
            pytest.param(
                "completion/complete",
                {"ref": {"type": "ref/resource", "uri": "a:{b}"}},
                [("resource", "a:{b}")],
                id="completion for a resource",
            ),
            pytest.param(
                "completion/complete",
                {"ref": {"type": "ref/prompt", "name": "x", "uri": "a:b"}},
                [("prompt", "x"), ("resource", "a:b")],
                id="completion that names both is about both",
            ),
            pytest.param(
                "subscriptions/listen",
                {"notifications": {"resourceSubscriptions": ["a:b", "c:d"], "toolsListChanged": True}},
                [("resource", "a:b"), ("resource", "c:d")],
                id="subscriptions",
            ),
            pytest.param("subscriptions/listen", {"notifications": {}}, [], id="subscriptions to no resource"),
            pytest.param("subscriptions/listen", {}, [], id="subscriptions to nothing"),
            pytest.param("tools/list", {"name": "x", "uri": 7}, [], id="a list is about nothing"),
            pytest.param("Tools/Call", {"name": "x"}, [], id="a method in another case is another method"),
            pytest.param("initialize", {"protocolVersion": "2025-11-25"}, [], id="a handshake"),
        ],
    )
    def test_operation_is_about_what_its_parameters_name(
        self, method: str, params: dict[str, Any], targets: list[tuple[Any, str]]
    ) -> None:
        (operation,) = read(message(method, params))
        assert operation[:3] == (method, tuple(Target(*target) for target in targets), 1)

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            pytest.param("tools/call", {}, id="tool without name"),
            pytest.param("tools/call", {"name": None}, id="tool of name null"),
            pytest.param("tools/call", {"name": 7}, id="tool of name 7"),
            pytest.param("tools/call", [1], id="parameters by position"),
            pytest.param("prompts/get", {"uri": "x"}, id="prompt without name"),
            pytest.param("resources/read", {"name": "x"}, id="resource without uri"),
            pytest.param("completion/complete", {}, id="completion of nothing"),
            pytest.param("completion/complete", {"ref": {"type": "ref/prompt"}}, id="completion of no name"),
            pytest.param("completion/complete", {"ref": "x"}, id="completion of a text"),
            pytest.param("subscriptions/listen", {"notifications": {"resourceSubscriptions": [7]}}, id="of a number"),
            pytest.param("subscriptions/listen", {"notifications": {"resourceSubscriptions": "a"}}, id="of a text"),
        ],
    )
    def test_operation_whose_target_cannot_be_told_is_refused_with_its_id(self, method: str, params: Any) -> None:
        with pytest.raises(InvalidMessage) as refusal:
            read(message(method, params, id="mine"))
        assert refusal.value.request_id == "mine"

    def test_parameters_may_be_missing_where_nothing_is_named(self) -> None:
        assert operations(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}') == [Operation("tools/list", (), 1)]
        assert operations(b'{"method":"ping","params":null}') == [Operation("ping")]
        with pytest.raises(InvalidMessage):
            operations(b'{"method":"tools/call"}')

    def test_response_of_a_client_is_an_operation_without_method(self) -> None:
        assert operations(b'{"jsonrpc":"2.0","id":3,"result":{"method":"tools/call"}}') == [Operation("", (), 3)]


class TestBatches:
    def test_batch_is_all_of_its_members_in_order(self) -> None:
        asked = read([message("ping"), message("tools/call", {"name": "x"}, id=2)])
        assert asked == [Operation("ping", (), 1), Operation("tools/call", (Target("tool", "x"),), 2)]

    def test_blanks_before_a_batch_do_not_hide_it(self) -> None:
        assert operations(b' \t\r\n[{"method":"ping"}]') == [Operation("ping")]

    @pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
    def test_batch_of_nothing_or_beyond_reason_is_refused(self, count: int) -> None:
        with pytest.raises(InvalidMessage):
            read([message("ping")] * count)
        assert len(read([message("ping")] * MAX_BATCH)) == MAX_BATCH

    def test_batch_within_a_batch_is_refused(self) -> None:
        with pytest.raises(InvalidMessage):
            read([[message("ping")]])


class TestUnreadable:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"{", id="half an object"),
            pytest.param(b"method=ping", id="a form"),
            pytest.param(b'{"method":"ping"}{"method":"ping"}', id="two messages"),
            pytest.param(b'{"method":"\xff"}', id="no UTF-8"),
            pytest.param(b'{"method":"\\ud800"}', id="half a character"),
            pytest.param(b'{"method":"tools/call","params":{"name":"\\ud800"}}', id="half a character in a name"),
            pytest.param(b'\xef\xbb\xbf{"method":"ping"}', id="byte order mark"),
            pytest.param('{"method":"ping"}'.encode("utf-16"), id="UTF-16"),
            pytest.param(b"[" * 100_000, id="nested without end"),
            pytest.param(b'{"a":' * 100_000, id="nested without end in objects"),
        ],
    )
    def test_body_that_is_no_json_is_refused(self, body: bytes) -> None:
        with pytest.raises((InvalidJson, InvalidMessage)):
            operations(body)

    @pytest.mark.parametrize("body", ["text", 7, None, True, {"method": 7}, {"method": None}, {"id": []}, [7]])
    def test_json_that_is_no_message_is_refused(self, body: Any) -> None:
        with pytest.raises(InvalidMessage):
            read(body)

    @given(st.binary())
    def test_no_bytes_raise_anything_but_a_refusal(self, body: bytes) -> None:
        with suppress(ProtocolError):
            operations(body)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(["method", "id", "params", "name", "uri", "ref", "notifications"]), inner
                )
            ),
        ),
        st.sampled_from(["tools/call", "resources/read", "completion/complete", "subscriptions/listen", "ping"]),
    )
    def test_no_json_raises_anything_but_a_refusal(self, body: Any, method: str) -> None:
        for candidate in (body, {"method": method, "params": body}, [{"method": method, "id": body}]):
            with suppress(ProtocolError):
                check_mirrored({b"mcp-protocol-version": NEW}, read(candidate))


def compare(changes: dict[str, bytes | None], method: str = "tools/call", params: Any = None) -> None:
    """Compare a message with headers that say the same, but for the changes; None leaves one out."""
    headers = {"protocol-version": NEW, "method": method.encode(), "name": b"x", **changes}
    present = {f"mcp-{name}".encode(): value for name, value in headers.items() if value is not None}
    check_mirrored(present, read(message(method, params or {"name": "x"})))


class TestMirroredHeaders:
    def test_headers_that_say_what_the_body_says_pass(self) -> None:
        compare({})
        compare({}, "prompts/get")
        compare({}, "resources/read", {"uri": "x"})
        compare({"name": None}, "tools/list")

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"method": None}, id="no method"),
            pytest.param({"method": b"tools/list"}, id="another method"),
            pytest.param({"method": b"TOOLS/CALL"}, id="method in another case"),
            pytest.param({"name": None}, id="no name"),
            pytest.param({"name": b"y"}, id="another name"),
            pytest.param({"name": b"X"}, id="name in another case"),
            pytest.param({"name": b"=?base64?!!!!?="}, id="name that cannot be decoded"),
        ],
    )
    def test_headers_that_say_something_else_are_refused_with_the_id(self, changes: dict[str, bytes | None]) -> None:
        with pytest.raises(HeaderMismatch) as refusal:
            compare(changes)
        assert refusal.value.request_id == 1
        assert refusal.value.code == -32020

    @pytest.mark.parametrize("version", [*sorted(HANDSHAKE_REVISIONS), None])
    def test_older_revisions_mean_nothing_by_these_headers(self, version: Any) -> None:
        compare({"protocol-version": version, "method": b"y", "name": b"y"})

    def test_revision_nobody_knows_is_held_to_them(self) -> None:
        with pytest.raises(HeaderMismatch):
            compare({"protocol-version": b"2099-01-01", "name": b"y"})

    def test_batch_is_refused_where_the_revision_has_none(self) -> None:
        with pytest.raises(InvalidMessage):
            check_mirrored({b"mcp-protocol-version": NEW}, [Operation("ping"), Operation("ping")])

    def test_notifications_may_come_without(self) -> None:
        check_mirrored({b"mcp-protocol-version": NEW}, [Operation("notifications/progress")])

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            pytest.param(b"plain", "plain", id="as it stands"),
            pytest.param(b"=?base64?w6k=?=", "é", id="in base64"),
            pytest.param(b"=?base64??=", "", id="nothing in base64"),
            pytest.param(b"=?BASE64?w6k=?=", "=?BASE64?w6k=?=", id="marker in another case is plain"),
            pytest.param(b"=?base64?w6k=", "=?base64?w6k=", id="marker without end is plain"),
            pytest.param(b"=?base64?w6k?=", None, id="no padding"),
            pytest.param(b"=?base64?w6k==?=", None, id="too much padding"),
            pytest.param(b"=?base64?w6l=?=", None, id="stray bits"),
            pytest.param(b"=?base64?w 6k=?=", None, id="a blank within"),
            pytest.param(b"=?base64?_-__?=", None, id="the other alphabet"),
            pytest.param(b"=?base64?/w==?=", None, id="no UTF-8"),
            pytest.param("é".encode("latin-1"), None, id="beyond ASCII"),
            pytest.param(None, None, id="no header"),
        ],
    )
    def test_names_are_read_as_they_stand_or_out_of_base64(self, value: bytes | None, text: str | None) -> None:
        assert decode_mirrored(value) == text

    @given(st.text())
    def test_every_name_can_be_said_in_base64(self, name: str) -> None:
        encoded = b"=?base64?" + base64.b64encode(name.encode()) + b"?="
        compare({"name": encoded}, params={"name": name})

    @given(st.binary())
    def test_no_header_breaks_the_reader(self, value: bytes) -> None:
        decode_mirrored(value)
