"""Text of strangers made safe for a terminal: what would move, colour, hide or reorder is spelled out instead."""

from __future__ import annotations

import re

from client.errors import BadInput

# Unicode's controls (Cc) move the cursor and start escape sequences, its formats (Cf) reorder or hide what stands
# beside them, surrogates (Cs) cannot be written, Zl and Zp end lines for some readers only. Spelled out, because
# `unicodedata` knows other characters in each release. Left alone: U+200C and U+200D, which join letters and emoji.
_HARMFUL = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_IN_LINES = re.compile(f"[{_HARMFUL}]")
_IN_A_LINE = re.compile(f"[{_HARMFUL}\\n\\t]")


def check_text(text: str) -> None:
    """Refuse what was not typed in UTF-8: no server could be sent it.

    Raises:
        BadInput: it cannot be sent.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput("That holds bytes that are no UTF-8") from None


def plain(text: str) -> str:
    r"""The text with every control and format character as an escape like \x1b; lines and tabs stay."""
    return _IN_LINES.sub(_spelled, text.replace("\r\n", "\n"))


def line(text: str) -> str:
    """The same on one line, for names and other things that have no lines."""
    return _IN_A_LINE.sub(_spelled, text)


def _spelled(character: re.Match[str]) -> str:
    return repr(character[0])[1:-1]
