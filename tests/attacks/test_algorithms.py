"""Signatures: unsecured tokens, confused algorithms, keys of the wrong kind, and numbers at the edge (RFC 8725 §3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from conformance.issuer import ABSENT, Issuer
from conformance.issuer.signing import segment
from tests.attacks.battery import (
    Forge,
    curve_key,
    header,
    honest,
    honest_claims,
    low_exponent,
    spare,
    standing,
    stranger,
    weak,
    withstands,
)
from tests.gated import plain_issuer

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SECRET = b"a secret of thirty-two bytes, ok"
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # of SHA-256, RFC 8017 §9.2

PUBLIC_KEY_AS: dict[str, Callable[[Issuer], bytes]] = {
    "SPKI PEM": lambda issuer: pem(issuer, PublicFormat.SubjectPublicKeyInfo),
    "SPKI PEM without newline": lambda issuer: pem(issuer, PublicFormat.SubjectPublicKeyInfo).rstrip(),
    "PKCS1 PEM": lambda issuer: pem(issuer, PublicFormat.PKCS1),
    "PKCS1 PEM without newline": lambda issuer: pem(issuer, PublicFormat.PKCS1).rstrip(),
    "SPKI DER": lambda issuer: der(issuer, PublicFormat.SubjectPublicKeyInfo),
    "PKCS1 DER": lambda issuer: der(issuer, PublicFormat.PKCS1),
    "JWK JSON": lambda issuer: json.dumps(issuer.keys.document()["keys"][0], separators=(",", ":")).encode(),
    "modulus": lambda issuer: str(issuer.keys.access.as_dict()["n"]).encode(),
    "nothing": lambda _: b"",
}


def pem(issuer: Issuer, form: PublicFormat) -> bytes:
    return issuer.keys.access.public_key.public_bytes(Encoding.PEM, form)


def der(issuer: Issuer, form: PublicFormat) -> bytes:
    return issuer.keys.access.public_key.public_bytes(Encoding.DER, form)


def unsecured(alg: str, signature: bytes) -> Forge:
    return lambda issuer: honest(issuer, header={"alg": alg}, signature=signature)


def hmac_with(alg: str, material: Callable[[Issuer], bytes]) -> Forge:
    def forge(issuer: Issuer) -> str:
        message, _, _ = honest(issuer, header={"alg": alg}, signature=b"").rpartition(".")
        tag = hmac.new(material(issuer), message.encode(), f"sha{alg[2:]}").digest()
        return f"{message}.{segment(tag)}"

    return forge


def signed(**damage: Any) -> Forge:
    return lambda issuer: honest(issuer, **damage)


def claiming(alg: str, key: Any) -> Forge:
    """Signed with another kind of key under the id of the issuer's own."""
    return lambda issuer: honest(issuer, key=key, alg=alg, header={"kid": issuer.keys.access.kid})


def rsa_signature(make: Callable[[Issuer, bytes], bytes]) -> Forge:
    """An honest token whose signature is made over its message, or of its right signature, in another way."""

    def forge(issuer: Issuer) -> str:
        message, _, right = honest(issuer).rpartition(".")
        return f"{message}.{segment(make(issuer, base64.urlsafe_b64decode(right + '==')))}"

    return forge


def modulus(issuer: Issuer) -> int:
    return issuer.keys.access.public_key.public_numbers().n


def cube_root(issuer: Issuer) -> str:
    """Bleichenbacher's forgery of 2006: the right bytes at the front, whatever makes a cube behind them."""
    message = honest(issuer, key=low_exponent(), signature=b"").rpartition(".")[0]
    digest = hashlib.sha256(message.encode()).digest()
    wanted = int.from_bytes((b"\0\1" + b"\xff" * 8 + b"\0" + DIGEST_INFO + digest).ljust(256, b"\0"))
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < wanted else (low, middle)
    assert (low**3).to_bytes(256)[:62].endswith(digest), "no forgery"
    return f"{message}.{segment(low.to_bytes(256))}"


def none_rows() -> Iterator[Any]:
    for alg in ("none", "None", "NONE", "nOnE", "none ", "", "\u217fone"):
        yield pytest.param(unsecured(alg, b""), "malformed_token", id=f"alg {alg!a}, no signature")
        yield pytest.param(unsecured(alg, b"junk"), "unsupported_algorithm", id=f"alg {alg!a}, junk as signature")
        yield pytest.param(unsecured(alg, b" "), "unsupported_algorithm", id=f"alg {alg!a}, a blank as signature")
    yield pytest.param(
        lambda issuer: ".".join([segment(b'{"alg":"none","typ":"at+jwt"}'), *honest(issuer).split(".")[1:]]),
        "unsupported_algorithm",
        id="alg none before an honest payload and signature",
    )
    yield pytest.param(
        lambda issuer: honest(issuer).rpartition(".")[0] + ".", "malformed_token", id="signature stripped"
    )


def hmac_rows() -> Iterator[Any]:
    for alg in ("HS256", "HS384", "HS512"):
        for name, material in PUBLIC_KEY_AS.items():
            yield pytest.param(hmac_with(alg, material), "unsupported_algorithm", id=f"{alg} keyed with {name}")


ALGORITHMS = [
    *(
        pytest.param(signed(alg=alg), "unsupported_algorithm", id=f"{alg}, which is not listed, by the right key")
        for alg in ("RS384", "RS512", "PS256", "PS384", "PS512")
    ),
    pytest.param(claiming("ES256", curve_key("P-256")), "unsupported_algorithm", id="ES256 under the RSA key's id"),
    pytest.param(claiming("ES384", curve_key("P-384")), "unsupported_algorithm", id="ES384 under the RSA key's id"),
    pytest.param(
        claiming("EdDSA", OKPKey.generate_key("Ed25519")), "unsupported_algorithm", id="EdDSA under the RSA key's id"
    ),
    *(
        pytest.param(header(alg=alg), "unsupported_algorithm", id=f"alg {alg!a} over an RS256 signature")
        for alg in (
            "rs256",
            "RS256 ",
            " RS256",
            "RS256\0",
            "RS\u01c1256",
            "RSA-SHA256",
            "SHA256withRSA",
            "*",
            "RS256,none",
        )
    ),
    *(
        pytest.param(header(alg=alg), "malformed_token", id=f"alg {alg!r}")
        for alg in (ABSENT, None, 256, True, ["RS256"], {"RS256": 1})
    ),
    pytest.param(signed(header={"alg": "RS256"}, alg="PS256"), "bad_signature", id="a PSS signature under RS256"),
    pytest.param(signed(header={"alg": "RS256"}, alg="RS384"), "bad_signature", id="an RS384 signature under RS256"),
    pytest.param(signed(header={"alg": "RS256"}, alg="RS512"), "bad_signature", id="an RS512 signature under RS256"),
    pytest.param(
        lambda issuer: honest(issuer, key=stranger(), header={"kid": issuer.keys.access.kid}),
        "bad_signature",
        id="another key under the right id",
    ),
    pytest.param(lambda issuer: honest(issuer, key=stranger()), "unknown_key", id="another key under its own id"),
    pytest.param(
        lambda issuer: honest(issuer, key=stranger(), header={"kid": ABSENT}),
        "unknown_key",
        id="another key without an id",
    ),
    pytest.param(
        lambda issuer: honest(issuer, key=stranger(), header={"kid": issuer.keys.id.kid}),
        "bad_signature",
        id="another key under the id of the ID tokens' key",
    ),
    pytest.param(
        lambda issuer: honest(issuer, header={"kid": issuer.keys.id.kid}),
        "bad_signature",
        id="the right key under the id of another one",
    ),
    pytest.param(signed(header={"kid": ABSENT}), "unknown_key", id="the right key without an id, where two fit"),
]

SIGNATURES = [
    pytest.param(rsa_signature(make), "bad_signature", id=f"signature {name}")
    for name, make in {
        "of one byte": lambda _, __: b"\0",
        "of zeros": lambda _, __: bytes(256),
        "of the number one": lambda _, __: b"\1".rjust(256, b"\0"),
        "of the modulus": lambda issuer, _: modulus(issuer).to_bytes(256),
        "of the modulus less one": lambda issuer, _: (modulus(issuer) - 1).to_bytes(256),
        "plus the modulus": lambda issuer, s: (int.from_bytes(s) + modulus(issuer)).to_bytes(257),
        "cut by a byte at its end": lambda _, s: s[:-1],
        "cut by a byte at its start": lambda _, s: s[1:],
        "with a zero in front": lambda _, s: b"\0" + s,
        "with a zero behind": lambda _, s: s + b"\0",
        "twice": lambda _, s: s + s,
        "backwards": lambda _, s: s[::-1],
        "with its first bit inverted": lambda _, s: bytes([s[0] ^ 0x80]) + s[1:],
        "with a bit in its middle inverted": lambda _, s: s[:128] + bytes([s[128] ^ 1]) + s[129:],
        "with its last bit inverted": lambda _, s: s[:-1] + bytes([s[-1] ^ 1]),
        "of 8 KiB": lambda _, __: b"\1" * 8192,
    }.items()
] + [
    pytest.param(
        lambda issuer: f"{honest(issuer).rpartition('.')[0]}.{honest(issuer, claims={'jti': 'x'}).rpartition('.')[2]}",
        "bad_signature",
        id="signature of another token",
    ),
    pytest.param(
        lambda issuer: f"{honest(issuer).rpartition('.')[0]}.{segment(hashlib.sha256(b'').digest())}",
        "bad_signature",
        id="signature that is a bare hash",
    ),
]


@pytest.mark.parametrize(("forge", "reason"), [*none_rows(), *hmac_rows(), *ALGORITHMS, *SIGNATURES])
async def test_token_without_the_right_signature_is_refused(
    forge: Forge, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing() as door:
        await withstands(door, forge, reason, lambda: caplog.text)


def public(key: Any, **changes: Any) -> dict[str, Any]:
    """A published key with some members changed."""
    made = {**key.as_dict(private=False), **changes}
    return {name: value for name, value in made.items() if value is not ABSENT}


UNUSABLE_KEYS = [
    pytest.param(weak, lambda: public(weak()), "unknown_key", id="RSA of 1024 bits"),
    pytest.param(low_exponent, lambda: public(low_exponent(), use="enc"), "unknown_key", id="published for encryption"),
    pytest.param(spare, lambda: public(spare(), alg="RS512"), "unknown_key", id="published for RS512"),
    pytest.param(spare, lambda: public(spare(), alg="RSA-OAEP"), "unknown_key", id="published for key encryption"),
    pytest.param(spare, lambda: public(spare(), key_ops=["sign"]), "unknown_key", id="published for signing alone"),
    pytest.param(
        spare, lambda: public(spare(), key_ops="verify"), "unknown_key", id="published with a text as key_ops"
    ),
    pytest.param(spare, lambda: public(spare(), kty="oct"), "unknown_key", id="published as a secret"),
    pytest.param(spare, lambda: public(spare(), kty=ABSENT), "unknown_key", id="published without a type"),
    pytest.param(spare, lambda: public(spare(), kty="rsa"), "unknown_key", id="published with its type in lower case"),
    pytest.param(spare, lambda: public(spare(), n=ABSENT), "unknown_key", id="published without a modulus"),
    pytest.param(spare, lambda: public(spare(), n=5), "unknown_key", id="published with a number as modulus"),
    pytest.param(spare, lambda: public(spare(), kid=5), "unknown_key", id="published with a number as id"),
    pytest.param(spare, lambda: public(spare(), kid=ABSENT), "unknown_key", id="published without an id"),
    pytest.param(
        spare, lambda: dict(spare().as_dict(private=True)), "unknown_key", id="published with its private half"
    ),
    pytest.param(
        lambda: SECRET,
        lambda: {"kid": "secret", **OctKey.import_key(SECRET).as_dict(private=True)},
        "unsupported_algorithm",
        id="a secret, published",
    ),
]


@pytest.mark.parametrize(("key", "jwk", "reason"), UNUSABLE_KEYS)
async def test_published_key_that_is_no_good_verifies_nothing(
    key: Callable[[], Any], jwk: Callable[[], dict[str, Any]], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = plain_issuer()
    issuer.keys.publish(jwk())
    kid = "secret" if key() is SECRET else key().kid
    async with standing(issuer) as door:
        await withstands(door, signed(key=key(), header={"kid": kid}), reason, lambda: caplog.text)


async def test_low_exponent_key_verifies_no_signature_made_without_its_private_half(
    caplog: pytest.LogCaptureFixture,
) -> None:
    issuer = plain_issuer()
    issuer.keys.publish(low_exponent())
    async with standing(issuer) as door:
        assert (await door.post(honest(issuer, key=low_exponent()))).status_code == 200
        await withstands(door, cube_root, "bad_signature", lambda: caplog.text)


def ecdsa(change: Callable[[int, int], bytes]) -> Forge:
    """A token of the P-256 key whose signature is made of the right r and s."""

    def forge(issuer: Issuer) -> str:
        message, _, right = honest(issuer).rpartition(".")
        raw = base64.urlsafe_b64decode(right + "==")
        return f"{message}.{segment(change(int.from_bytes(raw[:32]), int.from_bytes(raw[32:])))}"

    return forge


def pair(r: int, s: int, size: int = 32) -> bytes:
    return r.to_bytes(size) + s.to_bytes(size)


CURVES = [
    pytest.param(ecdsa(lambda _, __: pair(0, 0)), "bad_signature", id="r and s of zero"),
    pytest.param(ecdsa(lambda _, s: pair(0, s)), "bad_signature", id="r of zero"),
    pytest.param(ecdsa(lambda r, _: pair(r, 0)), "bad_signature", id="s of zero"),
    pytest.param(ecdsa(lambda _, __: pair(1, 1)), "bad_signature", id="r and s of one"),
    pytest.param(ecdsa(lambda _, __: pair(P256_ORDER, P256_ORDER)), "bad_signature", id="r and s of the order"),
    pytest.param(ecdsa(lambda _, s: pair(P256_ORDER, s)), "bad_signature", id="r of the order"),
    pytest.param(ecdsa(lambda r, s: pair(s, r)), "bad_signature", id="r and s exchanged"),
    pytest.param(ecdsa(lambda r, s: pair(r, s, 48)), "bad_signature", id="r and s of 48 bytes"),
    pytest.param(ecdsa(lambda r, s: pair(r, s)[:-1]), "bad_signature", id="63 bytes"),
    pytest.param(ecdsa(lambda r, s: pair(r, s) + b"\0"), "bad_signature", id="65 bytes"),
    pytest.param(ecdsa(encode_dss_signature), "bad_signature", id="in DER"),
    pytest.param(
        signed(key=curve_key("P-384"), alg="ES384", header={"kid": "P-256", "alg": "ES256"}),
        "bad_signature",
        id="of another curve under the right id",
    ),
    pytest.param(
        signed(key=curve_key("P-384"), alg="ES384", header={"alg": "ES256"}),
        "unknown_key",
        id="of a published key of another curve",
    ),
    pytest.param(signed(key=curve_key("P-384")), "unsupported_algorithm", id="ES384, which is not listed"),
    pytest.param(signed(key=curve_key("secp256k1")), "unsupported_algorithm", id="ES256K"),
    pytest.param(
        signed(key=ECKey.generate_key("P-256", {"kid": "P-256"})), "bad_signature", id="another key under the right id"
    ),
    pytest.param(
        lambda issuer: issuer.sign(
            {"alg": "RS256", "typ": "at+jwt", "kid": issuer.keys.id.kid}, honest_claims(issuer), issuer.keys.id
        ),
        "unsupported_algorithm",
        id="RS256 by a published RSA key",
    ),
    pytest.param(unsecured("none", b"x"), "unsupported_algorithm", id="alg none"),
    pytest.param(
        hmac_with("HS256", lambda _: curve_key("P-256").as_pem(private=False)),
        "unsupported_algorithm",
        id="HS256 keyed with the public key",
    ),
]


@pytest.mark.parametrize(("forge", "reason"), CURVES)
async def test_degenerate_signature_is_refused_by_an_elliptic_curve_issuer(
    forge: Forge, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = plain_issuer()
    issuer.keys.access = curve_key("P-256")  # type: ignore[assignment]  # the issuer's own keys are RSA
    issuer.keys.publish(curve_key("P-256"))
    issuer.keys.publish(public(curve_key("P-384"), alg="ES256"))
    async with standing(issuer, issuer_settings={"algorithms": ["ES256"]}) as door:
        await withstands(door, forge, reason, lambda: caplog.text)


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(bytes(64), id="zeros"),
        pytest.param(b"\1" + bytes(63), id="the neutral element as R"),
        pytest.param(b"\1" * 63, id="63 bytes"),
        pytest.param(b"\1" * 65, id="65 bytes"),
        pytest.param(b"\xff" * 64, id="S beyond the order"),
    ],
)
async def test_degenerate_signature_is_refused_by_an_edwards_curve_issuer(
    signature: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = plain_issuer()
    issuer.keys.access = OKPKey.generate_key("Ed25519", {"kid": "Ed25519"})  # type: ignore[assignment]  # they are RSA
    issuer.keys.publish(issuer.keys.access)
    async with standing(issuer, issuer_settings={"algorithms": ["EdDSA"]}) as door:
        await withstands(door, signed(signature=signature), "bad_signature", lambda: caplog.text)


async def test_rsa_signature_is_refused_where_pss_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    issuer = plain_issuer()
    issuer.keys.access = RSAKey.import_key({**spare().as_dict(private=True), "alg": "PS256"})
    issuer.keys.publish(issuer.keys.access)
    async with standing(issuer, issuer_settings={"algorithms": ["PS256"]}) as door:
        await withstands(door, signed(header={"alg": "PS256"}, alg="RS256"), "bad_signature", lambda: caplog.text)
