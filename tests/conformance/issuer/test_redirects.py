"""Matching of redirect URIs: to the letter, but for the port of a loopback address (RFC 8252 §7.3)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.issuer.redirects import destination, is_loopback, same_but_port, why_not_registrable

LOOPBACK = "http://127.0.0.1:7777/callback"
PIECES = st.lists(
    st.sampled_from(
        ["http", "https", ":", "//", "/", "\\", "@", "127.0.0.1", "localhost", "[::1]", "evil.test", ".", "#", "?",
         "80", "99999", "callback", "%2f", "\n", " ", "\t", "ü"]
    ),
    max_size=10,
)  # fmt: skip


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        (LOOPBACK, "http://127.0.0.1/callback"),
        (LOOPBACK, "http://127.0.0.1:1/callback"),
        ("http://[::1]/", "http://[::1]:5000/"),
        ("http://localhost/cb?x=1", "http://localhost:5000/cb?x=1"),
        ("http://localhost", "http://localhost:5000"),
    ],
)
def test_only_the_port_differs(registered: str, asked: str) -> None:
    assert same_but_port(registered, asked)


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        pytest.param(LOOPBACK, "http://localhost:7777/callback", id="another loopback name"),
        pytest.param(LOOPBACK, "http://127.0.0.1:0/callback", id="port 0"),
        pytest.param(LOOPBACK, "http://127.0.0.1:65536/callback", id="port beyond the last"),
        pytest.param(LOOPBACK, "http://127.0.0.1:\u0661/callback", id="port in other digits"),
        pytest.param(LOOPBACK, "http://127.0.0.1:7777/callback#x", id="fragment"),
        pytest.param(LOOPBACK, "http://127.0.0.1:7777/callback\n", id="line break"),
        pytest.param(LOOPBACK, "http://127.0.0.1:7777@evil.test/callback", id="user-info"),
        pytest.param(LOOPBACK, "http://127.0.0.1:7777.evil.test/callback", id="longer host"),
        pytest.param(LOOPBACK, "http://127.1:7777/callback", id="short form of the address"),
        pytest.param(LOOPBACK, "https://127.0.0.1:7777/callback", id="another scheme"),
        pytest.param("https://client.example/cb", "https://client.example:444/cb", id="not a loopback"),
    ],
)
def test_more_than_the_port_differs(registered: str, asked: str) -> None:
    assert not same_but_port(registered, asked)


@given(PIECES.map("".join))
def test_what_matches_a_loopback_redirect_is_on_this_computer(asked: str) -> None:
    if same_but_port(LOOPBACK, asked):
        parts = urlsplit(asked)
        assert (parts.scheme, parts.hostname, parts.path) == ("http", "127.0.0.1", "/callback")
        assert not parts.username
        assert is_loopback(asked)


@given(PIECES.map("".join) | st.text() | st.none() | st.integers())
def test_what_can_be_registered_is_one_clean_uri(uri: object) -> None:
    if why_not_registrable(uri) is None:
        assert isinstance(uri, str)
        parts = urlsplit(uri)
        assert parts.scheme
        assert not parts.fragment
        assert "@" not in parts.netloc
        assert uri.isascii()
        assert uri.isprintable()
        assert parts.scheme != "http" or parts.hostname in {"127.0.0.1", "localhost", "::1"}


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (LOOPBACK, "an app on this computer"),
        ("https://client.example:444/cb", "client.example:444"),
        ("com.example.app:/cb", "an app on this device (com.example.app)"),
    ],
)
def test_destination_is_said_in_words(uri: str, words: str) -> None:
    assert destination(uri) == words
