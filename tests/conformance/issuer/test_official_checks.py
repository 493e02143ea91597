"""The steps of the official suite's authorization mode, taken as it takes them, with nothing it would warn about."""

from __future__ import annotations

import httpx
import pytest

from conformance.issuer import Client, Issuer, Keys
from tests.conformance.issuer.conftest import ALICE
from tests.conformance.issuer.journey import VERIFIER, parameters, s256

CALLBACK = "http://127.0.0.1:3456/callback"


@pytest.fixture
def issuer(signing_keys: Keys) -> Issuer:
    client = Client("official", (CALLBACK,))
    return Issuer.plain(
        "http://127.0.0.1:9000", users=[ALICE], clients=[client], scopes={"a": "A"}, keys=signing_keys.copy()
    )


async def test_metadata_passes_without_a_warning(issuer: Issuer) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app)) as http:
        answer = await http.get("http://127.0.0.1:9000/.well-known/oauth-authorization-server")
    document = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert document["issuer"] == "http://127.0.0.1:9000"
    assert "code" in document["response_types_supported"]
    assert "S256" in document["code_challenge_methods_supported"]
    assert document["client_id_metadata_document_supported"] is True


async def test_code_grant_without_scope_passes(issuer: Issuer) -> None:
    document = issuer.metadata()
    request = {
        "response_type": "code",
        "client_id": "official",
        "redirect_uri": CALLBACK,
        "state": "s",
        "code_challenge": s256(VERIFIER),
        "code_challenge_method": "S256",
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app)) as http:
        form = await http.get(document["authorization_endpoint"], params=request, follow_redirects=True)
        back = await http.post(form.url, data={"username": "alice", "password": "wonderland"})
        location = back.headers["location"]
        brought = parameters(location)
        assert location.startswith(CALLBACK + "?")
        assert (brought["state"], brought["iss"]) == ("s", document["issuer"])
        exchange = {
            "grant_type": "authorization_code",
            "code": brought["code"],
            "redirect_uri": CALLBACK,
            "client_id": "official",
            "code_verifier": VERIFIER,
        }
        answer = await http.post(document["token_endpoint"], data=exchange)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["access_token"]
    assert answer.json()["token_type"] == "Bearer"
