"""How commands end: in sentences and a status where somebody can do something, as they are where the fault is ours."""

from __future__ import annotations

import signal

import pytest

from deploy.ending import end_well_at_hangup, leave, missing, one_sentence
from deploy.explain import NotExplained


def test_each_line_says_which_command_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        leave("one: missing\nanother: misspelt")
    assert left.value.code == 1
    assert capsys.readouterr() == ("", "bearergate: one: missing\nbearergate: another: misspelt\n")


@pytest.mark.parametrize(
    "name", [pytest.param("deploy.nope", id="part of ours"), pytest.param(None, id="nothing is named")]
)
def test_fault_of_ours_is_not_blamed_on_a_missing_part(name: str | None) -> None:
    with pytest.raises(ImportError, match="no such thing"):
        missing(ImportError("no such thing", name=name), "dev")


@pytest.mark.parametrize(
    "cause", [pytest.param(NotExplained, id="known to all commands"), pytest.param(KeyError, id="of this command")]
)
def test_cause_that_is_no_fault_of_ours_ends_with_the_status_of_the_command(cause: type[Exception]) -> None:
    with pytest.raises(SystemExit) as left, one_sentence(KeyError, status=2):
        raise cause("why")
    assert left.value.code == 2


def test_fault_of_ours_is_shown_as_it_is() -> None:
    with pytest.raises(ValueError, match="ours"), one_sentence(KeyError):
        raise ValueError("ours")


@pytest.mark.parametrize(
    "set_before", [pytest.param(signal.SIG_DFL, id="unset"), pytest.param(signal.SIG_IGN, id="nohup")]
)
def test_hangup_ends_a_server_unless_it_was_to_be_ignored(set_before: signal.Handlers) -> None:
    before = signal.signal(signal.SIGHUP, set_before)
    try:
        end_well_at_hangup()
        assert (signal.getsignal(signal.SIGHUP) is set_before) == (set_before is signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGHUP, before)
