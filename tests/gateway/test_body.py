"""Headers that say one thing are there once, and a body is read whole or not at all."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive

from gateway.body import SINGLE, check_length, check_single, has_body, read_body, replay
from gateway.errors import BodyTooLarge, InvalidMessage, RepeatedHeader


class TestFraming:
    @pytest.mark.parametrize("name", sorted(SINGLE))
    def test_header_that_says_one_thing_is_there_once(self, name: bytes) -> None:
        check_single([(name, b"a"), (b"accept", b"a"), (b"accept", b"b")])
        with pytest.raises(RepeatedHeader, match=name.decode()):
            check_single([(name, b"a"), (name, b"a")])

    def test_length_beyond_the_limit_is_refused_before_the_body(self) -> None:
        check_length({}, 10)
        check_length({b"content-length": b"10"}, 10)
        with pytest.raises(BodyTooLarge):
            check_length({b"content-length": b"11"}, 10)

    @pytest.mark.parametrize("length", [b"", b"-1", b"+1", b"1e3", b"0x1", b"1 ", "²".encode("latin-1"), b"9" * 5000])
    def test_length_that_is_none_is_refused(self, length: bytes) -> None:
        with pytest.raises((InvalidMessage, BodyTooLarge)):
            check_length({b"content-length": length}, 10)

    @pytest.mark.parametrize(
        ("headers", "carries"),
        [
            ({}, False),
            ({b"content-length": b"0"}, False),
            ({b"content-length": b"1"}, True),
            ({b"transfer-encoding": b"chunked"}, True),
        ],
    )
    def test_request_of_any_method_carries_a_body_if_its_headers_say_so(
        self, headers: dict[bytes, bytes], carries: bool
    ) -> None:
        assert has_body(headers) is carries


def receiving(*messages: Message) -> Receive:
    left = list(messages)

    async def receive() -> Message:
        return left.pop(0)

    return receive


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


class TestBody:
    async def test_body_is_read_whole(self) -> None:
        assert await read_body(receiving(part(b"abc")), 3) == b"abc"
        assert await read_body(receiving(part(b"a", more=True), part(b"", more=True), part(b"bc")), 3) == b"abc"
        assert await read_body(receiving({"type": "http.request"}), 3) == b""

    @pytest.mark.parametrize(
        "parts",
        [
            pytest.param([part(b"abcd")], id="at once"),
            pytest.param([part(b"ab", more=True), part(b"cd")], id="in parts"),
            pytest.param([part(b"abcd", more=True)], id="before its end"),
        ],
    )
    async def test_body_beyond_the_limit_is_refused(self, parts: list[Message]) -> None:
        with pytest.raises(BodyTooLarge):
            await read_body(receiving(*parts), 3)

    async def test_client_that_goes_away_leaves_no_body(self) -> None:
        assert await read_body(receiving(GONE), 3) is None
        assert await read_body(receiving(part(b"a", more=True), GONE), 3) is None

    async def test_body_that_was_read_is_received_again_and_then_the_rest(self) -> None:
        receive = replay(b"abc", receiving(GONE))
        assert await receive() == part(b"abc")
        assert await receive() == GONE
