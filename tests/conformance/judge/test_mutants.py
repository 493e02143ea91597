"""The judge catches every mutant by the requirement that it breaks, and finds nothing wrong with what is right."""

from __future__ import annotations

from concurrent.futures import Executor, Future

import pytest

from conformance.out_of_reach import OUT_OF_REACH
from conformance.report import Report
from conformance.requirements import REQUIREMENTS
from tests.conformance.judge.judged import JUDGED, mutant_judged
from tests.conformance.judge.mutants import MUTANTS, NEVER_CAUGHT, WITHOUT, Mutant
from tests.conformance.judge.test_complete import every_test


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest, judges: Executor, tmp_path_factory: pytest.TempPathFactory
) -> dict[object, Future[Report]]:
    """What is said of every server that a selected test is about, once it is there."""
    logs = tmp_path_factory.mktemp("logs")
    here = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    params = [item.callspec.params for item in here]
    right = [each["setting"] for each in params if "setting" in each]
    mutants = [each["mutant"] for each in params if "mutant" in each]
    return {each: judges.submit(JUDGED[each]) for each in right} | {
        each: judges.submit(mutant_judged, each, logs / str(number)) for number, each in enumerate(mutants)
    }


def told(report: Report) -> list[str]:
    """What a report finds wrong, in words, for a test that fails."""
    return [
        f"{check.requirement} [{check.revision}] {check.words}: {problem.outcome}: {problem.what}"
        for check in report.checks
        for problem in check.problems
    ] + [f"{check.requirement}: {check.reason}" for check in report.checks if check.outcome == "error"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_mutant_is_caught_by_the_requirement_it_breaks(mutant: Mutant, reports: dict[object, Future[Report]]) -> None:
    report = reports[mutant].result()
    usual = "warned" if REQUIREMENTS[mutant.breaks].level == "SHOULD" else "failed"
    assert report.verdict(mutant.breaks) == (mutant.due or usual), told(report) or report.reason(mutant.breaks)


def test_every_must_that_a_server_can_break_has_a_mutant() -> None:
    can = {each.id for each in REQUIREMENTS.values() if each.level.startswith("MUST")} - OUT_OF_REACH.keys()
    assert can - {mutant.breaks for mutant in MUTANTS} - WITHOUT.keys() == set()


def test_every_test_of_the_suite_catches_a_mutant_or_says_why_it_cannot(
    reports: dict[object, Future[Report]],
) -> None:
    if not reports.keys() >= {*MUTANTS, *JUDGED}:
        pytest.skip("It takes all mutants, and only some were selected.")
    found = (check for report in reports.values() for check in report.result().checks if check.problems)
    caught = {check.test.rpartition("::")[2].partition("[")[0] for check in found}
    assert {test.__name__ for test in every_test()} - caught == NEVER_CAUGHT.keys()


def test_there_are_enough_mutants_and_each_is_there_once() -> None:
    assert len({mutant.id for mutant in MUTANTS}) == len(MUTANTS) >= 60


@pytest.mark.parametrize("setting", JUDGED)
def test_server_that_is_right_has_no_failure(setting: str, reports: dict[object, Future[Report]]) -> None:
    report = reports[setting].result()
    wrong = [line for line in told(report) if "informed" not in line]
    assert (wrong, report.stopped, report.exit_code) == ([], "", 0)
    assert report.seconds < 60
