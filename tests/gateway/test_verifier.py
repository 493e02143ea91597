"""A token becomes a principal or the refusal that names its fault; one thing is changed per row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.issuer import ABSENT, Issuer, flip_bit
from gateway.errors import (
    BadSignature,
    BoundToken,
    ClientNotAllowed,
    ExpiredToken,
    InvalidToken,
    KeysUnavailable,
    MalformedToken,
    NotYetValid,
    OversizedToken,
    UnknownIssuer,
    UnknownKey,
    UnsupportedAlgorithm,
    WrongAudience,
    WrongTokenKind,
)
from gateway.keys import KeysError, KeySet
from gateway.principal import Principal
from gateway.verifier import MEMO, TrustedIssuer, Verifier, read_claims
from tests.gated import CLIENT, RESOURCE, cognito_issuer, plain_issuer

NOW = 1_800_000_000
OTHER_RESOURCE = "https://gw.example/other"


class World:
    """A verifier, the issuer it trusts, and how often the issuer was asked for its keys."""

    def __init__(self, issuer: Issuer, claim_names: tuple[str, ...] = (), **trusted: Any) -> None:
        self.issuer = issuer
        self.issuer.clock.set(NOW)
        self.fetches = 0
        self.down = False
        keys = KeySet(issuer.url, ["RS256"], self.fetch, now=issuer.clock.now)
        trust = TrustedIssuer(issuer.url, keys, **trusted)
        self.verifier = Verifier(
            frozenset({RESOURCE}), {issuer.url: trust}, claim_names=frozenset(claim_names), now=issuer.clock.now
        )

    async def fetch(self) -> bytes:
        self.fetches += 1
        if self.down:
            raise KeysError("down")
        return json.dumps(self.issuer.keys.document()).encode()

    def token(self, claims: Any = None, header: Any = None, **changes: Any) -> bytes:
        changes |= {"claims": {} if claims is None else claims, "header": {} if header is None else header}
        return self.issuer.token("alice", CLIENT, ["mcp:use"], RESOURCE, **changes).encode()

    async def verify(self, claims: Any = None, header: Any = None, **changes: Any) -> Principal:
        return await self.verifier.verify(self.token(claims, header, **changes))


@pytest.fixture
def plain() -> World:
    return World(plain_issuer(), at_jwt=True)


@pytest.fixture
def lenient() -> World:
    """An issuer that does not stamp its access tokens."""
    return World(plain_issuer())


@pytest.fixture
def cognito() -> World:
    trusted: dict[str, Any] = {
        "client_ids": frozenset({CLIENT}),
        "scope_prefix": f"{RESOURCE}/",
        "groups_claim": "cognito:groups",
    }
    return World(cognito_issuer(), (), cognito=True, **trusted)


class TestRefusals:
    @pytest.mark.parametrize(
        ("claims", "refusal"),
        [
            pytest.param({"iss": "https://issuer.example/"}, UnknownIssuer, id="issuer with a slash more"),
            pytest.param({"iss": "https://ISSUER.example"}, UnknownIssuer, id="issuer in another case"),
            pytest.param({"iss": ["https://issuer.example"]}, MalformedToken, id="issuer that is no text"),
            pytest.param({"iss": ABSENT}, MalformedToken, id="no issuer"),
            pytest.param({"aud": OTHER_RESOURCE}, WrongAudience, id="for another resource"),
            pytest.param({"aud": f"{RESOURCE}/"}, WrongAudience, id="for the resource with a slash more"),
            pytest.param({"aud": []}, WrongAudience, id="for nobody"),
            pytest.param({"aud": ABSENT}, WrongAudience, id="without audience"),
            pytest.param({"aud": 7}, MalformedToken, id="audience that is a number"),
            pytest.param({"aud": {RESOURCE: True}}, MalformedToken, id="audience that is an object"),
            pytest.param({"aud": [RESOURCE, 7]}, MalformedToken, id="audience with a number in it"),
            pytest.param({"aud": None}, MalformedToken, id="audience null"),
            pytest.param({"exp": NOW - 30}, ExpiredToken, id="expired beyond the leeway"),
            pytest.param({"exp": 0}, ExpiredToken, id="expired in 1970"),
            pytest.param({"exp": ABSENT}, MalformedToken, id="no expiry"),
            pytest.param({"exp": None}, MalformedToken, id="expiry null"),
            pytest.param({"exp": str(NOW + 60)}, MalformedToken, id="expiry that is a text"),
            pytest.param({"exp": True}, MalformedToken, id="expiry that is true"),
            pytest.param({"exp": -1}, MalformedToken, id="expiry below nought"),
            pytest.param({"exp": 1e300}, MalformedToken, id="expiry beyond the end of time"),
            pytest.param({"nbf": NOW + 31}, NotYetValid, id="valid later, beyond the leeway"),
            pytest.param({"nbf": "now"}, MalformedToken, id="valid from a text"),
            pytest.param({"iat": NOW + 31}, NotYetValid, id="issued in the future"),
            pytest.param({"iat": None}, MalformedToken, id="issued null"),
            pytest.param({"token_use": "id"}, WrongTokenKind, id="an ID token by its own words"),
            pytest.param({"cnf": {"jkt": "abc"}}, BoundToken, id="bound to a key"),
            pytest.param({"cnf": {}}, BoundToken, id="bound to nothing"),
            pytest.param({"scope": ["mcp:use"]}, MalformedToken, id="scope as a list"),
            pytest.param({"scope": 7}, MalformedToken, id="scope as a number"),
            pytest.param({"scope": ABSENT, "scp": ["a", 7]}, MalformedToken, id="scp with a number in it"),
            pytest.param({"sub": 7}, MalformedToken, id="subject that is no text"),
            pytest.param({"sub": "s" * 1025}, MalformedToken, id="subject without end"),
            pytest.param({"sub": "\ud800"}, MalformedToken, id="subject of half a character"),
            pytest.param({"sub": ABSENT, "client_id": ABSENT}, MalformedToken, id="neither subject nor client"),
            pytest.param({"client_id": None}, MalformedToken, id="client null"),
        ],
    )
    async def test_token_with_other_claims_is_refused(
        self, plain: World, claims: dict[str, Any], refusal: type[InvalidToken]
    ) -> None:
        with pytest.raises(refusal):
            await plain.verify(claims)

    @pytest.mark.parametrize(
        ("header", "refusal"),
        [
            pytest.param({"alg": "none"}, UnsupportedAlgorithm, id="no algorithm"),
            pytest.param({"alg": "HS256"}, UnsupportedAlgorithm, id="a shared secret"),
            pytest.param({"alg": "RS512"}, UnsupportedAlgorithm, id="an algorithm that is not allowed"),
            pytest.param({"alg": "rs256"}, UnsupportedAlgorithm, id="algorithm in another case"),
            pytest.param({"alg": ABSENT}, MalformedToken, id="no alg"),
            pytest.param({"alg": 256}, MalformedToken, id="alg that is no text"),
            pytest.param({"kid": "other"}, UnknownKey, id="a key nobody published"),
            pytest.param({"kid": ABSENT}, UnknownKey, id="no key named, and two published"),
            pytest.param({"kid": "k" * 1025}, MalformedToken, id="key id without end"),
            pytest.param({"kid": ["k"]}, MalformedToken, id="key id that is no text"),
            pytest.param({"typ": "JWT"}, WrongTokenKind, id="not stamped"),
            pytest.param({"typ": ABSENT}, WrongTokenKind, id="no typ"),
            pytest.param({"typ": "logout+jwt"}, WrongTokenKind, id="a logout token"),
            pytest.param({"typ": 7}, MalformedToken, id="typ that is no text"),
            pytest.param({"crit": ["exp"]}, MalformedToken, id="a critical extension"),
            pytest.param({"b64": False}, MalformedToken, id="unencoded payload"),
            pytest.param({"zip": "DEF"}, MalformedToken, id="compressed"),
            pytest.param({"crit": None}, MalformedToken, id="crit null"),
            pytest.param(b'{"alg":"RS256","typ":"at+jwt","alg":"RS256"}', MalformedToken, id="alg twice"),
            pytest.param(b'{"alg":"RS256","x":{"a":1,"a":2}}', MalformedToken, id="a nested member twice"),
            pytest.param(b'["RS256"]', MalformedToken, id="no object"),
            pytest.param(b"\xff", MalformedToken, id="no text"),
            pytest.param(b'{"alg":"RS256","x":' + b"[" * 5000, MalformedToken, id="nested without end"),
            pytest.param(b"", MalformedToken, id="nothing"),
        ],
    )
    async def test_token_with_another_header_is_refused(
        self, plain: World, header: Any, refusal: type[InvalidToken]
    ) -> None:
        with pytest.raises(refusal):
            await plain.verify(header=header, alg="RS256")

    @pytest.mark.parametrize(
        ("payload", "refusal"),
        [
            pytest.param(b"", MalformedToken, id="nothing"),
            pytest.param(b"[]", MalformedToken, id="no object"),
            pytest.param(b"\xff", MalformedToken, id="no text"),
            pytest.param(b'{"iss":"\xff"}', MalformedToken, id="no UTF-8"),
            pytest.param(b'{"iss":"https://issuer.example","exp":NaN}', MalformedToken, id="not a number"),
            pytest.param(b'{"iss":"https://issuer.example","a":Infinity}', MalformedToken, id="no strict JSON"),
            pytest.param(b'{"iss":"https://issuer.example","a":"\xff"}', MalformedToken, id="no UTF-8 in a claim"),
            pytest.param(b'{"iss":"https://issuer.example","exp":1,"exp":2}', MalformedToken, id="a claim twice"),
            pytest.param(b'{"iss":"https://issuer.example","a":' + b"[" * 5000, MalformedToken, id="nested"),
            pytest.param(b'{"iss":"https://issuer.example"} {}', MalformedToken, id="more behind it"),
        ],
    )
    async def test_token_with_another_payload_is_refused(
        self, plain: World, payload: bytes, refusal: type[InvalidToken]
    ) -> None:
        with pytest.raises(refusal):
            await plain.verify(payload)

    @pytest.mark.parametrize(
        "payload", [b"[]", b"null", b'{"exp": NaN}', b'{"exp": -Infinity}', b'{"a": {"b": 1, "b": 1}}']
    )
    def test_claims_are_one_strict_object(self, payload: bytes) -> None:
        with pytest.raises(MalformedToken):
            read_claims(payload)

    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"opaque", id="one part"),
            pytest.param(b"a.b", id="two parts"),
            pytest.param(b"a.b.", id="no signature"),
            pytest.param(b"a.b.c.d", id="four parts"),
            pytest.param(b"..", id="nothing but dots"),
            pytest.param(b"a.a.a", id="parts that are no base64url"),
            pytest.param(b"e30=.e30=.e30=", id="padding"),
            pytest.param(b"e30.e 30.e30", id="a blank within"),
            pytest.param(b"e30.e/+0.e30", id="the other alphabet"),
        ],
    )
    async def test_what_is_no_token_is_refused(self, plain: World, token: bytes) -> None:
        with pytest.raises(MalformedToken):
            await plain.verifier.verify(token)

    @given(st.binary(max_size=300))
    async def test_no_bytes_break_the_verifier(self, token: bytes) -> None:
        with pytest.raises(InvalidToken):
            await World(plain_issuer()).verifier.verify(token)

    @pytest.mark.parametrize("part", ["header", "payload", "signature"])
    async def test_token_with_one_bit_changed_is_refused(self, plain: World, part: Any) -> None:
        with pytest.raises(InvalidToken):
            await plain.verifier.verify(flip_bit(plain.token().decode(), part).encode())

    async def test_second_spelling_of_a_signature_is_refused(self, plain: World) -> None:
        token = plain.token()
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        last = alphabet.index(token[-1:])
        with pytest.raises(MalformedToken, match="stray bits"):
            await plain.verifier.verify(token[:-1] + alphabet[last ^ 1 : (last ^ 1) + 1])

    async def test_signature_of_another_key_is_refused(self, plain: World) -> None:
        other = plain.issuer.keys.id
        with pytest.raises(BadSignature):
            await plain.verify(key=other, header={"kid": plain.issuer.keys.access.kid})

    async def test_oversized_token_is_not_even_split(self, plain: World) -> None:
        with pytest.raises(OversizedToken):
            await plain.verify({"groups": ["g" * 100] * 200})

    async def test_keys_that_cannot_be_had_are_not_the_tokens_fault(self, plain: World) -> None:
        plain.down = True
        with pytest.raises(KeysUnavailable):
            await plain.verify()


class TestOrder:
    @pytest.mark.parametrize(
        ("claims", "header"),
        [
            pytest.param({"iss": "https://stranger.example"}, {}, id="another issuer"),
            pytest.param({}, {"alg": "none"}, id="no algorithm"),
            pytest.param({}, {"typ": "id+jwt"}, id="another kind"),
            pytest.param({}, {"crit": ["b64"]}, id="an extension"),
        ],
    )
    async def test_token_refused_by_its_looks_costs_no_fetch(
        self, plain: World, claims: dict[str, Any], header: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidToken):
            await plain.verify(claims, header)
        assert plain.fetches == 0

    async def test_nothing_of_the_claims_is_judged_before_the_signature(self, plain: World) -> None:
        token = plain.token({"exp": 0, "aud": OTHER_RESOURCE, "cnf": {}})
        with pytest.raises(BadSignature):
            await plain.verifier.verify(flip_bit(token.decode(), "signature").encode())


class TestAccepted:
    @pytest.mark.parametrize(
        "claims",
        [
            pytest.param({}, id="as issued"),
            pytest.param({"aud": [OTHER_RESOURCE, RESOURCE]}, id="for several resources"),
            pytest.param({"exp": NOW - 29}, id="expired within the leeway"),
            pytest.param({"exp": NOW + 60.5}, id="expiry with a fraction"),
            pytest.param({"nbf": NOW + 30}, id="valid soon, within the leeway"),
            pytest.param({"iat": NOW + 30}, id="issued soon, within the leeway"),
            pytest.param({"iat": ABSENT}, id="not said when it was issued"),
            pytest.param({"token_use": "access"}, id="an access token by its own words"),
            pytest.param({"cnf": None}, id="bound to null"),
            pytest.param({"sub": "Ünïcode"}, id="subject beyond ASCII"),
        ],
    )
    async def test_token_is_accepted(self, plain: World, claims: dict[str, Any]) -> None:
        assert (await plain.verify(claims)).issuer == plain.issuer.url

    @pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
    async def test_type_of_an_access_token_counts_in_any_case(self, plain: World, typ: str) -> None:
        await plain.verify(header={"typ": typ})

    @pytest.mark.parametrize("typ", ["at+jwt", "JWT", "jwt", "application/jwt", "", ABSENT])
    async def test_issuer_that_stamps_nothing_may_leave_the_type_out(self, lenient: World, typ: Any) -> None:
        await lenient.verify(header={"typ": typ})

    async def test_token_without_kid_is_accepted_where_one_key_is_published(self, plain: World) -> None:
        plain.issuer.keys.withdraw(plain.issuer.keys.id.kid)
        await plain.verify(header={"kid": ABSENT})

    async def test_clock_that_moves_is_followed(self, plain: World) -> None:
        token = plain.token({"exp": NOW + 60})
        plain.issuer.clock.move(89)
        await plain.verifier.verify(token)
        plain.issuer.clock.move(1)
        with pytest.raises(ExpiredToken):
            await plain.verifier.verify(token)
        plain.issuer.clock.move(-200)
        with pytest.raises(NotYetValid):
            await plain.verifier.verify(token)


class TestCognito:
    @pytest.mark.parametrize(
        ("claims", "refusal"),
        [
            pytest.param({"token_use": "id"}, WrongTokenKind, id="an ID token"),
            pytest.param({"token_use": ABSENT}, WrongTokenKind, id="not said what for"),
            pytest.param({"token_use": None}, WrongTokenKind, id="for null"),
            pytest.param({"client_id": "client-two"}, ClientNotAllowed, id="of another client"),
            pytest.param({"client_id": ABSENT}, ClientNotAllowed, id="of no client"),
            pytest.param({"client_id": [CLIENT]}, ClientNotAllowed, id="of a client that is no text"),
            pytest.param({"scope": "openid email"}, ClientNotAllowed, id="without a scope of ours"),
            pytest.param({"scope": f"{RESOURCE}s/use"}, ClientNotAllowed, id="with a scope of a look-alike"),
            pytest.param(
                {"scope": f"{RESOURCE}/deeper/use"}, ClientNotAllowed, id="with a scope of a server below ours"
            ),
            pytest.param({"scope": f"{RESOURCE}/"}, ClientNotAllowed, id="with our name and no scope"),
            pytest.param({"scope": ABSENT}, ClientNotAllowed, id="without scope"),
            pytest.param({"scope": [f"{RESOURCE}/use"]}, ClientNotAllowed, id="with scopes as a list"),
            pytest.param({"aud": OTHER_RESOURCE}, WrongAudience, id="for another resource, though by our client"),
        ],
    )
    async def test_token_without_audience_needs_our_client_and_a_scope_of_ours(
        self, cognito: World, claims: dict[str, Any], refusal: type[InvalidToken]
    ) -> None:
        usual = {"scope": f"openid {RESOURCE}/use", "aud": ABSENT}
        assert (await cognito.verify(usual)).client_id == CLIENT
        with pytest.raises(refusal):
            await cognito.verify(usual | claims)

    async def test_token_for_the_resource_needs_neither(self, cognito: World) -> None:
        await cognito.verify({"aud": RESOURCE, "client_id": "client-two", "scope": "openid"})

    async def test_groups_are_those_of_cognito(self, cognito: World) -> None:
        assert (await cognito.verify()).groups == {"admins"}


class TestPrincipal:
    @pytest.mark.parametrize(
        ("claims", "expected"),
        [
            pytest.param({"scope": "b a  a"}, {"scopes": {"a", "b"}}, id="scopes are a set"),
            pytest.param({"scope": ABSENT}, {"scopes": set()}, id="no scope"),
            pytest.param({"scope": ABSENT, "scp": "a b"}, {"scopes": {"a", "b"}}, id="scp as a text"),
            pytest.param({"scope": ABSENT, "scp": ["a", "b"]}, {"scopes": {"a", "b"}}, id="scp as a list"),
            pytest.param({"scope": "a", "scp": ["b"]}, {"scopes": {"a"}}, id="scope before scp"),
            pytest.param({"scope": "A a"}, {"scopes": {"A", "a"}}, id="case counts"),
            pytest.param({"groups": ["a", "b", 7, None]}, {"groups": {"a", "b"}}, id="groups are texts"),
            pytest.param({"groups": "admins"}, {"groups": set()}, id="groups that are no list"),
            pytest.param({"groups": ABSENT}, {"groups": set()}, id="no groups"),
            pytest.param({"client_id": "a", "azp": "b"}, {"client_id": "a"}, id="client_id before azp"),
            pytest.param({"client_id": ABSENT, "azp": "b", "cid": "c"}, {"client_id": "b"}, id="azp before cid"),
            pytest.param({"client_id": ABSENT, "cid": "c"}, {"client_id": "c"}, id="cid"),
            pytest.param({"client_id": ABSENT}, {"client_id": "", "is_client": False}, id="no client"),
            pytest.param({"sub": "alice"}, {"subject": "alice", "is_client": False}, id="a person"),
            pytest.param({"sub": CLIENT}, {"subject": CLIENT, "is_client": True}, id="a machine by its subject"),
            pytest.param({"sub": ABSENT}, {"subject": CLIENT, "is_client": True}, id="a machine without subject"),
            pytest.param({"exp": NOW + 7.5}, {"expires_at": NOW + 7.5}, id="expiry without leeway"),
            pytest.param({"team": "x", "level": 3}, {"claims": (("level", 3), ("team", "x"))}, id="claims of rules"),
            pytest.param({"team": "x", "mail": "a@b"}, {"claims": (("team", "x"),)}, id="and no others"),
        ],
    )
    async def test_principal_is_what_the_claims_say(self, claims: dict[str, Any], expected: Mapping[str, Any]) -> None:
        world = World(plain_issuer(), ("team", "level"))
        principal = await world.verify(claims)
        assert {name: getattr(principal, name) for name in expected} == expected

    async def test_machine_never_equals_a_person_of_the_same_name(self, plain: World) -> None:
        person = await plain.verify({"sub": CLIENT, "client_id": "other"})
        machine = await plain.verify({"sub": ABSENT, "client_id": CLIENT})
        assert person.subject == machine.subject
        assert person.key != machine.key

    async def test_tokens_with_the_same_scopes_share_one_set(self, plain: World) -> None:
        first, second = await plain.verify({"sub": "a"}), await plain.verify({"sub": "b"})
        assert first.scopes is second.scopes

    async def test_memory_of_scopes_and_headers_is_bounded(self, plain: World) -> None:
        for i in range(MEMO + 10):
            assert plain.verifier.shared([str(i)]) == {str(i)}
        assert len(plain.verifier._sets) <= MEMO
        header = plain.verifier.header(plain.token())
        principal = await plain.verify()
        for i in range(MEMO + 10):
            plain.verifier.remember(b"token-%d" % i, principal, b"header-%d.payload" % i, header)
        assert len(plain.verifier._headers) <= MEMO


class TestMemory:
    async def test_token_seen_lately_is_answered_from_memory(self, plain: World) -> None:
        token = plain.token()
        assert plain.verifier.remembered(token) is None
        principal = await plain.verifier.verify(token)
        assert plain.verifier.remembered(token) is principal

    async def test_altered_signature_right_after_a_success_is_refused(self, plain: World) -> None:
        token = plain.token()
        await plain.verifier.verify(token)
        altered = flip_bit(token.decode(), "signature").encode()
        assert plain.verifier.remembered(altered) is None
        with pytest.raises(BadSignature):
            await plain.verifier.verify(altered)

    async def test_refused_tokens_are_never_remembered(self, plain: World) -> None:
        good = plain.token()
        await plain.verifier.verify(good)
        for i in range(50):
            with pytest.raises(InvalidToken):
                await plain.verify({"exp": i})
        assert len(plain.verifier.verified) == 1
        assert plain.verifier.remembered(good)

    async def test_memory_ends_with_the_token(self, plain: World) -> None:
        token = plain.token({"exp": NOW + 60})
        await plain.verifier.verify(token)
        plain.issuer.clock.move(59)
        assert plain.verifier.remembered(token)
        plain.issuer.clock.move(1)
        assert plain.verifier.remembered(token) is None

    async def test_memory_ends_after_five_minutes(self, plain: World) -> None:
        token = plain.token()
        await plain.verifier.verify(token)
        plain.issuer.clock.move(299)
        assert plain.verifier.remembered(token)
        plain.issuer.clock.move(1)
        assert plain.verifier.remembered(token) is None
