"""What is judged over everything that was said: every challenge, every refusal, every log line."""

from __future__ import annotations

import secrets

import pytest

from .challenges import lint
from .plugin import Judge
from .requirements import requirement
from .target import Target
from .wire import Answer

LENGTH = 40  # characters from which on a token is recognised for sure


def credentials(answer: Answer) -> str:
    """The token that a request carried in its header."""
    value = next((value for name, value in answer.sent_headers if name.lower() == "authorization"), "")
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and len(token) >= LENGTH else ""


@requirement("RS-401-08")
def test_every_challenge_was_well_formed(target: Target, judge: Judge) -> None:
    reported: set[str] = set()
    said = {tuple(answer.all("www-authenticate")): answer for answer in target.wire.heard}
    for fields, answer in said.items():
        for problem in lint(fields):
            if problem not in reported:
                reported.add(problem)
                judge.expect(
                    False,
                    f"A challenge is malformed: {problem}.",
                    answer,
                    fix="Write challenges by the grammar of RFC 9110 §11.6.1, with every value in quotes.",
                )


@requirement("GWP-14")
def test_no_answer_repeats_a_token(target: Target, judge: Judge) -> None:
    marker = f"conformance.{'m' * LENGTH}.{secrets.token_hex(LENGTH)}"
    target.caller(target.usual, marker).start()
    target.stranger(target.usual).post({}, {"Authorization": f"Basic {marker}"})
    for answer in target.wire.heard:
        token = credentials(answer)
        signature = token.rpartition(".")[2]
        shown = len(signature) >= LENGTH and (
            signature in answer.text or any(signature in value for _, value in answer.headers)
        )
        if not judge.expect(
            not shown,
            "An answer repeats the token that it was sent.",
            answer,
            fix="Put nothing of the credentials into answers.",
        ):
            return


@requirement("GWP-14")
def test_no_log_holds_a_token(target: Target, judge: Judge) -> None:
    if not target.options.logs:
        pytest.skip("The logs of the target are not at hand: give --log.")
    marks = {credentials(answer).rpartition(".")[2] for answer in target.wire.heard if answer.ok} - {""}
    for file in target.options.logs:
        text = file.read_text("utf-8", "replace") if file.exists() else pytest.skip(f"{file} is not there.")
        found = [mark for mark in marks if mark in text]
        judge.expect(
            not found,
            f"{file.name} holds {len(found)} of the tokens that were sent.",
            fix="Log what a token says, its issuer and subject, never the token.",
        )
