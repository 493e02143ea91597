"""The report as JUnit XML, which every continuous integration reads: a suite a document, a case a check."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from .report import STALE, Check, Problem, Report

COUNTS = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}


def write(report: Report) -> str:
    """The XML."""
    root = Element("testsuites", name=report.secrets.text(report.target), time=f"{report.seconds:.2f}")
    for title, found in report.documents():
        suite = SubElement(root, "testsuite", name=title)
        for each in found:
            if not report.of(each.id):
                case = SubElement(suite, "testcase", classname=each.id, name=each.id)
                SubElement(case, "skipped", message=report.secrets.text(report.reason(each.id)))
        for check in (check for each in found for check in report.of(each.id)):
            _case(report, suite, check)
    if stale := report.stale():
        suite = SubElement(root, "testsuite", name="Expected failures")
        for name in stale:
            SubElement(SubElement(suite, "testcase", classname=name, name=name), "failure", message=STALE)
    for counted in (root, *root):
        for attribute, name in COUNTS.items():
            counted.set(attribute, str(sum(1 for _ in counted.iter(name))))
    del root.attrib["skipped"]  # of a suite alone
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


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
        suite, "testcase", classname=check.requirement, name=report.secrets.text(name), time=f"{check.seconds:.3f}"
    )
    text = report.secrets.text("\n\n".join(map(_told, check.problems)))
    if check.outcome == "not tested":
        SubElement(case, "skipped", message=report.secrets.text(check.reason))
    elif check.outcome == "error":
        SubElement(case, "error", message=report.secrets.text(check.reason))
    elif check.outcome == "failed" and check.requirement in report.expected:
        SubElement(
            case, "skipped", message=report.secrets.text(f"expected to fail: {report.expected[check.requirement]}")
        )
    elif check.outcome == "failed":
        SubElement(case, "failure", message=report.secrets.text(check.problems[0].what)).text = text
    elif check.problems:
        SubElement(case, "system-out").text = f"{check.outcome}: {text}"
