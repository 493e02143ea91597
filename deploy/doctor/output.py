"""What the doctor says, as text for people, readable from 60 columns on, and as data."""

from __future__ import annotations

import io
import json
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from client.output import has_colour
from client.plain import line
from conformance.redaction import Redaction
from deploy.doctor.asking import HIDDEN
from deploy.doctor.clients import Judged, Verdict, verdicts
from deploy.doctor.findings import Finding, Level
from deploy.doctor.visit import Visit

RED, YELLOW, GREEN, BOLD, PALE = "31", "33", "32", "1", "2"
COLOURS: dict[Verdict, str] = {"ready": GREEN, "with help": YELLOW, "not known": PALE, "stops": RED}
LEVELS: tuple[tuple[str, Level], ...] = (("Wrong", "fault"), ("Advice", "advice"))
WIDEST = 110  # columns of a paragraph
PIECE = 16  # characters of the token that are not shown either, where a sentence is cut off in the middle of it


class Text:
    """The report as lines for a terminal."""

    def __init__(self, visit: Visit, *, columns: int, colours: bool) -> None:
        self.visit = visit
        self.columns = max(40, min(columns, WIDEST))
        self.colours = colours
        self.secrets = Redaction()
        self.secrets.hide(visit.question.token)
        self.lines: list[str] = []

    def written(self) -> str:
        """The whole report."""
        known = self.visit.findings
        self.add(self.visit.url + (f", behind {self.visit.front.name}" if self.visit.front else ""), style=BOLD)
        if known.well:
            self.heading("Well")
            for each in known.well:
                self.add(each, "  ok  ", GREEN)
        for title, level in LEVELS:
            if found := list(known.of(level)):
                self.heading(title)
                for finding in found:
                    self.finding(finding)
        if known.untested:
            self.heading("Not tested")
            for skipped in known.untested:
                self.add(skipped.what, "  -   ", PALE)
                self.add(f"needs {skipped.needs}", "      ")
        self.heading("Clients")
        for judged in verdicts(self.visit):
            self.client(judged)
        self.heading(summary(self.visit))
        return "\n".join(self.lines)

    def heading(self, text: str) -> None:
        self.lines.append("")
        self.add(text, style=BOLD)

    def finding(self, finding: Finding) -> None:
        fault = finding.rule.level == "fault"
        of = f" of the issuer {finding.issuer}" if finding.issuer else ""
        self.add(finding.id + of, "  !!  " if fault else "  i   ", RED if fault else YELLOW)
        self.add(finding.what, "      ")
        self.add(f"rule: {finding.rule.source}", "      ")
        self.add(f"change: {finding.change}", "      ")

    def client(self, judged: Judged) -> None:
        mark = f"  {judged.verdict:<11}"
        if judged.verdict == "ready":
            self.add(judged.client, mark, COLOURS[judged.verdict])
            return
        self.add(f"{judged.client}: {judged.why}", mark, COLOURS[judged.verdict])
        self.add(f"known from {judged.source}", " " * len(mark), PALE)

    def add(self, text: str, first: str = "", style: str = "") -> None:
        """A paragraph; only what stands in it is coloured, so that its width is right."""
        safe = line(without(self.secrets.text(text), self.visit.question.token))
        made = textwrap.wrap(
            safe,
            self.columns,
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_on_hyphens=False,
            break_long_words=False,
        )
        self.lines += [f"\x1b[{style}m{each}\x1b[0m" if self.colours and style else each for each in made]


def without(text: str, token: str) -> str:
    """The text without any piece of the token."""
    kept, at = [], 0
    while at < len(text):
        end = at + PIECE
        if end > len(text) or text[at:end] not in token:
            kept.append(text[at])
            at += 1
            continue
        while end < len(text) and text[at : end + 1] in token:
            end += 1
        kept.append(HIDDEN)
        at = end
    return "".join(kept)


def summary(visit: Visit) -> str:
    """The last line: how it stands."""
    faults, advice = (len(list(visit.findings.of(level))) for level in ("fault", "advice"))
    if not faults:
        left = f", {number(advice, 'thing')} to consider" if advice else ""
        return f"Nothing wrong was found{left}; {len(visit.findings.untested)} not tested."
    return f"{number(faults, 'thing')} wrong, {advice} to consider, {len(visit.findings.untested)} not tested."


def number(count: int, word: str) -> str:
    """A number of things."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def as_data(visit: Visit) -> dict[str, Any]:
    """The same as data."""
    known, secrets = visit.findings, Redaction()
    secrets.hide(visit.question.token)

    def safe(text: str) -> str:
        return without(secrets.text(text), visit.question.token)

    told: dict[str, Any] = {
        "url": visit.url,
        "front": visit.front.name if visit.front else None,
        "revisions": list(visit.revisions),
        "well": known.well,
        "findings": [
            {
                "id": each.id,
                "issuer": each.issuer or None,
                "level": each.rule.level,
                "what": each.what,
                "rule": each.rule.source,
                "change": each.change,
            }
            for each in known.found
        ],
        "not_tested": [{"what": each.what, "needs": each.needs} for each in known.untested],
        "clients": [vars(each) for each in verdicts(visit)],
        "exit_code": exit_code(visit),
    }
    hidden: dict[str, Any] = _hidden(told, safe)
    return hidden


def _hidden(value: Any, safe: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, list):
        return [_hidden(each, safe) for each in value]
    if isinstance(value, dict):
        return {key: _hidden(each, safe) for key, each in value.items()}
    return value


def exit_code(visit: Visit) -> int:
    """1 where something is wrong; advice does not count."""
    return int(any(visit.findings.of("fault")))


def show(visit: Visit, *, as_json: bool) -> None:
    """Print the report."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show it all
    if as_json:
        print(json.dumps(as_data(visit), indent=2), flush=True)
        return
    colours = sys.stdout.isatty() and has_colour()
    columns = shutil.get_terminal_size((80, 24)).columns
    print(Text(visit, columns=columns, colours=colours).written(), flush=True)
