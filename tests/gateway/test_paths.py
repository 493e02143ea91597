"""A path belongs to the resource at it, or to the most particular one that it lies below."""

from __future__ import annotations

import pytest

from gateway.paths import ByPath, is_reserved


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("/healthz", True),
        ("/healthz/x", True),
        ("/healthzz", False),
        ("/.well-known/a", True),
        ("/mcp", False),
        ("/", False),
    ],
)
def test_paths_of_the_gate_itself_are_nobodys(path: str, reserved: bool) -> None:
    assert is_reserved(path) is reserved


@pytest.mark.parametrize(
    ("path", "at", "below"),
    [
        pytest.param("/a", "a", "root", id="a resource below another one"),
        pytest.param("/a/", None, "a", id="its slash"),
        pytest.param("/a/b/c", None, "a/b", id="the most particular one"),
        pytest.param("/ab", None, "root", id="the same letters are not below"),
        pytest.param("/alone", "alone", "root", id="one without subpaths"),
        pytest.param("/alone/x", None, "root", id="below one without subpaths"),
        pytest.param("/healthz", None, None, id="the gate's own"),
    ],
)
def test_path_is_found(path: str, at: str | None, below: str | None) -> None:
    resources = {"/": "root", "/a": "a", "/a/b": "a/b", "/alone": "alone"}
    paths = ByPath(resources, ["/a", "/", "/a/b"])
    assert paths.at(path) == at
    assert paths.below(path) == below


def test_without_subpaths_nothing_is_below_anything() -> None:
    assert ByPath({"/": "root"}, []).below("/x") is None
