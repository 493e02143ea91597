"""What is shown of an answer: text, tables, files; all of it, and nothing raw."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import re
import select
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    LoggingMessageNotificationParams,
    PromptMessage,
    ReadResourceResult,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from client.errors import ClientError, Misbehaved
from client.files import save
from client.output import Output, has_colour
from client.pager import page
from client.progress import Progress, amount
from client.results import show_call, show_prompt, show_resource

HOSTILE = "\x1b[2J\u202e"
PICTURE = base64.b64encode(b"\x89PNG").decode()


@pytest.fixture
def output() -> Output:
    return Output(out=io.StringIO(), err=io.StringIO())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """The working directory of the test."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def shown(output: Output) -> str:
    assert isinstance(output.out, io.StringIO)
    return output.out.getvalue()


def call(*content: object, structured: object = None) -> CallToolResult:
    return CallToolResult.model_validate({"content": list(content), "structuredContent": structured})


def text(said: str) -> TextContent:
    return TextContent(type="text", text=said)


def test_text_is_shown_with_its_harm_spelled_out(output: Output) -> None:
    show_call(call(text(f"a{HOSTILE}"), text("b\nc")), "t", output)
    assert shown(output) == "a\\x1b[2J\\u202e\nb\nc\n"


@pytest.mark.parametrize(
    ("structure", "said"),
    [
        ({"rows": [{"a": 1, "b": HOSTILE}, {"a": 2, "c": [1]}]}, "1\t\\x1b[2J\\u202e\t\n2\t\t[1]\n"),
        ({"a": 1, "b": {"c": None}}, 'a\t1\nb\t{"c": null}\n'),
        ({"rows": [1, 2]}, "rows\t[1, 2]\n"),
        ({}, "{}\n"),
    ],
)
def test_structures_are_tables(output: Output, structure: dict[str, object], said: str) -> None:
    show_call(call(text(json.dumps(structure)), structured=structure), "t", output)
    assert shown(output) == said


def test_structure_that_only_wraps_the_text_is_not_shown_twice(output: Output) -> None:
    show_call(call(text("hello"), structured={"result": "hello"}), "t", output)
    assert shown(output) == "hello\n"


def test_text_beside_a_structure_is_shown_too(output: Output) -> None:
    show_call(call(text("Look:"), structured={"a": 1}), "t", output)
    assert shown(output) == "a\t1\nLook:\n"


def test_pictures_and_sounds_are_saved_and_named(output: Output, folder: Path) -> None:
    picture = ImageContent(type="image", data=PICTURE, mime_type="image/png")
    sound = AudioContent(type="audio", data=PICTURE, mime_type="audio/wav")
    show_call(call(picture, picture, sound), f"../../etc/passwd{HOSTILE}", output)
    names = sorted(file.name for file in folder.iterdir())
    assert names == [f"bearergate-etc-passwd-2J-{end}" for end in ("1.png", "1.wav", "2.png")]
    assert all(name in shown(output) for name in names)


def test_resources_prompts_and_links_are_shown(output: Output) -> None:
    written = TextResourceContents(uri="x://a", text="inside")
    show_call(
        call(
            EmbeddedResource(type="resource", resource=written),
            ResourceLink(type="resource_link", uri="x://b", name="b"),
        ),
        "t",
        output,
    )
    show_prompt(GetPromptResult(messages=[PromptMessage(role="user", content=text("ask"))]), "p", output)
    blob = BlobResourceContents(uri="x://c", blob=PICTURE)
    show_resource(ReadResourceResult(contents=[written, blob]), output)
    assert shown(output).startswith("inside\nResource: x://b b\n[user]\nask\ninside\nx://c saved: ")


def test_json_is_as_on_the_wire_and_in_ascii() -> None:
    output = Output(as_json=True, out=io.StringIO(), err=io.StringIO())
    show_call(call(text(f"é{HOSTILE}")), "t", output)
    show_prompt(GetPromptResult(messages=[]), "p", output)
    show_resource(ReadResourceResult(contents=[]), output)
    first, *others = shown(output).splitlines()
    assert json.loads(first)["content"] == [{"type": "text", "text": f"é{HOSTILE}"}]
    assert first.isascii()
    assert "\x1b" not in first
    assert len(others) == 2


def test_data_that_is_no_base64_is_refused() -> None:
    with pytest.raises(Misbehaved):
        save("no base64!", "image/png", "t")


def test_folder_that_cannot_be_written_leaves_the_temporary_one(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    try:
        saved = save(PICTURE, "x/unknown", "\x00")
    except FileNotFoundError:
        os.chdir(folder)
        raise
    os.chdir(folder)
    assert saved.name.startswith("bearergate-data-")
    assert saved.suffix == ".bin"
    saved.unlink()


@pytest.fixture
def screen() -> Iterator[tuple[TextIO, int]]:
    """A terminal's own end, and what was written to it."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield stream, ours
    os.close(ours)


def all_of(terminal: int) -> str:
    """What was written to a terminal; it comes in pieces."""
    drawn = b""
    while select.select([terminal], [], [], 0.3)[0]:
        drawn += os.read(terminal, 65536)
    return drawn.decode()


async def test_progress_is_one_line_of_a_terminal_below_the_log(screen: tuple[TextIO, int]) -> None:
    stream, ours = screen
    progress = Progress(Output(out=stream, err=stream))
    await progress.report(1, 2, f"half{HOSTILE}")
    await progress.log(LoggingMessageNotificationParams(level="info", logger="x", data={"a": HOSTILE}))
    progress.output.show_live("")
    drawn = all_of(ours)
    assert "[##########..........] 1/2 half\\x1b[2J\\u202e" in drawn
    assert '[info] x: {"a": "' in drawn
    assert HOSTILE[0] not in drawn
    assert drawn.endswith("\r")


async def test_progress_is_in_lines_where_nobody_looks(output: Output) -> None:
    await Progress(output).report(3, None, "so far")
    assert output.err.getvalue() == "3 so far\n"  # type: ignore[attr-defined]
    assert amount(7, 0) == "7"
    assert amount(9, 3) == f"[{'#' * 20}] 9/3"


def test_table_on_a_terminal_is_as_wide_as_it_and_loses_nothing(screen: tuple[TextIO, int]) -> None:
    stream, ours = screen
    long = "word " * 60
    Output(out=stream, err=stream).table(("name\x1b", "value"), [(HOSTILE, long)])
    drawn = all_of(ours)
    assert drawn.count("word") == 60
    assert HOSTILE[:4] not in drawn
    assert max(len(line) for line in drawn.splitlines() if "word" in line) <= 82


@pytest.mark.parametrize("pager", ["no-such-pager", "", "less 'open", "/"])
def test_without_a_pager_everything_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pager: str
) -> None:
    monkeypatch.setenv("PAGER", pager)
    page("all\nof it")
    assert capsys.readouterr().out == "all\nof it\n"
    assert has_colour() in (True, False)


def test_result_that_cannot_be_written_is_said_to_be_so() -> None:
    out = Path("/dev/full").open("w")  # noqa: SIM115 - closed by what is tested, lest Python write again as it ends
    with pytest.raises(ClientError, match="cannot be written"):
        Output(out=out, err=io.StringIO()).text("x")
    assert out.closed


def words(terminal: int) -> list[list[str]]:
    """The words of each line on a terminal."""
    text = re.sub(r"\x1b\[[0-9;]*m|─", "", all_of(terminal))
    return [line.split() for line in text.splitlines() if line.strip()]


def test_table_of_more_columns_than_fit_is_a_list_of_each_record(screen: tuple[TextIO, int]) -> None:
    stream, ours = screen
    columns = [f"column-{number}" for number in range(9)]
    Output(out=stream, err=stream).table(columns, [["long-value"] * 9, ["other-value"] * 9], "many")
    assert words(ours) == [["many"], *([name, value] for value in ("long-value", "other-value") for name in columns)]


def test_structure_within_a_structure_is_a_table_of_its_own(screen: tuple[TextIO, int]) -> None:
    stream, ours = screen
    structure = {"days": 1, "totals": {"in": 2, "out": 3}, "daily": [{"date": "x", "in": 2}], "deep": {"a": {"b": 1}}}
    show_call(call(structured=structure), "t", Output(out=stream, err=stream))
    assert words(ours) == [
        ["name", "value"],
        ["days", "1"],
        ["deep", '{"a":', '{"b":', "1}}"],
        *(["totals"], ["name", "value"], ["in", "2"], ["out", "3"]),
        *(["daily"], ["date", "in"], ["x", "2"]),
    ]
    show_call(call(structured={"a": {"b": 1}, "c": {"d": 2}}), "t", Output(out=stream, err=stream))
    assert words(ours)[0] == ["a"]


def test_records_that_have_nothing_in_common_are_no_table(output: Output) -> None:
    records = [{f"member-{number}": number} for number in range(300)]
    show_call(call(structured={"records": records}), "t", output)
    assert json.loads(shown(output)) == records
