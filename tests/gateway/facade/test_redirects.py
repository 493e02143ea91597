"""Redirect URIs: what a client may register, and what a request may name."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.facade.redirects import (
    MAX_REDIRECT,
    InvalidRedirect,
    check_redirect,
    destination,
    is_native,
    is_registered,
    with_parameters,
    without_port,
)

GOOD = [
    pytest.param("https://app.example/callback", id="https"),
    pytest.param("https://app.example:8443/a/b?tenant=1", id="with a port and a query"),
    pytest.param("https://xn--bcher-kva.example/cb", id="punycode"),
    pytest.param("https://app.example", id="without a path"),
    pytest.param("http://localhost:8765/callback", id="localhost"),
    pytest.param("http://127.0.0.1/callback", id="IPv4 loopback"),
    pytest.param("http://[::1]:1/callback", id="IPv6 loopback"),
    pytest.param("http://localhost?x=1", id="loopback with a query alone"),
    pytest.param("cursor://anysphere.cursor-mcp/oauth/callback", id="an app's own scheme"),
    pytest.param("com.example.app:/callback", id="a scheme by domain"),
    pytest.param("app:/a?user@host", id="an at sign that is no user"),
]
BAD = [
    pytest.param("", id="nothing"),
    pytest.param("/callback", id="relative"),
    pytest.param("//app.example/callback", id="without a scheme"),
    pytest.param("http://app.example/callback", id="plain http"),
    pytest.param("https://user@app.example/cb", id="a user"),
    pytest.param("https://user:secret@app.example/cb", id="a user with a password"),
    pytest.param("https://app.example/cb#fragment", id="a fragment"),
    pytest.param("https://app.example/cb#", id="an empty fragment"),
    pytest.param("https://app.example/a/../b", id="dot segments"),
    pytest.param("https://app.example/%2e%2e/b", id="hidden dot segments"),
    pytest.param("https://app.example\\@evil.example/", id="a backslash"),
    pytest.param("https://app.example/\tcb", id="a tab"),
    pytest.param("https://app.example/cb\n", id="a line's end"),
    pytest.param("https://app.example/c\r\nSet-Cookie: a=b", id="a header"),
    pytest.param(" https://app.example/cb", id="a blank before"),
    pytest.param("https://app.example/cb ", id="a blank behind"),
    pytest.param("https://bücher.example/cb", id="not in punycode"),
    pytest.param("https://app.example./cb", id="a dot at the end"),
    pytest.param("https://\uff41pp.example/cb", id="a full-width letter"),
    pytest.param("https://2130706433/cb", id="a decimal address"),
    pytest.param("https:app.example/cb", id="https without slashes"),
    pytest.param("https:///cb", id="no host"),
    pytest.param("HTTPS://app.example/cb", id="https in upper case"),
    pytest.param("http://localhost.evil/cb", id="localhost as a label"),
    pytest.param("http://localhost.evil:80/cb", id="localhost as a label, with a port"),
    pytest.param("http://127.0.0.1.evil/cb", id="an address as labels"),
    pytest.param("http://127.0.0.1@evil/cb", id="an address as a user"),
    pytest.param("http://localhost:80@evil/cb", id="localhost as a user with a password"),
    pytest.param("http://[::1].evil/cb", id="IPv6 as a label"),
    pytest.param("http://[::1]@evil/cb", id="IPv6 as a user"),
    pytest.param("http://localhost\\.evil/cb", id="localhost and a backslash"),
    pytest.param("http://localhost%2eevil/cb", id="an encoded dot"),
    pytest.param("http://localhost#.evil/cb", id="localhost and a fragment"),
    pytest.param("http://localhost:99999/cb", id="a port that is none"),
    pytest.param("http://localhost:0/cb", id="port 0"),
    pytest.param("http://localhost:/cb", id="an empty port"),
    pytest.param("http://localhost:+80/cb", id="a signed port"),
    pytest.param("http://localhost:8\u0660/cb", id="a port in other digits"),
    pytest.param("http://localhost./cb", id="localhost with a dot"),
    pytest.param("http://LOCALHOST/cb", id="localhost in upper case"),
    pytest.param("http://127.0.0.2/cb", id="another loopback address"),
    pytest.param("http://127.1/cb", id="a short address"),
    pytest.param("http://2130706433/cb", id="loopback in decimal"),
    pytest.param("http://0x7f000001/cb", id="loopback in hexadecimal"),
    pytest.param("http://0177.0.0.1/cb", id="loopback in octal"),
    pytest.param("http://[::ffff:127.0.0.1]/cb", id="loopback within IPv6"),
    pytest.param("http://[0:0:0:0:0:0:0:1]/cb", id="IPv6 loopback, written out"),
    pytest.param("http://0.0.0.0/cb", id="the unspecified address"),
    pytest.param("http://loca\tlhost/cb", id="a tab within localhost"),
    pytest.param("javascript:alert(1)", id="a script"),
    pytest.param("JavaScript:alert(1)", id="a script in upper case"),
    pytest.param("java\nscript:alert(1)", id="a script across lines"),
    pytest.param("data:text/html,hello", id="data"),
    pytest.param("vbscript:x", id="another script"),
    pytest.param("file:///etc/passwd", id="a file"),
    pytest.param("blob:https://app.example/1", id="a blob"),
    pytest.param("about:blank", id="a browser's own page"),
    pytest.param("view-source:https://app.example", id="a browser's view"),
    pytest.param("intent://x#Intent;end", id="an intent"),
    pytest.param("mailto:a@b.example", id="mail"),
    pytest.param("urn:ietf:wg:oauth:2.0:oob", id="out of band"),
    pytest.param("ftp://app.example/", id="another protocol"),
    pytest.param("c:/windows", id="a drive"),
    pytest.param("app://user@host/cb", id="a user in an own scheme"),
    pytest.param("app://user@host?x", id="a user before a query in an own scheme"),
    pytest.param("app:/cb#x", id="a fragment in an own scheme"),
    pytest.param("ms-msdt:/id", id="a handler of Windows"),
    pytest.param("microsoft-edge:https://evil.example/", id="a scheme that opens a browser"),
    pytest.param("googlechromes://evil.example/", id="another that does"),
    pytest.param("search-ms:query=x", id="a search"),
    pytest.param("app:", id="a scheme alone"),
    pytest.param("app:/a b", id="a blank in an own scheme"),
    pytest.param("app:/é", id="not ASCII in an own scheme"),
    pytest.param("1app:/cb", id="a scheme that begins with a digit"),
    pytest.param("app:/" + "a" * MAX_REDIRECT, id="too long"),
    pytest.param("https://app.example/" + "a" * MAX_REDIRECT, id="https, too long"),
]


@pytest.mark.parametrize("uri", GOOD)
def test_redirect_may_be_registered_by_a_native_client(uri: str) -> None:
    check_redirect(uri, native=True)
    assert is_registered(uri, (uri,))


@pytest.mark.parametrize("uri", BAD)
@pytest.mark.parametrize("native", [True, False])
def test_redirect_may_not_be_registered(uri: str, native: bool) -> None:
    with pytest.raises(InvalidRedirect) as raised:
        check_redirect(uri, native=native)
    assert not uri or uri not in str(raised.value)


@pytest.mark.parametrize("uri", ["http://localhost/cb", "http://127.0.0.1:1/cb", "cursor://x/y"])
def test_web_client_registers_https_alone(uri: str) -> None:
    with pytest.raises(InvalidRedirect, match="application_type native"):
        check_redirect(uri, native=False)
    check_redirect("https://app.example/cb", native=False)


@pytest.mark.parametrize(
    ("asked", "registered"),
    [
        pytest.param("http://localhost:1234/cb", "http://localhost/cb", id="a port where none was"),
        pytest.param("http://localhost/cb", "http://localhost:1234/cb", id="no port where one was"),
        pytest.param("http://127.0.0.1:1/cb?a=b", "http://127.0.0.1:65535/cb?a=b", id="another port"),
        pytest.param("http://[::1]:5/", "http://[::1]/", id="IPv6"),
    ],
)
def test_loopback_may_be_asked_for_with_any_port(asked: str, registered: str) -> None:
    assert is_registered(asked, ("https://app.example/", registered))


@pytest.mark.parametrize(
    ("asked", "registered"),
    [
        pytest.param("https://app.example:444/cb", "https://app.example/cb", id="another port elsewhere"),
        pytest.param("https://app.example/cb/", "https://app.example/cb", id="a slash more"),
        pytest.param("https://app.example/cb?x", "https://app.example/cb", id="a query more"),
        pytest.param("https://app.example/CB", "https://app.example/cb", id="another case"),
        pytest.param("https://app.example:443/cb", "https://app.example/cb", id="the default port"),
        pytest.param("https://app.example/%63b", "https://app.example/cb", id="an escape"),
        pytest.param("https://app.example.evil/cb", "https://app.example/cb", id="a longer host"),
        pytest.param("http://localhost:1/cb/", "http://localhost/cb", id="loopback, a slash more"),
        pytest.param("http://localhost:1/cb?x", "http://localhost/cb", id="loopback, a query more"),
        pytest.param("http://localhost:1/cb#x", "http://localhost/cb", id="loopback, a fragment more"),
        pytest.param("http://127.0.0.1:1/cb", "http://localhost/cb", id="another name of loopback"),
        pytest.param("http://localhost:0/cb", "http://localhost/cb", id="port 0"),
        pytest.param("http://localhost:65536/cb", "http://localhost/cb", id="port 65536"),
        pytest.param("http://localhost:123456/cb", "http://localhost/cb", id="six digits"),
        pytest.param("http://localhost:1@evil/cb", "http://localhost/cb", id="a user"),
        pytest.param("http://localhost.evil:1/cb", "http://localhost/cb", id="a longer host on loopback"),
        pytest.param("http://127.0.0.1.evil:1/cb", "http://127.0.0.1/cb", id="an address as labels"),
        pytest.param("http://[::1].evil:1/cb", "http://[::1]/cb", id="IPv6 as a label"),
        pytest.param("http://localhost:1\n/cb", "http://localhost/cb", id="a line's end"),
        pytest.param("http://localhost\n", "http://localhost", id="a line's end at the end"),
        pytest.param("http://localhost:80\\@evil/cb", "http://localhost/cb", id="a backslash"),
        pytest.param("http://localhost:8\u0660/cb", "http://localhost/cb", id="other digits"),
        pytest.param("HTTP://localhost:1/cb", "http://localhost/cb", id="upper case"),
        pytest.param("https://localhost:1/cb", "http://localhost/cb", id="another scheme"),
        pytest.param("app:/other", "app:/cb", id="an own scheme, elsewhere"),
        pytest.param("", "https://app.example/cb", id="nothing"),
    ],
)
def test_anything_else_must_fit_to_the_letter(asked: str, registered: str) -> None:
    assert not is_registered(asked, (registered,))


def test_nothing_is_registered_where_nothing_was() -> None:
    assert not is_registered("http://localhost/cb", ())


def test_parameters_join_a_query_that_is_there() -> None:
    assert with_parameters("https://a.example/cb", {"code": "a b&c"}) == "https://a.example/cb?code=a+b%26c"
    assert with_parameters("https://a.example/cb?x=1", {"code": "c"}) == "https://a.example/cb?x=1&code=c"
    assert with_parameters("app:cb", {"state": "\r\né"}) == "app:cb?state=%0D%0A%C3%A9"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://app.example:8443/cb", "app.example:8443"),
        ("http://localhost:123/cb", "an app on this computer, at localhost:123"),
        ("http://[::1]/cb", "an app on this computer, at [::1]"),
        ("cursor://app.example/cb", "an app on this device that opens cursor: links"),
    ],
)
def test_destination_is_said_as_a_person_understands_it(uri: str, said: str) -> None:
    assert destination(uri) == said
    assert is_native(uri) is (not uri.startswith("https:"))


URIS = st.one_of(
    st.text(),
    st.from_regex(r"https?://[a-z@:\[\]1.\\#/?%\n\t]{0,30}", fullmatch=True),
    st.from_regex(r"http://(localhost|127\.0\.0\.1|\[::1\])[a-z@:.\\#/?%0-9\n]{0,15}", fullmatch=True),
    st.from_regex(r"[a-z]{1,12}:[a-z@:.\\#/?% ]{0,20}", fullmatch=True),
)


@given(URIS)
@example("http://localhost@evil/")
@example("app://u@h")
def test_no_accepted_redirect_has_a_user_a_fragment_or_a_control(uri: str) -> None:
    try:
        check_redirect(uri, native=True)
    except InvalidRedirect:
        return
    parts = urlsplit(uri)
    assert parts.username is None
    assert parts.password is None
    assert "#" not in uri
    assert re.fullmatch(r"[\x21-\x7E]+", uri)
    assert "\\" not in uri
    if parts.scheme in ("http", "https"):
        assert parts.hostname
    if parts.scheme == "http":
        assert parts.hostname in ("localhost", "127.0.0.1", "::1")
    assert destination(uri)


@given(URIS, URIS)
@example("http://localhost:1/cb", "http://localhost:2/cb")
def test_what_is_registered_leads_to_the_same_host_and_path(asked: str, known: str) -> None:
    try:
        check_redirect(known, native=True)
    except InvalidRedirect:
        known = "http://localhost/cb"
    for uri in (asked, known.replace("localhost", "localhost:7"), known + asked, known.replace("//", f"//{asked}@")):
        if is_registered(uri, (known,)):
            one, other = urlsplit(uri), urlsplit(known)
            assert (one.scheme, one.hostname, one.path, one.query) == (
                other.scheme,
                other.hostname,
                other.path,
                other.query,
            )
            assert one.username is None
            assert "#" not in uri
            assert without_port(uri) == without_port(known)
