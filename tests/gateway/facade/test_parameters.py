"""The parameters of queries and forms, read strictly."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.facade.errors import OAuthError
from gateway.facade.parameters import MAX_FIELDS, read


def test_parameters_are_decoded_once() -> None:
    found = read(b"a=b+c%2Bd&e=%2525&f=%C3%A9")
    assert found.values == {"a": "b c+d", "e": "%25", "f": "é"}


def test_a_parameter_without_a_value_counts_as_left_out() -> None:
    found = read(b"a=&b&a=1&state=")
    assert found.values == {"a": "1"}
    assert found.get("state") == ""
    found.check_single()


def test_resource_alone_may_be_repeated() -> None:
    found = read(b"resource=x&resource=y&resource=")
    assert found.resources == ("x", "y")
    found.check_single()


def test_another_repeated_parameter_is_refused_and_the_first_is_known() -> None:
    found = read(b"a=1&a=1&b=2")
    assert (found.get("a"), found.repeated) == ("1", frozenset("a"))
    with pytest.raises(OAuthError) as raised:
        found.check_single()
    assert raised.value.code == "invalid_request"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"a=%FF", id="no UTF-8"),
        pytest.param(b"a=%ED%A0%80", id="half a character"),
        pytest.param(b"a=\xc3\xa9", id="not encoded"),
        pytest.param(b"&".join([b"a=1"] * (MAX_FIELDS + 1)), id="too many"),
    ],
)
def test_what_is_no_form_is_refused(raw: bytes) -> None:
    with pytest.raises(OAuthError) as raised:
        read(raw)
    assert (raised.value.code, raised.value.status) == ("invalid_request", 400)


def test_as_many_fields_as_any_honest_request_has_are_read() -> None:
    assert read(b"&".join(b"%d=1" % i for i in range(MAX_FIELDS))).get("49") == "1"


@given(st.binary(max_size=200) | st.text("ab=&%+;0F", max_size=60).map(str.encode))
def test_any_bytes_are_parameters_or_refused(raw: bytes) -> None:
    try:
        found = read(raw)
    except OAuthError:
        return
    assert "" not in found.values.values()
    assert found.repeated <= found.values.keys()
    pairs = [(name, value) for name, value in parse_qsl(raw.decode(), keep_blank_values=True) if value]
    counted = Counter(name for name, _ in pairs)
    assert found.repeated == {name for name, count in counted.items() if count > 1 and name != "resource"}


@given(st.dictionaries(st.sampled_from(["state", "scope", "client_id", "x"]), st.text(min_size=1)))
def test_what_a_client_encodes_comes_out(given_values: dict[str, str]) -> None:
    assert read(urlencode(given_values).encode()).values == given_values
