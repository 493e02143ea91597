"""Keys and signatures as the RFCs print them, and as another implementation makes them; nothing else verifies."""

from __future__ import annotations

import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OKPKey
from joserfc.jws import JWSRegistry

from conformance.issuer import rsa_key
from gateway.keys import FITS
from gateway.signature import key_of, number, octets
from tests.gated import keys

RSA = keys().access
OTHERS: dict[str, Key] = {
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "ES512": ECKey.generate_key("P-521"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}
SAID = b"eyJhbGciOiJ9.e30"


def private(algorithm: str) -> Key:
    return OTHERS.get(algorithm, RSA)


def public(algorithm: str, **changes: Any) -> dict[str, Any]:
    return {**private(algorithm).as_dict(private=False), **changes}


def signed(algorithm: str, said: bytes = SAID) -> bytes:
    with warnings.catch_warnings(action="ignore"):  # of EdDSA, which RFC 9864 calls Ed25519
        return JWSRegistry.algorithms[algorithm].sign(said, private(algorithm))


def verifies(algorithm: str, said: bytes, signature: bytes) -> bool:
    key = key_of(public(algorithm), algorithm)
    assert key is not None
    return key.signed(said, signature)


@pytest.mark.parametrize(
    ("algorithm", "jwk", "token"),
    [
        pytest.param(
            "ES256",
            {"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
            "Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            id="RFC 7515 A.3",
        ),
        pytest.param(
            "EdDSA",
            {"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhij"
            "cNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            id="RFC 8037 A.4",
        ),
    ],
)
def test_signature_of_the_standard_verifies(algorithm: str, jwk: dict[str, Any], token: str) -> None:
    key = key_of(jwk, algorithm)
    assert key is not None
    signing_input, _, signature = token.encode().rpartition(b".")
    assert key.signed(signing_input, urlsafe_b64decode(signature + b"=="))


@pytest.mark.parametrize("algorithm", FITS)
class TestEveryAlgorithm:
    def test_signature_that_another_implementation_made_verifies(self, algorithm: str) -> None:
        assert verifies(algorithm, SAID, signed(algorithm))

    def test_signature_verifies_nothing_but_what_was_signed(self, algorithm: str) -> None:
        assert not verifies(algorithm, SAID + b".", signed(algorithm))

    def test_signature_with_one_bit_changed_does_not_verify(self, algorithm: str) -> None:
        good = signed(algorithm)
        for place in (0, len(good) // 2, len(good) - 1):
            changed = bytearray(good)
            changed[place] ^= 1
            assert not verifies(algorithm, SAID, bytes(changed))

    def test_signature_of_another_length_does_not_verify(self, algorithm: str) -> None:
        good = signed(algorithm)
        half = len(good) // 2
        longer = (good + b"\0", b"\0" + good, good[:half] + b"\0" + good[half:])
        for other in (b"", good[:-1], good[:half], bytes(len(good)), *longer):
            assert not verifies(algorithm, SAID, other)

    def test_signature_of_another_algorithm_does_not_verify(self, algorithm: str) -> None:
        others = [signed(other) for other in FITS if other != algorithm]
        assert not any(verifies(algorithm, SAID, other) for other in others)

    @given(signature=st.binary(max_size=600))
    def test_no_bytes_break_it(self, algorithm: str, signature: bytes) -> None:
        assert not verifies(algorithm, SAID, signature)


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        pytest.param("RS256", {"n": None}, id="RSA, a modulus that is no text"),
        pytest.param("RS256", {"e": "AQAB="}, id="RSA, padded"),
        pytest.param("RS256", {"e": "AQ+B"}, id="RSA, not of the alphabet for URLs"),
        pytest.param("RS256", {"e": "AA"}, id="RSA, exponent nought"),
        pytest.param("RS256", {"e": "AQ"}, id="RSA, exponent one"),
        pytest.param("RS256", {"e": ""}, id="RSA, no exponent"),
        pytest.param("PS256", {"n": "é"}, id="RSA, not ASCII"),
        pytest.param("ES256", {"x": public("ES256")["y"]}, id="EC, beside its curve"),
        pytest.param("ES256", {"x": public("ES384")["x"]}, id="EC, of another curve"),
        pytest.param("ES256", {"x": "", "y": ""}, id="EC, at nowhere"),
        pytest.param("EdDSA", {"x": public("ES384")["x"]}, id="Ed25519, too long"),
        pytest.param("EdDSA", {"x": ""}, id="Ed25519, nothing"),
    ],
)
def test_numbers_that_are_no_key_make_none(algorithm: str, changes: dict[str, Any]) -> None:
    assert key_of(public(algorithm, **changes), algorithm) is None


@pytest.mark.parametrize(("algorithm", "member"), [("RS256", "n"), ("ES256", "y"), ("EdDSA", "x")])
def test_missing_number_makes_no_key(algorithm: str, member: str) -> None:
    jwk = public(algorithm)
    del jwk[member]
    assert key_of(jwk, algorithm) is None


def test_weak_key_makes_none() -> None:
    assert key_of(rsa_key(1024).as_dict(private=False), "RS256") is None


def test_number_with_leading_zeros_is_the_number() -> None:
    """RFC 7518 §2 asks for none, and some issuers write the byte of the sign."""
    assert number("AQAB") == number("AAEAAQ") == 65537


@given(st.binary(max_size=40))
def test_bytes_have_one_spelling(value: bytes) -> None:
    spelled = urlsafe_b64encode(value).rstrip(b"=").decode()
    assert octets(spelled) == value
    for other in (f"{spelled}=", f"{spelled}\n", f" {spelled}", spelled[:-1] + "=" if spelled else "="):
        with pytest.raises(ValueError):  # noqa: PT011 - any reason will do
            octets(other)
