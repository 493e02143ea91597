"""The judge catches every mutant by the requirement that it breaks, and finds nothing wrong with what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.out_of_reach import OUT_OF_REACH
from conformance.report import Report
from conformance.requirements import REQUIREMENTS
from tests.conformance.judge.judged import gateway, server, with_login
from tests.conformance.judge.mutants import MUTANTS, WITHOUT, Mutant

JUDGED = {"server": server, "gateway": gateway, "issuer": with_login}


def judged(mutant: Mutant, logs: Path) -> Report:
    """What is said of a mutant, about the requirement it breaks."""
    if mutant.setting == "server":
        return server(mutant.fault, only=(mutant.breaks,), logs=logs)
    return JUDGED[mutant.setting](mutant.fault, only=(mutant.breaks,))


def told(report: Report) -> list[str]:
    """What a report finds wrong, in words, for a test that fails."""
    return [
        f"{check.requirement} [{check.revision}] {check.words}: {problem.outcome}: {problem.what}"
        for check in report.checks
        for problem in check.problems
    ] + [f"{check.requirement}: {check.reason}" for check in report.checks if check.outcome == "error"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_mutant_is_caught_by_the_requirement_it_breaks(mutant: Mutant, tmp_path: Path) -> None:
    report = judged(mutant, tmp_path / "log")
    usual = "warned" if REQUIREMENTS[mutant.breaks].level == "SHOULD" else "failed"
    assert report.verdict(mutant.breaks) == (mutant.due or usual), told(report) or report.reason(mutant.breaks)


def test_every_must_that_a_server_can_break_has_a_mutant() -> None:
    can = {each.id for each in REQUIREMENTS.values() if each.level.startswith("MUST")} - OUT_OF_REACH.keys()
    assert can - {mutant.breaks for mutant in MUTANTS} - WITHOUT.keys() == set()


def test_there_are_enough_mutants_and_each_is_there_once() -> None:
    assert len({mutant.id for mutant in MUTANTS}) == len(MUTANTS) >= 60


@pytest.mark.parametrize("setting", JUDGED)
def test_server_that_is_right_has_no_failure(setting: str) -> None:
    report = JUDGED[setting]()
    wrong = [line for line in told(report) if "informed" not in line]
    assert (wrong, report.stopped, report.exit_code) == ([], "", 0)
    assert report.seconds < 60
