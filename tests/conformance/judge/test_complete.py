"""Every requirement is judged by a test or has a reason why it cannot be; none has both, and none is forgotten."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import conformance
from conformance.out_of_reach import OUT_OF_REACH
from conformance.report import DOCUMENTS
from conformance.requirements import REQUIREMENTS, checked_by

HERE = Path(conformance.__file__).parent


def every_test() -> list[Callable[..., Any]]:
    """Every test of the suite."""
    modules = [importlib.import_module(f"conformance.{file.stem}") for file in sorted(HERE.glob("test_*.py"))]
    return [value for module in modules for name, value in vars(module).items() if name.startswith("test_")]


JUDGED = {each for test in every_test() for each in checked_by(test)}


def test_every_requirement_is_judged_or_out_of_reach_with_a_reason() -> None:
    assert REQUIREMENTS.keys() - JUDGED - OUT_OF_REACH.keys() == set()


def test_no_requirement_is_both_judged_and_out_of_reach() -> None:
    assert JUDGED & OUT_OF_REACH.keys() == set()


def test_every_test_names_the_requirement_it_judges() -> None:
    assert [test.__name__ for test in every_test() if not checked_by(test)] == []
    assert len(every_test()) > 120


def test_every_reason_is_a_sentence_about_a_requirement_that_exists() -> None:
    assert OUT_OF_REACH.keys() <= REQUIREMENTS.keys()
    assert all(reason.endswith(".") and len(reason.split()) > 5 for reason in OUT_OF_REACH.values())


def test_documents_hold_every_requirement_once() -> None:
    assert [each.id for _, part in DOCUMENTS for each in part.REQUIREMENTS] == list(
        {each.id: 1 for _, part in DOCUMENTS for each in part.REQUIREMENTS}
    )
    assert {each.id for _, part in DOCUMENTS for each in part.REQUIREMENTS} == REQUIREMENTS.keys()


def test_no_test_of_the_suite_runs_in_the_projects_own_run() -> None:
    settings = (HERE.parent / "pyproject.toml").read_text()
    assert 'testpaths = ["tests"]' in settings
