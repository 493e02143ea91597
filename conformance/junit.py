"""The report as JUnit XML, which every continuous integration reads: a suite a document, a case a check."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from .report import STALE, Check, Problem, Report

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2


def write(report: Report) -> str:
    """The XML."""
    root = Element("testsuites", name=clean(report, report.target), time=f"{report.seconds:.2f}")
    for title, found in report.documents():
        suite = SubElement(root, "testsuite", name=title)
        cases = [check for each in found for check in report.of(each.id)]
        for each in found:
            if not report.of(each.id):
                case = SubElement(suite, "testcase", classname=each.id, name=each.id)
                SubElement(case, "skipped", message=clean(report, report.reason(each.id)))
        for check in cases:
            _case(report, suite, check)
        failed = sum(check.outcome == "failed" and check.requirement not in report.expected for check in cases)
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(failed))
    if stale := report.stale():
        suite = SubElement(root, "testsuite", name="Expected failures", tests=str(len(stale)), failures=str(len(stale)))
        for name in stale:
            SubElement(SubElement(suite, "testcase", classname=name, name=name), "failure", message=STALE)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def clean(report: Report, text: str) -> str:
    """Text without secrets, and without what XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", report.secrets.text(text))


def _told(problem: Problem) -> str:
    lines = [problem.what, f"Mend it: {problem.fix}"]
    if problem.answer:
        lines += [f"Sent: {problem.answer.method} {problem.answer.url}", f"Came back: {problem.answer.said()}"]
    return "\n".join(lines)


def _case(report: Report, suite: Element, check: Check) -> None:
    where = f" [{check.revision}]" if check.revision else ""
    varied = check.test.partition("[")[2].rstrip("]")
    name = check.words + (f" ({varied})" if varied else where)
    case = SubElement(
        suite, "testcase", classname=check.requirement, name=clean(report, name), time=f"{check.seconds:.3f}"
    )
    text = clean(report, "\n\n".join(map(_told, check.problems)))
    if check.outcome == "not tested":
        SubElement(case, "skipped", message=clean(report, check.reason))
    elif check.outcome == "error":
        SubElement(case, "error", message=clean(report, check.reason))
    elif check.outcome == "failed" and check.requirement in report.expected:
        SubElement(case, "skipped", message=clean(report, f"expected to fail: {report.expected[check.requirement]}"))
    elif check.outcome == "failed":
        SubElement(case, "failure", message=clean(report, check.problems[0].what)).text = text
    elif check.problems:
        SubElement(case, "system-out").text = f"{check.outcome}: {text}"
