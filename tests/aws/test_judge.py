"""The judge at every front door: what it finds is what docs/aws.md lists, no more and no less."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from conformance.report import Report
from tests.aws.deployed import WAYS
from tests.aws.judged import judged
from tests.deploy.laptop import ROOT

BESIDE = 2  # judgements at a time: more would wait for each other so long that keys are not fetched in time
BEHIND = "function URL behind CloudFront"
ROW = re.compile(r"^\| ([A-Z]+-[A-Z0-9-]+) \| (failed|warned) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def reports(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Report]]]:
    folder = tmp_path_factory.mktemp("judged")
    with ProcessPoolExecutor(BESIDE, mp_context=multiprocessing.get_context("spawn")) as pool:
        submitted = {name: pool.submit(judged, unpacked, folder / str(n), WAYS[name]) for n, name in enumerate(WAYS)}
        submitted[BEHIND] = pool.submit(judged, unpacked, folder / "behind", WAYS["function URL"], cloudfront=True)
        yield submitted


@pytest.mark.parametrize("name", [*WAYS, BEHIND])
def test_judge_finds_what_the_documentation_lists(name: str, reports: dict[str, Future[Report]]) -> None:
    report = reports[name].result()
    assert report.stopped == ""
    assert not any(check.outcome == "error" for check in report.checks)
    verdicts = {one.id: report.verdict(one.id) for one in report.requirements()}
    found = {each: verdict for each, verdict in verdicts.items() if verdict in ("failed", "warned")}
    listed = documented()
    assert found == listed.get(name, {})
    assert listed.keys() <= WAYS.keys(), "the documentation names a front door that there is not"
    assert report.counts()["passed"] > 90


def documented() -> dict[str, dict[str, str]]:
    """Verdicts by requirement, by front door, as docs/aws.md has them; each with its cause and a workaround."""
    listed: dict[str, dict[str, str]] = {}
    for requirement, verdict, doors, why, workaround in ROW.findall((ROOT / "docs" / "aws.md").read_text("utf-8")):
        assert why.strip()
        assert workaround.strip()
        for door in doors.split(", "):
            listed.setdefault(door, {})[requirement] = verdict
    return listed
