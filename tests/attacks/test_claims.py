"""Claims: issuer, audience, times, names, scopes and binding, each wrong in every way that a type allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.issuer import ABSENT
from tests.attacks.battery import NOW, Forge, Verdict, claims, honest, standing, withstands, written
from tests.gated import ISSUER, PUBLIC, RESOURCE

LEEWAY = 30

NO_SCOPE = Verdict("insufficient_scope", 403, "insufficient_scope")


def issuer_rows() -> Iterator[Any]:
    value: Any
    others = {
        "in upper case": ISSUER.upper(),
        "with its scheme in upper case": ISSUER.replace("https", "HTTPS"),
        "with its host in upper case": "https://Issuer.example",
        "with a slash": f"{ISSUER}/",
        "with two slashes": f"{ISSUER}//",
        "with a port": f"{ISSUER}:443",
        "with a path": f"{ISSUER}/other",
        "with dots": f"{ISSUER}/.",
        "with a query": f"{ISSUER}?",
        "with a fragment": f"{ISSUER}#",
        "with a user": "https://user@issuer.example",
        "with a final dot": f"{ISSUER}.",
        "with a blank in front": f" {ISSUER}",
        "with a blank behind": f"{ISSUER} ",
        "with a newline": f"{ISSUER}\n",
        "with a NUL": f"{ISSUER}\0",
        "over http": ISSUER.replace("https", "http"),
        "without a scheme": "issuer.example",
        "a prefix": ISSUER[:-1],
        "a look-alike domain": f"{ISSUER}.evil.test",
        "a Cyrillic letter": ISSUER.replace("e", "\u0435"),
        "full width": ISSUER.replace("i", "\uff49"),
        "a soft hyphen": ISSUER.replace("issuer", "iss\u00aduer"),
        "decomposed": ISSUER.replace("e", "e\u0301"),
        "empty": "",
        "two in one": f"{ISSUER} {ISSUER}",
        "another's": "https://evil.test",
        "of 10 KiB": f"{ISSUER}/{'a' * 10_000}",
        "CRLF and quotes": f'{ISSUER}"\r\nX-Evil: 1',
        "a terminal's escape": "\x1b[2Jissuer",
    }
    for name, value in others.items():
        yield pytest.param(claims(iss=value), "unknown_issuer", id=f"iss {name}")
    for value in (ABSENT, None, 5, 1.5, True, [ISSUER], [], {"iss": ISSUER}):
        yield pytest.param(claims(iss=value), "malformed_token", id=f"iss {value!r}")
    yield pytest.param(written(f'"iss":"{ISSUER}"', f'"ISS":"{ISSUER}"'), "malformed_token", id="iss as ISS")
    yield pytest.param(written(f'"iss":"{ISSUER}"', '"iss":"\\ud800"'), "malformed_token", id="iss half a surrogate")


def audience_rows() -> Iterator[Any]:
    value: Any
    strings = {
        "another resource": "https://other.example/mcp",
        "empty": "",
        "the origin": PUBLIC,
        "the origin with a slash": f"{PUBLIC}/",
        "a trailing slash": f"{RESOURCE}/",
        "a prefix": RESOURCE[:-1],
        "a suffix": f"{RESOURCE}2",
        "below": f"{RESOURCE}/tool",
        "beside": f"{PUBLIC}/other",
        "the path": "/mcp",
        "the host": "gw.example",
        "without its scheme": "gw.example/mcp",
        "over http": RESOURCE.replace("https", "http"),
        "host in upper case": "https://GW.example/mcp",
        "scheme in upper case": "HTTPS://gw.example/mcp",
        "path in upper case": f"{PUBLIC}/MCP",
        "a port": "https://gw.example:443/mcp",
        "a query": f"{RESOURCE}?a",
        "an empty query": f"{RESOURCE}?",
        "an empty fragment": f"{RESOURCE}#",
        "an escape": f"{PUBLIC}/%6dcp",
        "a dot segment": f"{PUBLIC}/./mcp",
        "a doubled slash": f"{PUBLIC}//mcp",
        "a user": "https://gw.example@evil.test/mcp",
        "a domain that begins alike": "https://gw.example.evil.test/mcp",
        "two joined by a blank": f"{RESOURCE} https://other.example",
        "two joined by a comma": f"{RESOURCE},https://other.example",
        "a blank in front": f" {RESOURCE}",
        "a newline behind": f"{RESOURCE}\n",
        "a NUL behind": f"{RESOURCE}\0",
        "a star": "*",
        "a pattern": f"{PUBLIC}/*",
        "a Cyrillic letter": RESOURCE.replace("c", "\u0441"),
        "the client": "client-one",
        "the issuer": ISSUER,
        "a list as text": f'["{RESOURCE}"]',
        "of 1,000 words": f"{RESOURCE} " * 100,
    }
    for name, value in strings.items():
        yield pytest.param(claims(aud=value), "wrong_audience", id=f"aud {name}")
        yield pytest.param(claims(aud=[value]), "wrong_audience", id=f"aud list of {name}")
    yield pytest.param(claims(aud=ABSENT), "wrong_audience", id="aud missing")
    yield pytest.param(claims(aud=[]), "wrong_audience", id="aud list of nothing")
    yield pytest.param(claims(aud=list(RESOURCE)), "wrong_audience", id="aud list of letters")
    for value in (
        *(None, 0, 5, 1.5, True, False, {}, {"aud": RESOURCE}, {RESOURCE: RESOURCE}, [[RESOURCE]], [None], [5]),
        *([RESOURCE, 5], [RESOURCE, None], [RESOURCE, [RESOURCE]], [{"aud": RESOURCE}]),
    ):
        yield pytest.param(claims(aud=value), "malformed_token", id=f"aud {value!r}")
    yield pytest.param(written('"aud":', '"Aud":'), "wrong_audience", id="aud as Aud")
    yield pytest.param(claims(aud=ABSENT, resource=RESOURCE), "wrong_audience", id="resource in place of aud")


def time_rows() -> Iterator[Any]:
    value: Any
    for ago in (LEEWAY, LEEWAY + 1, 600, 3600, NOW):
        yield pytest.param(claims(exp=NOW - ago), "expired_token", id=f"exp {ago:.0f} s ago")
    for value in (ABSENT, None, True, "9999999999", "", [NOW + 60], {"exp": NOW + 60}, -1, -0.5, 10**18, 10**400):
        yield pytest.param(claims(exp=value), "malformed_token", id=f"exp {str(value)[:20]} {type(value).__name__}")
    exp = f'"exp":{NOW + 3600:.0f}'
    for text in (
        "1e400",
        "-1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "1" * 5000,
        "0x7fffffff",
        "1_900_000_000",
        "+1900000000",
    ):
        yield pytest.param(written(exp, f'"exp":{text}'), "malformed_token", id=f"exp {text[:20]}")
    yield pytest.param(claims(exp=253_402_300_800), "malformed_token", id="exp in the year 10000")
    yield pytest.param(claims(exp=(NOW + 3600) * 1000), "malformed_token", id="exp in milliseconds")
    for claim in ("nbf", "iat"):
        for ahead in (LEEWAY + 1, 600, 86_400, 10 * 365 * 86_400):
            yield pytest.param(claims(**{claim: NOW + ahead}), "not_yet_valid", id=f"{claim} {ahead} s ahead")
        for value in (None, True, "0", "", [0], {}, -1, 10**18, math.inf):
            yield pytest.param(claims(**{claim: value}), "malformed_token", id=f"{claim} {value!r}")


def name_rows() -> Iterator[Any]:
    for claim in ("sub", "client_id"):
        for value in (None, 5, True, 1.5, ["alice"], {"sub": "alice"}, "a" * 1025, "a\0b", "a\r\nX-Evil: 1", "\x1b[2J"):
            yield pytest.param(claims(**{claim: value}), "malformed_token", id=f"{claim} {repr(value)[:30]}")
    yield pytest.param(claims(sub=ABSENT, client_id=ABSENT), "malformed_token", id="neither sub nor client_id")
    yield pytest.param(claims(sub="", client_id=""), "malformed_token", id="sub and client_id empty")
    yield pytest.param(
        written('"client_id":"client-one"', '"client_id":"\\ud800"'), "malformed_token", id="client_id half a surrogate"
    )
    yield pytest.param(claims(sub="\u202ealice"), "malformed_token", id="sub from right to left")
    yield pytest.param(claims(sub="\u200balice"), "malformed_token", id="sub with a blank of no width")


def scope_rows() -> Iterator[Any]:
    refused = {
        "missing": ABSENT,
        "empty": "",
        "a blank": " ",
        "another": "mcp:admin",
        "a prefix": "mcp:us",
        "a suffix": "mcp:use2",
        "in upper case": "MCP:USE",
        "a part": "use",
        "joined by a comma": "mcp:use,mcp:admin",
        "joined by a tab": "mcp:admin\tmcp:use",
        "joined by a newline": "mcp:admin\nmcp:use",
        "joined by a wide blank": "mcp:admin\u3000mcp:use",
        "joined by a plus": "mcp:admin+mcp:use",
        "escaped": "mcp%3Ause",
        "in quotes": '"mcp:use"',
        "a star": "*",
        "a pattern": "mcp:*",
        "a Cyrillic letter": "m\u0441p:use",
        "with a NUL": "mcp:use\0",
    }
    for name, value in refused.items():
        yield pytest.param(claims(scope=value), NO_SCOPE, id=f"scope {name}")
    for value in (None, 5, True, ["mcp:use"], [], {"mcp:use": True}):
        yield pytest.param(claims(scope=value), "malformed_token", id=f"scope {value!r}")
    for value in (5, None, True, [5], ["mcp:use", 5], [["mcp:use"]], {"mcp:use": 1}):
        yield pytest.param(claims(scope=ABSENT, scp=value), "malformed_token", id=f"scp {value!r}")
    yield pytest.param(claims(scope="", scp=["mcp:use"]), NO_SCOPE, id="scp beside an empty scope")
    yield pytest.param(claims(scope=ABSENT, Scope="mcp:use"), NO_SCOPE, id="scope as Scope")
    yield pytest.param(claims(scope=ABSENT, permissions=["mcp:use"]), NO_SCOPE, id="permissions in place of scope")


CONFIRMATIONS: tuple[Any, ...] = (
    {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
    {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
    {"jwk": {}},
    {"unknown": 1},
    {},
    [],
    "",
    "jkt",
    False,
    0,
)

BOUND = [
    *(pytest.param(claims(cnf=cnf), "bound_token", id=f"cnf {cnf!r}") for cnf in CONFIRMATIONS),
    pytest.param(claims(token_use="id"), "wrong_token_kind", id="token_use id"),
    pytest.param(claims(token_use="refresh"), "wrong_token_kind", id="token_use refresh"),
    pytest.param(claims(token_use=None), "wrong_token_kind", id="token_use null"),
    pytest.param(claims(token_use=["access"]), "wrong_token_kind", id="token_use list"),
]


@pytest.mark.parametrize(
    ("forge", "expected"),
    [*issuer_rows(), *audience_rows(), *time_rows(), *name_rows(), *scope_rows(), *BOUND],
)
async def test_token_with_a_wrong_claim_is_refused(
    forge: Forge, expected: str | Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing() as door:
        await withstands(door, forge, expected, lambda: caplog.text)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": [RESOURCE]}, id="aud a list of one"),
        pytest.param({"aud": ["https://other.example", RESOURCE]}, id="aud a list with it"),
        pytest.param({"aud": [RESOURCE, RESOURCE]}, id="aud a list with it twice"),
        pytest.param({"exp": NOW + 0.5}, id="exp a fraction ahead"),
        pytest.param({"exp": NOW - LEEWAY + 1}, id="exp within the leeway"),
        pytest.param({"nbf": NOW + LEEWAY}, id="nbf within the leeway"),
        pytest.param({"iat": NOW + LEEWAY}, id="iat within the leeway"),
        pytest.param({"iat": ABSENT}, id="no iat"),
        pytest.param({"scope": "  mcp:use   mcp:use "}, id="scope with blanks"),
        pytest.param({"scope": ABSENT, "scp": ["mcp:use"]}, id="scp in place of scope"),
        pytest.param({"sub": "J\u00fcrgen Gr\u00f6\u00dfe"}, id="sub with letters of many lands"),
        pytest.param({"sub": "a" * 1024}, id="sub of 1,024 characters"),
        pytest.param({"sub": ABSENT}, id="no sub but a client"),
        pytest.param({"groups": "admins"}, id="groups that are no list"),
    ],
)
async def test_token_at_the_edge_of_what_is_right_is_accepted(changes: dict[str, Any]) -> None:
    async with standing() as door:
        assert (await door.post(honest(door.issuer, claims=changes))).status_code == 200
