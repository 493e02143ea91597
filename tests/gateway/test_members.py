"""A body that two readers could take for different things is refused where the gate decides on it."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidMessage
from gateway.members import AmbiguousMembers, check_members
from gateway.operation import operations

HEAD = '"jsonrpc":"2.0","id":1'
CALL = '"method":"tools/call"'
NAMED = '"params":{"name":"x"}'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{{HEAD},{CALL},{NAMED},"method":"tools/list"}}', id="method twice"),
        pytest.param(f"{{{HEAD},{CALL},{NAMED},{NAMED}}}", id="the same member twice"),
        pytest.param(f'{{{HEAD},{CALL},"params":{{"name":"y"}},{NAMED}}}', id="params twice"),
        pytest.param(f'{{{HEAD},{CALL},{NAMED},"m\\u0065thod":"x"}}', id="twice, once escaped"),
        pytest.param(f'{{{HEAD},{CALL},"params":{{"name":"y","name":"x"}}}}', id="name twice"),
        pytest.param(f'{{{HEAD},{CALL},"params":{{"name":"xx","name":"x"}}}}', id="name twice, one within the other"),
        pytest.param(f'{{{HEAD},"Method":"tools/call",{NAMED}}}', id="method in another case alone"),
        pytest.param(f'{{{HEAD},{CALL},{NAMED},"METHOD":"x"}}', id="method in another case besides"),
        pytest.param(f'{{{HEAD},{CALL},"params":{{"name":"x","Name":"y"}}}}', id="name in another case"),
        pytest.param(f'{{{HEAD},{CALL},"param\u017f":{{"name":"y"}},{NAMED}}}', id="a letter that folds to s"),
        pytest.param(f'{{{HEAD},{CALL},{NAMED},"x":1,"x":2}}', id="any member twice"),
        pytest.param(
            f'{{{HEAD},"method":"completion/complete","params":{{"ref":{{"name":"a","name":"b"}}}}}}', id="ref"
        ),
        pytest.param(
            f'{{{HEAD},"method":"subscriptions/listen","params":{{"notifications":{{"resourcesubscriptions":["a"]}}}}}}',
            id="subscriptions in another case",
        ),
        pytest.param(f'[{{{HEAD},{CALL},{NAMED},"id":2}}]', id="in a batch"),
    ],
)
def test_ambiguous_body_is_refused(body: str) -> None:
    with pytest.raises(InvalidMessage):
        operations(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f" {{ {HEAD} ,\n{CALL}\t, {NAMED} }} ", id="blanks"),
        pytest.param(
            f'{{{HEAD},{CALL},"params":{{"name":"x","arguments":{{"a":1,"A":2}}}}}}', id="arguments are not read"
        ),
        pytest.param(f'{{{HEAD},"\\u006dethod":"tools/call",{NAMED}}}', id="escaped name"),
    ],
)
def test_body_that_everyone_reads_alike_passes(body: str) -> None:
    (operation,) = operations(body.encode())
    assert operation.targets[0].name == "x"


def test_name_of_any_length_takes_no_memory_to_read() -> None:
    body = b'{"%b":1}' % (b"a" * 3_000_000)
    tracemalloc.start()
    try:
        check_members(body, frozenset({"method"}))
        assert tracemalloc.get_traced_memory()[1] < 10 * len(body)
    finally:
        tracemalloc.stop()


def test_more_members_than_anything_of_mcp_has_are_not_looked_at() -> None:
    check_members(json.dumps(dict.fromkeys(map(str, range(100)))).encode(), frozenset({"method"}))
    with pytest.raises(AmbiguousMembers, match="101 members"):
        check_members(json.dumps(dict.fromkeys(map(str, range(101)))).encode(), frozenset({"method"}))


def test_subscriptions_to_more_resources_than_can_be_judged_are_refused() -> None:
    def listen(count: int) -> bytes:
        wanted = {"notifications": {"resourceSubscriptions": ["a:b"] * count}}
        return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": wanted}).encode()

    assert len(operations(listen(256))[0].targets) == 256
    with pytest.raises(InvalidMessage, match="257 subscriptions, more than 256"):
        operations(listen(257))


def test_response_of_a_client_passes() -> None:
    assert operations(b'{"jsonrpc":"2.0","id":1,"result":{"params":{},"a":1}}')[0].method == ""


@given(st.lists(st.tuples(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists)), max_size=5))
def test_members_are_ambiguous_exactly_when_names_fold_alike(members: list[tuple[str, object]]) -> None:
    text = "{" + ",".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members) + "}"
    folded = [name.casefold() for name, _ in members]
    try:
        check_members(text.encode(), frozenset())
    except AmbiguousMembers:
        assert len(set(folded)) < len(folded)
    else:
        assert len(set(folded)) == len(folded)
