"""JSON from strangers becomes an object or one error, whatever it is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.document import InvalidDocument, quoted, read


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        pytest.param(b"", "not a JSON object", id="empty"),
        pytest.param(b"<html>", "not a JSON object", id="HTML"),
        pytest.param(b"[]", "array", id="array"),
        pytest.param(b"null", "null", id="null"),
        pytest.param(b'{"a": 1} x', "not a JSON object", id="something after it"),
        pytest.param(b'{"a": "\xff"}', "UTF-8", id="not UTF-8"),
        pytest.param(b'{"a": "\\ud800"}', "not a JSON object", id="half a surrogate pair"),
        pytest.param(b'{"a": NaN}', "not a JSON object", id="NaN"),
        pytest.param(b'{"a": 1' + b"0" * 5000 + b"}", "out of range", id="endless number"),
        pytest.param(b'{"a":' * 100_000, "nested", id="nested too deeply"),
    ],
)
def test_document_is_refused(document: bytes, cause: str) -> None:
    with pytest.raises(InvalidDocument, match=cause):
        read(document)


def test_of_a_member_given_twice_the_last_counts() -> None:
    assert read(b'{"a": 1, "b": null, "a": 2}') == {"a": 2, "b": None}


@given(st.one_of(st.binary(), st.text(alphabet='{}[]":,\\u0d8a1-.e ').map(str.encode)))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    with contextlib.suppress(InvalidDocument):
        assert isinstance(read(document), dict)


def test_a_strangers_value_stays_on_its_line() -> None:
    shown = quoted("forged\nlog line" + "x" * 1000)
    assert "\n" not in shown
    assert len(shown) == 200
