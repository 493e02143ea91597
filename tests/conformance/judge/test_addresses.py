"""What the judge fetches of the addresses that a target hands out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.addresses import is_loopback, is_near, join, may_fetch, split


@pytest.mark.parametrize(
    ("url", "of_public", "of_near"),
    [
        ("https://issuer.example/metadata", True, True),
        ("http://issuer.example/metadata", False, True),
        ("https://169.254.169.254/latest", False, True),
        ("https://10.0.0.1/x", False, True),
        ("https://[::1]/x", False, True),
        ("https://localhost/x", False, True),
        ("https://intranet/x", False, True),
        ("https://metadata.internal/x", False, True),
        ("https://user@issuer.example/x", False, False),
        ("javascript:alert(1)", False, False),
        ("file:///etc/passwd", False, False),
        ("https://[broken/x", False, False),
        ("", False, False),
    ],
)
def test_public_target_sends_nobody_into_a_private_network(url: str, of_public: bool, of_near: bool) -> None:
    assert (may_fetch(url, near=False), may_fetch(url, near=True)) == (of_public, of_near)


def test_loopback_is_this_machine_alone() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "app.localhost")))
    assert not any(map(is_loopback, ("10.0.0.1", "localhost.example", "example")))
    assert is_near("10.0.0.1")
    assert not is_near("server.example")


@given(st.text(max_size=30) | st.from_regex(r"https?://[\[\]a-z@:0-9%]{0,12}(:[0-9]{0,6})?/?", fullmatch=True))
def test_strangers_url_is_never_an_exception(url: str) -> None:
    parts = split(url)
    assert parts.port is None or parts.port < 65536
    assert isinstance(join("https://server.example/a", url), str)
    if may_fetch(url, near=False):
        assert parts.scheme == "https"
        assert not is_near(parts.hostname or "")
