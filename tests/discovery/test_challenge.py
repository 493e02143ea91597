"""WWW-Authenticate, written and read (RS-401-01, RS-401-06, RS-401-08, RS-403-01, CLI-01)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.challenge import (
    MAX_CHALLENGES,
    MAX_FIELDS,
    MAX_LENGTH,
    MAX_PARAMS,
    Challenge,
    InvalidChallenge,
    bearer,
    find_bearer,
    read,
)

METADATA = "https://gw.example/.well-known/oauth-protected-resource/mcp"

TOKENS = st.from_regex(re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}"), fullmatch=True)
VALUES = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
TOKEN68S = st.from_regex(re.compile(r"[A-Za-z0-9._~+/-]{1,20}={0,3}"), fullmatch=True)
CHALLENGES = st.one_of(
    st.builds(Challenge, TOKENS, st.dictionaries(TOKENS.map(str.lower), VALUES, max_size=4)),
    st.builds(Challenge, TOKENS, token68=TOKEN68S),
)


class TestWriting:
    def test_challenge_without_credentials_says_nothing_of_an_error(self) -> None:
        """RS-401-01, RS-401-04: a Bearer challenge with at least one parameter, and no error."""
        assert bearer(resource_metadata=METADATA) == f'Bearer resource_metadata="{METADATA}"'

    def test_challenge_for_a_refused_token(self) -> None:
        """RS-401-05, RS-401-07: the error, and the scopes needed."""
        said = bearer(
            resource_metadata=METADATA,
            scope=["mcp:read", "mcp:call", "mcp:read"],
            error="invalid_token",
            error_description="The token has expired.",
            realm='the "gate"',
        )
        assert said == (
            'Bearer realm="the \\"gate\\"", error="invalid_token", error_description="The token has expired.", '
            f'scope="mcp:read mcp:call", resource_metadata="{METADATA}"'
        )

    @pytest.mark.parametrize(
        "said",
        [
            pytest.param({"scope": ["a b"]}, id="space in a scope"),
            pytest.param({"scope": ['a"b']}, id="quote in a scope"),
            pytest.param({"scope": ["a\\b"]}, id="backslash in a scope"),
            pytest.param({"scope": [""]}, id="empty scope"),
            pytest.param({"scope": ["\u00fc"]}, id="scope beyond ASCII"),
            pytest.param({"scope": "mcp:read"}, id="scopes as one string"),
            pytest.param({"error": ""}, id="empty error"),
            pytest.param({"error": 'x" y="'}, id="quote in the error"),
            pytest.param({"error": "x", "error_description": "it\\s"}, id="backslash in the description"),
            pytest.param({"error": "x", "error_description": "a\r\nSet-Cookie: b"}, id="line break in the description"),
            pytest.param({"error": "x", "error_description": "x\n"}, id="line break at the end"),
            pytest.param({"error": "x", "error_description": "m\u00fcde"}, id="description beyond ASCII"),
            pytest.param({"error_description": "why"}, id="description of no error"),
            pytest.param({"realm": "a\r\nb"}, id="line break in the realm"),
            pytest.param({"realm": "a\tb"}, id="tab in the realm"),
            pytest.param({"resource_metadata": "/.well-known/x"}, id="relative metadata URL"),
            pytest.param({"resource_metadata": "http://gw.internal/x"}, id="metadata URL without TLS"),
            pytest.param({"resource_metadata": 'https://gw.example/"'}, id="quote in the metadata URL"),
        ],
    )
    def test_what_cannot_be_said_is_a_programming_error(self, said: dict[str, Any]) -> None:
        """RS-401-08: nothing of a token or claim is reflected into the header."""
        with pytest.raises(ValueError, match=r"\w"):
            bearer(**{"resource_metadata": METADATA, **said})

    @pytest.mark.parametrize(
        "challenge",
        [
            pytest.param(Challenge(""), id="no scheme"),
            pytest.param(Challenge("Bearer,"), id="scheme is no token"),
            pytest.param(Challenge("DPoP", {"al gs": "x"}), id="name is no token"),
            pytest.param(Challenge("DPoP", {"algs": "x", "ALGS": "y"}), id="name twice"),
            pytest.param(Challenge("DPoP", {"algs": "\x00"}), id="control character"),
            pytest.param(Challenge("DPoP", {"algs": "x"}, "abc="), id="parameters and token68"),
            pytest.param(Challenge("Negotiate", token68="a b"), id="token68 with a space"),
        ],
    )
    def test_challenge_outside_the_grammar_is_not_written(self, challenge: Challenge) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            challenge.encode()

    def test_scheme_alone_is_written(self) -> None:
        assert Challenge("Negotiate").encode() == "Negotiate"


class TestReading:
    @pytest.mark.parametrize(
        ("field", "expected"),
        [
            pytest.param("", [], id="nothing"),
            pytest.param(" , ,\t", [], id="empty elements alone"),
            pytest.param("Bearer", [Challenge("Bearer")], id="scheme alone"),
            pytest.param("Bearer  ", [Challenge("Bearer")], id="scheme and spaces"),
            pytest.param('bearer realm="a"', [Challenge("bearer", {"realm": "a"})], id="scheme in lower case"),
            pytest.param('Bearer REALM="a"', [Challenge("Bearer", {"realm": "a"})], id="name in upper case"),
            pytest.param("Bearer error=invalid_token", [Challenge("Bearer", {"error": "invalid_token"})], id="token"),
            pytest.param('Bearer a = "1" ,b\t=\t2', [Challenge("Bearer", {"a": "1", "b": "2"})], id="bad whitespace"),
            pytest.param('Bearer a="1",,, b="2",', [Challenge("Bearer", {"a": "1", "b": "2"})], id="empty elements"),
            pytest.param('Bearer a="1, b=2"', [Challenge("Bearer", {"a": "1, b=2"})], id="comma in quotes"),
            pytest.param(
                r'Bearer a="say \"hi\" \\ \x"', [Challenge("Bearer", {"a": r'say "hi" \ x'})], id="quoted pairs"
            ),
            pytest.param('Bearer a=""', [Challenge("Bearer", {"a": ""})], id="empty value"),
            pytest.param('Bearer a="\u00fc\u20ac"', [Challenge("Bearer", {"a": "\u00fc\u20ac"})], id="beyond ASCII"),
            pytest.param("Negotiate YWJj==", [Challenge("Negotiate", token68="YWJj==")], id="token68"),
            pytest.param("X a=", [Challenge("X", token68="a=")], id="token68 that looks like a name"),
            pytest.param(
                'Basic realm="x", Bearer error="e", scope="a b", DPoP algs="ES256 RS256"',
                [
                    Challenge("Basic", {"realm": "x"}),
                    Challenge("Bearer", {"error": "e", "scope": "a b"}),
                    Challenge("DPoP", {"algs": "ES256 RS256"}),
                ],
                id="three schemes with parameters",
            ),
            pytest.param(
                'Negotiate, NTLM abc=, Bearer a="1", Negotiate',
                [
                    Challenge("Negotiate"),
                    Challenge("NTLM", token68="abc="),
                    Challenge("Bearer", {"a": "1"}),
                    Challenge("Negotiate"),
                ],
                id="bare schemes and token68 among parameters",
            ),
            pytest.param(
                'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
                [
                    Challenge("Newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
                    Challenge("Basic", {"realm": "simple"}),
                ],
                id="the example of RFC 9110 \u00a711.6.1",
            ),
        ],
    )
    def test_field_is_read(self, field: str, expected: list[Challenge]) -> None:
        assert read(field) == expected

    @pytest.mark.parametrize(
        "field",
        [
            pytest.param('Bearer a="1", a="2"', id="parameter twice (RS-401-08)"),
            pytest.param('Bearer a="1", A="2"', id="parameter twice, in another case"),
            pytest.param('Bearer a="1" b="2"', id="no comma"),
            pytest.param('Bearer a="1', id="quote not closed"),
            pytest.param('Bearer a="1\\', id="ends within a pair"),
            pytest.param('Bearer a="1\\"', id="closing quote escaped"),
            pytest.param('Bearer a="1"x', id="something after the quote"),
            pytest.param("Bearer a=b c", id="space in an unquoted value"),
            pytest.param("Bearer a=b=c", id="two equals signs"),
            pytest.param('Bearer a="\n"', id="line break in quotes"),
            pytest.param('Bearer a="\\\n"', id="escaped line break"),
            pytest.param('Bearer a="x"\n', id="line break at the end"),
            pytest.param("Bearer\n", id="line break after the scheme"),
            pytest.param('Bearer "a"', id="value without a name"),
            pytest.param('="a"', id="equals sign first"),
            pytest.param('a="b"', id="no scheme"),
            pytest.param("Bearer\trealm=x", id="tab after the scheme"),
            pytest.param("B\u00e4rer a=b", id="scheme beyond ASCII"),
            pytest.param("Bearer " + "a" * MAX_LENGTH, id="too long"),
            pytest.param("a," * (MAX_CHALLENGES + 1), id="too many challenges"),
            pytest.param("Bearer " + ",".join(f"p{n}=1" for n in range(MAX_PARAMS + 1)), id="too many parameters"),
        ],
    )
    def test_field_is_refused(self, field: str) -> None:
        with pytest.raises(InvalidChallenge):
            read(field)

    def test_bounds_themselves_are_allowed(self) -> None:
        assert len(read("a," * MAX_CHALLENGES)) == MAX_CHALLENGES
        assert len(read("Bearer " + ",".join(f"p{n}=1" for n in range(MAX_PARAMS)))[0].params) == MAX_PARAMS

    @given(st.one_of(st.text(), st.text(alphabet='aB1 ,="\\\t\n\x00\u00fc').map("Bearer ".__add__)))
    def test_any_text_is_read_or_refused(self, field: str) -> None:
        try:
            read(field)
        except InvalidChallenge as error:
            assert field not in str(error) or len(field) < 20  # noqa: PT017 - any other error is what fails here

    @given(st.lists(CHALLENGES, max_size=4))
    def test_what_is_written_is_read_again(self, challenges: list[Challenge]) -> None:
        assert read(", ".join(each.encode() for each in challenges)) == challenges


class TestFinding:
    BEARER = Challenge("Bearer", {"resource_metadata": METADATA})

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            pytest.param([], None, id="no field"),
            pytest.param(['Basic realm="x"'], None, id="another scheme"),
            pytest.param(["bEARER"], Challenge("bEARER"), id="scheme in any case"),
            pytest.param(['Basic realm="x"', BEARER.encode()], BEARER, id="second field"),
            pytest.param([f'DPoP algs="ES256", {BEARER.encode()}'], BEARER, id="second in one field"),
            pytest.param(["Basic =", BEARER.encode()], BEARER, id="malformed field beside it"),
            pytest.param(["Bearer", BEARER.encode()], BEARER, id="bare one of a proxy before it"),
            pytest.param([BEARER.encode(), 'Bearer resource_metadata="x"'], BEARER, id="first of two"),
            pytest.param(['Bearer error="a", error="b"'], None, id="parameter twice"),
            pytest.param(["Basic"] * MAX_FIELDS + ["Bearer"], None, id="beyond the bound"),
        ],
    )
    def test_bearer_challenge_is_found(self, fields: list[str], expected: Challenge | None) -> None:
        """CLI-01: a real parser, several challenges, quoted commas."""
        assert find_bearer(fields) == expected
