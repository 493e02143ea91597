"""What names a prompt, and what never becomes a path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.prompts.names import checked, is_name
from tools.prompts.refusals import Unusable


@pytest.mark.parametrize(
    ("given", "name"),
    [
        pytest.param("weekly-report", "weekly-report", id="in the library"),
        pytest.param("library.weekly-report", "weekly-report", id="among the prompts of the server"),
        pytest.param("a", "a", id="one letter"),
        pytest.param("2026_report", "2026_report", id="digits and underscores"),
        pytest.param("a" * 64, "a" * 64, id="as long as may be"),
    ],
)
def test_name(given: str, name: str) -> None:
    assert checked(given) == name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("library.", id="the prefix alone"),
        pytest.param("library.library.a", id="the prefix twice"),
        pytest.param("..", id="the folder above"),
        pytest.param("../secret", id="a path upwards"),
        pytest.param("a/b", id="a path"),
        pytest.param("a\\b", id="a path of Windows"),
        pytest.param("/etc/passwd", id="an absolute path"),
        pytest.param("%2e%2e%2fsecret", id="an encoded path"),
        pytest.param("a%2fb", id="an encoded slash"),
        pytest.param("a.b", id="a dot"),
        pytest.param(".versions", id="a hidden file"),
        pytest.param("a\0", id="a null character"),
        pytest.param("a\n", id="a line break behind"),
        pytest.param("report\uff0fsecret", id="a slash of full width"),
        pytest.param("\u0430bc", id="a Cyrillic letter that looks like a Latin one"),
        pytest.param("caf\u00e9", id="an accent"),
        pytest.param("\u0661", id="a digit of another script"),
        pytest.param("Report", id="a capital letter"),
        pytest.param("-a", id="a hyphen in front"),
        pytest.param("a b", id="a blank"),
        pytest.param("a" * 65, id="too long"),
        pytest.param("a" * 100_000, id="far too long"),
    ],
)
def test_what_is_no_name_is_refused_in_a_short_sentence_that_says_what_is(name: str) -> None:
    with pytest.raises(Unusable, match=r"is no name of a prompt: take 1 to 64 small letters") as refused:
        checked(name)
    assert len(str(refused.value)) < 600
    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()


@given(st.text())
def test_whatever_is_a_name_is_of_harmless_characters(text: str) -> None:
    assert is_name(text) == bool(re.fullmatch("[a-z0-9]|[a-z0-9][a-z0-9_-]{0,62}[a-z0-9]", text, re.ASCII))
