"""What the judge fetches of the addresses that a target hands out."""

from __future__ import annotations

import pytest

from conformance.target import is_loopback, is_near, may_fetch


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
