"""Templates: what is one, what it renders, and that an argument is never more than words."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tools.prompts.conftest import template
from tools.prompts.arguments import MAX_VALUE
from tools.prompts.refusals import Unusable
from tools.prompts.template import MAX_BYTES, MAX_RENDERED, parse

TYPED = (
    "[{name: text}, {name: count, type: integer}, {name: rate, type: number}, {name: loud, type: boolean}, "
    "{name: tone, type: choice, choices: [kind, no]}, {name: more, default: nothing}, {name: also, default: ''}]"
)
TEXT = "{{text}}|{{count}}|{{rate}}|{{loud}}|{{tone}}|{{more}}|{{also}}"
GIVEN = {"text": "a", "count": "7", "rate": "0.5", "loud": "true", "tone": "no"}


def test_title_description_and_arguments_are_what_the_front_matter_says() -> None:
    made = parse(template(TEXT, "The: title".replace(":", " -"), TYPED))
    assert (made.title, made.description) == ("The - title", "A description.")
    assert " ".join(argument.name for argument in made.arguments) == "text count rate loud tone more also"
    assert [argument.said for argument in made.arguments] == [
        "",
        "(a whole number)",
        "(a number)",
        "(true or false)",
        "(one of kind, no)",
        "(nothing unless given)",
        "",
    ]


def test_values_and_defaults_are_put_in() -> None:
    assert parse(template(TEXT, arguments=TYPED)).render(GIVEN) == "a|7|0.5|true|no|nothing|"
    assert parse(template(TEXT, arguments=TYPED)).render({**GIVEN, "more": "", "also": "b"}) == "a|7|0.5|true|no||b"


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        pytest.param("{{name}}{{name}}", "AA", id="twice"),
        pytest.param(r"\{{name}} is {{name}}", "{{name}} is A", id="an escape"),
        pytest.param(r"{ {{name}} } }} {name}", "{ A } }} {name}", id="other braces"),
        pytest.param('{"key": {{name}}}', '{"key": A}', id="braces of JSON"),
        pytest.param(r"C:\ {{name}} \n", r"C:\ A \n", id="other backslashes"),
        pytest.param("{{name}}\n\n---\n\ntitle: x", "A\n\n---\n\ntitle: x", id="what looks like front matter"),
    ],
)
def test_text(text: str, rendered: str) -> None:
    assert parse(template(text)).render({"name": "A"}) == rendered


def test_template_of_an_editor_for_windows_is_read() -> None:
    assert parse(b"\xef\xbb\xbf" + template("a\n{{name}}").replace(b"\n", b"\r\n")).render({"name": "A"}) == "a\nA"


@given(st.text(st.characters(exclude_categories=["C"])), st.text(st.characters(exclude_categories=["C"])))
@example("{{other}}", "{{name}}")
@example(r"\{{name}}", "{{")
def test_value_is_never_read_as_a_template(name: str, other: str) -> None:
    made = parse(template("<{{name}}|{{other}}|{{name}}>", arguments="[{name: name}, {name: other}]"))
    assert made.render({"name": name, "other": other}) == f"<{name}|{other}|{name}>"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"text": None}, "needs the argument text.", id="missing"),
        pytest.param({"text": None, "count": None}, "needs the arguments text, count.", id="two missing"),
        pytest.param({"txt": "a"}, r"no argument 'txt': it has text, count, rate", id="unknown"),
        pytest.param({"count": "7.5"}, "count must be a whole number such as 7, not '7.5'", id="no whole number"),
        pytest.param({"count": "\u0667"}, r"must be a whole number such as 7, not '\\u0667'", id="another script"),
        pytest.param({"count": ""}, "must be a whole number", id="an empty number"),
        pytest.param({"count": "9" * 19}, "must be a whole number", id="a number too long"),
        pytest.param({"rate": "1e"}, "rate must be a number such as 0.5, not '1e'", id="no number"),
        pytest.param({"rate": "nan"}, "must be a number", id="not a number"),
        pytest.param({"rate": "inf"}, "must be a number", id="infinity"),
        pytest.param({"loud": "yes"}, "loud must be true or false, not 'yes'", id="no truth"),
        pytest.param({"tone": "rude"}, "tone must be one of kind, no, not 'rude'", id="no choice"),
        pytest.param({"tone": "Kind"}, "tone must be one of kind, no", id="a choice in capitals"),
        pytest.param({"text": "a\0"}, "text holds a control character", id="a null character"),
        pytest.param({"text": "\ud800"}, "text holds a control character", id="half a character"),
        pytest.param({"text": "a" * (MAX_VALUE + 1)}, f"give no more than {MAX_VALUE}", id="too long"),
    ],
)
def test_argument_that_does_not_fit_is_refused_in_one_sentence(changed: dict[str, str | None], said: str) -> None:
    made = parse(template(TEXT, arguments=TYPED))
    arguments = {name: value for name, value in {**GIVEN, **changed}.items() if value is not None}
    with pytest.raises(Unusable, match=said) as refused:
        made.render(arguments)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("value", ["0", "-1", "+7", "1.5", ".5", "2.", "-3.25e-7", "1E9"])
def test_numbers(value: str) -> None:
    made = parse(template("{{rate}}", arguments="[{name: rate, type: number}]"))
    assert made.render({"rate": value}) == value


def test_argument_of_a_prompt_that_has_none_is_refused() -> None:
    with pytest.raises(Unusable, match="no argument 'name': it has none"):
        parse(template("Hello.", arguments="[]")).render({"name": "a"})


def test_rendered_text_is_limited() -> None:
    made = parse(template("{{name}}" * 100))
    assert len(made.render({"name": "a" * (MAX_RENDERED // 100)})) <= MAX_RENDERED
    with pytest.raises(Unusable, match=f"more than {MAX_RENDERED} characters: give shorter arguments"):
        made.render({"name": "a" * MAX_VALUE})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "must begin with front matter", id="nothing"),
        pytest.param(b"Hello.", "must begin with front matter", id="no front matter"),
        pytest.param(b"---\ntitle: a\ndescription: b\nHello.", "must begin with front matter", id="without an end"),
        pytest.param(b"---\n---\nHello.", "expected keys with values, got nothing", id="empty front matter"),
        pytest.param(template(arguments="[]"), r"uses \{\{name\}\}, which its front matter does not", id="unknown"),
        pytest.param(template("Hello."), "declares name, which the text does not use", id="unused argument"),
        pytest.param(template(" \n"), "has no text below", id="no text"),
        pytest.param(template("Hi\n{{ name }}"), r"Line 7 of the template has '\{\{'", id="blanks"),
        pytest.param(template("\n\nHi\n{{name"), r"Line 9 of the template has", id="without closing braces"),
        pytest.param(template("{{name.upper}}"), "Line 6 of the template has", id="an attribute"),
        pytest.param(template("{{name|upper}}"), "Line 6 of the template has", id="a filter"),
        pytest.param(template("{{{name}}}"), "Line 6 of the template has", id="three braces"),
        pytest.param(template("{{#if name}}"), "Line 6 of the template has", id="logic"),
        pytest.param(template("{{> other}}"), "Line 6 of the template has", id="another template"),
        pytest.param(template("{{name}} {{\u0430}}"), "Line 6 of the template has", id="a letter of another script"),
        pytest.param(template("a\0{{name}}"), r"control character '\\x00' in line 6", id="a null character"),
        pytest.param(template("\x1b[2J{{name}}"), r"control character '\\x1b' in line 6", id="an escape sequence"),
        pytest.param(b"\xff" + template(), "is no UTF-8 at byte 0", id="no UTF-8"),
        pytest.param(template("a" * MAX_BYTES), f"more than {MAX_BYTES} bytes", id="too large"),
        pytest.param(template(title="a" * 9000), "more than 8192 characters", id="front matter too large"),
    ],
)
def test_what_is_no_template_is_refused_in_one_sentence_that_says_where(content: bytes, said: str) -> None:
    with pytest.raises(Unusable, match=said) as refused:
        parse(content)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@given(st.binary() | st.text().map(str.encode) | st.text("{}n a\\\n-:[]'\"&*!").map(template))
def test_any_bytes_are_a_template_or_refused(content: bytes) -> None:
    try:
        made = parse(content)
    except Unusable:
        return
    rendered = made.render(
        {argument.name: argument.values[0] if argument.values else "1" for argument in made.arguments}
    )
    assert isinstance(rendered, str)


@given(st.text("{}a \\\n|").filter(lambda text: "{{" not in text and not text.endswith(("{", "\\"))))
def test_words_come_out_as_they_went_in(text: str) -> None:
    assert parse(template(f"<{text}{{{{name}}}}{text}>")).render({"name": "A"}) == f"<{text}A{text}>"
