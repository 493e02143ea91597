"""A resource's URI passes rules only if every reader takes it for the same one."""

from __future__ import annotations

import json
import random
import re
import subprocess
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resource_uri import ambiguity, spellings
from tests.official.node import NODE

PLAIN = [
    "reports://hr/salaries",
    "reports:///",
    "s3://bucket/a/b.csv?version=1",
    "s3://bucket//a",
    "file:///etc/passwd",
    "file:///a%20b",
    "https://docs.example/a?b=../c",
    "https://docs.example:8443/",
    "http://127.0.0.1:8000/x",
    "https://docs.example/a%2Fb",
    "urn:isbn:0451450523",
    "mailto:a@b.example",
    "note://Users/7",
    "note://a/...",
    "a+b-c.d:e",
    "note://Zoë/日本語",
    "https://docs.example/ë",
]


@pytest.mark.parametrize("uri", PLAIN)
def test_what_all_read_alike_passes(uri: str) -> None:
    assert ambiguity(uri) == ""


@pytest.mark.parametrize(
    ("uri", "cause"),
    [
        ("REPORTS://hr/salaries", "upper case"),
        (" reports://hr/salaries", "characters"),
        ("reports://hr/salaries\n", "characters"),
        ("reports://hr/sal\taries", "characters"),
        ("reports://hr\\salaries", "characters"),
        ("reports://hr/salaries#1", "a fragment"),
        ("reports://hr/%2fx", "lower case"),
        ("reports://hr/%", "characters"),
        ("reports://hr/\u2028\ud800", "characters"),
        ("reports://hr/\x85", "characters"),
        ("https://d\u00f6cs.example/a", "slashes"),
        ("reports://hr/s%61laries", "need none"),
        ("reports://hr/%2E%2E/x", "need none"),
        ("reports://hr/%252E", "of escapes"),
        ("reports://hr/x/../salaries", "dot segments"),
        ("reports://hr/./salaries", "dot segments"),
        ("reports://hr/..", "dot segments"),
        ("reports://hr/..%2Fsalaries", "dot segments"),
        ("reports://hr/..?x", "dot segments"),
        ("salaries", "no scheme"),
        ("//hr/salaries", "no scheme"),
        ("", "characters"),
        ("FILE:///etc/passwd", "upper case"),
        ("file:/etc/passwd", "slashes"),
        ("file:etc/passwd", "slashes"),
        ("file://localhost/etc/passwd", "slashes"),
        ("file:////etc/passwd", "slashes"),
        ("file:///etc//passwd", "slashes"),
        ("file:///etc/passwd?x", "slashes"),
        ("https://docs.example", "slashes"),
        ("https:docs.example/a", "slashes"),
        ("https:///docs.example/a", "slashes"),
        ("https://Docs.example/a", "slashes"),
        ("https://user@docs.example/a", "slashes"),
        ("https://docs.example:443/a", "port"),
        ("https://docs.example:/a", "slashes"),
        ("https://docs.example:0443/a", "slashes"),
        ("http://docs.example:80/a", "port"),
        ("https://docs.example//a", "slashes"),
        ("https://[::1]/a", "slashes"),
        ("https://127.1/a", "a number"),
        ("https://2130706433/a", "a number"),
        ("https://0x7f000001/a", "a number"),
        ("https://127.0.0.01/a", "a number"),
        ("https://docs.example/?a='", "slashes"),
    ],
)
def test_what_can_be_read_in_two_ways_does_not(uri: str, cause: str) -> None:
    assert cause in ambiguity(uri)


def test_template_is_judged_by_what_stands_around_its_parts() -> None:
    assert ambiguity("file:///{+path}", template=True) == ""
    assert ambiguity("note://{day}{?from,to}{#part}", template=True) == ""
    assert "upper case" in ambiguity("NOTE://{day}", template=True)
    assert "characters" in ambiguity("note://{day", template=True)
    assert "characters" in ambiguity("note://{day}")


SCHEMES = ["http:", "https:", "file:", "ws:", "ftp:", "reports:", "s3:", "a:", "HTTP:", "javascript:"]
HOSTS = [
    "",
    "a",
    "b.c",
    "A",
    "127.1",
    "127.0.0.1",
    "127.0.0.01",
    "0x7f",
    "1",
    "localhost",
    "[::1]",
    "a@b",
    "xn--nxasmq6b",
    "a_b",
]
PORTS = ["", ":", ":80", ":443", ":8443", ":21", ":08", ":x"]
PARTS = [
    "/",
    "//",
    "a",
    "A.b",
    ".",
    "..",
    "...",
    "%2F",
    "%20",
    "%2e",
    "%61",
    "%25",
    "%252E",
    "?",
    "#",
    "@",
    ":",
    ";",
    "=",
    "&",
    "'",
    "*",
    "|",
]
PARSED = """
const uris = JSON.parse(require("node:fs").readFileSync(0));
console.log(JSON.stringify(uris.map(uri => URL.canParse(uri) ? new URL(uri).href : uri)));
"""


def escaped(uri: str) -> str:
    """As parsers write letters beyond ASCII."""
    return re.sub(r"[^\x00-\x7f]+", lambda letters: quote(letters[0]), uri)


def test_letters_beyond_ascii_are_looked_for_with_and_without_escapes() -> None:
    assert spellings("note://Zoë") == {"note://Zoë", "note://Zo%C3%AB"}
    assert spellings("note://Zo%C3%AB") == {"note://Zoë", "note://Zo%C3%AB"}
    assert spellings("note://a%20ë") == {"note://a%20ë", "note://a ë", "note://a%20%C3%AB"}


def test_urls_that_pass_are_what_a_url_parser_would_write() -> None:
    """The TypeScript SDKs look a resource up by `new URL(uri)`."""
    draw = random.Random(7)
    drawn = {
        draw.choice(SCHEMES)
        + draw.choice(["", "/", "//", "//", "//", "///"])
        + draw.choice(HOSTS)
        + draw.choice(PORTS)
        + "".join(draw.choices(PARTS, k=draw.randrange(6)))
        for _ in range(100_000)
    }
    passed = sorted(uri for uri in drawn if not ambiguity(uri))
    told = subprocess.run([NODE, "-e", PARSED], input=json.dumps(passed).encode(), capture_output=True, check=True)
    parsed = json.loads(told.stdout)
    assert [(uri, seen) for uri, seen in zip(passed, parsed, strict=True) if escaped(uri) != seen] == []
    assert len(passed) > 1_000


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    ambiguity(text)
    ambiguity(text, template=True)
