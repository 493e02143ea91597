"""What is typed: arguments, answers, completions, and what of it is remembered."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import ElicitRequestFormParams, ElicitRequestURLParams

from client.ask import Declined, Nobody, arguments_of, completed, is_secret, missing, value_of
from client.complete import suggestions
from client.elicitation import elicit, elicitation
from client.errors import BadInput
from client.history import History
from client.history import is_secret as is_secret_line
from client.output import Output
from client.schema import choices_of

SCHEMA: dict[str, Any] = {
    "required": ["name", "count", "ratio", "loud", "kind", "tags", "password"],
    "properties": {
        "name": {"type": "string", "description": "Who \x1b[2J"},
        "count": {"type": "integer"},
        "ratio": {"type": "number", "default": 0.5},
        "loud": {"type": "boolean"},
        "kind": {"enum": ["a", "b"]},
        "tags": {"type": "array"},
        "password": {"type": "string"},
        "extra": {"type": "string"},
    },
}


class Answers:
    """A person who answers from a list."""

    def __init__(self, *answers: str) -> None:
        self.answers = iter(answers)
        self.questions: list[str] = []
        self.hidden: list[str] = []

    async def ask(self, question: str, *, secret: bool = False) -> str:
        self.questions.append(question)
        if secret:
            self.hidden.append(question)
        try:
            return next(self.answers)
        except StopIteration:
            raise Declined("no more") from None


async def test_missing_arguments_are_asked_for_until_they_fit() -> None:
    person = Answers("many", "7", "", "maybe", "yes", "c", "b", "[1", "[1]", "hunter2")
    found = await completed(SCHEMA, {"name": "Ada"}, person)
    told = {"name": "Ada", "count": 7, "ratio": 0.5, "loud": True, "kind": "b", "tags": [1], "password": "hunter2"}
    assert found == told
    assert all("\x1b" not in question for question in person.questions)
    assert [question.split()[0] for question in person.hidden] == ["password"]


async def test_nobody_is_asked_where_there_is_nobody() -> None:
    with pytest.raises(BadInput, match="Missing arguments: count"):
        await completed({"required": ["count"]}, {}, Nobody())
    assert await completed({"required": ["count"]}, {"count": 1}, Nobody()) == {"count": 1}
    with pytest.raises(BadInput):
        await Nobody().ask("x")


def test_arguments_are_a_json_object() -> None:
    assert arguments_of("") == {}
    assert arguments_of('{"a": 1}') == {"a": 1}
    for text in ("[1]", "{", "name=Ada", "7"):
        with pytest.raises(BadInput, match="JSON object"):
            arguments_of(text)


def test_arguments_that_no_server_could_be_sent_are_refused() -> None:
    with pytest.raises(BadInput, match="nested too deeply"):
        arguments_of('{"a": ' + "[" * 100_000)
    with pytest.raises(ValueError, match="JSON"):
        value_of("[" * 100_000, {"type": "array"})
    for text in ('{"a": "\udce9"}', '{"a": "\\udce9"}'):
        with pytest.raises(BadInput, match="no UTF-8"):
            arguments_of(text)


def test_hostile_schemas_ask_for_nothing_strange() -> None:
    assert missing({"required": [7, "a", None]}, {}) == ["a"]


@pytest.mark.parametrize(
    ("name", "schema", "hidden"),
    [("password", {}, True), ("api_key", {}, True), ("pin", {"writeOnly": True}, True), ("name", {}, False)],
)
def test_secrets_are_not_shown_while_they_are_typed(name: str, schema: dict[str, Any], hidden: bool) -> None:
    assert is_secret(name, schema) is hidden


FORM = ElicitRequestFormParams(
    message="Who?", requested_schema={"type": "object", "properties": {"name": {"type": "string"}}}
)


def silent() -> Output:
    return Output(out=io.StringIO(), err=io.StringIO())


async def test_server_that_asks_is_answered_declined_or_cancelled() -> None:
    assert (await elicit(FORM, Answers("Ada"), silent())).content == {"name": "Ada"}
    assert (await elicit(FORM, Answers(), silent())).action == "cancel"
    assert (await elicitation(Nobody(), silent())(context=None, params=FORM)).action == "decline"


WRITTEN: dict[str, Any] = {  # as pydantic and zod write optional, named and referred to types
    "$defs": {"Colour": {"enum": ["red", "green"]}, "Deep~/": {"$ref": "#/$defs/Point"}, "Point": {"type": "object"}},
    "properties": {
        "colour": {"$ref": "#/$defs/Colour", "description": "Which"},
        "perhaps": {"anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}]},
        "point": {"allOf": [{"$ref": "#/$defs/Deep~0~1"}]},
        "titled": {"type": "string", "oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]},
        "sure": {"type": "boolean", "enum": [True]},
        "itself": {"$ref": "#/properties/itself"},
        "nowhere": {"$ref": "#/$defs/x/y"},
        "outside": {"$ref": "https://x.example.com/", "type": "integer"},
        "mixed": {"anyOf": [{"const": 1}, {"type": "string"}]},
    },
}


@pytest.mark.parametrize(
    ("name", "answers", "value"),
    [
        ("colour", ["blue", "red"], "red"),
        ("perhaps", ["blue", "green"], "green"),
        ("point", ["1,2", '{"x": 1}'], {"x": 1}),
        ("titled", ["A", "a"], "a"),
        ("sure", ["True", "true"], True),
        ("itself", ["7"], "7"),
        ("nowhere", ["7"], "7"),
        ("outside", ["x", "7"], 7),
        ("mixed", ["2"], "2"),
    ],
)
async def test_arguments_are_asked_for_as_their_schema_is_meant(name: str, answers: list[str], value: object) -> None:
    person = Answers(*answers)
    assert await completed({**WRITTEN, "required": [name]}, {}, person) == {name: value}
    assert next(person.answers, None) is None


def test_choices_are_shown_and_completed() -> None:
    tools = [SimpleNamespace(name="paint", title="", input_schema=WRITTEN)]
    offered = [written for written, _, _ in suggestions('call-tool paint {"perhaps": ', {}, tools)]
    assert offered == ['"red"', '"green"']
    assert choices_of(WRITTEN["properties"]["titled"]) == ["a", "b"]


async def test_what_a_form_does_not_require_may_be_left_out() -> None:
    properties = {
        "age": {"type": "integer"},
        "kind": {"enum": ["a", "b"]},
        "size": {"type": "integer", "default": 3},
        "name": {"type": "string"},
    }
    form = ElicitRequestFormParams(
        message="Who?", requested_schema={"type": "object", "properties": properties, "required": ["name"]}
    )
    person = Answers("", "", "", "")
    assert (await elicit(form, person, silent())).content == {"size": 3, "name": ""}
    assert [question.partition(" ")[0] for question in person.questions if "may be left empty" in question] == [
        "age",
        "kind",
        "size",
    ]
    assert "one of a, b" in person.questions[1]


async def test_page_of_a_server_is_shown_and_never_opened_for_it() -> None:
    def page(url: str) -> ElicitRequestURLParams:
        return ElicitRequestURLParams(message="Go", url=url, elicitation_id="1")

    output = silent()
    assert (await elicit(page("https://x.example.com/"), Answers("what", "yes"), output)).action == "accept"
    assert "https://x.example.com/" in output.err.getvalue()  # type: ignore[attr-defined]
    assert (await elicit(page("https://x.example.com/"), Answers("no"), silent())).action == "decline"
    assert (await elicit(page("javascript:alert(1)"), Answers("yes"), silent())).action == "decline"


TOOLS = [
    SimpleNamespace(name="greet", title="Greet", input_schema=SCHEMA),
    SimpleNamespace(name="bad\x1bname", title="", input_schema={}),
]
COMMANDS = {"call-tool": "Call", "connect": "Connect", "auth": "Auth"}


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("c", ["call-tool", "connect"]),
        ("auth l", ["login", "logout"]),
        ("set-auth-method ", ["oauth", "lambda", "auto"]),
        ("nonsense x", []),
        ("call-tool ", ["greet"]),
        ("call-tool greet ", ["{"]),
        ("call-tool greet {", [f'"{name}": ' for name in SCHEMA["properties"]]),
        ('call-tool greet {"na', ['"name": ']),
        ('call-tool greet {"name": "x", ', [f'"{name}": ' for name in SCHEMA["properties"] if name != "name"]),
        ('call-tool greet {"kind": ', ['"a"', '"b"']),
        ('call-tool greet {"kind": "b', ['"b"']),
        ('call-tool greet {"loud": t', ["true"]),
        ("call-tool unknown {", []),
    ],
)
def test_completions(text: str, offered: list[str]) -> None:
    assert [written for written, _, _ in suggestions(text, COMMANDS, TOOLS)] == offered


@given(st.text())
def test_completion_bears_everything_that_can_be_typed(text: str) -> None:
    for written, replaced, about in suggestions(text, COMMANDS, TOOLS):
        assert "\x1b" not in written + about
        assert 0 <= replaced <= len(text)


def test_replacing_what_was_typed_gives_the_completed_line() -> None:
    ((written, replaced, _),) = suggestions('call-tool greet {"na', COMMANDS, TOOLS)
    line = 'call-tool greet {"na'
    assert line[: len(line) - replaced] + written == 'call-tool greet {"name": '


@pytest.mark.parametrize(
    "text",
    ['call-tool x {"password": "a"}', 'call-tool x {"t": "eyJhbGciOiJSUzI1NiJ9.e30"}', 'x {"api_key": 1}', "Bearer x"],
)
def test_lines_with_secrets_are_not_remembered(text: str, tmp_path: Path) -> None:
    history = History(tmp_path / "state" / "history")
    history.append_string(text)
    history.append_string("list-tools")
    assert is_secret_line(text)
    assert list(history.get_strings()) == ["list-tools"]
    assert text not in (tmp_path / "state" / "history").read_text()
    assert stat.S_IMODE((tmp_path / "state" / "history").stat().st_mode) == 0o600
    assert list(History(tmp_path / "state" / "history").load_history_strings()) == ["list-tools"]


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "history"


def test_history_that_cannot_be_written_lasts_as_long_as_the_shell(blocked: Path) -> None:
    history = History(blocked)
    history.append_string("list-tools")
    assert list(history.get_strings()) == ["list-tools"]
    assert list(history.load_history_strings()) == []
