"""The report as one HTML page that needs nothing else: no script, no font, no request to anywhere."""

from __future__ import annotations

from html import escape
from typing import Any

from .report import Outcome, Problem, Report
from .requirements import Requirement

WORDS: dict[Outcome, str] = {
    "error": "suite failed",
    "failed": "failed",
    "warned": "warned",
    "informed": "for information",
    "passed": "passed",
    "not tested": "not tested",
}
MAX_PROBLEMS = 12  # shown of one requirement
STYLE = """
:root { color-scheme: light dark; --page: #f5f6f8; --card: #fff; --text: #1a2230; --soft: #566070; --line: #d9dde4;
  --code: #f0f2f5; --failed: #a3141e; --warned: #8a5300; --informed: #1d5a9b; --passed: #17693a; --not: #626c7a; }
@media (prefers-color-scheme: dark) { :root { --page: #11151b; --card: #1a2029; --text: #e8ecf2; --soft: #a5b0bf;
  --line: #333c49; --code: #12171e; --failed: #ff9ea4; --warned: #f0bd68; --informed: #8fc1ff; --passed: #7fd6a0;
  --not: #9aa5b3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto,
  "Noto Sans", sans-serif; overflow-wrap: anywhere; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.125rem; margin: 2.25rem 0 .5rem; }
p, ul { margin: 0 0 .75rem; }
.soft { color: var(--soft); }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; padding: 0; margin: 1.25rem 0; }
.counts li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .875rem; }
.counts b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.given { columns: 22rem; padding-left: 1.1rem; font-size: .875rem; color: var(--soft); }
details.rule { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; margin: .375rem 0; }
details.rule > summary { display: grid; grid-template-columns: 7.5rem 7.5rem 1fr; gap: .25rem .75rem;
  padding: .5rem .875rem;
  cursor: pointer; list-style: none; }
details.rule > summary::-webkit-details-marker { display: none; }
details.rule > summary:focus-visible, summary:focus-visible { outline: 3px solid var(--informed); outline-offset: 2px; }
details.rule > div { padding: .25rem .875rem .875rem; border-top: 1px solid var(--line); }
.verdict { font-weight: 600; }
.error, .failed { color: var(--failed); } .warned { color: var(--warned); } .informed { color: var(--informed); }
.passed { color: var(--passed); } .not { color: var(--not); }
.problem { border-left: 3px solid currentColor; padding: .125rem 0 .125rem .75rem; margin: .875rem 0; }
.problem > * { color: var(--text); } .problem > .what { font-weight: 600; }
dl { display: grid; grid-template-columns: 6rem 1fr; gap: .25rem .75rem; margin: .5rem 0; font-size: .9375rem; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; }
pre { margin: 0; padding: .5rem .625rem; background: var(--code); border-radius: .375rem; font: .8125rem/1.45
  ui-monospace,
  SFMono-Regular, Consolas, "Liberation Mono", monospace; white-space: pre-wrap; max-height: 16rem; overflow: auto; }
@media (max-width: 40rem) { details.rule > summary { grid-template-columns: 1fr 1fr; }
  details.rule > summary > :last-child { grid-column: 1 / -1; } dl { grid-template-columns: 1fr; gap: 0; }
  dt { margin-top: .5rem; } }
@media print { details.rule { break-inside: avoid; } }
"""


def write(report: Report) -> str:
    """The page."""
    target = escape(report.secrets.text(report.target))
    documents = "".join(_document(report, title, found) for title, found in report.documents())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_headline(report)}: {target}</title>
<style>{STYLE}</style>
</head>
<body><main>
<h1>{_headline(report)}</h1>
<p>{target}</p>
<p class="soft">Judged on <time>{escape(report.started)}</time> in {report.seconds:.0f} s, at
{escape(", ".join(report.revisions))}; {len(report.checks)} checks.</p>
{_notes(report)}{_counts(report)}{_inventory(report)}{documents}
</main></body>
</html>
"""


def _headline(report: Report) -> str:
    if report.stopped:
        return "The judgement is not complete"
    found = len(report.unexpected())
    failed = f"{found} requirement{'s are' if found != 1 else ' is'} not met"
    return failed if found else "No requirement that was tested is violated"


def _notes(report: Report) -> str:
    said = [report.secrets.text(report.stopped)] if report.stopped else []
    said += [
        f"{name} is listed as an expected failure and does not fail: take it off the list." for name in report.stale()
    ]
    return "".join(f'<p class="failed">{escape(text)}</p>' for text in said)


def _counts(report: Report) -> str:
    counts = report.counts()
    shown = [each for each in WORDS if counts[each] or each in ("failed", "passed")]
    items = [f'<li class="{_class(each)}"><b>{counts[each]}</b>{WORDS[each]}</li>' for each in shown]
    return f'<ul class="counts">{"".join(items)}</ul>'


def _inventory(report: Report) -> str:
    given = "".join(f"<li>{escape(each)}</li>" for each in report.given)
    missing = "".join(f"<li>{escape(each)}</li>" for each in report.missing)
    return f"""<details><summary>What the judge was given, and what not</summary>
<p>Given:</p><ul class="given">{given or "<li>the URL alone</li>"}</ul>
<p>Not given, so that some requirements are not tested:</p><ul class="given">{missing}</ul></details>"""


def _class(outcome: Outcome) -> str:
    return outcome.partition(" ")[0]


def _document(report: Report, title: str, found: list[Requirement]) -> str:
    order = list(WORDS)
    ordered = sorted(found, key=lambda each: order.index(report.verdict(each.id)))
    return f"<section><h2>{escape(title)}</h2>{''.join(_requirement(report, each) for each in ordered)}</section>"


def _requirement(report: Report, each: Requirement) -> str:
    verdict = report.verdict(each.id)
    expected = " (expected)" if verdict == "failed" and each.id in report.expected else ""
    opened = " open" if verdict in ("failed", "error") and not expected else ""
    level = escape(each.level + (", practice" if each.basis == "practice" else ""))
    body = _why_not(report, each) if verdict == "not tested" else _checks(report, each)
    said = f'<span class="verdict {_class(verdict)}">{WORDS[verdict]}{expected}</span>'
    rule = f"{level}, by {escape(each.source)}; concerns {escape(', '.join(each.versions))}."
    return f"""<details class="rule"{opened} id="{each.id}">
<summary>{said}<span>{each.id}</span><span>{escape(each.statement)}</span></summary>
<div>{body}<p class="soft">{rule}</p></div></details>
"""


def _why_not(report: Report, each: Requirement) -> str:
    return f"<p>{escape(report.secrets.text(report.reason(each.id)))}</p>"


def _checks(report: Report, each: Requirement) -> str:
    checks = report.of(each.id)
    problems = report.problems(each.id)
    failures = [report.secrets.text(check.reason) for check in checks if check.outcome == "error"]
    errors = "".join(f'<p class="failed">{escape(text)}</p>' for text in failures)
    more = f"<p>And {len(problems) - MAX_PROBLEMS} more.</p>" if len(problems) > MAX_PROBLEMS else ""
    broken = {check.words for check in checks if check.problems}
    passed = sorted({check.words for check in checks if check.outcome == "passed"} - broken)
    fine = f'<p class="soft">Seen to hold: {escape("; ".join(passed))}.</p>' if passed else ""
    shown = "".join(_problem(report, problem, revisions) for problem, revisions in problems[:MAX_PROBLEMS])
    return errors + shown + more + fine


def _problem(report: Report, problem: Problem, revisions: list[str]) -> str:
    told: dict[str, Any] = report.problem(problem)
    at = f' <span class="soft">({escape(", ".join(revisions))})</span>' if revisions else ""
    exchange = ""
    if problem.answer:
        sent, received = told["exchange"]["sent"], told["exchange"]["received"]
        first = f"HTTP {received['status']}" if received["status"] else received["note"] or "no answer"
        asked = _message(f"{sent['method']} {sent['url']}", sent)
        exchange = f"<dt>Sent</dt><dd>{asked}</dd><dt>Came back</dt><dd>{_message(first, received)}</dd>"
    return f"""<div class="problem {_class(problem.outcome)}"><p class="what">{escape(told["what"])}{at}</p>
<dl>{exchange}<dt>To mend it</dt><dd>{escape(problem.fix)}</dd></dl></div>"""


def _message(first: str, told: dict[str, Any]) -> str:
    lines = [first, *(f"{name}: {value}" for name, value in told["headers"])]
    if told["body"]:
        lines += ["", told["body"]]
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
