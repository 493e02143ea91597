"""What happens to a response on its way out: lists are filtered, streams end with their token, CORS is added."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Send

from gateway.errors import Refusal
from gateway.operation import Operation, Target
from gateway.policy import Policy
from gateway.principal import Principal
from gateway.settings import Rule
from gateway.streams import (
    MAX_HELD,
    EndWithToken,
    FilterLists,
    completion,
    is_event_stream,
    lists_something,
    with_cors,
)

ALICE = Principal("https://issuer.example", "alice", "c", frozenset({"use"}), frozenset(), 0.0)
RULES = [Rule(tools=["secret*"], prompts=["secret*"], resources=["s3://secret/*"], scopes=["admin"])]
POLICY = Policy(["use"], RULES)
JSON = b"application/json"
EVENTS = b"text/event-stream"
REFUSED = (
    b"a list that cannot be read",
    b"a list in a content coding that was not asked for",
    b"a list of more than %d bytes" % MAX_HELD,
)


class Sent:
    """A `send` that keeps what is sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ended = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.ended.set()

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def complete(self) -> bool:
        return self.ended.is_set()


def start(content_type: bytes, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type), *headers]}


def part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def refuse(refusal: Refusal, send: Send) -> None:
    """What the gate does about a list that cannot be read, here with the cause as the whole answer."""
    await send({"type": "http.response.start", "status": refusal.status, "headers": []})
    await send(part(str(refusal).encode(), more=False))


async def here() -> Message:
    """A client that waits for its answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> Message:
    """A client that has hung up."""
    return {"type": "http.disconnect"}


async def filtered(chunks: Iterable[bytes], content_type: bytes, *headers: tuple[bytes, bytes]) -> Sent:
    """What the client gets of a response in these chunks."""
    sent = Sent()
    send = FilterLists(sent, POLICY, ALICE, refuse)
    await send(start(content_type, *headers))
    for chunk in chunks:
        await send(part(chunk))
    await send(part(b"", more=False))
    return sent


def chunks_of(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[begin:end] for begin, end in pairwise(places)]


def response(result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


CUTS = st.lists(st.integers(0, 2000), max_size=8)
LISTS = [
    pytest.param("tools", "name", "open", "secret-reset", id="tools"),
    pytest.param("prompts", "name", "open", "secret-prompt", id="prompts"),
    pytest.param("resources", "uri", "s3://open/a", "s3://secret/a", id="resources"),
    pytest.param("resourceTemplates", "uriTemplate", "s3://open/{a}", "s3://secret/{a}", id="resource templates"),
]


class TestLists:
    @pytest.mark.parametrize("content_type", [JSON, b"Application/JSON; charset=utf-8"])
    @pytest.mark.parametrize(("member", "naming", "shown", "hidden"), LISTS)
    async def test_list_shows_only_what_the_principal_may_use(
        self, content_type: bytes, member: str, naming: str, shown: str, hidden: str
    ) -> None:
        entries = [{naming: hidden}, {naming: shown, "title": "T"}, {naming: hidden}]
        sent = await filtered([response({member: entries, "nextCursor": "c"})], content_type)
        assert json.loads(sent.body) == json.loads(response({member: entries[1:2], "nextCursor": "c"}))
        assert dict(sent.headers)[b"content-length"] == b"%d" % len(sent.body)
        assert sent.complete

    async def test_members_of_an_entry_pass_to_the_letter(self) -> None:
        schema = b'{"type" : "object",  "z":1e2, "a":1.0, "\\u00e9":"\\/", "$defs":{"b":{},"a":{}}}'
        entry = b'{"name":"open", "inputSchema":' + schema + b"}"
        body = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"},' + entry + b'],"ttlMs":3.0}}'
        sent = await filtered([body], JSON)
        assert sent.body == b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + entry + b'],"ttlMs":3.0}}'

    async def test_what_depends_on_the_principal_is_never_shared(self) -> None:
        sent = await filtered([response({"tools": [{"name": "open"}], "cacheScope": "public", "ttlMs": 1})], JSON)
        assert json.loads(sent.body)["result"] == {"tools": [{"name": "open"}], "cacheScope": "private", "ttlMs": 1}

    async def test_batch_is_filtered_member_by_member(self) -> None:
        tools = response({"tools": [{"name": "secret"}]})
        sent = await filtered([b" [" + tools + b", " + response({}) + b"]"], JSON)
        assert [answer["result"] for answer in json.loads(sent.body)] == [{"tools": []}, {}]

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(
                response({"content": [{"type": "text", "text": "tools"}], "cacheScope": "public"}), id="other"
            ),
            pytest.param(response([{"tools": [{"name": "secret"}]}]), id="a result that is no object"),
            pytest.param(b' {"jsonrpc":"2.0",  "id":1,"error":{"code":-32601,"message":"no"}}', id="an error"),
            pytest.param(b'{"jsonrpc":"2.0","method":"x","params":{"tools":[]}}', id="a request"),
        ],
    )
    async def test_what_is_no_list_passes_to_the_letter(self, body: bytes) -> None:
        assert (await filtered([body], JSON)).body == body

    async def test_list_that_no_rule_is_about_passes_to_the_letter(self) -> None:
        sent = Sent()
        send = FilterLists(sent, Policy([], [Rule(prompts=["*"], scopes=["admin"])]), ALICE, refuse)
        body = b'{"result" : {"tools": [{"name":"secret"}], "cacheScope":"public"}}'
        await send(start(JSON))
        await send(part(body, more=False))
        assert sent.body == body

    @given(CUTS)
    async def test_list_may_come_in_any_pieces(self, cuts: list[int]) -> None:
        body = response({"tools": [{"name": "secret"}, {"name": "open", "title": "é"}]})
        assert (await filtered(chunks_of(body, cuts), JSON)).body == (await filtered([body], JSON)).body

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b" ", id="a blank"),
            pytest.param(b'{"result":{"tools":[', id="half of it"),
            pytest.param(b"<html>", id="a page"),
            pytest.param(b'"text"', id="no object"),
            pytest.param(b'{"result":{"tools":{"name":"secret"}}}', id="a list that is none"),
            pytest.param(b'{"result":{"tools":["secret"]}}', id="an entry that is no object"),
            pytest.param(b'{"result":{"tools":[{"title":"secret"}]}}', id="an entry without name"),
            pytest.param(b'{"result":{"tools":[{"name":7}]}}', id="an entry whose name is no text"),
            pytest.param(b'{"result":{"tools":[{"name":"\xff"}]}}', id="a name that is no UTF-8"),
            pytest.param(b'{"\xff":1,"result":{"tools":[]}}', id="a member that is no UTF-8"),
            pytest.param(b"[" * 20_000 + b"]" * 20_000, id="nested without end"),
            pytest.param(b" " * (MAX_HELD + 1), id="beyond all bounds"),
        ],
    )
    async def test_list_that_cannot_be_read_is_not_shown(self, body: bytes) -> None:
        sent = await filtered([body], JSON)
        assert sent.status == 502
        assert sent.body in REFUSED
        assert sent.complete

    async def test_answer_without_a_body_passes(self) -> None:
        """A notification is answered with 202 and nothing, which may call itself JSON."""
        sent = await filtered([], JSON)
        assert (sent.status, sent.body) == (200, b"")

    async def test_length_is_that_of_what_is_left(self) -> None:
        length = (b"content-length", b"1000")
        json_answer = await filtered([response({"tools": [HIDDEN]})], JSON, length)
        lengths = [value for name, value in json_answer.headers if name == b"content-length"]
        assert lengths == [b"%d" % len(json_answer.body)]
        stream = await filtered([event(response({"tools": [HIDDEN]}))], EVENTS, length)
        assert b"content-length" not in dict(stream.headers)

    @pytest.mark.parametrize("content_type", [JSON, EVENTS])
    async def test_compressed_list_is_not_shown(self, content_type: bytes) -> None:
        sent = await filtered([b"\x1f\x8b..."], content_type, (b"content-encoding", b"gzip"))
        assert sent.status == 502
        assert sent.body in REFUSED

    async def test_nothing_of_a_list_beyond_all_bounds_is_sent_later(self) -> None:
        piece = b'{"name":"secret"},' * 100_000
        sent = await filtered([b'{"result":{"tools":[', *[piece] * 12, b"]}}"], JSON)
        assert sent.status == 502
        assert b"secret" not in sent.body
        assert len(sent.messages) == 2

    async def test_what_is_neither_json_nor_a_stream_passes_as_it_comes(self) -> None:
        sent = await filtered([b"a", b"b"], b"text/plain", (b"content-encoding", b"gzip"))
        assert [message["body"] for message in sent.messages[1:]] == [b"a", b"b", b""]
        assert sent.headers == start(b"text/plain", (b"content-encoding", b"gzip"))["headers"]

    @pytest.mark.parametrize(
        ("method", "listed"),
        [
            ("tools/list", True),
            ("prompts/list", True),
            ("resources/list", True),
            ("resources/templates/list", True),
            ("tools/call", False),
            ("", False),
        ],
    )
    def test_only_answers_that_may_hold_a_list_are_looked_at(self, method: str, listed: bool) -> None:
        assert lists_something([Operation("ping"), Operation(method)], POLICY) is listed
        assert not lists_something([Operation(method)], Policy(["use"]))


def event(data: bytes, newline: bytes = b"\n", *fields: bytes) -> bytes:
    lines = [*fields, *(b"data: " + line for line in data.split(b"\n"))]
    return newline.join([*lines, b"", b""])


def read_events(stream: bytes) -> list[tuple[list[bytes], bytes]]:
    """The events of a stream as a client reads them: other fields, and data (WHATWG HTML §9.2.6)."""
    found: list[tuple[list[bytes], bytes]] = []
    fields: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line:
            fields.append(line)
        else:
            found.append((fields, b"\n".join(data)))
            fields, data = [], []
    return [one for one in found if one != ([], b"")]


HIDDEN = {"name": "secret-reset", "description": "tools"}
SHOWN = {"name": "open", "inputSchema": {"type": "object"}}
PAYLOADS = st.sampled_from(
    [
        response({"tools": [HIDDEN, SHOWN]}),
        json.dumps({"id": 2, "result": {"tools": [SHOWN, HIDDEN], "cacheScope": "public"}}, indent=1).encode(),
        response({"content": [{"type": "text", "text": "a result"}]}),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"tools": [1]}}).encode(),
        b"",
        "é\u2028".encode(),
    ]
)
FIELDS = st.lists(st.sampled_from([b"id: 1", b"event: message", b": keep-alive", b"retry:100"]), max_size=2)
NEWLINES = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(PAYLOADS, FIELDS, NEWLINES), max_size=5).map(
    lambda events: b"".join(event(data, newline, *fields) for data, fields, newline in events)
)


def without_secrets(data: bytes) -> Any:
    """What an event must say after the filter: JSON where it was a list, the same bytes elsewhere."""
    if b'"open"' not in data:
        return data
    message = json.loads(data)
    result = message["result"]
    result["tools"] = [tool for tool in result["tools"] if POLICY.may(ALICE, Target("tool", tool["name"]))]
    return message | {"result": result | ({"cacheScope": "private"} if "cacheScope" in result else {})}


class TestEvents:
    @given(STREAMS, CUTS, st.booleans())
    async def test_lists_in_events_are_filtered_wherever_the_pieces_end(
        self, stream: bytes, cuts: list[int], mark: bool
    ) -> None:
        stream = b"\xef\xbb\xbf" * mark + stream
        sent = await filtered(chunks_of(stream, cuts), EVENTS)
        got = [(fields, json.loads(data) if b'"open"' in data else data) for fields, data in read_events(sent.body)]
        assert got == [(fields, without_secrets(data)) for fields, data in read_events(stream)]
        assert b"secret-reset" not in sent.body

    @given(st.lists(st.tuples(st.sampled_from([b"a", b"result", b""]), FIELDS, NEWLINES)), CUTS)
    async def test_other_events_pass_to_the_letter(self, events: Any, cuts: list[int]) -> None:
        stream = b"".join(event(json.dumps({"x": data.decode()}).encode(), end, *rest) for data, rest, end in events)
        body = (await filtered(chunks_of(stream, cuts), EVENTS)).body
        # An event may end in \r; the \n that comes in the next piece says nothing, and may be the last.
        assert body in (stream, stream.removesuffix(b"\n"))

    async def test_event_goes_on_with_its_last_byte(self) -> None:
        sent = Sent()
        send = FilterLists(sent, POLICY, ALICE, refuse)
        await send(start(EVENTS))
        assert len(sent.messages) == 1, "the head is not held back"
        await send(part(b"data: 1\n"))
        assert len(sent.messages) == 1
        await send(part(b"\ndata: 2"))
        assert sent.body == b"data: 1\n\n"
        await send(part(b"\n\n: alive\n\n"))
        assert sent.body == b"data: 1\n\ndata: 2\n\n: alive\n\n"
        assert not sent.complete

    async def test_list_keeps_its_id_and_type(self) -> None:
        sent = await filtered([event(response({"tools": [HIDDEN]}), b"\r\n", b"id: 7", b"event: message")], EVENTS)
        assert read_events(sent.body) == [
            ([b"id: 7", b"event: message"], b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}')
        ]

    async def test_blank_before_the_data_says_nothing(self) -> None:
        sent = await filtered([b"data:" + response({"tools": [HIDDEN]}) + b"\n\n"], EVENTS)
        assert read_events(sent.body) == [([], b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}')]

    @pytest.mark.parametrize("data", [b'{"result":{"tools":[', b'{"result":{"tools":[{}]}}', b'"result"'])
    async def test_event_that_cannot_be_read_is_not_shown(self, data: bytes) -> None:
        sent = await filtered([event(data), event(b"after")], EVENTS)
        assert sent.body == event(b"after")

    async def test_half_an_event_at_the_end_is_none(self) -> None:
        sent = await filtered([event(b"whole"), b'data: {"result":{"tools":[{"name":"secret"'], EVENTS)
        assert sent.body == event(b"whole")
        assert sent.complete

    async def test_event_beyond_all_bounds_ends_the_stream(self) -> None:
        piece = b'{"name":"secret"},' * 100_000
        whole = [event(b"before"), b'data: {"result":{"tools":[', *[piece] * 12, b"]}}\n\n", event(b"after")]
        sent = await filtered(whole, EVENTS)
        assert sent.body == event(b"before")
        assert sent.complete


async def turns() -> None:
    """A few turns of the loop, in which a timer of nought seconds would have gone off."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestAppThatStopsInTheMiddle:
    @pytest.mark.parametrize("came", [pytest.param([], id="nothing"), pytest.param([b'{"result":{'], id="a part")])
    async def test_list_of_which_half_came_is_refused(self, came: list[bytes]) -> None:
        sent = await stopped(JSON, came, here)
        assert (sent.status, sent.body) == (502, b"it hung up in the middle of a list")

    async def test_client_that_has_gone_is_not_refused(self) -> None:
        assert (await stopped(JSON, [b"{"], gone)).messages == []

    async def test_answer_that_is_complete_stays_as_it_is(self) -> None:
        sent = await filtered([response({})], JSON)
        assert len(sent.messages) == 2

    async def test_stream_of_which_half_came_is_left_to_the_server_to_abort(self) -> None:
        sent = await stopped(EVENTS, [event(b"after"), b"data: {"], here)
        assert (sent.status, sent.body, sent.complete) == (200, event(b"after"), False)


async def stopped(content_type: bytes, came: Iterable[bytes], receive: Receive) -> Sent:
    """What the client gets of a response that stops after these chunks."""
    sent = Sent()
    send = FilterLists(sent, POLICY, ALICE, refuse)
    await send(start(content_type))
    for chunk in came:
        await send(part(chunk))
    await send.close(receive)
    return sent


class TestEndWithToken:
    async def test_stream_ends_with_its_token_and_later_sends_go_nowhere(self) -> None:
        sent = Sent()
        stream = EndWithToken(sent, 0.0, None)
        await stream(start(EVENTS))
        await stream(part(b"data: 1\n\n"))
        await sent.ended.wait()
        assert sent.body == b"data: 1\n\n"
        await stream(part(b"data: 2\n\n"))
        await stream(part(b"", more=False))
        assert len(sent.messages) == 3

    async def test_token_that_is_over_already_ends_the_stream_at_once(self) -> None:
        sent = Sent()
        stream = EndWithToken(sent, -100.0, None)
        await stream(start(EVENTS))
        await sent.ended.wait()

    async def test_other_responses_have_no_end_of_their_own(self) -> None:
        sent, waiting = Sent(), set[EndWithToken]()
        stream = EndWithToken(sent, 0.0, waiting)
        await stream(start(JSON))
        await turns()
        assert not waiting
        await stream(part(b"{}", more=False))
        assert sent.body == b"{}"
        stream.close()

    async def test_stream_that_the_app_ended_is_not_ended_again(self) -> None:
        sent, waiting = Sent(), set[EndWithToken]()
        stream = EndWithToken(sent, 0.0, waiting)
        await stream(start(EVENTS))
        await stream(part(b"", more=False))
        await turns()
        assert len(sent.messages) == 2
        assert not waiting

    async def test_stream_ends_once_whoever_ends_it(self) -> None:
        sent, waiting = Sent(), set[EndWithToken]()
        stream = EndWithToken(sent, 60.0, waiting)
        await stream(start(EVENTS))
        assert waiting == {stream}
        stream.end()
        stream.end()
        await turns()
        assert len(sent.messages) == 2
        stream.close()
        assert not waiting

    @pytest.mark.parametrize(
        ("pieces", "told"),
        [
            pytest.param([], True, id="at the start"),
            pytest.param([b"data: 1\n\n"], True, id="after an event"),
            pytest.param([b"data: 1\r\n", b"data: 2\r\n\r\n"], True, id="after another spelling of one"),
            pytest.param([b"data: 1\n\n", b"data: {"], False, id="never within an event, which it would cut short"),
        ],
    )
    async def test_subscription_is_told_of_its_end(self, pieces: list[bytes], told: bool) -> None:
        sent = Sent()
        stream = EndWithToken(sent, 60.0, None, completion("mine"))
        await stream(start(EVENTS))
        for piece in pieces:
            await stream(part(piece))
        stream.end()
        await sent.ended.wait()
        assert sent.body == b"".join(pieces) + (completion("mine") if told else b"")
        stream.close()

    def test_end_of_a_subscription_is_the_answer_to_its_request(self) -> None:
        (found,) = read_events(completion(7))
        assert json.loads(found[1]) == {
            "jsonrpc": "2.0",
            "id": 7,
            "result": {"resultType": "complete", "_meta": {"io.modelcontextprotocol/subscriptionId": 7}},
        }

    async def test_stream_that_does_not_wait_is_left_to_its_token(self) -> None:
        stream = EndWithToken(Sent(), 60.0, None)
        await stream(start(EVENTS))
        stream.close()


class TestCors:
    async def test_response_may_be_read_by_the_page_and_by_no_other(self) -> None:
        sent = Sent()
        send = with_cors(sent, b"https://app.example")
        own = [(b"access-control-allow-origin", b"*"), (b"access-control-allow-credentials", b"true")]
        await send(start(JSON, *own, (b"x-own", b"1")))
        await send(part(b"{}", more=False))
        headers = dict(sent.headers)
        assert headers[b"access-control-allow-origin"] == b"https://app.example"
        assert headers[b"vary"] == b"Origin"
        assert headers[b"x-own"] == b"1"
        assert b"access-control-allow-credentials" not in headers
        assert sent.body == b"{}"


@pytest.mark.parametrize(
    ("headers", "streams"),
    [
        ([], False),
        ([(b"content-type", b"text/event-stream; charset=utf-8")], True),
        ([(b"content-type", b"Text/Event-Stream")], True),
        ([(b"x", b"text/event-stream"), (b"content-type", b"application/json")], False),
    ],
)
def test_event_stream_is_told_from_its_media_type(headers: list[tuple[bytes, bytes]], streams: bool) -> None:
    assert is_event_stream({"headers": headers}) is streams
    assert is_event_stream({"headers": [list(field) for field in headers]}) is streams
    assert not is_event_stream({})
