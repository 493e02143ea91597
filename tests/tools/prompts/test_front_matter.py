"""Front matter: YAML that says what it means, and nothing that runs, grows or hides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.prompts.front_matter import MAX_ARGUMENTS, declared
from tools.prompts.refusals import Unusable

FINE = "title: a\ndescription: b\n"


def argument(text: str) -> str:
    return f"{FINE}arguments:\n  - {{name: one, {text}}}\n"


def test_values_are_the_words_that_stand_there() -> None:
    front = declared(
        "title: 2026-11-21\ndescription: no\n"
        "arguments: [{name: one, type: choice, choices: [yes, no, 1.10, 0x10, ~], default: 1.10}]"
    )
    assert (front.title, front.description) == ("2026-11-21", "no")
    assert front.arguments[0].choices == ("yes", "no", "1.10", "0x10", "~")
    assert front.arguments[0].default == "1.10"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "expected keys with values, got nothing", id="nothing"),
        pytest.param("words", "expected keys with values, got a text", id="words"),
        pytest.param("[a]", "expected keys with values, got a list", id="a list"),
        pytest.param("title: a", "object missing required field `description`", id="no description"),
        pytest.param("title: ''\ndescription: b", "length >= 1 - at `title`", id="an empty title"),
        pytest.param("title: ' '\ndescription: b", "title in the front matter must be one line", id="a blank title"),
        pytest.param('title: "a\\nb"\ndescription: b', "must be one line", id="a title of two lines"),
        pytest.param("title: [a]\ndescription: b", "expected a text, got a list - at `title`", id="no text"),
        pytest.param(FINE + "argument: []", "unknown field `argument`", id="a misspelt field"),
        pytest.param(FINE + "arguments: {}", "expected a list, got keys", id="arguments that are no list"),
        pytest.param(FINE + "arguments: [one]", r"got a text - at `arguments\[0\]", id="an argument that is a word"),
        pytest.param(argument("typ: string"), "unknown field `typ`", id="a misspelt field of an argument"),
        pytest.param(argument("type: date"), "(?i)invalid enum value 'date'", id="a type that is none"),
        pytest.param(
            argument("default: 7, type: choice"), "both type: choice and choices, or neither", id="no choices"
        ),
        pytest.param(argument("choices: [a]"), "both type: choice and choices, or neither", id="choices alone"),
        pytest.param(argument("type: choice, choices: [a, a]"), "has a choice twice", id="a choice twice"),
        pytest.param(argument("type: choice, choices: ['']"), "length >= 1", id="an empty choice"),
        pytest.param(
            argument("type: integer, default: a"), "default that does not fit: The argument one", id="default"
        ),
        pytest.param(FINE + "arguments: [{name: a b}]", "matching regex", id="a name with a blank"),
        pytest.param(FINE + 'arguments: [{name: "a\\n"}]', "matching regex", id="a name with a line break"),
        pytest.param(FINE + "arguments: [{name: a}, {name: a}]", "argument a twice", id="an argument twice"),
        pytest.param(
            FINE + f"arguments: [{', '.join(f'{{name: a{i}}}' for i in range(MAX_ARGUMENTS + 1))}]",
            f"length <= {MAX_ARGUMENTS}",
            id="too many arguments",
        ),
        pytest.param("title: a\ntitle: b\ndescription: c", "line 3 has a key twice", id="a key twice"),
        pytest.param("? [a]\n: b", "line 2 has a key twice, or one that is no word", id="a list as a key"),
        pytest.param("title: &a b\ndescription: *a", "line 2 has an anchor, alias or tag", id="an alias"),
        pytest.param("title: !!python/name:os.system\ndescription: b", "line 2 has an anchor", id="a Python object"),
        pytest.param("title: !x a\ndescription: b", "has an anchor, alias or tag", id="a tag"),
        pytest.param("a: " + "[" * 1000, "line 2 is nested too deeply", id="deep nesting"),
        pytest.param("title: 'a", "line 2 found unexpected end of stream", id="a quote without an end"),
        pytest.param("\ttitle: a", "line 2 found character", id="a tab"),
        pytest.param("title: a\n...\n---\nb", "line 4 but found another document", id="two documents"),
        pytest.param('title: "a\\0"\ndescription: b', "control character as an escape", id="an escaped null character"),
        pytest.param('title: a\ndescription: "\\uD800"', "control character as an escape", id="half a character"),
        pytest.param(
            argument("type: choice, choices: ['a\n\n    b']"),
            "control character as an escape",
            id="a choice of two lines",
        ),
        pytest.param(FINE + '"\\e[2J\\n": a', r"unknown field `\\x1b\[2J\\n`", id="a field that would clear a screen"),
        pytest.param(
            'title: "\\U00110000"', "an escape or a directive whose number is too", id="a character beyond all"
        ),
        pytest.param('title: "\\UFFFFFFFF"', "an escape or a directive whose number", id="a character beyond C"),
        pytest.param(f"%YAML 1.{'9' * 5000}\n---\n{FINE}", "a directive whose number", id="a version without an end"),
        pytest.param("title: \x80", "The front matter is no YAML: ", id="a character YAML does not have"),
    ],
)
def test_what_says_nothing_or_too_much_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(Unusable, match=said) as refused:
        declared(text)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")
    assert "`object`" not in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@given(st.text() | st.text("tile: dscrpon\n-[]{}'\"&*!?|>#,a"))
def test_any_text_is_front_matter_or_refused(text: str) -> None:
    try:
        assert declared(text).title
    except Unusable as refusal:
        assert str(refusal)  # noqa: PT017 - either is fine


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_any_json_is_front_matter_or_refused(value: object) -> None:
    with pytest.raises(Unusable):
        declared(repr(value))
