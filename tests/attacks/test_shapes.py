"""Shapes: what is hardly a token at all. Parts, alphabets, encodings, JSON that two readers read in two ways."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.issuer import Issuer
from conformance.issuer.signing import segment
from tests.attacks.battery import (
    MALFORMED_REQUEST,
    MISSING,
    NOW,
    Forge,
    Verdict,
    edited,
    honest,
    honest_claims,
    keeps_secret,
    payload,
    present,
    standing,
    withstands,
    written,
)
from tests.gated import ISSUER, gated, plain_issuer

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def parts(issuer: Issuer) -> tuple[str, str, str]:
    first, second, third = honest(issuer).split(".")
    return first, second, third


def reshaped(pattern: str) -> Forge:
    """The parts of an honest token, put together in another way: h, p and s stand for them."""
    return lambda issuer: re.sub("[hps]", lambda found: parts(issuer)["hps".index(found[0])], pattern)


def respelled(part: int, spell: Any) -> Forge:
    """An honest token one of whose parts is spelled in another way."""

    def forge(issuer: Issuer) -> str | bytes:
        pieces: list[Any] = list(parts(issuer))
        pieces[part] = spell(pieces[part])
        if isinstance(pieces[part], bytes):
            return b".".join(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces)
        return ".".join(pieces)

    return forge


def stray_bits(text: str) -> str:
    """The last character with bits set that no byte uses."""
    text = segment(base64.urlsafe_b64decode(text + "==")[:-1] if len(text) % 4 == 0 else b"") or text
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) | 1]


def shape_rows() -> Iterator[Any]:
    shapes = {
        "one part": "h",
        "two parts": "h.p",
        "two parts and a dot": "h.p.",
        "four parts": "h.p.s.s",
        "five parts": "h.p.s.h.p",
        "six parts": "h.p.s.h.p.s",
        "an empty header": ".p.s",
        "an empty payload": "h..s",
        "only a signature": "..s",
        "three dots": "...",
        "two dots": "..",
        "a dot": ".",
        "a dot in front": ".h.p.s",
        "a dot behind": "h.p.s.",
        "a doubled dot": "h..p.s",
        "its parts in another order": "p.h.s",
        "its header as payload": "h.h.s",
        "its payload as header": "p.p.s",
        "a tilde behind": "h.p.s~",
        "parted by slashes": "h/p/s",
        "parted by colons": "h:p:s",
    }
    for name, pattern in shapes.items():
        yield pytest.param(reshaped(pattern), "malformed_token", id=name)
    for size in (1, 100, 8 * 1024, 16 * 1024):
        yield pytest.param(lambda _, size=size: "a" * size, "malformed_token", id=f"{size} letters")
        yield pytest.param(lambda _, size=size: "." * size, "malformed_token", id=f"{size} dots")
    for size in (16 * 1024 + 1, 64 * 1024, 1024 * 1024):
        yield pytest.param(lambda _, size=size: "a" * size, "oversized_token", id=f"{size} letters")
        yield pytest.param(
            lambda _, size=size: "a." * (size // 2 + 1), "oversized_token", id=f"{size} letters and dots"
        )
    yield pytest.param(
        lambda issuer: honest(issuer, claims={"groups": ["g" * 100] * 200}),
        "oversized_token",
        id="a valid one of 20 KiB",
    )
    yield pytest.param(lambda _: b"", MISSING, id="nothing")
    yield pytest.param(lambda _: b"  ", MISSING, id="blanks")
    for word in ("null", "undefined", "None", "true", "[object Object]", "Bearer", "{}", "%00"):
        expected = MALFORMED_REQUEST if " " in word else "malformed_token"
        yield pytest.param(lambda _, word=word: word, expected, id=f"the word {word}")


def spelling_rows() -> Iterator[Any]:
    for part, name in enumerate(("header", "payload", "signature")):
        spellings: dict[str, Any] = {
            "padding": lambda text: text + "=" * (-len(text) % 4 or 4),
            "one sign of padding": lambda text: text + "=",
            "a blank escaped": lambda text: text[:8] + "%20" + text[8:],
            "a plus in front": lambda text: "+" + text[1:],
            "a slash in front": lambda text: "/" + text[1:],
            "a newline": lambda text: text[:8] + "\n" + text[8:],
            "a carriage return": lambda text: text[:8] + "\r\n" + text[8:],
            "a tab": lambda text: text[:8] + "\t" + text[8:],
            "a NUL": lambda text: text[:8] + "\0" + text[8:],
            "a NUL behind": lambda text: text + "\0",
            "stray bits": stray_bits,
            "a length that no bytes have": lambda text: text[: len(text) // 4 * 4] + "A",
            "an exclamation mark": lambda text: "!" + text[1:],
            "a tilde": lambda text: "~" + text[1:],
            "a byte beyond ASCII": lambda text: b"\xff" + text[1:].encode(),
            "full width": lambda text: "\uff41".encode() + text[1:].encode(),
            "hexadecimal": lambda text: base64.urlsafe_b64decode(text + "==").hex() + "z",
            "base64 of it": lambda text: segment(text.encode()) + "!",
        }
        for how, spell in spellings.items():
            yield pytest.param(respelled(part, spell), "malformed_token", id=f"{name} with {how}")
        yield pytest.param(
            respelled(part, lambda text: text[:8] + " " + text[8:]), MALFORMED_REQUEST, id=f"{name} with a blank"
        )
        yield pytest.param(
            respelled(part, lambda text: text[:8] + "," + text[8:]), MALFORMED_REQUEST, id=f"{name} with a comma"
        )


def skipped_rows() -> Iterator[Any]:
    """Characters that a lenient decoder skips; one of three lengths leaves it nothing else to stumble over."""
    for length in range(3):
        for character in "~+/":
            yield pytest.param(
                lambda issuer, length=length, character=character: honest(issuer, header={"x": "x" * length}).replace(
                    ".", f"{character * 4}.", 1
                ),
                "malformed_token",
                id=f"header with four {character} behind, {length} more bytes",
            )


# Newer Pythons bear more depth than a token has room for.
DEEP = {"depth": lambda text: text[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}"}


def json_rows() -> Iterator[Any]:
    documents: dict[str, bytes] = {
        "nothing": b"",
        "a blank": b" ",
        "a list": b'[{"iss":"https://issuer.example"}]',
        "a text": b'"https://issuer.example"',
        "a number": b"5",
        "null": b"null",
        "true": b"true",
        "an empty object": b"{}",
        "half an object": b'{"iss":"https://issuer.example"',
        "single quotes": b"{'iss':'https://issuer.example'}",
        "deep lists": b"[" * 5000 + b"]" * 5000,
        "deep objects": b'{"a":' * 1500 + b"1" + b"}" * 1500,
        "a comment": b'{"iss":"https://issuer.example"/**/}',
        "a comma behind": b'{"iss":"https://issuer.example",}',
        "a NUL": b"\0",
        "bytes": bytes(range(128, 256)),
        "XML": b"<iss>https://issuer.example</iss>",
    }
    for name, document in documents.items():
        yield pytest.param(payload(document), "malformed_token", id=f"payload {name}")
        yield pytest.param(
            lambda issuer, document=document: honest(issuer, header=document), "malformed_token", id=f"header {name}"
        )
    for name, change in {
        "a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
        "in UTF-16": lambda text: text.decode().encode("utf-16"),
        "in UTF-16 without its mark": lambda text: text.decode().encode("utf-16-le"),
        "in UTF-32": lambda text: text.decode().encode("utf-32"),
        "NUL behind": lambda text: text + b"\0",
        "twice": lambda text: text + text,
        "text behind": lambda text: text + b" x",
        "a form feed in front": lambda text: b"\f" + text,
        "invalid UTF-8 in a value": lambda text: text[:-1] + b',"x":"\xff"}',
        "an overlong sequence": lambda text: text[:-1] + b',"x":"\xc0\xaf"}',
        "half a surrogate in UTF-8": lambda text: text[:-1] + b',"x":"\xed\xa0\x80"}',
        "half a surrogate escaped": lambda text: text[:-1] + b',"x":"\\ud800"}',
        "a control character in a value": lambda text: text[:-1] + b',"x":"\n"}',
        "NaN": lambda text: text[:-1] + b',"x":NaN}',
        "infinity": lambda text: text[:-1] + b',"x":-Infinity}',
        "a number of 5,000 digits": lambda text: text[:-1] + b',"x":' + b"1" * 5000 + b"}",
        "a member twice": lambda text: text[:-1] + b',"x":1,"x":1}',
        "a member twice, far inside": lambda text: text[:-1] + b',"x":[{"y":{"z":1,"z":1}}]}',
        "a member twice, once escaped": lambda text: text[:-1] + b',"x":1,"\\u0078":1}',
        **(DEEP if sys.version_info < (3, 12) else {}),
    }.items():
        yield pytest.param(
            lambda issuer, change=change: honest(issuer, claims=change(json.dumps(honest_claims(issuer)).encode())),
            "malformed_token",
            id=f"payload {name}",
        )
        yield pytest.param(
            lambda issuer, change=change: honest(issuer, header=change(honest_header(issuer))),
            "malformed_token",
            id=f"header {name}",
        )


def honest_header(issuer: Issuer) -> bytes:
    return json.dumps({"kid": issuer.keys.access.kid, "alg": "RS256", "typ": "at+jwt"}).encode()


def duplicate_rows() -> Iterator[Any]:
    doubled = {
        "iss, wrong first": (f'"iss":"{ISSUER}"', f'"iss":"https://evil.test","iss":"{ISSUER}"'),
        "iss, right twice": (f'"iss":"{ISSUER}"', f'"iss":"{ISSUER}","iss":"{ISSUER}"'),
        "iss, once escaped": (f'"iss":"{ISSUER}"', f'"\\u0069ss":"https://evil.test","iss":"{ISSUER}"'),
        "exp, past first": ('"exp":', f'"exp":{NOW - 3600:.0f},"exp":'),
        "exp, past last": (f'"exp":{NOW + 3600:.0f}', f'"exp":{NOW + 3600:.0f},"exp":{NOW - 3600:.0f}'),
        "aud, wrong first": ('"aud":', '"aud":"https://other.example","aud":'),
        "sub": ('"sub":', '"sub":"somebody","sub":'),
        "scope": ('"scope":', '"scope":"mcp:admin","scope":'),
        "cnf, null last": ('"sub":', '"cnf":{"jkt":"x"},"cnf":null,"sub":'),
    }
    for name, (old, new) in doubled.items():
        yield pytest.param(written(old, new), "malformed_token", id=f"twice {name}")
    yield pytest.param(
        written(f'"iss":"{ISSUER}"', f'"iss":"{ISSUER}","iss":"https://evil.test"'),
        "unknown_issuer",
        id="twice iss, wrong last",
    )
    for name, text in {
        "alg, none first": '"alg":"none","alg":"RS256"',
        "alg, none last": '"alg":"RS256","alg":"none"',
        "alg, right twice": '"alg":"RS256","alg":"RS256"',
        "alg, once escaped": '"\\u0061lg":"none","alg":"RS256"',
        "kid": '"kid":"x","alg":"RS256"',
        "typ": '"typ":"JWT","alg":"RS256"',
    }.items():
        yield pytest.param(
            lambda issuer, text=text: honest(
                issuer, header=honest_header(issuer).replace(b'"alg": "RS256"', text.encode())
            ),
            "malformed_token",
            id=f"twice {name}",
        )


def passage(old: str, new: str) -> Forge:
    """A token whose payload was edited after it was signed."""

    def forge(issuer: Issuer) -> str:
        first, _, third = parts(issuer)
        return f"{first}.{segment(edited(issuer, old, new))}.{third}"

    return forge


FORGED = [
    pytest.param(passage('"sub":"', '"sub":"x'), "bad_signature", id="sub edited"),
    pytest.param(passage("mcp:use", "mcp:use mcp:admin"), "bad_signature", id="scope edited"),
    pytest.param(passage(f'"exp":{NOW + 3600:.0f}', f'"exp":{NOW + 9600:.0f}'), "bad_signature", id="exp edited"),
    pytest.param(passage('"groups":["admins"]', '"groups":["root"]'), "bad_signature", id="groups edited"),
    pytest.param(passage('"jti"', ' "jti"'), "bad_signature", id="a blank added"),
    pytest.param(
        lambda issuer: ".".join([segment(honest_header(issuer) + b" "), *parts(issuer)[1:]]),
        "bad_signature",
        id="a blank added to the header",
    ),
]

ATTACKS = [*shape_rows(), *spelling_rows(), *skipped_rows(), *json_rows(), *duplicate_rows(), *FORGED]


@pytest.mark.parametrize(("forge", "expected"), ATTACKS)
async def test_token_of_another_shape_is_refused(
    forge: Forge, expected: str | Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing() as door:
        await withstands(door, forge, expected, lambda: caplog.text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_no_change_of_a_token_passes(caplog: pytest.LogCaptureFixture, data: st.DataObject) -> None:
    issuer = plain_issuer()
    issuer.clock.set(NOW)
    async with gated(issuer) as door:
        token = bytearray(honest(issuer).encode())
        assert (await present(door, bytes(token))).status_code == 200
        changes = st.tuples(st.integers(0, len(token) - 1), st.integers(1, 127))
        for place, mask in data.draw(st.lists(changes, min_size=1, max_size=5, unique_by=lambda change: change[0])):
            token[place] ^= mask
        response = await present(door, bytes(token))
        assert response.status_code in (400, 401)
        assert len(door.app.scopes) == 1
        keeps_secret(bytes(token), response, door, caplog.text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.from_regex(rb"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
async def test_no_bytes_but_a_token_pass_or_break_the_gate(credentials: bytes) -> None:
    async with gated() as door:
        response = await present(door, credentials)
        assert response.status_code in (400, 401)
        assert not door.app.scopes
