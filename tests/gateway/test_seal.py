"""Sealed values: what opens, and that nothing else does."""

from __future__ import annotations

import base64
import string
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OctKey

from gateway.seal import BEGINNING, HEADER, MAX_SEALED, Seal, Unlasting, Unsealable, seal_keys
from gateway.secret import InvalidSecret
from gateway.sources import parse

OLD, NEW = b"o" * 32, b"n" * 32
CONTENT = {"a": "text", "b": [1, 2]}
SEAL = Seal([OLD])
GOOD = SEAL.seal("code", CONTENT)
HEAD, KEY, NONCE, TEXT, TAG = GOOD.split(".")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def segment(content: object) -> str:
    raw = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_what_was_sealed_opens_as_it_was() -> None:
    assert SEAL.open("code", GOOD, dict[str, Any]) == CONTENT


def test_a_value_is_safe_in_urls_cookies_and_json_and_tells_nothing() -> None:
    assert set(GOOD) <= set(string.ascii_letters + string.digits + "-_.")
    assert GOOD.startswith(BEGINNING)
    assert "text" not in base64.urlsafe_b64decode(TEXT + "==").decode("latin-1")


def test_two_values_of_the_same_content_differ() -> None:
    assert SEAL.seal("code", CONTENT) != GOOD


def test_value_of_one_purpose_never_opens_as_another() -> None:
    with pytest.raises(Unsealable, match="sealed as code, not as state"):
        SEAL.open("state", GOOD, dict[str, Any])


def test_a_value_opens_until_its_time_is_over() -> None:
    clock = Clock()
    seal = Seal([OLD], clock)
    value = seal.seal("code", CONTENT, 60)
    clock.now += 59.9
    assert seal.open("code", value, dict[str, Any]) == CONTENT
    clock.now += 0.1
    with pytest.raises(Unlasting, match="0 s ago"):
        seal.open("code", value, dict[str, Any])


def test_a_value_without_a_time_lasts() -> None:
    clock = Clock()
    seal = Seal([OLD], clock)
    value = seal.seal("client", CONTENT)
    clock.now += 1e9
    assert seal.open("client", value, dict[str, Any]) == CONTENT


def test_the_first_key_seals_and_all_open() -> None:
    both, new = Seal([NEW, OLD]), Seal([NEW])
    assert both.open("code", GOOD, dict[str, Any]) == CONTENT
    assert new.open("code", both.seal("code", CONTENT), dict[str, Any]) == CONTENT
    with pytest.raises(Unsealable, match="no seal key of ours"):
        new.open("code", GOOD, dict[str, Any])


def test_content_of_another_shape_is_said_to_be_another_release() -> None:
    with pytest.raises(Unsealable, match="no int; another release"):
        SEAL.open("code", GOOD, int)


def test_what_is_sealed_by_our_key_but_no_envelope_does_not_open() -> None:
    value = jwe.encrypt_compact(dict(HEADER), b'"text"', OctKey.import_key(OLD))
    with pytest.raises(Unsealable):
        SEAL.open("code", value, str)


@pytest.mark.parametrize("keys", [[], [b"short"], [OLD, OLD[:-1]], [OLD + b"x"]])
def test_a_seal_needs_keys_of_32_bytes(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="each of 32 bytes"):
        Seal(keys)


def test_no_character_can_be_changed() -> None:
    for place, character in enumerate(GOOD):
        other = "A" if character != "A" else "B"
        with pytest.raises(Unsealable):
            SEAL.open("code", GOOD[:place] + other + GOOD[place + 1 :], dict[str, Any])


def test_no_character_can_be_added_or_left_out() -> None:
    for place in range(len(GOOD) + 1):
        for text in (GOOD[:place] + GOOD[place + 1 :], *(GOOD[:place] + c + GOOD[place:] for c in "A=. \n")):
            if text != GOOD:
                with pytest.raises(Unsealable):
                    SEAL.open("code", text, dict[str, Any])


def test_a_value_has_one_spelling() -> None:
    """The last character of a segment has bits that mean nothing; another one there must not open."""
    for character in string.ascii_letters + string.digits + "-_":
        if character != GOOD[-1]:
            with pytest.raises(Unsealable):
                SEAL.open("code", GOOD[:-1] + character, dict[str, Any])


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(["alg", "enc"], id="a list that holds the names"),
        pytest.param("alg and enc", id="a text that holds the names"),
        pytest.param({"alg": "dir", "enc": []}, id="enc that cannot be looked up"),
        pytest.param({**HEADER, "crit": 1}, id="crit that is no list"),
        pytest.param({**HEADER, "crit": ["exp"]}, id="an unknown extension"),
        pytest.param({**HEADER, "zip": "DEF"}, id="compression"),
        pytest.param({"alg": "A256KW", "enc": "A256GCM"}, id="a wrapped key"),
        pytest.param(
            {"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2s": "YWE", "p2c": 10**9}, id="a costly password"
        ),
        pytest.param({"alg": "dir", "enc": "A128CBC-HS256"}, id="another cipher"),
        pytest.param({"alg": "none", "enc": "none"}, id="no cipher"),
        pytest.param(b"[" * 700, id="a deep list"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_no_other_header_is_even_read(header: object) -> None:
    with pytest.raises(Unsealable, match="looks like none"):
        SEAL.open("code", ".".join([segment(header), KEY, NONCE, TEXT, TAG]), dict[str, Any])


def test_a_compressed_value_of_our_own_key_does_not_open() -> None:
    header = {**HEADER, "zip": "DEF"}
    bomb = jwe.encrypt_compact(header, b'["code",null,"' + b"a" * 100_000 + b'"]', OctKey.import_key(OLD))
    with pytest.raises(Unsealable):
        SEAL.open("code", bomb, str)


def test_a_value_of_any_length_is_not_looked_at() -> None:
    longest = SEAL.seal("code", "a" * 12_000)
    assert len(longest) <= MAX_SEALED
    assert SEAL.open("code", longest, str) == "a" * 12_000
    longer = SEAL.seal("code", "a" * 13_000)
    with pytest.raises(Unsealable, match="longer than any"):
        SEAL.open("code", longer, str)


@given(st.text())
def test_no_text_opens_or_does_worse(text: str) -> None:
    for value in (text, BEGINNING + text, f"{BEGINNING}{NONCE}.{text}.{TAG}", f"{BEGINNING}{NONCE}.{TEXT}.{text}"):
        with pytest.raises(Unsealable):
            SEAL.open("code", value, object)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_no_envelope_of_another_kind_opens(content: object) -> None:
    value = jwe.encrypt_compact(dict(HEADER), msgspec.json.encode(content), OctKey.import_key(OLD))
    with pytest.raises(Unsealable):
        SEAL.open("code", value, str)


def test_the_error_never_holds_the_value() -> None:
    for value in (GOOD, GOOD[:-1], "a-secret-code"):
        with pytest.raises(Unsealable) as raised:
            SEAL.open("other", value, str)
        assert value not in str(raised.value)


def settings(**changes: Any) -> Any:
    return parse({"public_url": "https://gw.example", "issuers": [{"issuer": "https://i.example"}]} | changes)


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda key: base64.b64encode(key).decode(), id="Base64"),
        pytest.param(lambda key: base64.urlsafe_b64encode(key).decode(), id="Base64url"),
        pytest.param(lambda key: base64.urlsafe_b64encode(key).decode().rstrip("="), id="without padding"),
        pytest.param(lambda key: f" {base64.b64encode(key).decode()}\n", id="with blanks around"),
    ],
)
def test_keys_are_32_bytes_in_any_base64(spell: Any) -> None:
    key = bytes(range(0xE0, 0x100))  # what needs both special characters
    assert seal_keys(settings(seal_keys=[spell(key)])) == [key]


def test_keys_may_be_in_a_file_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\n".join(base64.b64encode(key).decode() for key in (NEW, OLD)) + "\n\n")
    assert seal_keys(settings(seal_keys_file=str(file))) == [NEW, OLD]


def test_settings_without_a_key_have_none() -> None:
    assert seal_keys(settings()) == []


@pytest.mark.parametrize(
    "text", ["", "x", "a key that is no Base64 at all, really", "A" * 42, "A" * 44, "é" * 43, "A=" * 22]
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    made = settings()
    with pytest.raises(InvalidSecret, match="openssl rand -base64 32") as raised:
        seal_keys(msgspec.structs.replace(made, seal_keys=[text]))
    assert len(text) < 2 or text not in str(raised.value)
