"""TRN of 2026-07-28: the envelope, the mirrored headers, discovery and subscriptions (MCP Streamable HTTP)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from . import revisions
from .plugin import Judge
from .requirements import requirement
from .revisions import META, MODERN, encoded, meta, sentinel
from .target import Caller, Target
from .test_scopes import executed
from .test_transport import working
from .verdicts import challenged
from .wire import Answer, as_object

NOBODY = "conformance-no-such-tool"
ODD = "conformance-nö-such-tool"
MISMATCH = -32020
NUMBER = 4711


def mismatch(judge: Judge, answer: Answer, what: str) -> None:
    """The refusal of a request whose header fields are not what its body says."""
    fix = "Compare the field with the body, and answer 400 with code -32020 and the id of the request."
    if judge.expect(
        answer.status == 400 and answer.code() == MISMATCH,
        f"{what} is answered {answer.said()}, where 400 with -32020 is due.",
        answer,
        fix=fix,
    ):
        said = next(iter(answer.messages()), {}).get("id")
        judge.advise(said == NUMBER, f"The refusal has the id {said!r} in place of the request's.", answer, fix=fix)


def calling(name: str, **arguments: Any) -> dict[str, Any]:
    """A call of a tool, by a number that can be recognised."""
    return revisions.message(MODERN, "tools/call", {"name": name, "arguments": arguments}, NUMBER)


@requirement("TRN-VER-03")
@pytest.mark.parametrize(
    ("header", "inside"),
    [(MODERN, "2025-11-25"), ("2025-11-25", MODERN), (None, MODERN)],
    ids=["older inside", "older outside", "no header"],
)
def test_version_is_the_same_in_header_and_body(
    target: Target, judge: Judge, *, token: str, revision: str, header: str | None, inside: str
) -> None:
    sent = revisions.message(revision, "tools/list", {"_meta": meta(inside)}, NUMBER)
    working(target, revision)
    answer = target.caller(revision).post(sent, {"MCP-Protocol-Version": header})
    what = f"A request of {header or 'no revision'} by its header and {inside} by its body"
    if header == MODERN:
        mismatch(judge, answer, what)
        return
    # A server that serves the older revisions too may take such a request for one of theirs, and refuse it as such.
    fix = "Answer 400 with code -32020 where header and body name different revisions."
    served = header is None and revisions.HANDSHAKE[0] in target.spoken
    refused = 400 <= answer.status < 500
    judge.expect(refused or served, f"{what} is answered {answer.said()}, where 400 is due.", answer, fix=fix)
    judge.inform(
        answer.code() == MISMATCH or served,
        f"{what} is answered {answer.said()}, without the code -32020.",
        answer,
        fix=fix,
    )


@requirement("TRN-VER-04")
def test_unknown_revision_is_refused_with_those_that_are_spoken(
    target: Target, judge: Judge, token: str, revision: str
) -> None:
    sent = revisions.message(revision, "tools/list", {"_meta": meta("1900-01-01")}, NUMBER)
    answer = target.caller(revision).post(sent, {"MCP-Protocol-Version": "1900-01-01"})
    fix = "Answer 400 with code -32022 and data.supported and data.requested."
    judge.expect(
        answer.status == 400 and answer.code() == -32022,
        f"A request of 1900-01-01 is answered {answer.said()}, where 400 with -32022 is due.",
        answer,
        fix=fix,
    )
    data = answer.error().get("data")
    supported = data.get("supported") if isinstance(data, dict) else None
    listed = isinstance(supported, list) and bool(supported) and all(isinstance(each, str) for each in supported)
    judge.expect(
        answer.code() != -32022 or listed,
        "The refusal does not list the revisions that are spoken, in data.supported.",
        answer,
        fix=fix,
    )
    judge.expect(
        answer.code() != -32022 or (isinstance(data, dict) and data.get("requested") == "1900-01-01"),
        "The refusal does not repeat the revision in data.requested.",
        answer,
        fix=fix,
    )


@requirement("TRN-META-01")
@pytest.mark.parametrize("missing", ["_meta", "protocolVersion", "clientCapabilities"])
def test_envelope_is_whole(target: Target, judge: Judge, token: str, revision: str, missing: str) -> None:
    caller = working(target, revision)
    sent = revisions.message(revision, "tools/list", {}, NUMBER)
    if missing == "_meta":
        del sent["params"]["_meta"]
    else:
        del sent["params"]["_meta"][f"{META}/{missing}"]
    answer = caller.post(sent)
    # Without a version inside, the mismatch with the header is as good a reason.
    codes = (-32602,) if missing == "clientCapabilities" else (-32602, MISMATCH)
    judge.expect(
        answer.status == 400 and answer.code() in codes,
        f"A request without {missing} is answered {answer.said()}, where 400 with -32602 is due.",
        answer,
        fix="Answer 400 with code -32602.",
    )


@requirement("TRN-META-01")
def test_client_info_is_not_needed(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = working(target, revision)
    sent = revisions.message(revision, "tools/list", {}, NUMBER)
    del sent["params"]["_meta"][f"{META}/clientInfo"]
    answer = caller.post(sent)
    judge.expect(
        answer.ok,
        f"A request without clientInfo is answered {answer.said()}.",
        answer,
        fix="Do without clientInfo: it is optional.",
    )


@requirement("TRN-META-01")
def test_capability_that_is_not_declared_is_missed(target: Target, judge: Judge, token: str, revision: str) -> None:
    if not (tool := target.options.state_tool):
        pytest.skip("No tool is known that needs a capability of the client: give --state-tool.")
    named = "conformance_ask" if tool == "conformance_state" else tool
    answer = target.caller(revision).post(calling(named))
    if executed(answer) and (answer.result() or {}).get("resultType") != "input_required":
        judge.expect(
            False,
            f"{named} ran for a client that declares no capabilities.",
            answer,
            fix="Answer 400 with -32021 and data.requiredCapabilities.",
        )
        return
    holds = answer.status == 400 and answer.code() == -32021
    judge.expect(
        holds,
        f"{named}, for a client that declares no capabilities, is answered {answer.said()}, where 400 "
        f"with -32021 is due.",
        answer,
        fix="Answer 400 with -32021 and data.requiredCapabilities.",
    )
    data = answer.error().get("data")
    judge.expect(
        not holds or (isinstance(data, dict) and isinstance(data.get("requiredCapabilities"), dict)),
        "data.requiredCapabilities is no object.",
        answer,
        fix="Name the capabilities as an object.",
    )


@requirement("TRN-RPC-01")
def test_unknown_method_is_a_404_with_a_body(target: Target, judge: Judge, token: str, revision: str) -> None:
    answer = target.caller(revision).post(revisions.message(revision, "conformance/no-such", {}, NUMBER))
    judge.expect(
        answer.status == 404 and answer.code() == -32601,
        f"An unknown method is answered {answer.said()}, where 404 with -32601 is due.",
        answer,
        fix="Answer 404 with a JSON-RPC error of code -32601: without a body clients take you for an older server.",
    )
    said = next(iter(answer.messages()), {}).get("id")
    judge.expect(
        answer.code() != -32601 or said == NUMBER,
        f"The error has the id {said!r} in place of the request's.",
        answer,
        fix="Repeat the id of the request.",
    )


@requirement("TRN-HDR-01")
@pytest.mark.parametrize(
    "value", [None, "tools/lists", "TOOLS/LIST", ""], ids=["missing", "another", "upper case", "empty"]
)
def test_method_in_the_header_is_that_of_the_body(
    target: Target, judge: Judge, token: str, revision: str, value: str | None
) -> None:
    caller = working(target, revision)
    answer = caller.post(revisions.message(revision, "tools/list", {}, NUMBER), {"Mcp-Method": value})
    mismatch(judge, answer, f"A request whose Mcp-Method is {'missing' if value is None else repr(value)}")


@requirement("TRN-HDR-01")
@pytest.mark.parametrize(
    "value",
    [None, "another-tool", NOBODY.upper(), NOBODY[:-1], ""],
    ids=["missing", "another", "upper case", "cut", "empty"],
)
def test_name_in_the_header_is_that_of_the_body(
    target: Target, judge: Judge, token: str, revision: str, value: str | None
) -> None:
    working(target, revision)
    answer = target.caller(revision).post(calling(NOBODY), {"Mcp-Name": value})
    mismatch(judge, answer, f"A call whose Mcp-Name is {'missing' if value is None else repr(value)}")


@requirement("TRN-HDR-01")
def test_names_of_headers_are_read_in_any_case(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = working(target, revision)
    sent = caller.message("tools/list")
    usual = caller.fields(revisions.headers(revision, sent), {})
    fields = [(name.swapcase(), value) for name, value in usual]
    answer = target.wire.send("POST", target.url, fields, json.dumps(sent).encode())
    judge.expect(
        answer.ok,
        f"A request with its header names in another case is answered {answer.said()}.",
        answer,
        fix="Compare header names without regard to case, and strip blanks around values.",
    )


@requirement("TRN-HDR-02")
def test_encoded_name_is_decoded(target: Target, judge: Judge, token: str, revision: str) -> None:
    working(target, revision)
    answer = target.caller(revision).post(calling(ODD), {"Mcp-Name": encoded(ODD)})
    judge.expect(
        answer.code() != MISMATCH and 0 < answer.status < 500,
        f"A name with an umlaut, in Base64 in its header, is answered {answer.said()}.",
        answer,
        fix="Decode =?base64?…?= before you compare.",
    )


BAD = {
    "bad padding": sentinel(ODD.encode()).replace("?=", "=?="),
    "bad alphabet": "=?base64?bm90ZTovL1pvw6s_?=",
    "the marker in upper case": sentinel(ODD.encode()).replace("base64", "BASE64"),
    "no end": sentinel(ODD.encode())[:-2],
    "another name": sentinel(b"another"),
    "no UTF-8": sentinel(b"\xff\xfe"),
    "encoded twice": sentinel(sentinel(ODD.encode()).encode()),
}


@requirement("TRN-HDR-02")
@pytest.mark.parametrize("how", BAD)
def test_name_that_cannot_be_decoded_is_a_mismatch(
    target: Target, judge: Judge, token: str, revision: str, how: str
) -> None:
    working(target, revision)
    mismatch(judge, target.caller(revision).post(calling(ODD), {"Mcp-Name": BAD[how]}), f"A name in Base64 with {how}")


def mirrored(target: Target, caller: Caller) -> tuple[str, str, str, Any]:
    """A tool with an argument that its schema marks for a header: tool, argument, header, a value of its type."""
    for tool in caller.tools():
        properties = as_object(as_object(tool.get("inputSchema")).get("properties"))
        for name, schema in properties.items():
            if isinstance(schema, dict) and isinstance(header := schema.get("x-mcp-header"), str):
                value = {"integer": 42, "number": 42, "boolean": True}.get(str(schema.get("type")), "conformance")
                return tool["name"], name, f"Mcp-Param-{header}", value
    pytest.skip("No tool of the target marks an argument with x-mcp-header.")


@requirement("TRN-HDR-03")
@pytest.mark.parametrize("how", ["missing", "another"])
def test_argument_in_the_header_is_that_of_the_body(
    target: Target, judge: Judge, token: str, revision: str, how: str
) -> None:
    caller = working(target, revision)
    tool, argument, header, value = mirrored(target, caller)
    answer = caller.post(calling(tool, **{argument: value}), {header: None if how == "missing" else "4711-other"})
    mismatch(judge, answer, f"A call whose {header} is {how}")


@requirement("TRN-DISC-01")
def test_discovery_says_what_works(target: Target, judge: Judge, token: str, revision: str) -> None:
    answer = target.caller(revision).start()
    result = answer.result()
    fix = "Implement server/discover, with supportedVersions, capabilities, resultType, ttlMs and cacheScope."
    if not judge.expect(result is not None, f"server/discover is answered {answer.said()}.", answer, fix=fix):
        return
    assert result is not None
    listed = result.get("supportedVersions")
    judge.expect(isinstance(listed, list) and revision in listed, f"supportedVersions is {listed!r}.", answer, fix=fix)
    judge.expect(isinstance(result.get("capabilities"), dict), "capabilities is no object.", answer, fix=fix)
    judge.expect(
        result.get("resultType") == "complete", f"resultType is {result.get('resultType')!r}.", answer, fix=fix
    )
    for each in listed if isinstance(listed, list) else []:
        works = each in revisions.REVISIONS and speaks(target, each)
        judge.expect(
            works,
            f"supportedVersions lists {each}, and a request of it does not work.",
            answer,
            fix="List only the revisions that you speak.",
        )


def speaks(target: Target, revision: str) -> bool:
    """Whether a request of a revision works."""
    result = target.caller(revision).start().result() or {}
    return revision == MODERN or result.get("protocolVersion") == revision


@requirement("TRN-DISC-01")
def test_lists_say_how_long_they_are_good_for(target: Target, judge: Judge, token: str, revision: str) -> None:
    answer = working(target, revision).ask("tools/list")
    result = answer.result() or {}
    fix = "Add resultType, ttlMs and cacheScope to every list, private wherever it depends on who asks."
    ttl = result.get("ttlMs")
    judge.expect(
        isinstance(ttl, (int, float)) and not isinstance(ttl, bool) and ttl >= 0,
        f"ttlMs of tools/list is {ttl!r}.",
        answer,
        fix=fix,
    )
    judge.expect(
        result.get("cacheScope") in ("public", "private"),
        f"cacheScope of tools/list is {result.get('cacheScope')!r}.",
        answer,
        fix=fix,
    )
    judge.expect(
        isinstance(result.get("resultType"), str),
        f"resultType of tools/list is {result.get('resultType')!r}.",
        answer,
        fix=fix,
    )


@requirement("TRN-STATE-01")
def test_connection_remembers_nobody(target: Target, judge: Judge, second_token: str, revision: str) -> None:
    first, nobody, second = target.caller(revision), target.stranger(revision), target.caller(revision, second_token)
    for round_ in range(2):
        for caller, due in ((first, 200), (nobody, 401), (second, 200), (nobody, 401)):
            answer = caller.start()
            if due == 401:
                challenged(
                    judge,
                    answer,
                    f"A request without a token, after others with one on the same connection (round {round_ + 1}),",
                )
            else:
                judge.expect(
                    answer.ok,
                    f"A good token is answered {answer.said()} after a request without one.",
                    answer,
                    fix="Judge every request by itself.",
                )


def listening(target: Target, revision: str, **wanted: Any) -> Answer:
    """What comes first of a subscription."""
    sent = revisions.message(revision, "subscriptions/listen", {"notifications": wanted}, NUMBER)
    answer = target.caller(revision).post(sent, done=lambda body: b"\n\n" in body or b"\r\n\r\n" in body)
    if answer.code() == -32601:
        pytest.skip("The target offers no subscriptions.")
    return answer


@requirement("TRN-SUB-01")
def test_subscription_is_acknowledged_first_and_tagged(target: Target, judge: Judge, token: str, revision: str) -> None:
    answer = listening(target, revision, toolsListChanged=True)
    if not answer.ok:
        pytest.skip(f"subscriptions/listen is answered {answer.said()}.")
    said = answer.messages()
    first = said[0] if said else {}
    fix = "Send notifications/subscriptions/acknowledged first, with _meta subscriptionId and what was agreed to."
    judge.expect(
        first.get("method") == "notifications/subscriptions/acknowledged",
        f"A subscription begins with {first.get('method') or 'nothing'}.",
        answer,
        fix=fix,
    )
    params = as_object(first.get("params"))
    tag = as_object(params.get("_meta")).get(f"{META}/subscriptionId")
    judge.expect(tag == NUMBER, f"The subscription id is {tag!r}, where the id of the request is due.", answer, fix=fix)
    agreed = as_object(params.get("notifications"))
    other = [name for name, value in agreed.items() if value and name != "toolsListChanged"]
    judge.expect(
        not other,
        f"The target agrees to {', '.join(other)}, which nobody asked for.",
        answer,
        fix="Deliver only what was asked for.",
    )
