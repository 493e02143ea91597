"""The list of broken checks is about the code as it is: `python -m tests.attacks.mutations` runs it by hand."""

from __future__ import annotations

import ast

import pytest

from tests.attacks.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.file}: {mutation.old.strip()[:60]}")
def test_passage_is_there_once_and_breaks_a_check_not_the_syntax(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text("utf-8")
    assert text.count(mutation.old) == 1
    ast.parse(text.replace(mutation.old, mutation.new))
