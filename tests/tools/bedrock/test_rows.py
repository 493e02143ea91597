"""Records, counted one by one: whatever stands in a log, nothing is lost and nothing breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.bedrock.query import Malformed, flattened, parse
from tools.bedrock.insights import QUERY
from tools.bedrock.rows import Figures, Key, Rows
from tools.bedrock.usage import Tally

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORD = {
    "schemaType": "ModelInvocationLog",
    "region": "us-east-1",
    "modelId": "amazon.nova-lite-v1:0",
    "operation": "Converse",
    "identity": {"arn": "arn:aws:iam::1:user/a"},
    "input": {"inputTokenCount": 5, "cacheReadInputTokenCount": 3, "cacheWriteInputTokenCount": 2},
    "output": {"outputTokenCount": 7},
}


def only(message: str) -> tuple[Key, Figures]:
    rows = Rows()
    rows.add(1_763_683_199_999, message)
    ((key, figures),) = rows
    return key, figures


def malformed(message: str) -> int:
    tally = Tally()
    tally.add(only(message))
    assert tally.malformed + tally.total.figures.calls == 1
    return tally.malformed


def test_record_is_counted_on_its_day_in_utc() -> None:
    key, figures = only(json.dumps(RECORD))
    assert key == Key(
        "2025-11-20",
        "ModelInvocationLog",
        "us-east-1",
        "amazon.nova-lite-v1:0",
        "arn:aws:iam::1:user/a",
        "Converse",
        "",
    )
    assert figures == Figures(calls=1, counted=1, answered=1, input=5, output=7, cache_read=3, cache_write=2)


STREAM, EMBEDDING = {"operation": "ConverseStream"}, {"modelId": "amazon.titan-embed-text-v1", "output": {}}


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        pytest.param([{}], 0, id="all told"),
        pytest.param([{"input": {}, "output": {}}], 1, id="nothing told"),
        pytest.param([{"output": {}}, {}], 1, id="output not told of a model of which others tell it"),
        pytest.param([STREAM | {"output": {}}], 1, id="output not told of a stream"),
        pytest.param([EMBEDDING, {}], 0, id="embedding"),
        pytest.param([{"errorCode": "x", "input": {}, "output": {}}], 0, id="error"),
    ],
)
def test_tokens_that_are_not_told_are_noticed(changes: list[dict[str, Any]], missing: int) -> None:
    tally = Tally()
    for change in changes:
        tally.add(only(json.dumps(RECORD | change)))
    assert tally.without_counts == missing


@pytest.mark.parametrize(
    ("changes", "caller"),
    [
        ({"identity": {"arn": ["first", "second"]}}, "first"),
        ({"identity": {"arn": []}}, ""),
        ({"identity": {}}, ""),
        ({"identity": None}, ""),
    ],
)
def test_caller_may_be_a_list_or_missing(changes: dict[str, Any], caller: str) -> None:
    assert only(json.dumps(RECORD | changes))[0].caller == caller


@pytest.mark.parametrize(
    "changes",
    [
        {"schemaType": "Other"},
        {"schemaType": None},
        {"modelId": None},
        {"modelId": 7},
        {"input": {"inputTokenCount": -1}},
        {"input": {"inputTokenCount": "many"}},
        {"input": []},
        {"identity": "x"},
    ],
    ids=str,
)
def test_record_that_is_none_is_counted_apart(changes: dict[str, Any]) -> None:
    assert malformed(json.dumps(RECORD | changes)) == 1


@pytest.mark.parametrize("message", ["", "{", "[]", "null", "\x00", "[" * 5_000, "\ud800"], ids=ascii)
def test_line_that_is_no_record_is_counted_apart(message: str) -> None:
    assert malformed(message) == 1


@given(
    st.text()
    | JSON.map(json.dumps)
    | st.dictionaries(st.sampled_from(list(RECORD)), JSON).map(lambda c: json.dumps(RECORD | c))
)
def test_any_line_is_counted_once(message: str) -> None:
    assert malformed(message) in (0, 1)


class TestQuery:
    """Our own Insights, without which the other tests would show nothing."""

    def test_it_refuses_what_it_does_not_carry_out(self) -> None:
        for text in (
            "limit 3",
            "stats max(a) as b by c",
            "fields a",
            "filter a = 3 | stats count(*) as n by a",
            "parse x",
        ):
            with pytest.raises(Malformed):
                parse(text)

    def test_it_reads_ours(self) -> None:
        query = parse(QUERY.format(start=0, end=100))
        day = "1970-01-01 00:00:00.000"
        events = [(at, flattened(json.dumps(RECORD))) for at in (0, 99_999, 100_000)]
        (row,) = query.run(events)
        found = {field["field"]: field["value"] for field in row}
        assert (found["day"], found["calls"], found["input_tokens"], found["cache_write"]) == (day, "2", "10", "4")
        assert "errorCode" not in found, "what no record has is left out"

    def test_it_discovers_two_hundred_fields_and_no_more(self) -> None:
        assert len(flattened(json.dumps({f"f{number}": number for number in range(300)}))) == 200
