"""What came of a judgement: a check for every requirement and revision, and a verdict for every requirement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from .redaction import Redaction
from .requirements import REQUIREMENTS, Requirement, challenge, client, extension, gateway, issuer, metadata, transport
from .requirements import session as sessions
from .requirements import token as tokens
from .wire import Answer

Outcome = Literal["failed", "warned", "informed", "passed", "not tested", "error"]
# From worst to best: what a requirement comes to is the first of these that one of its checks has.
ORDER: tuple[Outcome, ...] = ("error", "failed", "warned", "informed", "passed", "not tested")
STALE = "It is listed as an expected failure and does not fail: take it off the list."
MAX_SHOWN = 2000  # characters of a body in a report

DOCUMENTS = (
    ("Challenges and credentials: MCP Authorization, RFC 6750, RFC 9110", challenge),
    ("Access tokens: RFC 9068, RFC 8725, RFC 7515, RFC 7519", tokens),
    ("Sessions and long streams: MCP Transports, Security Best Practices", sessions),
    ("Gateways: MCP Security Best Practices, RFC 9700, RFC 9112", gateway),
    ("Protected resource metadata: RFC 9728", metadata),
    ("Authorization server: RFC 8414, OAuth 2.1, RFC 9207, RFC 8707", issuer),
    ("Clients: MCP Authorization", client),
    ("Streamable HTTP: MCP Transports, Fetch", transport),
    ("Extensions: ext-auth, RFC 9449", extension),
)


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be."""

    what: str
    outcome: Outcome
    answer: Answer | None
    fix: str


@dataclass(frozen=True)
class Check:
    """One test of one requirement, at one revision if it depends on it."""

    requirement: str
    test: str
    words: str  # the test as a sentence
    revision: str
    outcome: Outcome
    reason: str = ""  # why it was not tested, or how the suite failed
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0


@dataclass
class Report:
    """Everything that was found out about a target."""

    target: str
    started: str
    given: list[str] = field(default_factory=list)  # what the judge was given, in words
    missing: list[str] = field(default_factory=list)  # what it was not, and how to give it
    revisions: tuple[str, ...] = ()
    checks: list[Check] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)  # requirements that cannot be judged from outside
    expected: dict[str, str] = field(default_factory=dict)  # requirements that are expected to fail, and why
    stopped: str = ""  # why the run ended early
    seconds: float = 0.0
    secrets: Redaction = field(default_factory=Redaction)
    filtered: bool = False  # only some requirements were asked for

    def of(self, name: str) -> list[Check]:
        """The checks of a requirement."""
        return [check for check in self.checks if check.requirement == name]

    def problems(self, name: str) -> list[tuple[Problem, list[str]]]:
        """The problems with a requirement, each once, with the revisions at which it was met."""
        found: dict[str, tuple[Problem, list[str]]] = {}
        for check in self.of(name):
            for problem in check.problems:
                _, revisions = found.setdefault(problem.what, (problem, []))
                if check.revision and check.revision not in revisions:
                    revisions.append(check.revision)
        return sorted(found.values(), key=lambda each: ORDER.index(each[0].outcome))

    def verdict(self, name: str) -> Outcome:
        """What a requirement comes to: the worst of its checks."""
        found = {check.outcome for check in self.of(name)}
        return next((outcome for outcome in ORDER if outcome in found), "not tested")

    def reason(self, name: str) -> str:
        """Why a requirement was not tested."""
        said = [check.reason for check in self.of(name) if check.reason]
        return said[0] if said else self.reasons.get(name, "The run ended before it was reached.")

    def requirements(self) -> list[Requirement]:
        """The requirements that this report is about."""
        asked = {check.requirement for check in self.checks} if self.filtered else REQUIREMENTS.keys()
        return [each for each in REQUIREMENTS.values() if each.id in asked]

    def documents(self) -> list[tuple[str, list[Requirement]]]:
        """The requirements, grouped by the documents they are from."""
        asked = {each.id for each in self.requirements()}
        grouped = [(title, [each for each in part.REQUIREMENTS if each.id in asked]) for title, part in DOCUMENTS]
        return [(title, found) for title, found in grouped if found]

    def counts(self) -> Counter[str]:
        """How many requirements came to which verdict."""
        return Counter(self.verdict(each.id) for each in self.requirements())

    def unexpected(self) -> list[str]:
        """The requirements that failed and were not expected to."""
        return [
            each.id
            for each in self.requirements()
            if self.verdict(each.id) == "failed" and each.id not in self.expected
        ]

    def stale(self) -> list[str]:
        """The requirements that were expected to fail and were found to be met."""
        return [name for name in self.expected if self.verdict(name) in ("passed", "warned", "informed")]

    @property
    def exit_code(self) -> int:
        """0 for a target without failures, 1 for one with some, 2 where no judgement was possible."""
        errors = any(check.outcome == "error" for check in self.checks)
        if self.unexpected() or self.stale():
            return 1
        judged = any(check.outcome != "not tested" for check in self.checks)
        return 2 if self.stopped or errors or not judged else 0

    def as_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "target": self.secrets.text(self.target),
            "started": self.started,
            "seconds": round(self.seconds, 2),
            "revisions": list(self.revisions),
            "given": [self.secrets.text(each) for each in self.given],
            "missing": self.missing,
            "stopped": self.secrets.text(self.stopped),
            "counts": dict(self.counts()),
            "unexpected": self.unexpected(),
            "stale": self.stale(),
            "exit_code": self.exit_code,
            "requirements": [self._requirement(each) for each in self.requirements()],
        }

    def _requirement(self, each: Requirement) -> dict[str, Any]:
        verdict = self.verdict(each.id)
        told: dict[str, Any] = {
            "id": each.id,
            "verdict": verdict,
            "level": each.level,
            "basis": each.basis,
            "versions": list(each.versions),
            "source": each.source,
            "statement": each.statement,
            "expected": self.expected.get(each.id),
            "checks": [self._check(check) for check in self.of(each.id)],
        }
        return told | ({"reason": self.secrets.text(self.reason(each.id))} if verdict == "not tested" else {})

    def _check(self, check: Check) -> dict[str, Any]:
        return {
            "test": check.test,
            "words": check.words,
            "revision": check.revision or None,
            "outcome": check.outcome,
            "reason": self.secrets.text(check.reason),
            "seconds": round(check.seconds, 3),
            "problems": [self.problem(problem) for problem in check.problems],
        }

    def problem(self, problem: Problem) -> dict[str, Any]:
        """A problem as JSON, without secrets."""
        told = {"what": self.secrets.text(problem.what), "outcome": problem.outcome, "fix": problem.fix}
        return told | ({"exchange": self.exchange(problem.answer)} if problem.answer else {})

    def exchange(self, answer: Answer) -> dict[str, Any]:
        """An exchange as JSON, without secrets."""
        return {
            "sent": {
                "method": answer.method,
                "url": self.secrets.text(answer.url),
                "headers": self._headers(answer.sent_headers),
                "body": self._body(answer.sent_body),
            },
            "received": {
                "status": answer.status or None,
                "headers": self._headers(answer.headers),
                "body": self._body(answer.body),
                "note": self.secrets.text(answer.note),
                "seconds": round(answer.seconds, 3),
            },
        }

    def _headers(self, headers: Iterable[tuple[str, str]]) -> list[list[str]]:
        said = ((self.secrets.text(name), self.secrets.header(name, value)) for name, value in headers)
        return [[name[:MAX_SHOWN], value[:MAX_SHOWN]] for name, value in said]

    def _body(self, body: bytes) -> str:
        text = self.secrets.text(body[: 64 * MAX_SHOWN].decode("utf-8", "replace"))
        return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(body)} bytes)"
