"""One bearer token from exactly one header, or the refusal that says what to do (RFC 6750 §2)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authenticate import authenticate
from gateway.errors import MalformedRequest, MalformedToken, MissingToken, Refusal
from gateway.keys import KeySet
from gateway.principal import Principal
from gateway.verifier import TrustedIssuer, Verifier
from tests.gated import CLIENT, ISSUER, RESOURCE, plain_issuer

ISSUER_UNDER_TEST = plain_issuer()
TOKEN = ISSUER_UNDER_TEST.token("alice", CLIENT, ["mcp:use"], RESOURCE).encode()
FORM = (b"content-type", b"application/x-www-form-urlencoded")


async def fetch() -> bytes:
    return json.dumps(ISSUER_UNDER_TEST.keys.document()).encode()


def verifier() -> Verifier:
    trusted = TrustedIssuer(ISSUER, KeySet(ISSUER, ["RS256"], fetch))
    return Verifier(frozenset({RESOURCE}), {ISSUER: trusted})


async def ask(*fields: tuple[bytes, bytes], query: bytes = b"") -> Principal:
    return await authenticate(verifier(), dict(fields), fields, query)


async def bearer(value: bytes, *fields: tuple[bytes, bytes], query: bytes = b"") -> Principal:
    return await ask((b"authorization", value), *fields, query=query)


class TestAccepted:
    @pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
    async def test_scheme_counts_in_any_case(self, scheme: bytes) -> None:
        """RS-CRED-03."""
        assert (await bearer(scheme + b" " + TOKEN)).client_id == CLIENT

    @pytest.mark.parametrize("value", [b"Bearer   " + TOKEN, b"Bearer " + TOKEN + b"  "])
    async def test_blanks_around_a_token_say_nothing(self, value: bytes) -> None:
        await bearer(value)

    async def test_other_headers_may_come_twice(self) -> None:
        await bearer(b"Bearer " + TOKEN, (b"accept", b"a"), (b"accept", b"b"))

    @pytest.mark.parametrize("query", [b"a=b", b"token=x", b"xaccess_token=x", b"a=access_token", b"%ff=%ff", b"&&="])
    async def test_query_may_say_something_else(self, query: bytes) -> None:
        await bearer(b"Bearer " + TOKEN, query=query)

    async def test_token_seen_lately_is_answered_from_memory(self) -> None:
        one = verifier()
        fields = [(b"authorization", b"Bearer " + TOKEN)]
        first = await authenticate(one, dict(fields), fields, b"")
        assert await authenticate(one, dict(fields), fields, b"") is first


class TestMissing:
    async def test_without_header_there_is_no_token(self) -> None:
        with pytest.raises(MissingToken):
            await ask()

    @pytest.mark.parametrize(
        "value", [b"", b"Basic dTpw", b"DPoP " + TOKEN, TOKEN, b"Bearer" + TOKEN, b"Bearer", b"Bearer ", b"bearer    "]
    )
    async def test_another_scheme_or_an_empty_token_is_none(self, value: bytes) -> None:
        """RS-401-04, RS-CRED-04."""
        with pytest.raises(MissingToken):
            await bearer(value)

    @pytest.mark.parametrize(
        "field",
        [
            pytest.param((b"cookie", b"access_token=" + TOKEN), id="cookie"),
            pytest.param((b"x-access-token", TOKEN), id="header of its own"),
            pytest.param((b"x-forwarded-access-token", TOKEN), id="forwarded"),
            pytest.param((b"proxy-authorization", b"Bearer " + TOKEN), id="for a proxy"),
            pytest.param((b"mcp-session-id", TOKEN), id="session"),
        ],
    )
    async def test_token_elsewhere_is_none(self, field: tuple[bytes, bytes]) -> None:
        """RS-CRED-05."""
        with pytest.raises(MissingToken):
            await ask(field)

    async def test_token_in_the_query_alone_is_none(self) -> None:
        """RS-CRED-01."""
        with pytest.raises(MissingToken):
            await ask(query=b"access_token=" + TOKEN)


class TestSeveral:
    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param([b"Bearer " + TOKEN, b"Bearer x"], id="good and bad"),
            pytest.param([b"Bearer x", b"Bearer " + TOKEN], id="bad and good"),
            pytest.param([b"Bearer " + TOKEN, b"Bearer " + TOKEN], id="the same twice"),
            pytest.param([b"Basic dTpw", b"Bearer " + TOKEN], id="of two schemes"),
        ],
    )
    async def test_two_fields_are_never_picked_from(self, fields: list[bytes]) -> None:
        """RS-400-02."""
        with pytest.raises(MalformedRequest):
            await ask(*((b"authorization", value) for value in fields))

    @pytest.mark.parametrize("value", [TOKEN + b", Bearer " + TOKEN, TOKEN + b"," + TOKEN, TOKEN + b" " + TOKEN])
    async def test_two_credentials_in_one_field_are_never_picked_from(self, value: bytes) -> None:
        """RS-400-02."""
        with pytest.raises(MalformedRequest):
            await bearer(b"Bearer " + value)

    async def test_query_of_parameters_without_end_is_refused(self) -> None:
        await bearer(b"Bearer " + TOKEN, query=b"a&" * 999 + b"a")
        with pytest.raises(MalformedRequest, match="more than 1000 parameters"):
            await bearer(b"Bearer " + TOKEN, query=b"a&" * 1_000 + b"a")

    @pytest.mark.parametrize(
        "query",
        [b"access_token=x", b"a=b&access_token=" + TOKEN, b"access%5ftoken=x", b"ACCESS_TOKEN", b"access_token="],
    )
    async def test_token_in_the_query_besides_the_header_is_one_too_many(self, query: bytes) -> None:
        """RS-CRED-02."""
        with pytest.raises(MalformedRequest):
            await bearer(b"Bearer " + TOKEN, query=query)

    @pytest.mark.parametrize("value", [FORM[1], b"Application/X-WWW-Form-Urlencoded; charset=utf-8"])
    async def test_form_may_hold_another_token(self, value: bytes) -> None:
        """RS-400-01."""
        with pytest.raises(MalformedRequest):
            await bearer(b"Bearer " + TOKEN, (b"content-type", value))


class TestMalformed:
    @pytest.mark.parametrize(
        "value", [b"\t", b"..", b"\xff", TOKEN + b"\x00", b'"' + TOKEN + b'"', TOKEN + b"=a", b"t\xc3\xa9", b"=", b"[]"]
    )
    async def test_characters_that_no_token_has_are_refused(self, value: bytes) -> None:
        """RS-CRED-04."""
        with pytest.raises(MalformedToken):
            await bearer(b"Bearer " + value)

    @given(st.binary(max_size=200), st.binary(max_size=50))
    async def test_no_header_and_no_query_raise_anything_but_a_refusal(self, value: bytes, query: bytes) -> None:
        for authorization in (value, b"Bearer " + value):
            with pytest.raises(Refusal):
                await bearer(authorization, query=query)
