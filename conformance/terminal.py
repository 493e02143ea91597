"""The report for a terminal: what failed with all that is needed to mend it, then what warns, then the counts."""

from __future__ import annotations

import shutil
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
WIDTHS = (60, 110)  # columns: the fewest and the most that a report is written in
MAX_PROBLEMS = 5  # of one requirement


def write(report: Report, *, quiet: bool = False, colours: bool = False) -> str:
    """The whole report as text."""
    made = _Text(report, colours=colours)
    made.head(quiet=quiet)
    for title, found in report.documents():
        made.document(title, found, quiet=quiet)
    made.foot()
    return "\n".join(made.lines)


class _Text:
    def __init__(self, report: Report, *, colours: bool) -> None:
        self.report = report
        self.colours = colours
        self.width = min(max(shutil.get_terminal_size((WIDTHS[1], 0)).columns, WIDTHS[0]), WIDTHS[1])
        self.lines: list[str] = []

    def paint(self, text: str, outcome: Outcome) -> str:
        return f"\x1b[{COLOURS[outcome]}m{text}\x1b[0m" if self.colours else text

    def add(self, text: str, indent: int = 0, *, hang: int = 0, begins: tuple[str, Outcome] | None = None) -> None:
        """A paragraph, whose first words may have a colour; secrets are taken out before its lines are broken."""
        made = textwrap.wrap(
            self.report.secrets.text(text),
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + hang),
            break_on_hyphens=False,
            break_long_words=False,
        ) or [""]
        if begins:
            words, outcome = begins
            made[0] = made[0].replace(words, self.paint(words, outcome), 1)
        self.lines += made

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
        self.lines.append("")
        self.add(title)
        for each in sorted(shown, key=lambda each: self.report.verdict(each.id) == "not tested"):
            self.requirement(each)

    def requirement(self, each: Requirement) -> None:
        verdict = self.report.verdict(each.id)
        expected = " (expected)" if verdict == "failed" and each.id in self.report.expected else ""
        level = each.level if each.basis != "practice" else f"{each.level}, practice"
        line = f"{MARKS[verdict]} {each.id:<12} {level:<18} {self.words(each)}{expected}"
        self.add(line, 2, hang=7, begins=(MARKS[verdict], verdict))
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
        self.add(f"{problem.outcome}{at}: {problem.what}", 9, begins=(problem.outcome, problem.outcome))
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
                    f"came back: {self.report.secrets.text(problem.answer.said())} {told['received']['body']}",
                    300,
                    placeholder=" …",
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
        self.lines += [", ".join(said), f"{len(report.checks)} checks in {report.seconds:.1f} s"]
        for name in report.stale():
            self.add(f"{name} is listed as an expected failure and does not fail: take it off the list.")
        if report.stopped:
            self.add(report.stopped)
