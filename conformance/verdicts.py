"""What refusals have to look like: the judge's words for what went wrong, and how to mend it."""

from __future__ import annotations

import pytest

from .challenges import bearer
from .plugin import Judge
from .target import Caller, Target
from .wire import Answer

CHECK_FIRST = "Verify credentials before anything else about a request is looked at, and answer 401 with a challenge."
CLEAN = 'Catch what a hostile credential makes the parser raise, and answer 401 with error="invalid_token".'


def needs_success(target: Target, revision: str, token: str | None = None) -> Caller:
    """A caller whose good request is answered well: without that, no refusal says anything."""
    caller = target.caller(revision, token)
    answer = caller.start()
    if not answer.ok:
        pytest.skip(f"The same request with a good token was answered {answer.said()}, so a refusal would say nothing.")
    return caller


def refused(judge: Judge, answer: Answer, what: str, fix: str) -> bool:
    """A token that is no good: 401, and never anything that looks like success or like a fault of the server."""
    if not answer.status:
        return judge.expect(False, f"{what}: {answer.said()}, where a 401 was due.", answer, fix=CLEAN)
    if answer.status >= 500:
        return judge.expect(
            False, f"{what} is answered {answer.status}, as if it were the server's fault.", answer, fix=CLEAN
        )
    if answer.status == 400:
        return judge.advise(
            False, f"{what} is answered 400, where 401 is due.", answer, fix='Answer 401 with error="invalid_token".'
        )
    return judge.expect(answer.status == 401, f"{what} is answered {answer.said()}, where 401 is due.", answer, fix=fix)


def not_accepted(judge: Judge, answer: Answer, what: str, fix: str) -> bool:
    """A request that must not be taken as authenticated: 400, 401 or 431, whichever."""
    holds = answer.status in (400, 401, 431)
    return judge.expect(holds, f"{what} is answered {answer.said()}, where 401 or 400 is due.", answer, fix=fix)


def challenged(judge: Judge, answer: Answer, what: str) -> bool:
    """A request without a token: the plain 401 with a Bearer challenge that says something."""
    found = bearer(answer.all("www-authenticate"))
    if not judge.expect(
        answer.status == 401, f"{what} is answered {answer.said()}, where 401 is due.", answer, fix=CHECK_FIRST
    ):
        return False
    said = found is not None and bool(found.parameters)
    return judge.expect(
        said,
        f"{what} is answered 401 with {'a Bearer challenge that says nothing' if found else 'no Bearer challenge'}.",
        answer,
        fix='Send WWW-Authenticate: Bearer resource_metadata="…", scope="…".',
    )
