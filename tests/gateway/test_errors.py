"""Every cause has its class, and each class knows its answer; docs/refusals.md lists them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from discovery.challenge import bearer
from gateway import errors
from gateway.errors import (
    BodyTooLarge,
    DeniedByPolicy,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    MalformedRequest,
    MissingToken,
    OriginRefused,
    ProtocolError,
    Refusal,
)

PAGE = Path(__file__).parents[2] / "docs" / "refusals.md"


def causes(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every class with a reason of its own, in the order of the module."""
    if "reason" in vars(kind):
        yield kind
    for narrower in kind.__subclasses__():
        yield from causes(narrower)


CAUSES = list(causes())


def row(cause: type[Refusal]) -> str:
    """A cause as its line in docs/refusals.md."""
    meaning = " ".join((cause.__doc__ or "").split())
    error = f"`{cause.error}`" if cause.error else "none"
    return f"| `{cause.reason}` | {cause.status} | {error} | {meaning} | {cause.remedy} |"


class TestCauses:
    def test_reasons_are_told_apart(self) -> None:
        reasons = [cause.reason for cause in CAUSES]
        assert len(set(reasons)) == len(reasons) >= 20

    @pytest.mark.parametrize("cause", CAUSES)
    def test_cause_knows_its_answer(self, cause: type[Refusal]) -> None:
        assert cause.status in {400, 401, 403, 404, 413, 421, 431, 501, 502, 503, 504}
        assert cause.remedy.endswith(".")
        assert cause.reason in (errors.__doc__ or ""), "the tree at the top of the module has it"

    @pytest.mark.parametrize("cause", CAUSES)
    def test_sentence_for_the_caller_can_stand_in_a_challenge(self, cause: type[Refusal]) -> None:
        """RS-401-08."""
        assert cause.description in bearer(
            resource_metadata="https://gw.example/x", error="invalid_token", error_description=cause.description
        )

    @pytest.mark.parametrize("cause", CAUSES)
    def test_codes_of_mcp_are_used_for_what_they_mean(self, cause: type[Refusal]) -> None:
        """RS-401-13: -32020 to -32099 are reserved, and one of them is ours to send."""
        assert (-32099 <= cause.code <= -32020) is (cause.reason == "header_mismatch")

    @pytest.mark.parametrize(
        ("cause", "status", "error"),
        [
            pytest.param(MissingToken, 401, None, id="no token, so no error code (RFC 6750 §3.1)"),
            pytest.param(MalformedRequest, 400, "invalid_request", id="malformed request"),
            pytest.param(InvalidToken, 401, "invalid_token", id="invalid token"),
            pytest.param(InsufficientScope, 403, "insufficient_scope", id="a scope helps"),
            pytest.param(DeniedByPolicy, 403, None, id="no scope helps"),
            pytest.param(OriginRefused, 403, None, id="foreign page"),
            pytest.param(ProtocolError, 400, None, id="broken message"),
            pytest.param(BodyTooLarge, 413, None, id="too large"),
            pytest.param(KeysUnavailable, 503, None, id="not the caller's doing"),
        ],
    )
    def test_status_and_error_are_those_of_the_specifications(
        self, cause: type[Refusal], status: int, error: str | None
    ) -> None:
        assert (cause.status, cause.error) == (status, error)

    def test_every_invalid_token_is_told_to_the_caller_alike(self) -> None:
        kinds = [cause for cause in CAUSES if issubclass(cause, InvalidToken)]
        assert {(kind.status, kind.error) for kind in kinds} == {(401, "invalid_token")}
        assert len(kinds) >= 12


class TestPage:
    def test_page_lists_every_refusal_as_it_is(self) -> None:
        rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
        assert rows == [row(cause) for cause in CAUSES]
