"""What the judge reads in WWW-Authenticate: the grammar to the letter, and a sentence for whatever is not of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.challenges import Challenge, bearer, lint, parse

WORDS = st.text("abcdefghijklmnopqrstuvwxyz_-!", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        pytest.param(['Bearer a="b", C=d'], [("Bearer", [("a", "b"), ("c", "d")])], id="quoted and plain"),
        pytest.param(["Bearer"], [("Bearer", [])], id="a scheme alone"),
        pytest.param(['Basic r="x", Bearer a=b'], [("Basic", [("r", "x")]), ("Bearer", [("a", "b")])], id="two"),
        pytest.param(["Basic abc==, Bearer a=b"], [("Basic", []), ("Bearer", [("a", "b")])], id="token68"),
        pytest.param(["Negotiate, Bearer"], [("Negotiate", []), ("Bearer", [])], id="two alone"),
        pytest.param(["Basic", "Bearer a=b"], [("Basic", []), ("Bearer", [("a", "b")])], id="two fields"),
        pytest.param(['Bearer a="b\\"c, d=e"'], [("Bearer", [("a", 'b"c, d=e')])], id="escapes and commas"),
        pytest.param([" , Bearer  a = b ,, c=d, "], [("Bearer", [("a", "b"), ("c", "d")])], id="blanks and commas"),
        pytest.param([""], [], id="nothing"),
    ],
)
def test_challenges_of_the_grammar_are_read(fields: list[str], found: list[tuple[str, list[tuple[str, str]]]]) -> None:
    read, problems = parse(fields)
    assert [(each.scheme, each.parameters) for each in read] == found
    assert problems == []


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        pytest.param('Bearer a="b', "is not name=value", id="an open quote"),
        pytest.param("Bearer resource_metadata=https://x/y", "nor is it in quotes", id="a URL without quotes"),
        pytest.param("Bearer a=b c=d", "is not name=value", id="no comma"),
        pytest.param('"Bearer"', "is neither a parameter nor a scheme", id="a scheme in quotes"),
        pytest.param("Bearer a=b, a=c", "a is there twice", id="a parameter twice"),
        pytest.param('Bearer scope="a  b"', "scope 'a  b' is not words", id="two blanks between scopes"),
        pytest.param('Bearer scope=""', "scope '' is not words", id="an empty scope"),
        pytest.param('Bearer error="a\\"b"', "error 'a\"b' holds a quote", id="a quote in the error"),
        pytest.param('Bearer error_description="é"', "error_description 'é' holds", id="not ASCII"),
    ],
)
def test_challenge_that_is_not_of_the_grammar_is_a_sentence(field: str, sentence: str) -> None:
    assert any(sentence in problem for problem in lint([field])), lint([field])


def test_rules_of_bearer_bind_no_other_scheme() -> None:
    assert lint(['Other scope="a  b", error="é"']) == []


def test_bearer_is_found_among_others_in_any_case() -> None:
    found = bearer(['Basic realm="x"', 'bEARER scope="a b", resource_metadata=abc'])
    assert found is not None
    assert (found.scopes, found.quoted, found.get("nothing")) == (["a", "b"], {"scope"}, None)
    assert bearer(["Basic x=y"]) is None


@given(st.lists(st.text(max_size=80), max_size=4))
def test_strangers_field_is_never_an_exception(fields: list[str]) -> None:
    found, problems = parse(fields)
    assert all(each.scheme for each in found)
    assert all(problems)
    assert len(lint(fields)) >= len(problems)
    bearer(fields)


@given(st.dictionaries(WORDS, VALUES, min_size=1, max_size=5))
def test_what_is_written_by_the_grammar_is_read_back(said: dict[str, str]) -> None:
    quoted = (f'{name}="' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for name, value in said.items())
    assert parse(["Bearer " + ", ".join(quoted)]) == ([Challenge("Bearer", list(said.items()), set(said))], [])
