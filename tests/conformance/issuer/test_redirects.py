"""Matching of redirect URIs: to the letter, but for the port of a loopback address (RFC 8252 §7.3)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.issuer.redirects import destination, same_but_port, why_not_registrable

LOOPBACK = "http://127.0.0.1:7777/callback"
PORTS = st.sampled_from(["", ":", ":0", ":1", ":80", ":65535", ":65536", ":8o", ":1:2"]) | st.from_regex(r":[0-9]{1,6}")
# Half of the parts are good ones, so that whole URIs are good often enough to be looked at.
URIS = st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(["http://", "http://", "https://", "HTTP://", "app:", "app://", "javascript:", "//", "", "http:"]),
    st.sampled_from(["", "", "", "user@", "user:pw@", "127.0.0.1@", "evil.test\\@", "evil.test#@"]),
    st.sampled_from(["127.0.0.1", "127.0.0.1", "localhost", "[::1]", "127.1", "127.0.0.1.evil.test", "evil.test", ""]),
    PORTS,
    st.sampled_from(["/callback", "/callback", "", "/", "/callback/", "/callback/../x", "callback", "\\callback"]),
    st.sampled_from(["", "", "", "?x=1", "#x", "\n", " ", "\u0131", "%0a"]),
)


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


@given(URIS)
def test_what_matches_a_loopback_redirect_is_on_this_computer(asked: str) -> None:
    parts = urlsplit(asked) if same_but_port(LOOPBACK, asked) else urlsplit(LOOPBACK)
    assert (parts.scheme, parts.hostname, parts.path, parts.query) == ("http", "127.0.0.1", "/callback", "")
    assert (parts.username, parts.fragment) == (None, "")
    assert parts.port != 0


@given(URIS | st.text())
def test_what_can_be_registered_is_one_clean_uri(uri: str) -> None:
    clean = uri if why_not_registrable(uri) is None else LOOPBACK
    parts = urlsplit(clean)
    assert parts.scheme not in {"", "javascript"}
    assert (parts.username, parts.fragment) == (None, "")
    assert clean.isascii()
    assert clean.isprintable()
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
