"""A resource has one spelling, and its metadata one place (PRM-02, PRM-03, PRM-04, PRM-12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.resource import InvalidResource, canonical, well_known_url

NAME = "oauth-protected-resource"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("https://gw.example/mcp", "https://gw.example/mcp", id="already canonical"),
        pytest.param("HTTPS://GW.example/MCP", "https://gw.example/MCP", id="case of scheme and host, not of the path"),
        pytest.param("https://gw.example:443/mcp", "https://gw.example/mcp", id="default port"),
        pytest.param("https://gw.example:8443/mcp", "https://gw.example:8443/mcp", id="another port"),
        pytest.param("https://gw.example/", "https://gw.example", id="root"),
        pytest.param("https://gw.example", "https://gw.example", id="no path"),
        pytest.param("https://gw.example/mcp/", "https://gw.example/mcp", id="slash at the end"),
        pytest.param("http://localhost:8000/mcp", "http://localhost:8000/mcp", id="loopback name"),
        pytest.param("http://127.0.0.1:80/mcp", "http://127.0.0.1/mcp", id="loopback address"),
        pytest.param("http://[0:0::1]:8000/mcp", "http://[::1]:8000/mcp", id="loopback, IPv6"),
        pytest.param("https://gw.example/j%c3%bcrgen", "https://gw.example/j%C3%BCrgen", id="case of escapes"),
    ],
)
def test_resource_is_spelled(url: str, expected: str) -> None:
    assert canonical(url) == expected


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        pytest.param("http://gw.example/mcp", "https", id="plain http (PRM-12)"),
        pytest.param("https://gw.example/mcp#x", "fragment", id="fragment (RFC 8707 §2)"),
        pytest.param("https://me:secret@gw.example/mcp", "password", id="userinfo"),
        pytest.param("https://gw.example/mcp?tenant=a", "query", id="query"),
        pytest.param("https://gw.example/mcp?", "query", id="empty query"),
        pytest.param("https://gw.example/a/../mcp", "segments", id="dot segments"),
        pytest.param("https://gw.example/a//mcp", "empty segments", id="empty segment"),
        pytest.param("https://gw.example//", "empty segments", id="two slashes at the end"),
        pytest.param("https://gw.example/%6dcp", "%6d", id="escaped letter"),
        pytest.param("https://gw.example/a%2fmcp", "%2f", id="escaped slash"),
        pytest.param("https://gw.example/a%5Cmcp", "%5C", id="escaped backslash"),
        pytest.param("https://gw.example/mcp%00", "%00", id="escaped NUL"),
        pytest.param("https://gw.example/mcp%0A", "%0A", id="escaped line break"),
    ],
)
def test_url_names_no_resource(url: str, cause: str) -> None:
    with pytest.raises(InvalidResource, match=cause) as refusal:
        canonical(url)
    assert "secret" not in str(refusal.value)


@given(st.text(alphabet="aZ9:/.%25Ccf?#@[]~-", max_size=20), st.sampled_from(["https://gw.example", "http://[::1]"]))
def test_canonical_is_idempotent(rest: str, start: str) -> None:
    try:
        resource = canonical(start + rest)
    except InvalidResource:
        return
    assert canonical(resource) == resource
    assert not resource.endswith("/")


@pytest.mark.parametrize(
    ("resource", "path_inserted"),
    [
        pytest.param("https://gw.example/mcp", f"https://gw.example/.well-known/{NAME}/mcp", id="path"),
        pytest.param("https://gw.example/a/b", f"https://gw.example/.well-known/{NAME}/a/b", id="longer path"),
        pytest.param("https://gw.example", f"https://gw.example/.well-known/{NAME}", id="no path"),
        pytest.param(
            "https://gw.example/", f"https://gw.example/.well-known/{NAME}", id="slash after the host dropped"
        ),
        pytest.param("https://gw.example/mcp/", f"https://gw.example/.well-known/{NAME}/mcp", id="slash at the end"),
        pytest.param("http://[::1]:8000/mcp", f"http://[::1]:8000/.well-known/{NAME}/mcp", id="loopback, IPv6"),
    ],
)
def test_metadata_lives_before_the_path(resource: str, path_inserted: str) -> None:
    """PRM-02, RFC 9728 §3.1."""
    assert well_known_url(resource, NAME) == path_inserted


def test_well_known_url_of_no_resource_is_refused() -> None:
    with pytest.raises(InvalidResource, match="query"):
        well_known_url("https://gw.example/mcp?a", NAME)
