"""JWT-FMT, ALG, HDR and TYP: what a token must be made like before anything it says counts."""

from __future__ import annotations

import base64
import hmac
import json
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey

from conformance.issuer import ABSENT, Issuer, flip_bit, rsa_key
from conformance.issuer.signing import segment
from conformance.requirements import requirement
from tests.gated import CLIENT, RESOURCE, cognito_issuer, gated, plain_issuer
from tests.requirements.callers import EVERY_SCOPE, MODERN, Caller, opening, token_of
from tests.requirements.challenges import challenge, refused_token
from tests.requirements.network import Hits, Network

HEADER = segment(b'{"alg":"RS256","typ":"at+jwt"}')
Make = Callable[[Issuer], "str | bytes"]


@cache
def stranger() -> RSAKey:
    """A good key that the issuer does not publish."""
    return rsa_key()


@cache
def weak() -> RSAKey:
    return rsa_key(1024)


def honest(issuer: Issuer, **damage: Any) -> str:
    """A valid token but for the damage."""
    return issuer.token("alice", CLIENT, EVERY_SCOPE, RESOURCE, **damage)


async def refuses(issuer: Issuer, *tokens: str | bytes, **settings: Any) -> None:
    """A gate that takes this issuer's honest tokens refuses each of these, at once, and none reaches the app."""
    async with gated(issuer, **settings) as door:
        assert (await Caller(door.client, MODERN, honest(issuer)).post(opening(MODERN))).status_code == 200
        for token in tokens:
            credentials = b"Bearer " + (token if isinstance(token, bytes) else token.encode())
            with anyio.fail_after(1):
                answer = await door.client.post("/mcp", headers=[(b"authorization", credentials)], content=b"{}")
            refused_token(answer)
        assert len(door.app.scopes) == 1


SHAPES: dict[str, Make] = {
    "one part": lambda _: "e30",
    "two parts": lambda _: "e30.e30",
    "four parts": lambda issuer: honest(issuer) + ".e30",
    "five parts": lambda _: ".".join([segment(b'{"alg":"dir","enc":"A256GCM"}'), *["e30"] * 4]),
    "empty parts": lambda _: "..",
    "bad base64url": lambda issuer: honest(issuer, signature=b"x").replace(".", ".!", 1),
    "base64 with padding": lambda issuer: honest(issuer) + "=",
    "base64 of another alphabet": lambda _: f"{HEADER}.{base64.b64encode(b'>>>???').decode()}.eA",
    "header of no JSON": lambda issuer: honest(issuer, header=b"alg=RS256"),
    "payload of no JSON": lambda issuer: honest(issuer, claims=b"sub=alice"),
    "payload of half a JSON": lambda issuer: honest(issuer, claims=b'{"iss":"https://issuer.example"'),
    "payload an array": lambda issuer: honest(issuer, claims=b'[{"iss":"https://issuer.example"}]'),
    "payload a string": lambda issuer: honest(issuer, claims=b'"alice"'),
    "payload null": lambda issuer: honest(issuer, claims=b"null"),
    "header an array": lambda issuer: honest(issuer, header=b'["RS256"]'),
    "invalid UTF-8": lambda issuer: honest(issuer, claims=b'{"iss":"https://issuer.example","sub":"\xff"}'),
    "NUL in the payload": lambda issuer: honest(issuer, claims=b'{"iss":"https://issuer.example"}\0'),
    "NUL in the header": lambda issuer: honest(issuer, header=b'{"alg":"RS256"}\0'),
    "NUL behind the token": lambda issuer: honest(issuer).encode() + b"\0",
    "compressed payload": lambda issuer: honest(
        issuer, header={"zip": "DEF"}, claims=zlib.compress(json.dumps(issuer.claims("alice")).encode())
    ),
    "unencoded payload": lambda issuer: honest(issuer, header={"b64": False, "crit": ["b64"]}),
    "nested token": lambda issuer: honest(issuer, header={"cty": "JWT"}, claims=honest(issuer).encode()),
    "JWE that unpacks to a thousand times its size": lambda _: ".".join(
        [segment(b'{"alg":"dir","enc":"A256GCM","zip":"DEF"}'), "", "eA", segment(zlib.compress(bytes(1 << 20))), "eA"]
    ),
}


@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES)
@requirement("JWT-FMT-01")
async def test_what_is_no_compact_jws_of_json_objects_is_refused(make: Make) -> None:
    issuer = plain_issuer()
    await refuses(issuer, make(issuer))


@requirement("JWT-FMT-01")
async def test_json_serialization_is_refused() -> None:
    async with gated() as door:
        protected, payload, signature = honest(door.issuer).split(".")
        flattened = {"protected": protected, "payload": payload, "signature": signature}
        for form in (flattened, {"payload": payload, "signatures": [{**flattened}]}, {"payload": payload}):
            answer = await Caller(door.client, MODERN, json.dumps(form)).post(opening(MODERN))
            # With its commas and blanks it is already a malformed request, and 400 is what RFC 6750 has for that.
            assert (answer.status_code, challenge(answer)["error"]) in (
                (400, "invalid_request"),
                (401, "invalid_token"),
            )
        assert not door.app.scopes


def doubled(issuer: Issuer, first: str, last: str) -> str:
    """An honest token but for two audiences."""
    claims = json.dumps(issuer.claims("alice", CLIENT, EVERY_SCOPE, last))
    return honest(issuer, claims=claims.replace('"aud"', f'"aud": "{first}", "aud"').encode())


@requirement("JWT-FMT-02")
async def test_member_that_is_there_twice_makes_the_token_invalid() -> None:
    issuer = plain_issuer()
    other = "https://other.example/mcp"
    header = json.dumps({"alg": "RS256", "typ": "at+jwt", "kid": issuer.keys.access.kid})
    await refuses(
        issuer,
        doubled(issuer, other, RESOURCE),
        doubled(issuer, RESOURCE, other),
        honest(issuer, header=header.replace('"alg"', '"alg": "none", "alg"').encode()),
        honest(issuer, header=header.replace('"kid"', '"kid": "x", "kid"').encode()),
    )


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
@requirement("JWT-ALG-01")
async def test_unsecured_token_is_refused(alg: str) -> None:
    issuer = plain_issuer()
    unsigned = honest(issuer, header={"alg": alg}, signature=b"")
    genuine = honest(issuer).rpartition(".")[2]
    await refuses(issuer, unsigned, unsigned.rstrip("."), f"{unsigned}{segment(b'junk')}", f"{unsigned}{genuine}")


@requirement("JWT-ALG-01")
async def test_token_with_its_signature_removed_is_refused() -> None:
    issuer = plain_issuer()
    stripped = honest(issuer).rpartition(".")[0]
    await refuses(issuer, f"{stripped}.", stripped, f"{stripped}.{segment(bytes(256))}")


def public_forms(issuer: Issuer) -> list[bytes]:
    """The issuer's public key in every form in which somebody could take it for a secret."""
    key = issuer.keys.access.public_key
    forms = [
        key.public_bytes(encoding, form)
        for encoding in (Encoding.PEM, Encoding.DER)
        for form in (PublicFormat.PKCS1, PublicFormat.SubjectPublicKeyInfo)
    ]
    jwk = issuer.keys.document()["keys"][0]
    return [*forms, *(form.rstrip(b"\n") for form in forms[:2]), json.dumps(jwk).encode(), jwk["n"].encode()]


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@requirement("JWT-ALG-02")
async def test_hmac_over_the_public_key_verifies_nothing(alg: str) -> None:
    issuer = plain_issuer()
    signed = honest(issuer, header={"alg": alg}, signature=b"").rstrip(".")
    tags = [hmac.digest(secret, signed.encode(), f"sha{alg[2:]}") for secret in public_forms(issuer)]
    believed = honest(issuer, signature=b"").rstrip(".")  # which says RS256
    await refuses(
        issuer,
        *(f"{signed}.{segment(tag)}" for tag in tags),
        *(f"{believed}.{segment(hmac.digest(secret, believed.encode(), 'sha256'))}" for secret in public_forms(issuer)),
    )


@requirement("JWT-ALG-03")
async def test_algorithm_that_is_not_listed_is_refused_though_the_key_is_right() -> None:
    issuer = plain_issuer()
    curve = ECKey.generate_key("P-384", {"kid": "curve"})
    issuer.keys.publish(curve)
    others = [honest(issuer, alg=alg) for alg in ("RS384", "RS512", "PS256", "PS384", "PS512")]
    await refuses(issuer, *others, honest(issuer, key=curve))


@pytest.mark.parametrize(
    "member", [{"use": "enc"}, {"alg": "RS512"}, {"alg": "RSA-OAEP"}, {"key_ops": ["encrypt"]}, {"kty": "oct"}], ids=str
)
@requirement("JWT-ALG-03")
async def test_key_published_for_something_else_verifies_nothing(member: dict[str, Any]) -> None:
    issuer = plain_issuer()
    issuer.keys.publish({**stranger().as_dict(private=False), **member})
    await refuses(issuer, honest(issuer, key=stranger()))


@requirement("JWT-ALG-03")
async def test_published_secret_or_private_key_verifies_nothing() -> None:
    issuer = plain_issuer()
    issuer.keys.publish({"kty": "oct", "kid": "secret", "k": segment(b"k" * 32)})
    issuer.keys.publish(dict(stranger().as_dict(private=True)))
    hs256 = honest(issuer, key=b"k" * 32, alg="HS256", header={"kid": "secret"})
    rs256 = honest(issuer, key=b"k" * 32, alg="HS256", header={"kid": "secret", "alg": "RS256"})
    await refuses(issuer, hs256, rs256, honest(issuer, key=stranger()))


@requirement("JWT-ALG-04")
async def test_rsa_key_below_2048_bits_verifies_nothing() -> None:
    issuer = plain_issuer()
    issuer.keys.publish(weak())
    await refuses(issuer, honest(issuer, key=weak()))


@requirement("JWT-ALG-04")
async def test_signature_of_zeros_of_another_curve_or_of_another_length_is_refused() -> None:
    issuer = plain_issuer()
    p256, p384 = ECKey.generate_key("P-256", {"kid": "p256"}), ECKey.generate_key("P-384", {"kid": "p384"})
    issuer.keys.publish(p256)
    issuer.keys.publish(p384)
    issuer.keys.publish({**p384.as_dict(private=False), "kid": "p384 as p256", "alg": "ES256"})

    def es256(**damage: Any) -> str:
        return honest(issuer, **{"key": p256, "alg": "ES256", **damage})

    right = base64.urlsafe_b64decode(es256().rpartition(".")[2] + "==")
    await refuses(
        issuer,
        es256(signature=bytes(64)),
        es256(signature=right[:32] + bytes(32)),
        es256(signature=bytes(32) + right[32:]),
        es256(signature=bytes(96)),
        es256(signature=right[:-1]),
        es256(signature=right + b"\0"),
        es256(key=p384, alg="ES384", header={"kid": "p384", "alg": "ES256"}),
        es256(key=p384, alg="ES384", header={"kid": "p384 as p256", "alg": "ES256"}),
        es256(key=p384, alg="ES384", header={"kid": "p256", "alg": "ES256"}),
        issuer_settings={"algorithms": ["RS256", "ES256"]},
    )


@requirement("JWT-ALG-05")
async def test_key_outside_the_published_set_verifies_nothing() -> None:
    issuer = plain_issuer()
    await refuses(
        issuer,
        honest(issuer, key=stranger(), header={"kid": issuer.keys.access.kid}),
        honest(issuer, key=stranger()),
        flip_bit(honest(issuer), "signature"),
        flip_bit(honest(issuer), "payload"),
        flip_bit(honest(issuer), "header"),
    )


@requirement("JWT-HDR-01")
async def test_key_or_place_that_the_token_names_is_neither_trusted_nor_visited() -> None:
    issuer, listener = plain_issuer(), Hits()
    public = dict(stranger().as_dict(private=False))
    places = {"jku": "https://evil.test/jwks", "x5u": "https://evil.test/chain.pem"}
    offers: list[dict[str, Any]] = [
        {"jwk": public},
        {"x5c": ["MIIB"], "x5t": "Zm9v"},
        *({name: place} for name, place in places.items()),
        {**places, "jwk": public},
    ]
    kids = (issuer.keys.access.kid, stranger().kid, ABSENT)
    tokens = [honest(issuer, key=stranger(), header={**offer, "kid": kid}) for offer in offers for kid in kids]
    network = Network({"issuer.example": issuer.app, "evil.test": listener})
    await refuses(issuer, *tokens, network=network)
    assert listener.count == 0
    assert set(network.asked) == {"issuer.example"}


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["x-unknown"], "x-unknown": 1},
        {"crit": []},
        {"crit": "exp"},
        {"crit": ["b64"], "b64": False},
        {"crit": ["absent"]},
        {"crit": [1]},
        {"crit": ["exp"], "exp": 1},
        {"crit": None},
    ],
    ids=json.dumps,
)
@requirement("JWT-HDR-02")
async def test_crit_that_is_malformed_or_asks_for_something_unknown_makes_the_token_invalid(
    header: dict[str, Any],
) -> None:
    issuer = plain_issuer()
    await refuses(issuer, honest(issuer, header=header))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"])
@requirement("JWT-TYP-01")
async def test_token_of_an_rfc_9068_issuer_says_that_it_is_an_access_token(typ: str) -> None:
    async with gated() as door:
        token = honest(door.issuer, header={"typ": typ})
        assert (await Caller(door.client, MODERN, token).post(opening(MODERN))).status_code == 200


@pytest.mark.parametrize("typ", ["JWT", ABSENT, "", "at", "jwt+at", "application/jwt", "text/at+jwt"])
@requirement("JWT-TYP-01")
async def test_token_of_an_rfc_9068_issuer_that_says_otherwise_is_refused(typ: Any) -> None:
    issuer = plain_issuer()
    await refuses(issuer, honest(issuer, header={"typ": typ}))


@pytest.mark.parametrize("typ", ["JWT", ABSENT, "at+jwt"])
@requirement("JWT-TYP-01")
async def test_issuer_that_does_not_follow_rfc_9068_may_leave_typ_out(typ: Any) -> None:
    async with gated(issuer_settings={"token_type": ""}) as door:
        token = honest(door.issuer, header={"typ": typ})
        assert (await Caller(door.client, MODERN, token).post(opening(MODERN))).status_code == 200


@pytest.mark.parametrize(
    "typ",
    [
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "logout+jwt",
        "secevent+jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "token-introspection+jwt",
    ],
)
@requirement("JWT-TYP-02")
async def test_jwt_of_another_declared_kind_is_no_access_token_of_any_issuer(typ: str) -> None:
    for kind in (typ, f"application/{typ}", typ.upper()):
        plain, cognito = plain_issuer(), cognito_issuer()
        await refuses(plain, honest(plain, header={"typ": kind}))
        await refuses(plain, honest(plain, header={"typ": kind}), issuer_settings={"token_type": ""})
        await refuses(cognito, honest(cognito, header={"typ": kind}))


@requirement("RS-401-05")
async def test_opaque_token_is_invalid_and_causes_no_question_to_anybody() -> None:
    network = Network({"issuer.example": (issuer := plain_issuer()).app})
    async with gated(issuer, network=network) as door:
        refused_token(await Caller(door.client, MODERN, "mF_9.B5f-4.1JqM").post(opening(MODERN)))
        refused_token(await Caller(door.client, MODERN, token_of(door).replace(".", "")).post(opening(MODERN)))
    assert not network.asked
