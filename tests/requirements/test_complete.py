"""Every requirement is shown by a test or has a reason why it cannot be; none has both, and none is forgotten."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.requirements import REQUIREMENTS, checked_by, requirement
from tests.requirements.out_of_reach import OUT_OF_REACH

HERE = Path(__file__)

# What a gate must show, whatever else is out of reach; MAY and extensions bind only who offers them.
OURS = {
    each.id
    for each in REQUIREMENTS.values()
    if each.role in ("resource-server", "transport") or each.id.startswith(("JWT-", "PRM-", "TRN-CORS-"))
}
OPTIONAL = {each.id for each in REQUIREMENTS.values() if each.level == "MAY" or each.basis == "extension"}


def every_test() -> Iterator[Callable[..., Any]]:
    """Every test of this folder but those of this file."""
    for file in sorted(HERE.parent.glob("test_*.py")):
        if file != HERE:
            module = importlib.import_module(f"tests.requirements.{file.stem}")
            yield from (value for name, value in vars(module).items() if name.startswith("test_") and callable(value))


def shown() -> set[str]:
    """The requirements that some test names."""
    return {each for test in every_test() for each in checked_by(test)}


def test_every_requirement_is_tested_or_out_of_reach_with_a_reason() -> None:
    assert REQUIREMENTS.keys() - shown() - OUT_OF_REACH.keys() == set()


def test_no_requirement_is_both_tested_and_out_of_reach() -> None:
    assert shown() & OUT_OF_REACH.keys() == set()


def test_no_reason_is_given_for_a_requirement_that_does_not_exist() -> None:
    assert OUT_OF_REACH.keys() - REQUIREMENTS.keys() == set()


def test_every_test_names_the_requirement_it_shows() -> None:
    assert [test.__name__ for test in every_test() if not checked_by(test)] == []


def test_nothing_that_binds_the_gate_is_out_of_reach_unless_it_is_optional() -> None:
    assert (OUT_OF_REACH.keys() & OURS) - OPTIONAL == set()


def test_every_reason_is_a_sentence() -> None:
    for reason in OUT_OF_REACH.values():
        assert reason.endswith(".")
        assert len(reason.split()) > 5


def test_requirements_are_whole() -> None:
    assert len(REQUIREMENTS) == 150
    for name, each in REQUIREMENTS.items():
        assert name == each.id
        assert each.versions
        assert each.source
        assert each.statement.endswith(".")


def test_test_of_an_unknown_requirement_cannot_be_imported() -> None:
    with pytest.raises(LookupError, match="RS-401-99"):
        requirement("RS-401-01", "RS-401-99")


def test_test_may_name_several_requirements() -> None:
    @requirement("RS-401-01")
    @requirement("RS-401-04", "RS-401-05")
    def shows_all() -> None:
        """Nothing."""

    assert checked_by(shows_all) == ("RS-401-01", "RS-401-04", "RS-401-05")
    assert checked_by(every_test) == ()
