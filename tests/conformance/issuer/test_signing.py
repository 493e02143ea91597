"""The lowest level of the instrument: any header and payload under any signature, verified with joserfc."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey
from joserfc.jws import JWSRegistry

from conformance.issuer import Issuer, Keys, flip_bit, rsa_key, sign
from conformance.issuer.signing import SigningKey, usual_algorithm

SECRET = b"a secret of at least 32 bytes, as it should be"
P256, P384, P521 = (ECKey.generate_key(curve) for curve in ("P-256", "P-384", "P-521"))
ED25519 = OKPKey.generate_key("Ed25519")


def part(token: str, index: int) -> bytes:
    """One part of a token, decoded."""
    return base64.urlsafe_b64decode(token.split(".")[index] + "==")


def verified(token: str, key: Key, alg: str) -> bool:
    """Whether joserfc, told the algorithm, takes the signature for good."""
    signing_input = token.rpartition(".")[0]
    return JWSRegistry.algorithms[alg].verify(signing_input.encode(), part(token, 2), key)


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_rsa_algorithm_in_the_header_is_the_one_used(signing_keys: Keys, alg: str) -> None:
    token = sign({"alg": alg}, {"a": 1}, signing_keys.access)
    assert verified(token, signing_keys.access, alg)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        pytest.param(P256, "ES256", id="ES256"),
        pytest.param(P384, "ES384", id="ES384"),
        pytest.param(P521, "ES512", id="ES512"),
        pytest.param(ED25519, "EdDSA", id="EdDSA"),
        pytest.param(OctKey.import_key(SECRET), "HS256", id="HS256"),
    ],
)
def test_key_without_a_named_algorithm_signs_in_its_usual_way(key: Key, alg: str) -> None:
    assert usual_algorithm(key) == alg
    assert verified(sign({"kid": "x"}, {}, key), key, alg)


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_bytes_are_an_hmac_secret(alg: str) -> None:
    assert verified(sign({"alg": alg}, {}, SECRET), OctKey.import_key(SECRET), alg)


@pytest.mark.parametrize("form", [PublicFormat.PKCS1, PublicFormat.SubjectPublicKeyInfo])
def test_public_key_can_be_taken_for_a_secret(signing_keys: Keys, form: PublicFormat) -> None:
    pem = signing_keys.access.public_key.public_bytes(Encoding.PEM, form)
    token = sign({"alg": "HS256"}, {}, pem)
    # joserfc will not import a public key as a secret, so its raw form goes in past the check.
    assert verified(token, OctKey(pem, pem), "HS256")


def test_unsecured_token_has_no_signature(signing_keys: Keys) -> None:
    token = sign({"alg": "none"}, b"x", signing_keys.access)
    assert (part(token, 1), part(token, 2)) == (b"x", b"")


@pytest.mark.parametrize("alg", ["nOnE", "NONE", "RS1", 5, None, ["RS256"]])
def test_header_may_name_what_is_no_algorithm(signing_keys: Keys, alg: object) -> None:
    token = sign({"alg": alg}, {}, signing_keys.access)
    assert json.loads(part(token, 0)) == {"alg": alg}
    assert verified(token, signing_keys.access, "RS256"), "signed in the key's usual way"


def test_signature_may_be_made_otherwise_than_the_header_says() -> None:
    token = sign({"alg": "ES256"}, {}, P384, "ES384")
    assert jws.extract_compact(token.encode()).headers() == {"alg": "ES256"}
    assert verified(token, P384, "ES384")


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"aud":1,"aud":2}', b"\xff\x00", b'{"exp":1e400}'])
def test_bytes_are_sent_as_they_are(signing_keys: Keys, raw: bytes) -> None:
    token = sign(raw, raw, signing_keys.access)
    assert (part(token, 0), part(token, 1)) == (raw, raw)


@pytest.mark.parametrize("signature", [b"", bytes(64), b"junk"])
def test_signature_may_be_anything(signing_keys: Keys, signature: bytes) -> None:
    token = sign({"alg": "ES256"}, {}, signing_keys.access, signature=signature)
    assert part(token, 2) == signature


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        pytest.param(SECRET, "RS256", id="bytes for RSA"),
        pytest.param(P256, "RS256", id="curve for RSA"),
        pytest.param(P256, "XS256", id="unknown algorithm"),
    ],
)
def test_key_that_cannot_sign_is_named(key: SigningKey, alg: str) -> None:
    with pytest.raises(ValueError, match="signature"):
        sign({}, {}, key, alg)


@pytest.mark.parametrize(("name", "index"), [("header", 0), ("payload", 1), ("signature", 2)])
def test_one_bit_is_enough_to_break_a_token(
    plain: Issuer, name: Literal["header", "payload", "signature"], index: int
) -> None:
    token = plain.token("alice")
    damaged = flip_bit(token, name)
    different = [number for number in range(3) if part(token, number) != part(damaged, number)]
    assert different == [index]
    assert verified(token, plain.keys.access, "RS256")
    assert not verified(damaged, plain.keys.access, "RS256")


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.booleans())))
def test_any_payload_comes_back_as_it_went_in(payload: dict[str, Any]) -> None:
    token = sign({"alg": "HS256"}, payload, SECRET)
    assert json.loads(jws.deserialize_compact(token, OctKey.import_key(SECRET), ["HS256"]).payload) == payload


def test_weak_key_can_be_made_and_signs() -> None:
    weak = rsa_key(1024)
    assert verified(sign({"alg": "RS256"}, {}, weak), weak, "RS256")
