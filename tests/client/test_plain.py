"""Whatever a server says, nothing but text gets to the terminal."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.plain import line, plain

HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"


def test_every_control_and_format_character_is_spelled_out() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) in HARMFUL and character not in JOINERS:
            assert line(character) != character, hex(code)


def test_letters_of_all_scripts_stay_as_they_are() -> None:
    for text in ("Größe", "日本語", "नमस्ते", "می‌خواهم", "👩‍🚀", "e\u0301"):
        assert line(text) == plain(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("over\rwritten", "over\\rwritten"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("\ud800", "\\ud800"),
    ],
)
def test_harm_is_shown(text: str, said: str) -> None:
    assert plain(text) == said


@given(st.text())
def test_result_is_harmless_and_one_line_where_it_must_be(text: str) -> None:
    assert not {unicodedata.category(c) for c in line(text)} & HARMFUL or set(JOINERS) & set(line(text))
    assert "\n" not in line(text)
    assert plain(plain(text)) == plain(text)
