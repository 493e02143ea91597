"""RS-403: what a token may do that is good but lacks a scope (MCP Authorization, RFC 6750 §3.1)."""

from __future__ import annotations

import pytest

from .challenges import bearer
from .control import FIRST, Control
from .plugin import Judge
from .requirements import requirement
from .target import Caller, Target
from .wire import Answer

STEP_UP = 'Answer 403 with Bearer error="insufficient_scope", scope="…" and resource_metadata="…".'


def refusal(target: Target, revision: str, token: str) -> tuple[Answer, str]:
    """How the target refuses a token that lacks a scope, and what was asked of it."""
    tool = target.options.privileged_tool
    if tool:
        caller = target.opened(revision, token)
        return call(caller, target), f"A call of {tool} without its scope"
    answer = target.caller(revision, token).start()
    if answer.ok:
        pytest.skip("A token without scopes opens it, and no tool is known that needs one: give --privileged-tool.")
    return answer, "A request with a token that has no scope"


def call(caller: Caller, target: Target) -> Answer:
    """The answer to a call of the privileged tool."""
    given = {"name": target.options.privileged_tool, "arguments": target.options.privileged_arguments}
    return caller.ask("tools/call", given)


def executed(answer: Answer) -> bool:
    """Whether a tool was run: there is a result that is no error."""
    result = answer.result()
    return result is not None and result.get("isError") is not True


def asked_for(answer: Answer) -> list[str]:
    """The scopes that a challenge asks for."""
    found = bearer(answer.all("www-authenticate"))
    return found.scopes if found else []


@requirement("RS-403-01")
def test_missing_scope_is_a_403_that_says_which(target: Target, judge: Judge, revision: str, low_token: str) -> None:
    answer, what = refusal(target, revision, low_token)
    found = bearer(answer.all("www-authenticate"))
    if not judge.expect(
        answer.status == 403,
        f"{what} is answered {answer.said()}, where 403 is due.",
        answer,
        fix=f"{STEP_UP} A 401 makes clients refresh a token that is good.",
    ):
        return
    said = found.get("error") if found else None
    judge.expect(
        said == "insufficient_scope",
        f"The 403 says error={said or 'nothing'}, so the client does not know that more scope would do.",
        answer,
        fix=STEP_UP,
    )
    judge.expect(bool(found and found.scopes), "The 403 does not name the scopes that are needed.", answer, fix=STEP_UP)
    if revision >= "2025-11-25":
        before = target.found.challenge.get("resource_metadata") if target.found.challenge else None
        now = found.get("resource_metadata") if found else None
        judge.expect(
            now is not None and now == before,
            "The 403 does not name the resource metadata as the 401 does.",
            answer,
            fix=STEP_UP,
        )


@requirement("RS-403-03")
def test_every_scope_is_named_at_once(target: Target, judge: Judge, revision: str, control: Control) -> None:
    answer, what = refusal(target, revision, control.token(FIRST, scopes=()))
    if answer.status != 403 or not asked_for(answer):
        pytest.skip("The refusal names no scopes: RS-403-01 judges that.")
    wanted = sorted(asked_for(answer))
    again = again_with(target, revision, control.token(FIRST, scopes=wanted))
    judge.expect(
        again.status != 403,
        f"{what} was refused for want of {' '.join(wanted)}; with exactly these it is refused again.",
        again,
        fix="Name every scope that the operation needs in one challenge.",
    )


def again_with(target: Target, revision: str, token: str) -> Answer:
    """The answer to the same request as that which was refused."""
    if target.options.privileged_tool:
        return call(target.opened(revision, token), target)
    return target.caller(revision, token).start()


@requirement("RS-403-04")
def test_scopes_that_are_granted_already_are_named_too(
    target: Target, judge: Judge, revision: str, low_token: str
) -> None:
    granted = target.options.low_scopes
    if not granted:
        pytest.skip("Which scopes the low token has is not known: give --low-scope.")
    answer, _ = refusal(target, revision, low_token)
    if answer.status != 403:
        pytest.skip("The call is not refused by a 403: RS-403-01 judges that.")
    judge.expect(
        set(granted) <= set(asked_for(answer))
        or not set(granted) & set(target.found.challenge.scopes if target.found.challenge else []),
        f"The challenge names {' '.join(asked_for(answer)) or 'nothing'} without {' '.join(granted)}, "
        f"which the token has: a client of 2025-11-25 loses it by stepping up.",
        answer,
        fix="Name the scopes that the token has and that matter together with those that are missing.",
    )


@requirement("RS-403-06")
@pytest.mark.parametrize("how", ["longer", "upper case", "prefixed", "cut"])
def test_scope_that_only_resembles_the_right_one_does_not_do(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    if target.caller(revision, control.token(FIRST, scopes=())).start().ok:
        pytest.skip("The target asks for no scope before any request, so no other could be taken for it.")
    near = {"longer": "{}write", "prefixed": "x{}"}
    made = [
        near[how].format(each) if how in near else each.swapcase() if how == "upper case" else each[:-1]
        for each in control.scopes
    ]
    answer = target.caller(revision, control.token(FIRST, scopes=made)).start()
    judge.expect(
        answer.status in (401, 403),
        f"Scopes that are {how} are answered {answer.said()}, where 403 is due.",
        answer,
        fix="Split scope at blanks, and compare whole words, with regard to case.",
    )


@requirement("RS-403-06")
@pytest.mark.parametrize(
    "value", [["x"], 5, None, {"a": 1}, "", True], ids=["a list", "a number", "null", "an object", "empty", "true"]
)
def test_scope_of_another_type_is_no_fault_of_the_server(
    target: Target, judge: Judge, revision: str, control: Control, value: object
) -> None:
    answer = target.caller(revision, control.token(FIRST, claims={"scope": value})).start()
    judge.expect(
        0 < answer.status < 500,
        f"A scope that is {value!r} is answered {answer.said()}.",
        answer,
        fix="Check the type of the claim, and refuse the token with 401.",
    )


@requirement("RS-403-08")
def test_privileged_tool_is_refused_at_the_call(target: Target, judge: Judge, revision: str, low_token: str) -> None:
    if not target.options.privileged_tool:
        pytest.skip("No tool is known that the token may not call: give --privileged-tool.")
    answer = call(target.opened(revision, low_token), target)
    refused = judge.expect(
        not executed(answer),
        f"{target.options.privileged_tool} was run for a token without its scope.",
        answer,
        fix="Check scopes when the tool is called, whatever the list shows.",
    )
    if refused and target.token and not executed(full := call(target.opened(revision), target)):
        tool = target.options.privileged_tool
        pytest.skip(f"{tool} does not run with the full token either ({full.said()}): its refusal says nothing.")
    due = f"The call is refused by {answer.said()}, where 403 is due."
    judge.advise(not refused or answer.status == 403, due, answer, fix=STEP_UP)
