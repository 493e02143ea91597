"""Who a verified token speaks for, and how principals are told apart."""

from __future__ import annotations

import pytest

from gateway.principal import Principal


def principal(issuer: str = "https://a.example", subject: str = "s", *, is_client: bool = False) -> Principal:
    return Principal(issuer, subject, "c", frozenset(), frozenset(), 0.0, is_client=is_client)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(principal(issuer="https://b.example"), id="of another issuer"),
        pytest.param(principal(subject="S"), id="another subject"),
        pytest.param(principal(is_client=True), id="a machine of the same name"),
    ],
)
def test_principals_are_told_apart_by_issuer_subject_and_kind(other: Principal) -> None:
    assert principal().key == principal().key
    assert other.key != principal().key


def test_principal_does_not_change() -> None:
    with pytest.raises(AttributeError):
        principal().subject = "other"  # type: ignore[misc]  # that is the point
