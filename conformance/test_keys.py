"""JWT-KID and JWT-JWKS: the issuer's keys, found, fetched, replaced and misused (RFC 7517, RFC 8725 §3)."""

from __future__ import annotations

import json
import secrets
import threading
import time
from functools import cache
from typing import NoReturn

import pytest
from joserfc.jwk import RSAKey  # noqa: TC002 - pytest reads the annotations

from . import battery
from .control import ABSENT, Control, Late
from .issuer import rsa_key
from .plugin import Judge
from .requirements import requirement
from .target import Target
from .verdicts import needs_success, refused
from .wire import Answer, Wire

FLOOD = 100  # tokens under unknown keys, at once
THREADS = 10
FETCHES = 6  # of the key set that such a flood may cause
SHORT_WAIT = 3.0  # seconds for a fetch that a target makes soon
LONG_WAIT = 35.0  # seconds after which a target that fetches rarely has done so too


@requirement("JWT-KID-01")
@pytest.mark.parametrize("how", battery.KIDS)
def test_name_of_a_key_is_a_strangers_text(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    needs_success(target, revision)
    answer = target.caller(revision, battery.kid(battery.KIDS[how])(control)).start()
    refused(
        judge,
        answer,
        f"A token whose kid is {how}",
        "Take kid as a string to look up, of bounded length, and refuse every other type.",
    )


@requirement("JWT-KID-01")
def test_unknown_keys_cause_few_fetches(target: Target, judge: Judge, control: Control) -> None:
    needs_success(target, target.usual)
    before = control.issuer.key_server.hits
    tokens = [
        control.token(header={"kid": f"unknown-{secrets.token_hex(6)}"}, key=battery.stranger_key())
        for _ in range(FLOOD)
    ]
    answers = flood(target, tokens)
    hits = control.issuer.key_server.hits - before
    worst = max(answers, key=lambda answer: (answer.status != 401, answer.status))
    judge.expect(
        worst.status in (401, 503, 429),
        f"Of {FLOOD} tokens under unknown keys one is answered {worst.said()}.",
        worst,
        fix="Answer 401.",
    )
    judge.expect(
        hits <= FETCHES,
        f"{FLOOD} tokens under unknown keys caused {hits} fetches of the key set: strangers can make "
        f"the target flood its issuer.",
        worst,
        fix="Fetch the key set for an unknown kid at most once in half a minute, and let concurrent requests share it.",
    )


def flood(target: Target, tokens: list[str]) -> list[Answer]:
    """The answers to many tokens, sent over several connections at once."""
    answers: list[Answer] = []

    def send(mine: list[str]) -> None:
        wire = Wire(target.options.patience)
        for token in mine:
            caller = target.caller(target.usual, token)
            message = caller.message("ping")
            fields = caller.fields(
                {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}, ()
            )
            answers.append(wire.send("POST", target.url, fields, json.dumps(message).encode()))
        wire.close()

    threads = [threading.Thread(target=send, args=(tokens[start::THREADS],)) for start in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def fetched_anew(target: Target, control: Control, seconds: float, key: RSAKey | None = None) -> bool:
    """Whether the target fetches the key set within so many seconds, when it meets keys that it does not know."""
    before = control.issuer.key_server.hits
    ends = time.monotonic() + seconds
    while control.issuer.key_server.hits == before and time.monotonic() < ends:
        header = {} if key else {"kid": f"new-{secrets.token_hex(4)}"}
        target.caller(target.usual, control.token(header=header, key=key or battery.stranger_key())).start()
        time.sleep(0.1)
    return control.issuer.key_server.hits > before


MOMENT = 1.0  # second in which a target that fetches often does so
SLOW = 4.5  # seconds after which a refusal is late
UNSEEN: set[Target] = set()  # targets that did not fetch keys while somebody watched
RARELY = (
    f"The target did not fetch the key set anew within {SHORT_WAIT:.0f} s, which is right, so this could not be seen."
)


def not_fetched(target: Target) -> NoReturn:
    """Give up, here and for what would wait as long again."""
    UNSEEN.add(target)
    pytest.skip(RARELY)


def fetches_soon(target: Target) -> None:
    """Not tested if the target was seen to fetch rarely."""
    needs_success(target, target.usual)
    if target in UNSEEN:
        pytest.skip(RARELY)


def refused_or_unavailable(judge: Judge, answer: Answer, what: str, fix: str) -> None:
    """401, or 503 where keys could not be had."""
    judge.expect(
        answer.status in (401, 503), f"{what} is answered {answer.said()}, where 401 or 503 is due.", answer, fix=fix
    )


@requirement("JWT-JWKS-02", "GWP-16")
def test_issuer_that_is_down_opens_nothing(target: Target, judge: Judge, control: Control) -> None:
    needs_success(target, target.usual)
    server, key = control.issuer.key_server, rsa_key()
    before, started = server.hits, time.monotonic()
    reached = len(target.upstream.requests) if target.upstream else 0
    server.status = 500
    try:
        while True:
            answer = target.caller(target.usual, control.token(key=key)).start()
            refused_or_unavailable(
                judge,
                answer,
                "While the issuer is down, a token under an unknown key",
                "Refuse what cannot be verified: 503 if the keys cannot be had.",
            )
            if answer.ok or server.hits > before or time.monotonic() - started > MOMENT:
                break
            time.sleep(0.1)
        stopped = len(target.upstream.requests) if target.upstream else 0
        warm = target.caller(target.usual).start()
    finally:
        server.reset()
    judge.expect(
        stopped == reached,
        "What could not be verified reached the upstream.",
        answer,
        fix="Forward nothing that was not verified.",
    )
    judge.advise(
        warm.ok,
        f"While the issuer is down for a moment, a token under a known key is answered {warm.said()}.",
        warm,
        fix="Keep the keys that are known for a bounded time.",
    )


@cache
def taken_up(target: Target, control: Control) -> Answer:
    """The answer to a token under the late key, as soon as it is a good one, or after the longest wait."""
    caller = target.caller(target.usual, control.token(key=control.late.good))
    started = time.monotonic()
    while not (answer := caller.start()).ok and time.monotonic() - started < LONG_WAIT:
        time.sleep(0.25)
    return answer


def late_keys(target: Target, control: Control) -> Late:
    """The keys that were published late, which the target knows by now; not tested if it never looked."""
    if not taken_up(target, control).ok:
        pytest.skip(f"The target had not taken up new keys after {LONG_WAIT:.0f} s: JWT-KID-03 judges that.")
    return control.late


@requirement("JWT-KID-03")
def test_new_key_is_taken_up_without_a_restart(target: Target, judge: Judge, control: Control) -> None:
    needs_success(target, target.usual)
    answer = taken_up(target, control)
    judge.expect(
        answer.ok,
        f"A token under a newly published key is still answered {answer.said()} after {LONG_WAIT:.0f} s.",
        answer,
        fix="Fetch the key set again when a kid is unknown, with a pause of half a minute at most between two fetches.",
    )


@requirement("JWT-KID-02")
def test_token_without_kid_is_refused_where_several_keys_fit(target: Target, judge: Judge, control: Control) -> None:
    needs_success(target, target.usual)
    answer = target.caller(target.usual, control.token(header={"kid": ABSENT})).start()
    judge.expect(
        answer.status == 401,
        f"A token without kid, where the issuer has several keys, is answered {answer.said()}.",
        answer,
        fix="Refuse tokens without kid unless exactly one key fits.",
    )


@requirement("JWT-ALG-03")
def test_key_published_for_something_else_verifies_nothing(target: Target, judge: Judge, control: Control) -> None:
    token = control.token(key=late_keys(target, control).encryption)
    fix = "Use a published key only if its use and its type are those of signature keys."
    refused(judge, target.caller(target.usual, token).start(), "A token signed with a key for encryption", fix)


@requirement("JWT-ALG-04")
@pytest.mark.parametrize("how", ["an RSA key of 1024 bits", "a P-384 key under ES256"])
def test_published_key_that_is_too_weak_verifies_nothing(
    target: Target, judge: Judge, control: Control, how: str
) -> None:
    found = late_keys(target, control)
    token = (
        control.token(key=found.short) if how.startswith("an RSA") else battery.by_curve(control, "ES256", found.curve)
    )
    refused(
        judge,
        target.caller(target.usual, token).start(),
        f"A token signed with {how}",
        "Refuse RSA keys under 2048 bits, and curves that do not fit the algorithm.",
    )


@requirement("JWT-ISS-02")
def test_key_of_one_issuer_verifies_nothing_of_another(target: Target, judge: Judge, control: Control) -> None:
    named = target.found.metadata().get("authorization_servers")
    others = (
        [each for each in named if isinstance(each, str) and each != control.issuer.url]
        if isinstance(named, list)
        else []
    )
    if not others or target.journey is not None:
        pytest.skip(
            "It needs a target that trusts a second issuer besides the suite's own, and says so in "
            "authorization_servers."
        )
    needs_success(target, target.usual)
    for other in others:
        answer = target.caller(target.usual, control.token(claims={"iss": other})).start()
        refused(
            judge,
            answer,
            f"A token that claims {other}, signed by another trusted issuer's key,",
            "Look up the key in the key set of the issuer that the token claims.",
        )


@requirement("JWT-JWKS-01")
def test_keys_are_not_taken_from_where_the_key_set_redirects(target: Target, judge: Judge, control: Control) -> None:
    fetches_soon(target)
    key = rsa_key()
    served = {"keys": [dict(key.as_dict(private=False))]}
    control.elsewhere = json.dumps(served).encode()
    control.issuer.key_server.redirect_to = (
        f"http://localhost:{control.port}/conformance-elsewhere"
        if target.loopback
        else f"{control.issuer.url}/conformance-elsewhere"
    )
    try:
        seen = fetched_anew(target, control, SHORT_WAIT, key)
        answer = target.caller(target.usual, control.token(key=key)).start()
    finally:
        control.issuer.key_server.reset()
    if not seen:
        not_fetched(target)
    refused_or_unavailable(
        judge,
        answer,
        "A token under a key that stands where the key set redirects to",
        "Follow no redirects when fetching keys.",
    )


@requirement("JWT-JWKS-01")
@pytest.mark.parametrize("how", ["html", "50 MB", "slow"])
def test_key_set_that_is_none_is_refused_in_bounded_time(
    target: Target, judge: Judge, control: Control, how: str
) -> None:
    fetches_soon(target)
    server = control.issuer.key_server
    if how == "html":
        server.body, server.content_type = b"<html>keys</html>", "text/html"
    elif how == "50 MB":
        server.body = b'{"keys":[],"padding":"' + b"x" * 50_000_000 + b'"}'
    else:
        server.delay = 2 * SLOW
    before, started = server.hits, time.monotonic()
    token = control.token(header={"kid": f"new-{how}"}, key=battery.stranger_key())
    try:
        while True:
            asked = time.monotonic()
            answer = target.caller(target.usual, token).start()
            seen = server.hits > before
            if seen or time.monotonic() - started > SHORT_WAIT:
                break
            time.sleep(0.1)
    finally:
        server.reset()
    if not seen:
        not_fetched(target)
    fix = "Limit the time and the size of every fetch, and refuse what could not be verified."
    if answer.status:
        refused_or_unavailable(judge, answer, f"A token under an unknown key, while the key set is {how},", fix)
    seconds = time.monotonic() - asked
    judge.advise(
        seconds < SLOW, f"While the key set is {how}, a refusal took {seconds:.0f} s or more.", answer, fix=fix
    )
