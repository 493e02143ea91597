"""Every requirement of the specifications, as data, and the decorator by which a test says which of them it checks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, TypeVar

from . import challenge, client, extension, gateway, issuer, metadata, session, token, transport
from .requirement import Basis, Level, Needs, Requirement, Role

__all__ = ["REQUIREMENTS", "Basis", "Level", "Needs", "Requirement", "Role", "checked_by", "requirement"]

Test = TypeVar("Test", bound=Callable[..., Any])

REQUIREMENTS: dict[str, Requirement] = {
    each.id: each
    for each in chain.from_iterable(
        group.REQUIREMENTS
        for group in (challenge, token, session, gateway, metadata, issuer, client, transport, extension)
    )
}


def requirement(*ids: str) -> Callable[[Test], Test]:
    """A decorator: the test it stands over checks these requirements.

    Raises:
        LookupError: there is no requirement of that id; a test that names one cannot even be imported.
    """
    for each in ids:
        if each not in REQUIREMENTS:
            raise LookupError(f"There is no requirement {each}: see conformance/requirements for those there are.")

    def mark(test: Test) -> Test:
        vars(test)["requirements"] = (*ids, *checked_by(test))
        return test

    return mark


def checked_by(test: Callable[..., Any]) -> tuple[str, ...]:
    """The ids of the requirements that a test says it checks; empty for one that says nothing."""
    ids: tuple[str, ...] = vars(test).get("requirements", ())
    return ids
