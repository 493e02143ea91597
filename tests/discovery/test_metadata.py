"""The RFC 9728 document: what the gate publishes and what a client believes (PRM-01 to PRM-07, CLI-02)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.metadata import InvalidMetadata, ProtectedResourceMetadata, parse

RESOURCE = "https://gw.example/mcp"
ISSUER = "https://issuer.example/pool"
SMALLEST: dict[str, object] = {"resource": RESOURCE, "authorization_servers": [ISSUER]}


def document(**members: object) -> bytes:
    return json.dumps({**SMALLEST, **members}).encode()


class TestWriting:
    def test_what_is_empty_is_left_out(self) -> None:
        """PRM-06, RFC 9728 §3.2; multi-valued members are arrays even with one value."""
        metadata = ProtectedResourceMetadata(resource=RESOURCE, authorization_servers=(ISSUER,))
        assert json.loads(metadata.encode()) == {**SMALLEST, "bearer_methods_supported": ["header"]}

    def test_what_is_said_is_written(self) -> None:
        said: dict[str, object] = {
            **SMALLEST,
            "scopes_supported": ["mcp:read"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Spend",
            "resource_documentation": "https://docs.example/",
            "resource_policy_uri": "https://docs.example/policy",
            "resource_tos_uri": "https://docs.example/terms",
            "jwks_uri": "https://gw.example/jwks.json",
            "resource_signing_alg_values_supported": ["ES256"],
            "authorization_details_types_supported": ["payment"],
            "tls_client_certificate_bound_access_tokens": True,
            "dpop_signing_alg_values_supported": ["ES256"],
            "dpop_bound_access_tokens_required": True,
        }
        assert json.loads(parse(json.dumps(said).encode(), RESOURCE).encode()) == said

    def test_gate_cannot_publish_what_clients_must_refuse(self) -> None:
        with pytest.raises(InvalidMetadata, match="https"):
            ProtectedResourceMetadata(resource="http://gw.example/mcp", authorization_servers=(ISSUER,))


class TestReading:
    def test_document_is_read(self) -> None:
        assert parse(document(scopes_supported=["a"]), RESOURCE) == ProtectedResourceMetadata(
            resource=RESOURCE,
            authorization_servers=(ISSUER,),
            scopes_supported=("a",),
            bearer_methods_supported=(),
        )

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param(
                {"resource_name#de": "Ausgaben", "signed_metadata": "e30.e30.", "x": {"y": [1]}}, id="unknown"
            ),
            pytest.param({"jwks_uri": None, "scopes_supported": None}, id="null"),
            pytest.param({"scopes_supported": []}, id="empty"),
            pytest.param(
                {"authorization_servers": ["http://localhost:9000", "http://[::1]/x"]}, id="issuers on loopback"
            ),
            pytest.param({"resource_documentation": "http://docs.example"}, id="page without TLS"),
        ],
    )
    def test_document_is_accepted(self, members: dict[str, object]) -> None:
        assert parse(document(**members), RESOURCE).resource == RESOURCE

    @pytest.mark.parametrize(
        "resource",
        [
            pytest.param("https://gw.example", id="origin only"),
            pytest.param("https://gw.example/mcp/", id="slash more"),
            pytest.param("https://GW.example/mcp", id="other case"),
            pytest.param("https://gw.example:443/mcp", id="default port written"),
            pytest.param("https://evil.example/mcp", id="other host"),
            pytest.param("http://gw.example/mcp", id="other scheme"),
            pytest.param(None, id="null"),
            pytest.param([RESOURCE], id="array"),
        ],
    )
    def test_document_about_another_resource_is_refused(self, resource: object) -> None:
        """CLI-02, PRM-04: RFC 9728 §3.3, identical or not used."""
        with pytest.raises(InvalidMetadata, match="is about"):
            parse(document(resource=resource), RESOURCE)

    @pytest.mark.parametrize(
        ("members", "cause"),
        [
            pytest.param({"authorization_servers": []}, "names no issuer", id="no issuer (PRM-05)"),
            pytest.param({"authorization_servers": None}, "authorization_servers", id="issuers null (PRM-05)"),
            pytest.param({"authorization_servers": ISSUER}, "array", id="string for an array (PRM-06)"),
            pytest.param({"authorization_servers": [{"issuer": ISSUER}]}, "str", id="issuer as object (PRM-05)"),
            pytest.param({"authorization_servers": ["http://issuer.example"]}, "https", id="issuer without TLS"),
            pytest.param({"authorization_servers": [ISSUER, "http://10.0.0.1"]}, "https", id="one bad issuer of two"),
            pytest.param({"authorization_servers": [f"{ISSUER}?a=b"]}, "query", id="issuer with a query"),
            pytest.param({"authorization_servers": ["javascript:alert(1)"]}, "absolute", id="issuer that runs"),
            pytest.param({"scopes_supported": "mcp:read"}, "array", id="scopes as string"),
            pytest.param({"scopes_supported": [1]}, "str", id="scope as number"),
            pytest.param({"jwks_uri": "http://gw.example/jwks"}, "jwks_uri", id="keys without TLS"),
            pytest.param({"resource_tos_uri": "javascript:alert(1)"}, "page", id="page that runs"),
            pytest.param({"dpop_bound_access_tokens_required": "yes"}, "bool", id="string for a boolean"),
        ],
    )
    def test_document_is_refused(self, members: dict[str, object], cause: str) -> None:
        with pytest.raises(InvalidMetadata, match=cause):
            parse(document(**members), RESOURCE)

    @given(
        st.one_of(
            st.binary(), st.dictionaries(st.sampled_from(sorted(SMALLEST)), st.text()).map(json.dumps).map(str.encode)
        )
    )
    def test_any_bytes_are_refused(self, anything: bytes) -> None:
        with pytest.raises(InvalidMetadata):
            parse(anything, RESOURCE)
