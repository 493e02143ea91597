"""The report for a terminal: what failed with all that is needed to mend it, then what warns, then the counts."""

from __future__ import annotations

import textwrap

from .report import Outcome, Problem, Report
from .requirements import Requirement

MARKS: dict[Outcome, str] = {
    "failed": "FAIL",
    "warned": "WARN",
    "informed": "INFO",
    "passed": "pass",
    "not tested": "   -",
    "error": "ERR ",
}
COLOURS: dict[Outcome, int] = {"failed": 31, "error": 31, "warned": 33, "informed": 36, "passed": 32, "not tested": 90}
WIDTH = 110
MAX_PROBLEMS = 5  # of one requirement


def write(report: Report, *, quiet: bool = False, colours: bool = False) -> str:
    """The whole report as text."""
    made = _Text(report, colours=colours)
    made.head(quiet=quiet)
    for title, found in report.documents():
        made.document(title, found, quiet=quiet)
    made.foot()
    return report.secrets.text("\n".join(made.lines))


class _Text:
    def __init__(self, report: Report, *, colours: bool) -> None:
        self.report = report
        self.colours = colours
        self.lines: list[str] = []

    def paint(self, text: str, outcome: Outcome) -> str:
        return f"\x1b[{COLOURS[outcome]}m{text}\x1b[0m" if self.colours else text

    def add(self, text: str, indent: int = 0) -> None:
        pad = " " * indent
        self.lines += textwrap.wrap(
            text, WIDTH, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False, break_long_words=False
        ) or [""]

    def head(self, *, quiet: bool) -> None:
        report = self.report
        self.add(f"{report.target}: {len(report.requirements())} requirements at {', '.join(report.revisions)}")
        if not quiet:
            for words in report.given:
                self.add(f"given: {words}", 2)
            for words in report.missing:
                self.add(f"not given: {words}", 2)

    def document(self, title: str, found: list[Requirement], *, quiet: bool) -> None:
        shown = [each for each in found if not quiet or self.report.verdict(each.id) in ("failed", "error")]
        if not shown:
            return
        self.lines += ["", title]
        for each in sorted(shown, key=lambda each: self.report.verdict(each.id) == "not tested"):
            self.requirement(each)

    def requirement(self, each: Requirement) -> None:
        verdict = self.report.verdict(each.id)
        expected = " (expected)" if verdict == "failed" and each.id in self.report.expected else ""
        level = each.level if each.basis != "practice" else f"{each.level}, practice"
        self.lines.append(
            f"  {self.paint(MARKS[verdict], verdict)} {each.id:<12} {level:<18} {self.words(each)}{expected}"
        )
        if verdict == "not tested":
            self.add(self.report.reason(each.id), 9)
        for check in self.report.of(each.id):
            if check.outcome == "error":
                self.add(check.reason, 9)
        found = self.report.problems(each.id)
        for problem, revisions in found[:MAX_PROBLEMS]:
            self.problem(problem, f" [{', '.join(revisions)}]" if revisions else "")
        if len(found) > MAX_PROBLEMS:
            self.add(f"and {len(found) - MAX_PROBLEMS} more; the other reports have them all", 9)
        if verdict in ("failed", "warned", "informed"):
            self.add(f"rule: {each.statement} ({each.source})", 9)

    def words(self, each: Requirement) -> str:
        checks = self.report.of(each.id)
        return checks[0].words if checks else textwrap.shorten(each.statement, 70, placeholder="…")

    def problem(self, problem: Problem, at: str) -> None:
        self.add(f"{self.paint(problem.outcome, problem.outcome)}{at}: {problem.what}", 9)
        if problem.answer:
            told = self.report.exchange(problem.answer)
            named = [
                f"{name}: {value}"
                for name, value in told["sent"]["headers"]
                if name.lower() not in ("accept-encoding", "user-agent")
            ]
            self.add(
                textwrap.shorten(
                    f"sent: {told['sent']['method']} {told['sent']['url']} {'; '.join(named)} {told['sent']['body']}",
                    400,
                    placeholder=" …",
                ),
                11,
            )
            self.add(
                textwrap.shorten(
                    f"came back: {problem.answer.said()} {told['received']['body']}", 300, placeholder=" …"
                ),
                11,
            )
        self.add(f"mend it: {problem.fix}", 11)

    def foot(self) -> None:
        report = self.report
        counts = report.counts()
        self.lines.append("")
        said = [
            self.paint(f"{counts[each]} {each}", each) for each in MARKS if counts[each] or each in ("failed", "passed")
        ]
        self.lines.append(f"{', '.join(said)}; {len(report.checks)} checks in {report.seconds:.1f} s")
        for name in report.stale():
            self.add(f"{name} is listed as an expected failure and is met: take it off the list.")
        if report.stopped:
            self.add(report.stopped)
