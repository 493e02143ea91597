"""The judge at every front door: what it finds is what docs/aws.md lists, no more and no less."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from pathlib import Path

import pytest

from conformance.report import Report
from tests.aws.deployed import WAYS
from tests.aws.judged import judged
from tests.deploy.laptop import ROOT

BESIDE = 2  # judgements at a time: more would wait for each other so long that keys are not fetched in time
BEHIND = "function URL behind CloudFront"
ROW = re.compile(r"^\| ([A-Z]+-[A-Z0-9-]+) \| (failed|warned) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


class Judges:
    """Reports of every way, made beside each other."""

    def __init__(self, pool: ProcessPoolExecutor, unpacked: Path, folder: Path) -> None:
        self._pool = pool
        self._unpacked = unpacked
        self._folder = folder
        self._first = {name: self._begin(name, "first") for name in (*WAYS, BEHIND)}

    def _begin(self, name: str, which: str) -> Future[Report]:
        way, folder = WAYS.get(name, WAYS["function URL"]), self._folder / f"{which} {name}".replace(" ", "-")
        return self._pool.submit(judged, self._unpacked, folder, way, cloudfront=name == BEHIND)

    def find(self, name: str, listed: dict[str, str]) -> Report:
        """The report; if it finds something else than is listed, another one, made when the others are done.

        Where several functions and judges share two cores, a fetch of keys may run out of time; what is wrong with the
        gate, or with the list, is there the second time too.
        """
        report = self._first[name].result()
        if problems(report) == listed:
            return report
        wait(self._first.values())
        return self._begin(name, "second").result()


@pytest.fixture(scope="module")
def judges(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judges]:
    with ProcessPoolExecutor(BESIDE, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield Judges(pool, unpacked, tmp_path_factory.mktemp("judged"))


@pytest.mark.parametrize("name", [*WAYS, BEHIND])
def test_judge_finds_what_the_documentation_lists(name: str, judges: Judges) -> None:
    listed = documented()
    assert listed.keys() <= WAYS.keys(), "the documentation names a front door that there is not"
    report = judges.find(name, listed.get(name, {}))
    assert report.stopped == ""
    assert not any(check.outcome == "error" for check in report.checks)
    assert problems(report) == listed.get(name, {})
    assert report.counts()["passed"] > 90


def problems(report: Report) -> dict[str, str]:
    """The verdicts that are not good, by requirement."""
    verdicts = {one.id: report.verdict(one.id) for one in report.requirements()}
    return {each: verdict for each, verdict in verdicts.items() if verdict in ("failed", "warned")}


def documented() -> dict[str, dict[str, str]]:
    """Verdicts by requirement, by front door, as docs/aws.md has them; each with its cause and a workaround."""
    listed: dict[str, dict[str, str]] = {}
    for requirement, verdict, doors, why, workaround in ROW.findall((ROOT / "docs" / "aws.md").read_text("utf-8")):
        assert why.strip()
        assert workaround.strip()
        for door in doors.split(", "):
            listed.setdefault(door, {})[requirement] = verdict
    return listed
