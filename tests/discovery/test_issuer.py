"""An issuer's metadata: where it is, what it must say, and what its absence means (ASM-01 to ASM-04, CLI-03)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.fetch import MAX_BYTES, Fetch
from discovery.issuer import (
    InvalidIssuer,
    IssuerError,
    IssuerMetadata,
    IssuerNotFound,
    IssuerUnavailable,
    discover,
    locations,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ISSUER = "https://issuer.example/pool"
OAUTH = "https://issuer.example/.well-known/oauth-authorization-server/pool"
OPENID = "https://issuer.example/.well-known/openid-configuration/pool"
APPENDED = "https://issuer.example/pool/.well-known/openid-configuration"
COGNITO: dict[str, object] = {  # its shape: no S256, no endpoint for registration
    "issuer": ISSUER,
    "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
    "authorization_endpoint": "https://login.example/oauth2/authorize",
    "token_endpoint": "https://login.example/oauth2/token",
    "revocation_endpoint": "https://login.example/oauth2/revoke",
    "response_types_supported": ["code", "token"],
    "scopes_supported": ["openid", "email", "phone", "profile"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "subject_types_supported": ["public"],
}


def document(**members: object) -> bytes:
    return json.dumps({**COGNITO, **members}).encode()


class TestLocations:
    @pytest.mark.parametrize(
        ("issuer", "expected"),
        [
            pytest.param(ISSUER, (OAUTH, OPENID, APPENDED), id="path"),
            pytest.param(f"{ISSUER}/", (OAUTH, OPENID, APPENDED), id="path and slash"),
            pytest.param(
                "https://issuer.example",
                (
                    "https://issuer.example/.well-known/oauth-authorization-server",
                    "https://issuer.example/.well-known/openid-configuration",
                ),
                id="root",
            ),
            pytest.param(
                "http://localhost:9000/",
                (
                    "http://localhost:9000/.well-known/oauth-authorization-server",
                    "http://localhost:9000/.well-known/openid-configuration",
                ),
                id="root and slash, on loopback",
            ),
        ],
    )
    def test_are_those_of_mcp_in_its_order(self, issuer: str, expected: tuple[str, ...]) -> None:
        """ASM-01, CLI-03."""
        assert locations(issuer) == expected

    @pytest.mark.parametrize(
        "issuer",
        [
            pytest.param("http://issuer.example", id="plain http"),
            pytest.param(f"{ISSUER}?a=b", id="query"),
            pytest.param(f"{ISSUER}#a", id="fragment"),
            pytest.param("issuer.example", id="no URL"),
            pytest.param("https://me:secret@issuer.example", id="userinfo"),
        ],
    )
    def test_what_is_no_issuer_has_none(self, issuer: str) -> None:
        """ASM-02."""
        with pytest.raises(InvalidIssuer) as refusal:
            locations(issuer)
        assert "secret" not in str(refusal.value)


class TestParsing:
    def test_document_of_cognitos_shape(self) -> None:
        metadata = parse(document(), ISSUER)
        assert metadata.jwks_uri == f"{ISSUER}/.well-known/jwks.json"
        assert metadata.code_challenge_methods_supported == ()
        assert metadata.registration_endpoint == ""

    def test_silence_means_what_rfc_8414_says(self) -> None:
        """RFC 8414 §2; null counts as silence."""
        metadata = parse(json.dumps({"issuer": ISSUER, "jwks_uri": None, "x": [None]}).encode(), ISSUER)
        assert metadata == IssuerMetadata(issuer=ISSUER)
        assert metadata.grant_types_supported == ("authorization_code", "implicit")
        assert metadata.token_endpoint_auth_methods_supported == ("client_secret_basic",)

    @pytest.mark.parametrize(
        "issuer",
        [
            pytest.param(f"{ISSUER}/", id="slash more"),
            pytest.param("https://ISSUER.example/pool", id="other case"),
            pytest.param("https://issuer.example:443/pool", id="default port written"),
            pytest.param("https://issuer.example/p%6Fol", id="escape"),
            pytest.param("https://evil.example/pool", id="other host"),
            pytest.param(None, id="null"),
            pytest.param([ISSUER], id="array"),
        ],
    )
    def test_document_of_another_issuer_is_refused(self, issuer: object) -> None:
        """ASM-02, CLI-03: RFC 8414 §3.3, byte for byte."""
        with pytest.raises(InvalidIssuer, match="is from"):
            parse(document(issuer=issuer), ISSUER)

    @pytest.mark.parametrize(
        ("members", "cause"),
        [
            pytest.param({"jwks_uri": "http://issuer.example/keys"}, "jwks_uri", id="keys without TLS"),
            pytest.param({"token_endpoint": "/oauth2/token"}, "token_endpoint", id="relative"),
            pytest.param({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint", id="javascript"),
            pytest.param({"registration_endpoint": "data:text/html,x"}, "registration_endpoint", id="data"),
            pytest.param({"revocation_endpoint": "https://a@b.example/"}, "revocation_endpoint", id="userinfo"),
            pytest.param({"scopes_supported": "openid"}, "array", id="string for an array"),
            pytest.param({"client_id_metadata_document_supported": "true"}, "bool", id="string for a boolean"),
        ],
    )
    def test_document_is_refused(self, members: dict[str, object], cause: str) -> None:
        """ASM-04."""
        with pytest.raises(InvalidIssuer, match=cause):
            parse(document(**members), ISSUER)

    def test_endpoints_on_loopback_need_no_tls(self) -> None:
        assert parse(document(token_endpoint="http://127.0.0.1:9000/token"), ISSUER).token_endpoint.startswith("http:")

    @given(st.binary())
    def test_any_bytes_are_refused(self, anything: bytes) -> None:
        with pytest.raises(InvalidIssuer):
            parse(anything, ISSUER)


JSON = {"content-type": "application/json"}
FOUND = httpx.Response(200, headers=JSON, content=document())
ABSENT = httpx.Response(404)


class Web:
    """The answers of a host; what is not among them is 404. Remembers what was asked."""

    def __init__(self, answers: Mapping[str, httpx.Response | Exception]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        answer = self.answers.get(str(request.url), ABSENT)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))


def fetch_from(web: Callable[[httpx.Request], httpx.Response]) -> Fetch:
    return Fetch(transport=lambda: httpx.MockTransport(web))


class TestDiscovery:
    @pytest.mark.parametrize(
        ("answers", "asked"),
        [
            pytest.param({OAUTH: FOUND}, [OAUTH], id="RFC 8414"),
            pytest.param({OPENID: FOUND}, [OAUTH, OPENID], id="OpenID, path inserted"),
            pytest.param({APPENDED: FOUND}, [OAUTH, OPENID, APPENDED], id="OpenID, path appended"),
            pytest.param(
                {OAUTH: httpx.Response(400), OPENID: httpx.Response(403), APPENDED: FOUND},
                [OAUTH, OPENID, APPENDED],
                id="other 4xx before it",
            ),
            pytest.param(
                {OAUTH: httpx.Response(302, headers={"location": "https://login.example"}), OPENID: FOUND},
                [OAUTH, OPENID],
                id="redirect to a login page before it",
            ),
            pytest.param(
                {OAUTH: httpx.Response(200, headers={"content-type": "text/html"}, content=b"<html>"), OPENID: FOUND},
                [OAUTH, OPENID],
                id="a page under every path before it",
            ),
        ],
    )
    async def test_first_document_counts(self, answers: dict[str, httpx.Response], asked: list[str]) -> None:
        """ASM-01, CLI-03."""
        web = Web(answers)
        assert await discover(ISSUER, fetch_from(web)) == parse(document(), ISSUER)
        assert web.asked == asked

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            pytest.param(
                httpx.Response(200, headers=JSON, content=document(issuer="https://x.example")),
                InvalidIssuer,
                id="other issuer",
            ),
            pytest.param(httpx.Response(200, headers=JSON, content=b"{"), InvalidIssuer, id="broken JSON"),
            pytest.param(httpx.Response(200, headers=JSON, content=b" " * (MAX_BYTES + 1)), InvalidIssuer, id="huge"),
            pytest.param(httpx.Response(500), IssuerUnavailable, id="500"),
            pytest.param(httpx.Response(503), IssuerUnavailable, id="503"),
            pytest.param(httpx.Response(429), IssuerUnavailable, id="too many requests"),
            pytest.param(httpx.ConnectError("refused"), IssuerUnavailable, id="no connection"),
            pytest.param(httpx.RemoteProtocolError("broken"), IssuerUnavailable, id="broken answer"),
        ],
    )
    async def test_search_ends_with(self, answer: httpx.Response | Exception, error: type[IssuerError]) -> None:
        """CLI-03: a wrong issuer aborts; trouble is not absence."""
        web = Web({OAUTH: answer, OPENID: FOUND})
        with pytest.raises(error):
            await discover(ISSUER, fetch_from(web))
        assert web.asked == [OAUTH]

    async def test_absence_tells_what_every_location_said(self) -> None:
        with pytest.raises(IssuerNotFound) as refusal:
            await discover(ISSUER, fetch_from(Web({OPENID: httpx.Response(301)})))
        assert all(url in str(refusal.value) for url in (OAUTH, OPENID, APPENDED))
        assert refusal.value.reason == "issuer_not_found"

    async def test_issuer_at_an_address_that_is_not_allowed_is_not_asked(self) -> None:
        """CLI-13."""
        web = Web({})
        with pytest.raises(InvalidIssuer, match="special-purpose"):
            await discover("https://169.254.169.254", fetch_from(web))
        assert web.asked == []
