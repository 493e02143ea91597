"""TRN: verbs, media types, revisions and batches of Streamable HTTP (MCP Transports, Lifecycle)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from . import revisions
from .plugin import Judge
from .requirements import requirement
from .revisions import HANDSHAKE, MODERN
from .target import Caller, Target

NO_SUCH = "1999-01-01"


def working(target: Target, revision: str) -> Caller:
    """A client whose tools/list is answered well; not tested otherwise."""
    caller = target.opened(revision)
    answer = caller.ask("tools/list")
    if not answer.ok or answer.code() is not None:
        pytest.skip(f"tools/list is answered {answer.said()}, so nothing else about it can be judged.")
    return caller


@requirement("TRN-VER-01")
@pytest.mark.parametrize("value", [NO_SUCH, "abc", ""])
def test_unknown_version_header_is_a_400(target: Target, judge: Judge, token: str, revision: str, value: str) -> None:
    caller = working(target, revision)
    answer = caller.ask("tools/list", headers={"MCP-Protocol-Version": value})
    shown = repr(value) if value else "empty"
    what = f"MCP-Protocol-Version that is {shown} is answered {answer.said()}, where 400 is due."
    fix = "Answer 400 to a version header that names no revision you speak."
    if value:
        judge.expect(answer.status == 400, what, answer, fix=fix)
    else:
        judge.advise(answer.status == 400, what, answer, fix=fix)  # an empty field may be taken for none


@requirement("TRN-VER-02")
def test_missing_version_header_does_not_end_a_session(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = working(target, revision)
    answer = caller.ask("tools/list", headers={"MCP-Protocol-Version": None})
    served = HANDSHAKE[0] in target.spoken or bool(caller.session)
    judge.expect(
        answer.ok or (not served and answer.status == 400),
        f"A request of a session, without the version header, is answered {answer.said()}.",
        answer,
        fix="Go by the revision that the session was opened with, else by 2025-03-26.",
    )


@requirement("TRN-VER-05")
def test_initialize_is_answered_with_the_revision_asked_for(
    target: Target, judge: Judge, token: str, revision: str
) -> None:
    answer = target.caller(revision).start()
    said = (answer.result() or {}).get("protocolVersion")
    judge.expect(
        said == revision,
        f"initialize for {revision} is answered with {said}.",
        answer,
        fix="Answer with the revision the client asks for, if you speak it.",
    )


@requirement("TRN-VER-05")
def test_initialize_for_an_unknown_revision_is_answered_with_a_known_one(
    target: Target, judge: Judge, token: str
) -> None:
    legacy = [each for each in target.spoken if each != MODERN]
    if not legacy:
        pytest.skip("The target speaks no revision with initialize.")
    answer = target.caller(legacy[-1]).post(revisions.message(legacy[-1], "initialize", {"protocolVersion": NO_SUCH}))
    said = (answer.result() or {}).get("protocolVersion")
    judge.expect(
        said in revisions.REVISIONS,
        f"initialize for {NO_SUCH} is answered with {said or answer.said()}.",
        answer,
        fix="Answer with the newest revision of the handshake that you speak.",
    )


@requirement("TRN-VER-06")
def test_each_era_is_served_or_told_what_is(target: Target, judge: Judge, token: str, revision: str) -> None:
    legacy = [each for each in target.spoken if each != MODERN]
    if not legacy:
        answer = target.caller(HANDSHAKE[-1]).start()
        judge.expect(
            answer.ok or (answer.status in (400, 404) and any(each in answer.text for each in target.spoken)),
            f"initialize at a server without it is answered {answer.said()}, with no word of the revisions it speaks.",
            answer,
            fix="Name the supported versions in the error.",
        )
        return
    modern, old = target.caller(revision), target.opened(legacy[-1])
    for caller in (modern, old, modern, old):
        answer = caller.ask("tools/list")
        judge.expect(
            answer.ok,
            f"In turns with the other era, a request of {caller.revision} is answered {answer.said()}.",
            answer,
            fix="Choose the era by each request: initialize or a session for the old one, _meta for the new.",
        )


@requirement("TRN-POST-01")
def test_request_is_answered_by_json_or_events(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = target.opened(revision)
    answer = caller.post(revisions.message(revision, "tools/list", number=4711))
    fix = "Answer with one JSON-RPC response of the same id, as application/json or as an event of text/event-stream."
    judge.expect(
        answer.media_type in ("application/json", "text/event-stream"),
        f"A request is answered with {answer.media_type or 'no media type'}.",
        answer,
        fix=fix,
    )
    responses = [each for each in answer.messages() if "result" in each or "error" in each]
    judge.expect(
        [each.get("id") for each in responses] == [4711],
        "The answer does not hold exactly one response with the id of the request.",
        answer,
        fix=fix,
    )


@requirement("TRN-POST-01")
def test_notification_is_answered_by_an_empty_202(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = target.opened(revision)
    answer = caller.post(revisions.notification(revision))
    judge.expect(
        answer.status == 202 or (revision == MODERN and 400 <= answer.status < 500),
        f"A notification is answered {answer.said()}, where 202 is due.",
        answer,
        fix="Answer 202 without a body.",
    )
    judge.expect(
        answer.status != 202 or not answer.body,
        "The 202 to a notification has a body.",
        answer,
        fix="Leave the body out.",
    )


MALFORMED: dict[str, Any] = {
    "a method that is a number": {"jsonrpc": "2.0", "method": 5},
    "no method": {"jsonrpc": "2.0"},
    "a string": "tools/list",
    "a number": 5,
}


@requirement("TRN-POST-01")
@pytest.mark.parametrize("what", MALFORMED)
def test_message_that_is_none_is_a_4xx(target: Target, judge: Judge, token: str, revision: str, what: str) -> None:
    answer = target.opened(revision).post(
        MALFORMED[what], {"MCP-Protocol-Version": None if revision == HANDSHAKE[0] else revision}
    )
    judge.expect(
        400 <= answer.status < 500,
        f"A message with {what} is answered {answer.said()}, where a 4xx is due.",
        answer,
        fix="Answer 400 with a JSON-RPC error.",
    )


@requirement("TRN-POST-02")
@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "text/event-stream", "application/json;q=0", "text/html", None]
)
def test_accept_decides_about_success_or_406(
    target: Target, judge: Judge, token: str, revision: str, accept: str | None
) -> None:
    answer = working(target, revision).ask("tools/list", headers={"Accept": accept})
    holds = answer.ok or answer.status in (400, 406)
    judge.expect(
        holds,
        f"A request that accepts {accept or 'nothing in particular'} is answered {answer.said()}, "
        f"where success or 406 is due.",
        answer,
        fix="Answer 406 to clients that accept neither JSON nor events.",
    )
    judge.expect(
        accept != "*/*" or answer.ok,
        f"A request that accepts everything is answered {answer.said()}.",
        answer,
        fix="Count */* as both.",
    )


@requirement("TRN-POST-02")
@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/jsonx", "application/json; charset=utf-8"]
)
def test_body_of_another_type_is_a_415(target: Target, judge: Judge, token: str, revision: str, kind: str) -> None:
    answer = working(target, revision).ask("tools/list", headers={"Content-Type": kind})
    good = kind.startswith("application/json;")
    judge.expect(
        answer.ok if good else answer.status in (400, 415),
        f"A body of the type {kind} is answered {answer.said()}, where {'success' if good else '415'} is due.",
        answer,
        fix="Take application/json, with or without a charset, and answer 415 to all else.",
    )


@requirement("TRN-POST-02")
@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"a":' * 20_000], ids=["cut", "empty", "no UTF-8", "deep"])
def test_body_that_is_no_json_is_a_400(target: Target, judge: Judge, token: str, revision: str, body: bytes) -> None:
    caller = target.opened(revision)
    fields = {} if revision == HANDSHAKE[0] else {"MCP-Protocol-Version": revision}
    answer = caller.post({}, {**fields, "Mcp-Method": "tools/list"}, body=body)
    judge.expect(
        400 <= answer.status < 500,
        f"A body that is no JSON is answered {answer.said()}, where 400 is due.",
        answer,
        fix="Answer 400 with the code -32700.",
    )
    judge.inform(
        answer.code() == -32700,
        f"A body that is no JSON is answered {answer.said()}, without the code -32700.",
        answer,
        fix="Answer 400 with the code -32700.",
    )


@requirement("TRN-BATCH-01")
def test_batch_is_answered_member_by_member(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = working(target, revision)
    answer = caller.post([caller.message("tools/list"), caller.message("tools/list")])
    responses = [each for each in answer.messages() if "result" in each]
    judge.expect(
        answer.ok and len(responses) == 2,
        f"A batch of two requests is answered {answer.said()}, with {len(responses)} results.",
        answer,
        fix="Answer every member of a 2025-03-26 batch, or do not claim that revision.",
    )


@requirement("TRN-BATCH-01")
def test_initialize_is_no_member_of_a_batch(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = working(target, revision)
    answer = caller.post([revisions.opening(revision), caller.message("tools/list")])
    opened = any(
        "protocolVersion" in each.get("result", {})
        for each in answer.messages()
        if isinstance(each.get("result"), dict)
    )
    judge.expect(
        not opened, "initialize is answered inside a batch.", answer, fix="Refuse batches that hold initialize."
    )


@requirement("TRN-BATCH-01")
def test_every_member_of_a_batch_needs_its_own_permission(
    target: Target, judge: Judge, low_token: str, revision: str
) -> None:
    if not target.options.privileged_tool:
        pytest.skip("No tool is known that the token may not call: give --privileged-tool.")
    caller = target.opened(revision, low_token)
    named = {"name": target.options.privileged_tool, "arguments": target.options.privileged_arguments}
    answer = caller.post([caller.message("tools/list"), caller.message("tools/call", named)])
    ran = [
        each
        for each in answer.messages()
        if isinstance(each.get("result"), dict) and "content" in each["result"] and not each["result"].get("isError")
    ]
    judge.expect(
        not ran,
        f"{target.options.privileged_tool} was run as a member of a batch, for a token without its scope.",
        answer,
        fix="Judge every member of a batch by itself, or refuse the whole.",
    )


@requirement("TRN-BATCH-02")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_list_of_messages_is_refused(target: Target, judge: Judge, token: str, revision: str, count: int) -> None:
    caller = working(target, revision)
    sent = [caller.message("tools/list") for _ in range(count)]
    fields = {"MCP-Protocol-Version": revision, **({"Mcp-Method": "tools/list"} if revision == MODERN else {})}
    answer = caller.post(sent, fields)
    done = any("result" in each for each in answer.messages())
    judge.expect(
        not done and 400 <= answer.status < 500,
        f"A list of {count} requests is answered {answer.said()}, where 400 is due.",
        answer,
        fix="Refuse bodies that are lists, from 2025-06-18 on.",
    )


@requirement("TRN-GET-01")
def test_get_opens_a_stream_or_is_a_405(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = target.opened(revision)
    answer = caller.send("GET", seconds=1.0)
    stream = answer.status == 200 and answer.media_type == "text/event-stream"
    judge.expect(
        stream or answer.status == 405,
        f"GET is answered {answer.said()}, where an event stream or 405 is due.",
        answer,
        fix="Open an event stream, or answer 405 with Allow: POST.",
    )
    judge.advise(
        answer.status != 405 or answer.has("allow"),
        "The 405 has no Allow field.",
        answer,
        fix="Send Allow with it (RFC 9110 §15.5.6).",
    )


@requirement("TRN-GET-01")
@pytest.mark.parametrize("verb", ["PUT", "PATCH", "HEAD"])
def test_other_verbs_have_no_effect(target: Target, judge: Judge, token: str, revision: str, verb: str) -> None:
    caller = target.opened(revision)
    fields = caller.fields(revisions.headers(revision, {"method": "tools/list"}), {})
    answer = target.wire.send(
        verb,
        target.url,
        fields,
        b"" if verb == "HEAD" else json.dumps(caller.message("tools/list")).encode(),
        patience=3,
    )
    served = "result" in next(iter(answer.messages()), {})
    judge.expect(
        not served and (answer.status < 500 or answer.status == 501),
        f"{verb} is answered {answer.said()}, where 405 is due.",
        answer,
        fix="Answer 405 with Allow to verbs that MCP does not use.",
    )
    judge.advise(
        answer.status in (405, 404, 501, 400, 406) or (verb == "HEAD" and answer.ok),  # as GET is answered
        f"{verb} is answered {answer.said()}, where 405 is due.",
        answer,
        fix="Answer 405 with Allow.",
    )
