"""docs/prompts.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools.prompts.conftest import template as good
from tools.prompts import arguments, bucket, front_matter, library, listeners, plugin, settings, store, template
from tools.prompts.aws_refusals import no_s3, of_botocore, of_code
from tools.prompts.folder import SAMPLES, FolderStore
from tools.prompts.names import PREFIX
from tools.prompts.refusals import Refusal

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "prompts.md").read_text()


def test_template_it_shows_is_one() -> None:
    (shown,) = re.findall(r"```markdown\n(.*?)```", TEXT, re.DOTALL)
    made = template.parse(shown.encode())
    assert made.render({"team": "A"}) == "Write the report of the team A about the last 1 week(s), in a plain tone."


def test_every_setting_is_in_its_table_and_no_other() -> None:
    assert set(re.findall(r"^\| `(BEARERGATE_\w+)` \|", TEXT, re.MULTILINE)) == set(settings.ALL)


def test_every_field_of_an_argument_is_in_its_table_and_no_other() -> None:
    table = TEXT.partition("| field of an argument")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(arguments.Argument.__struct_fields__)


def test_tools_and_scopes_are_those_of_the_plugin() -> None:
    table = TEXT.partition("| scope |")[2].partition("\n\n")[0]
    for needs in plugin.needs:
        if needs.kind == "tool":
            (row,) = (row for row in table.splitlines() if f"`{needs.name}`" in row)
            assert row.startswith(f"| {' and '.join(f'`{scope}`' for scope in needs.scopes)} |")


@pytest.mark.parametrize(
    "said",
    [
        f"{template.MAX_BYTES} bytes, of which {template.MAX_FRONT_MATTER} characters",
        f"{front_matter.MAX_ARGUMENTS}, each value {arguments.MAX_VALUE} characters",
        f"{template.MAX_RENDERED} characters",
        f"{store.MAX_PROMPTS} prompts",
        f"the last {store.MAX_VERSIONS} of each prompt",
        f"every {listeners.SECONDS:.0f} seconds",
        f"tried {bucket.ATTEMPTS} times in all, with {bucket.CONNECT_SECONDS} seconds to\nconnect",
        f"and {bucket.READ_SECONDS} to answer",
        f"and {bucket.MAX_PAGES} at most",
        f"a list of prompts waits {library.PATIENCE:.0f} seconds",
        f"`{settings.DEFAULT_KEYS}` when absent",
        *(f"`{PREFIX}{sample.stem}`" for sample in SAMPLES.iterdir()),
    ],
)
def test_limit_and_name_is_that_of_the_code(said: str) -> None:
    assert said in TEXT


async def test_sentences_it_explains_are_those_that_are_said(folder: FolderStore) -> None:
    table = TEXT.partition("| it says |")[2]
    explained = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    mine = library.Library(folder)
    seen = await mine.create("one", good().decode())
    await mine.update("one", good("{{name}}").decode(), seen.etag)
    said = [
        str(of_code(code, "s3:PutObject", "b")) for code in ("AccessDenied", "NoSuchBucket", "ExpiredToken", "SlowDown")
    ]
    said += [str(of_botocore("EndpointConnectionError", "b")), str(no_s3("b"))]
    for call in (mine.remove("one", seen.etag), mine.source("../one"), mine.create("two", good("{{nme}}").decode())):
        with pytest.raises(Refusal) as refused:
            await call
        said.append(str(refused.value))
    for sentence, pattern in zip(said, explained, strict=True):
        assert re.match(re.escape(pattern).replace("…", ".*"), sentence), pattern
