"""The pytest plugin: what tests are given, for which revisions they run, and what becomes of what they find."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .control import Control
from .login import CannotLogin, Journey
from .report import Check, Outcome, Problem, Report
from .requirements import REQUIREMENTS, Requirement, checked_by
from .revisions import MODERN, REVISIONS
from .target import CannotJudge, Target
from .upstream import Upstream
from .wire import Answer, TargetGone

MAX_PROBLEMS = 8  # of one test; the rest repeats them


def outcome_of(each: Requirement, *, strict: bool) -> Outcome:
    """What it comes to when a requirement is not met: MUST fails, SHOULD warns; practice informs, unless strict."""
    if each.basis == "practice" and not strict:
        return "informed"
    if each.level in ("MUST", "MUST NOT"):
        return "failed"
    return "warned" if each.level == "SHOULD" else "informed"


@dataclass
class Judge:
    """Takes down what a test finds, at the level of its requirement."""

    outcome: Outcome
    strict: bool = False
    problems: list[Problem] = field(default_factory=list)

    def soften(self, outcome: Outcome) -> None:
        """From here on a violation comes to no more than this: the rule binds only who follows a certain profile.

        A strict judgement is of a server that claims to follow it.
        """
        if not self.strict and self.outcome != "informed":
            self.outcome = outcome

    def expect(self, holds: bool, what: str, answer: Answer | None = None, *, fix: str) -> bool:
        """Take down a violation unless it holds; `fix` is the change that would mend it."""
        return self._take(holds, what, self.outcome, answer, fix)

    def advise(self, holds: bool, what: str, answer: Answer | None = None, *, fix: str) -> bool:
        """Take down a warning unless it holds, or less where the requirement is less."""
        return self._take(holds, what, "informed" if self.outcome == "informed" else "warned", answer, fix)

    def inform(self, holds: bool, what: str, answer: Answer | None = None, *, fix: str) -> bool:
        """Take down something worth knowing unless it holds."""
        return self._take(holds, what, "informed", answer, fix)

    def _take(self, holds: bool, what: str, outcome: Outcome, answer: Answer | None, fix: str) -> bool:
        if not holds and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(what, outcome, answer, fix))
        return holds

    def result(self) -> Outcome:
        """What the test comes to."""
        found = {problem.outcome for problem in self.problems}
        return next((one for one in ("failed", "warned", "informed") if one in found), "passed")


JUDGE = pytest.StashKey[Judge]()


class Plugin:
    """One judgement of one target."""

    def __init__(self, target: Target, report: Report) -> None:
        self.target = target
        self.report = report
        self.deadline = time.monotonic() + target.options.seconds

    # ---- what tests are given

    @pytest.fixture(name="target")
    def _target(self) -> Target:
        return self.target

    @pytest.fixture(name="judge")
    def _judge(self, request: pytest.FixtureRequest) -> Judge:
        strict = self.target.options.strict
        made = Judge(outcome_of(REQUIREMENTS[checked_by(request.function)[0]], strict=strict), strict=strict)
        request.node.stash[JUDGE] = made
        return made

    @pytest.fixture(name="token")
    def _token(self) -> str:
        return self.target.token or pytest.skip(
            self.target.no_token or "It needs a token: give --token, --username and --password, or --issuer-port."
        )

    @pytest.fixture(name="second_token")
    def _second_token(self) -> str:
        return self.target.second_token or pytest.skip(
            "It needs a token of a second principal: give --second-token, or --issuer-port."
        )

    @pytest.fixture(name="low_token")
    def _low_token(self) -> str:
        return self.target.low_token or pytest.skip(
            "It needs a token without some scope: give --low-token, or --issuer-port."
        )

    @pytest.fixture(name="control")
    def _control(self) -> Control:
        return self.target.control or pytest.skip(
            "It needs an issuer under the suite's control that the target trusts: give --issuer-port."
        )

    @pytest.fixture(name="upstream")
    def _upstream(self) -> Upstream:
        if self.target.upstream is None:
            pytest.skip("It needs the server behind the gateway under the suite's control: give --upstream-port.")
        self.target.upstream.forget()
        self.target.upstream.answer = None
        return self.target.upstream

    @pytest.fixture(name="journey")
    def _journey(self) -> Journey:
        if self.target.journey is None:
            pytest.skip(self.target.no_journey or "It needs a login: give --username and --password.")
        return self.target.journey

    # ---- for which revisions, and in which order

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test that depends on the revision runs at those its requirements name, of those that are asked for."""
        if "revision" in metafunc.fixturenames:
            named = {version for each in checked_by(metafunc.function) for version in REQUIREMENTS[each].versions}
            metafunc.parametrize("revision", [each for each in self.target.options.revisions if each in named])

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Only what was asked for."""
        only = self.target.options.only
        if only:
            items[:] = [item for item in items if any(each.startswith(only) for each in _checked(item))]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A revision that the target does not speak is not tested; without a token nobody knows which it speaks."""
        revision = _revision(item)
        if revision and revision not in self.target.spoken:
            pytest.skip(f"The target does not speak {revision}.")
        named = {version for each in _checked(item) for version in REQUIREMENTS[each].versions}
        if not revision and not named & {*self.target.spoken, *(["draft"] if MODERN in self.target.spoken else [])}:
            pytest.skip(f"It concerns {', '.join(sorted(named & set(REVISIONS)))}, which the target does not speak.")

    # ---- what becomes of it

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Take down what came of a test."""
        made = yield
        if call.when == "call" or (call.when == "setup" and call.excinfo is not None):
            outcome, reason = self._outcome(item, call)
            judge = item.stash.get(JUDGE, None)
            found = tuple(judge.problems) if judge else ()
            words = (item.originalname if isinstance(item, pytest.Function) else item.name).removeprefix("test_")
            for each in _checked(item):
                seconds = call.stop - call.start
                line = Check(
                    each, item.nodeid, words.replace("_", " "), _revision(item), outcome, reason, found, seconds
                )
                self.report.checks.append(line)
        return made

    def _outcome(self, item: pytest.Item, call: pytest.CallInfo[None]) -> tuple[Outcome, str]:
        judge = item.stash.get(JUDGE, None)
        if call.excinfo is None:
            return (judge.result() if judge else "passed"), ""
        error = call.excinfo.value
        if isinstance(error, (pytest.skip.Exception, CannotLogin)):
            # What was found before the test could not go on stands.
            return ("not tested" if judge is None or not judge.problems else judge.result()), str(error)
        if isinstance(error, (TargetGone, CannotJudge)):
            item.session.shouldstop = str(error)
            self.report.stopped = f"The target stopped answering during {item.name}: {error}"
            return "not tested", self.report.stopped
        where = call.excinfo.traceback[-1]
        return (
            "error",
            f"The suite itself failed: {type(error).__name__}: {error} ({Path(where.path).name}:{where.lineno + 1})",
        )

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Ends a run that takes too long."""
        if time.monotonic() > self.deadline:
            self.report.stopped = f"The run was ended after {self.target.options.seconds:.0f} s: see --max-seconds."
            item.session.shouldstop = self.report.stopped


def _checked(item: pytest.Item) -> tuple[str, ...]:
    return checked_by(item.function) if isinstance(item, pytest.Function) else ()


def _revision(item: pytest.Item) -> str:
    found = item.callspec.params.get("revision", "") if hasattr(item, "callspec") else ""
    return str(found)
