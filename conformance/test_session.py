"""SES: session ids, state handles, and what outlives a token (MCP Transports, Security Best Practices)."""

from __future__ import annotations

import math
import time
from collections import Counter
from urllib.parse import unquote

import pytest

from . import revisions
from .control import FIRST, Control
from .plugin import Judge
from .requirements import requirement
from .revisions import MODERN
from .target import Caller, Target
from .test_token import leeway, short_token
from .verdicts import refused
from .wire import Answer, as_object

UNKNOWN = "00000000-0000-4000-8000-00000000feed"
BITS = 100  # of apparent entropy; a UUID of version 4 has 122
OPENED = 12  # sessions, to look at their ids


def session(target: Target, revision: str, token: str | None = None) -> Caller:
    """A client with a session; not tested where the target has none."""
    caller = target.opened(revision, token)
    if not caller.session:
        pytest.skip("The target gives no session ids, so there is nothing that could be stolen.")
    return caller


@requirement("SES-01")
@pytest.mark.parametrize("how", ["POST", "GET", "DELETE"])
def test_session_id_is_no_token(target: Target, judge: Judge, token: str, revision: str, how: str) -> None:
    owner = session(target, revision)
    thief = owner.with_token(None)
    answer = thief.ask("tools/list") if how == "POST" else thief.send(how)
    not_offered = how != "POST" and 400 <= answer.status < 500  # which RS-401-09 judges
    judge.expect(
        answer.status == 401 or not_offered,
        f"{how} with a session id and no token is answered {answer.said()}, where 401 is due.",
        answer,
        fix="Verify the token of every request, session or not.",
    )
    after = owner.ask("tools/list")
    judge.expect(
        after.ok,
        f"Afterwards the owner's session is answered {after.said()}.",
        after,
        fix="Let nobody without a token touch a session.",
    )


@requirement("SES-02")
@pytest.mark.parametrize("how", ["POST", "GET", "GET with Last-Event-ID", "DELETE"])
def test_session_belongs_to_who_opened_it(
    target: Target, judge: Judge, second_token: str, revision: str, how: str
) -> None:
    owner = session(target, revision)
    thief = owner.with_token(second_token)
    if how == "POST":
        answer = thief.ask("tools/list")
    else:
        answer = thief.send(how.partition(" ")[0], {"Last-Event-ID": "0"} if "Last" in how else {}, seconds=1.5)
    judge.expect(
        answer.status in (401, 403, 404, 405),
        f"{how} with the session id of another principal is answered {answer.said()}, where 404 is due.",
        answer,
        fix="Bind every session to the issuer and subject of the token that opened it, and answer others 404.",
    )
    after = owner.ask("tools/list")
    judge.expect(
        after.ok,
        f"After that the owner's session is answered {after.said()}.",
        after,
        fix="Let only its owner end a session.",
    )


def entropy(ids: list[str]) -> float:
    """The apparent bits in ids: of every place, by how the characters in it vary."""
    width = min(map(len, ids))
    bits = 0.0
    for place in range(width):
        counted = Counter(each[place] for each in ids)
        bits += -sum(n / len(ids) * math.log2(n / len(ids)) for n in counted.values())
    return bits


@requirement("SES-03")
def test_session_ids_cannot_be_guessed(target: Target, judge: Judge, token: str, revision: str) -> None:
    answers = [target.caller(revision).start() for _ in range(OPENED)]
    ids = [unquote(answer.header("mcp-session-id")) for answer in answers]
    if not all(ids):
        pytest.skip("The target gives no session ids.")
    target.secrets.hide(*ids)
    fix = "Make session ids of at least 128 random bits, in visible ASCII."
    judge.expect(len(set(ids)) == len(ids), "Two sessions have the same id.", answers[0], fix=fix)
    # A dozen ids show at most 3.6 bits a character: a random UUID shows some 85.
    short = entropy(ids) < 40 or min(map(len, ids)) < 16
    judge.expect(
        not short,
        f"Session ids seem to hold {entropy(ids):.0f} bits in {min(map(len, ids))} characters.",
        answers[0],
        fix=fix,
    )
    judge.expect(
        all(0x21 <= ord(char) <= 0x7E for each in answers for char in each.header("mcp-session-id")),
        "A session id holds something that is not visible ASCII.",
        answers[0],
        fix=fix,
    )


@requirement("SES-03")
def test_session_id_of_a_client_is_not_adopted(target: Target, judge: Judge, token: str, revision: str) -> None:
    answer = target.caller(revision).post(target.caller(revision).message("initialize"), {"Mcp-Session-Id": UNKNOWN})
    if not answer.ok:
        return  # refused, which is as good
    judge.expect(
        answer.header("mcp-session-id") != UNKNOWN,
        "The target takes the session id that a client made up.",
        answer,
        fix="Make session ids on the server alone.",
    )


@requirement("SES-04")
def test_expired_token_ends_nothing_but_itself(target: Target, judge: Judge, control: Control) -> None:
    legacy = [each for each in target.spoken if each != MODERN]
    revision = legacy[-1] if legacy else MODERN
    caller = target.caller(revision, short_token(target, control, 3)).open()
    ends = time.monotonic() + 5.5
    while (answer := caller.ask("tools/list")).ok and time.monotonic() < ends:
        time.sleep(0.25)
    refused(
        judge,
        answer,
        "An expired token in a session that is open",
        "Verify the token of every request: its expiry too.",
    )
    fresh = caller.with_token(control.token(FIRST)).ask("tools/list")
    judge.expect(
        fresh.ok,
        f"A fresh token of the same principal is answered {fresh.said()} in the session of the expired one.",
        fresh,
        fix="Bind sessions to the principal, not to the token.",
    )


@requirement("SES-05")
def test_stream_ends_about_when_its_token_does(target: Target, judge: Judge, control: Control) -> None:
    legacy = [each for each in target.spoken if each != MODERN]
    if not legacy:
        pytest.skip("The target speaks no revision in which a GET opens a stream.")
    slack = leeway(target, control)
    if slack >= 299:
        pytest.skip("The target accepts tokens minutes after they have expired: JWT-EXP-02 judges that.")
    now = int(time.time())
    caller = target.caller(legacy[-1], control.token(FIRST, claims={"exp": now - slack + 3, "iat": now - 900})).open()
    answer = caller.send("GET", seconds=6)
    if not answer.ok or answer.media_type != "text/event-stream":
        pytest.skip(f"A GET opens no stream here: {answer.said()}.")
    judge.expect(
        answer.note != "it had not ended in time",
        "A stream goes on after the token has expired that opened it.",
        answer,
        fix="End streams at the expiry of their token, so that the client comes back with a new one.",
    )


@requirement("SES-06")
@pytest.mark.parametrize("how", ["unknown", "ended"])
def test_session_that_is_not_there_is_a_404(target: Target, judge: Judge, token: str, revision: str, how: str) -> None:
    caller = session(target, revision)
    if how == "unknown":
        caller.session = UNKNOWN
    else:
        ended = caller.send("DELETE")
        if ended.status in (404, 405, 501):
            pytest.skip("The target does not let clients end sessions, which it may decline.")
        judge.expect(
            ended.ok,
            f"DELETE by the owner is answered {ended.said()}, where a 2xx or 405 is due.",
            ended,
            fix="Answer DELETE with 204, or with 405 if sessions cannot be ended.",
        )
    answer = caller.ask("tools/list")
    due = f"A session id that is {how} is answered {answer.said()}, where 404 is due."
    fix = "Answer 404, upon which clients open a new session."
    # MCP asks it for sessions that there were; that a server cannot tell which those are is its own affair.
    never_was = how == "unknown" and answer.status == 400
    judge.expect(answer.status == 404 or never_was, due, answer, fix=fix)
    judge.advise(not never_was, due, answer, fix=fix)


@requirement("SES-06")
def test_missing_session_id_is_a_400(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = session(target, revision)
    caller.session = ""
    answer = caller.ask("tools/list")
    judge.advise(
        answer.status == 400 or answer.ok,
        f"A request without the session id that it needs is answered {answer.said()}, where 400 is due.",
        answer,
        fix="Answer 400.",
    )


@requirement("SES-06")
def test_credentials_are_judged_before_the_session(target: Target, judge: Judge, token: str, revision: str) -> None:
    for named in (UNKNOWN, ""):
        caller = target.caller(revision, "not-a-token")
        caller.session = named
        answer = caller.ask("tools/list")
        judge.expect(
            answer.status == 401,
            f"A bad token with {'an unknown' if named else 'no'} session is answered {answer.said()}, "
            f"where 401 is due.",
            answer,
            fix="Verify credentials before sessions are looked up.",
        )


def asked(caller: Caller, tool: str, **more: object) -> Answer:
    """The answer to a call of the tool that has state."""
    return caller.ask("tools/call", {"name": tool, "arguments": {}, **more})


@requirement("SES-08")
def test_state_is_good_for_its_owner_alone(target: Target, judge: Judge, revision: str, second_token: str) -> None:
    tool = target.options.state_tool
    if not tool:
        pytest.skip("No tool is known that hands out a requestState: give --state-tool.")
    declared = revisions.meta(MODERN, elicitation={"form": {}}, sampling={}, roots={})
    first = asked(target.caller(revision), tool, _meta=declared)
    result = first.result() or {}
    state, wanted = result.get("requestState"), as_object(result.get("inputRequests"))
    if not isinstance(state, str):
        pytest.skip(f"{tool} answered no requestState: {first.said()}.")
    target.secrets.hide(state)
    replies = {name: {"action": "accept", "content": {}} for name in wanted}
    stolen = asked(
        target.caller(revision, second_token), tool, _meta=declared, requestState=state, inputResponses=replies
    )
    went_on = stolen.result()
    holds = went_on is None or went_on.get("isError") is True or went_on.get("resultType") == "input_required"
    judge.expect(
        holds,
        "The requestState of one principal is taken from another, and the call goes on with it.",
        stolen,
        fix="Seal the principal into the state, and compare it with that of the request.",
    )


@requirement("SES-09")
def test_modern_requests_know_no_sessions(target: Target, judge: Judge, token: str, revision: str) -> None:
    caller = target.caller(revision)
    plain = caller.ask("tools/list")
    junk = caller.ask("tools/list", headers={"Mcp-Session-Id": UNKNOWN, "Last-Event-ID": "x"})
    fix = "Ignore Mcp-Session-Id and Last-Event-ID in 2026-07-28, and send neither."
    judge.expect(
        plain.status == junk.status,
        f"With a session id a modern request is answered {junk.said()}, and {plain.said()} without.",
        junk,
        fix=fix,
    )
    judge.expect(
        not plain.has("mcp-session-id") and not junk.has("mcp-session-id"),
        "The answer to a modern request carries a session id.",
        junk,
        fix=fix,
    )
    for verb in ("GET", "DELETE"):
        answer = caller.send(verb, seconds=1.5)
        # A server of both eras may serve these verbs to sessions of the older one, and answers one that has none.
        dual = len(target.spoken) > 1
        holds = answer.status == 405 or (dual and answer.status in (400, 404, 406))
        judge.expect(
            holds,
            f"A modern {verb} is answered {answer.said()}, where 405 is due.",
            answer,
            fix="Answer 405 with Allow: POST.",
        )
        judge.expect(
            answer.status != 405 or answer.has("allow"),
            f"The 405 to {verb} has no Allow field.",
            answer,
            fix="Send Allow: POST with it.",
        )
