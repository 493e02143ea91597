"""The report as SARIF 2.1.0, which code hosts show beside the code: a rule a requirement, a result a problem."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from .report import STALE, Outcome, Problem, Report
from .requirements import Requirement

LEVELS: dict[Outcome, str] = {"failed": "error", "warned": "warning", "informed": "note"}


def write(report: Report) -> str:
    """The SARIF log as JSON."""
    rules = [_rule(each) for each in report.requirements()]
    results = [
        _result(report, each.id, problem, ", ".join(revisions))
        for each in report.requirements()
        for problem, revisions in report.problems(each.id)
        if not (problem.outcome == "failed" and each.id in report.expected)
    ]
    results += [
        {"ruleId": name, "level": "error", "message": {"text": STALE}, "locations": _where(report)}
        for name in report.stale()
    ]
    driver = {"name": "mcp-conformance", "informationUri": "https://modelcontextprotocol.io", "rules": rules}
    finished = {"executionSuccessful": not report.stopped and report.exit_code != 2, "exitCode": report.exit_code}
    run = {"tool": {"driver": driver}, "results": results, "invocations": [finished], "columnKind": "unicodeCodePoints"}
    return json.dumps(
        {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}, indent=1
    )


def _rule(each: Requirement) -> dict[str, Any]:
    return {
        "id": each.id,
        "shortDescription": {"text": each.statement},
        "help": {"text": f"{each.level}, by {each.source}."},
        "properties": {"level": each.level, "basis": each.basis, "versions": list(each.versions)},
    }


def _result(report: Report, name: str, problem: Problem, revisions: str) -> dict[str, Any]:
    text = report.secrets.text(problem.what + (f" ({revisions})" if revisions else ""))
    told: dict[str, Any] = {
        "ruleId": name,
        "level": LEVELS.get(problem.outcome, "none"),
        "message": {"text": f"{text} Mend it: {problem.fix}"},
        "locations": _where(report),
    }
    if problem.answer:
        told["properties"] = {"exchange": report.exchange(problem.answer)}
    return told


def _where(report: Report) -> list[dict[str, Any]]:
    # A server has no source file at hand: its URL stands for it, without a scheme, which code hosts refuse.
    target = report.secrets.text(report.target)
    path = quote(target.partition("://")[2], safe="/?&=%")
    place = {"artifactLocation": {"uri": path}, "region": {"startLine": 1}}
    return [{"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": target, "kind": "resource"}]}]
