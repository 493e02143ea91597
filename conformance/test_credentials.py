"""RS-400 and RS-CRED: where a token may stand, and that there is only one (RFC 6750 §2 and §3.1, OAuth 2.1 §5.1)."""

from __future__ import annotations

import pytest

from . import revisions
from .plugin import Judge
from .requirements import requirement
from .target import Target
from .verdicts import needs_success, not_accepted
from .wire import Header

ONE = "Take credentials from one Authorization field alone, and refuse a request that has several."
HEADER_ONLY = "Read the token from the Authorization header and from nowhere else."


@requirement("RS-400-01")
def test_token_in_header_and_body_at_once_is_refused(target: Target, judge: Judge, token: str) -> None:
    caller = needs_success(target, target.usual)
    answer = caller.post(
        {}, {"Content-Type": "application/x-www-form-urlencoded"}, body=f"access_token={token}".encode()
    )
    judge.expect(
        400 <= answer.status < 500,
        f"A token in the header and another in a form are answered {answer.said()}, where 400 is due.",
        answer,
        fix='Answer 400 with error="invalid_request" where a token comes in more than one way.',
    )


PAIRS = ["good then bad", "bad then good", "two good ones", "a folded pair", "a folded pair of a bad and a good one"]


@pytest.mark.parametrize("how", PAIRS)
@requirement("RS-400-02")
def test_no_one_of_two_credentials_is_picked(target: Target, judge: Judge, token: str, revision: str, how: str) -> None:
    needs_success(target, revision)
    good, bad, second = f"Bearer {token}", "Bearer garbage", f"Bearer {target.second_token or token}"
    fields: dict[str, list[str]] = {
        "good then bad": [good, bad],
        "bad then good": [bad, good],
        "two good ones": [good, second],
        "a folded pair": [f"{good}, {second}"],
        "a folded pair of a bad and a good one": [f"{bad}, {good}"],
    }
    sent: list[Header] = [("Authorization", value) for value in fields[how]]
    answer = target.stranger(revision).post(revisions.opening(revision), sent)
    not_accepted(judge, answer, f"A request with two credentials ({how})", ONE)


@pytest.mark.parametrize("name", ["access_token", "token", "authorization", "api_key", "bearer_token"])
@requirement("RS-CRED-01")
def test_token_in_the_query_is_none(target: Target, judge: Judge, token: str, revision: str, name: str) -> None:
    needs_success(target, revision)
    answer = target.stranger(revision).post(revisions.opening(revision), query=f"?{name}={token}")
    not_accepted(judge, answer, f"A token in the query, as {name},", HEADER_ONLY)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
@requirement("RS-CRED-03")
def test_scheme_is_read_in_any_case(target: Target, judge: Judge, token: str, revision: str, scheme: str) -> None:
    needs_success(target, revision)
    answer = target.stranger(revision).post(revisions.opening(revision), {"Authorization": f"{scheme} {token}"})
    judge.expect(
        answer.ok,
        f"A good token under the scheme {scheme} is answered {answer.said()}.",
        answer,
        fix="Compare the scheme without regard to case (RFC 9110 §11.1).",
    )


ELSEWHERE = [
    "Cookie",
    "X-Access-Token",
    "X-Api-Key",
    "X-Forwarded-Access-Token",
    "Proxy-Authorization",
    "X-Authorization",
    "Mcp-Session-Id",
    "a form",
    "_meta",
    "params",
]


@pytest.mark.parametrize("where", ELSEWHERE)
@requirement("RS-CRED-05")
def test_token_elsewhere_than_in_the_header_is_none(
    target: Target, judge: Judge, token: str, revision: str, where: str
) -> None:
    needs_success(target, revision)
    stranger, opening = target.stranger(revision), revisions.opening(revision)
    if where == "a form":
        answer = stranger.post(
            {}, {"Content-Type": "application/x-www-form-urlencoded"}, body=f"access_token={token}".encode()
        )
    elif where in ("_meta", "params"):
        params = dict(opening["params"])
        inside = {"authorization": f"Bearer {token}", "access_token": token}
        params |= {"_meta": {**params.get("_meta", {}), **inside}} if where == "_meta" else inside
        answer = stranger.post({**opening, "params": params})
    else:
        text = {
            "Cookie": f"access_token={token}",
            "Proxy-Authorization": f"Bearer {token}",
            "X-Authorization": f"Bearer {token}",
        }.get(where, token)
        answer = stranger.post(opening, {where: text})
    not_accepted(judge, answer, f"A token in {where}", HEADER_ONLY)
