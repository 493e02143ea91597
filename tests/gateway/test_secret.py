"""Secrets in files: what they hold, or one sentence that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.secret import MAX_SECRET, InvalidSecret, read_secret


def test_a_secret_is_what_the_file_holds_without_blanks_around_it(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("  a secret of words \r\n\n", encoding="utf-8")
    assert read_secret(str(file)) == "a secret of words"


def test_the_largest_secret_is_read(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"s" * MAX_SECRET)
    assert len(read_secret(str(file))) == MAX_SECRET


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "cannot be read (No such file or directory)", id="no file"),
        pytest.param(b"", "is empty", id="nothing in it"),
        pytest.param(b" \n\t\n", "is empty", id="only blanks in it"),
        pytest.param(b"hunter2\xff\xfe", "is not text in UTF-8", id="no text"),
        pytest.param(b"hunter2" * MAX_SECRET, "larger than 65536 bytes", id="too large"),
    ],
)
def test_what_is_no_secret_is_refused_by_the_name_of_its_file(
    content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSecret) as raised:
        read_secret(str(file))
    assert sentence in str(raised.value)
    assert str(file) in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(InvalidSecret, match="cannot be read"):
        read_secret(str(tmp_path))


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(InvalidSecret, match="cannot be read"):
        read_secret("a\0name")
