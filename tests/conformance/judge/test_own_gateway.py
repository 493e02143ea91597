"""The project's own gateway before the judge: no failure, and no warning or remark that is not explained here."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import get_args

import pytest

from conformance.out_of_reach import OUT_OF_REACH
from conformance.report import Report
from tests.conformance.judge.own import Way, judged

# What is said about the gateway, and why it stays so.
EXPLAINED = {
    "JWT-SUB-01": "A machine's token may have no sub: its principal is the client, and docs say so.",
    "PRM-03": "The document at the root serves clients that look only there (MCP allows it, RFC 9728 does not).",
    "ASM-14": "Without a facade the gateway is no authorization server for clients of 2025-03-26.",
}
# What cannot be tested in these three ways of running it, beyond what no judge can.
UNTESTED = {
    "PRM-12": "The gateway runs on loopback here.",
    "JWT-ISS-02": "It trusts one issuer here; tests/requirements shows two.",
    "JWT-JWKS-01": "It fetches keys too rarely to be watched; tests/requirements shows what it does with bad ones.",
    "SES-08": "No tool here hands out states.",
}


@pytest.fixture(scope="module")
def reports(judges: Executor, tmp_path_factory: pytest.TempPathFactory) -> dict[Way, Future[Report]]:
    """What is said of the gateway, by the way to run it."""
    folder = tmp_path_factory.mktemp("logs")
    return {way: judges.submit(judged, way, folder / way) for way in get_args(Way)}


@pytest.mark.parametrize("way", get_args(Way))
def test_own_gateway_meets_every_requirement_that_can_be_tested(way: Way, reports: dict[Way, Future[Report]]) -> None:
    report = reports[way].result()
    said = {each.id: report.problems(each.id) for each in report.requirements() if report.problems(each.id)}
    assert {name: [problem.what for problem, _ in found] for name, found in said.items() if name not in EXPLAINED} == {}
    assert (report.exit_code, report.stopped) == (0, "")
    if way == "facade":
        assert untested(report) <= UNTESTED.keys() | SESSIONLESS


# The upstream under the judge's control has no sessions, so a front before it has none; `tools` has.
SESSIONLESS = {"SES-01", "SES-02", "SES-03", "SES-05", "SES-06", "TRN-SSE-01", "TRN-SSE-02"}


def untested(report: Report) -> set[str]:
    """What could be tested and was not."""
    return {each.id for each in report.requirements() if report.verdict(each.id) == "not tested"} - OUT_OF_REACH.keys()
