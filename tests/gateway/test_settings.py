"""Settings are declared once; their JSON Schema says the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.settings import IssuerSettings, ResourceSettings, Rule, Settings, json_schema
from gateway.sources import SettingsError, parse


@pytest.mark.parametrize(
    ("issuer", "kind", "cognito"),
    [
        pytest.param("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A", "auto", True, id="Cognito"),
        pytest.param(
            "https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_A", "auto", True, id="its newer form"
        ),
        pytest.param("https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_A", "auto", True, id="in China"),
        pytest.param("https://cognito-idp.us-east-1.amazonaws.com.evil.test/x", "auto", False, id="look-alike"),
        pytest.param("https://login.example.com/cognito-idp.us-east-1.amazonaws.com/", "auto", False, id="in a path"),
        pytest.param("https://login.example.com", "cognito", True, id="behind another name"),
        pytest.param("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A", "oidc", False, id="taken as any other"),
    ],
)
def test_cognito_is_told_from_its_identifier_unless_the_settings_say(issuer: str, kind: Any, cognito: bool) -> None:
    assert IssuerSettings(issuer=issuer, kind=kind).is_cognito is cognito


@pytest.mark.parametrize(
    ("path", "url"),
    [("/mcp", "https://gw.example/mcp"), ("/", "https://gw.example"), ("/a/b", "https://gw.example/a/b")],
)
def test_resource_has_one_spelling(path: str, url: str) -> None:
    settings = Settings(public_url="https://gw.example", issuers=[])
    assert settings.url_of(ResourceSettings(path=path)) == url


@pytest.mark.parametrize("struct", [Settings, IssuerSettings, ResourceSettings, Rule])
def test_every_setting_has_its_sentence(struct: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(struct):
        sentence = next(meta.description for meta in field.type.__metadata__ if meta.description)
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence[0] == "`"


class TestSchema:
    def test_schema_has_every_setting_with_its_sentence(self) -> None:
        schema = json_schema()
        json.dumps(schema)
        defined = schema["$defs"]
        for struct in (Settings, IssuerSettings, ResourceSettings, Rule):
            described = defined[struct.__name__]
            assert set(described["properties"]) == {field.encode_name for field in msgspec.structs.fields(struct)}
            assert described["additionalProperties"] is False
            assert all(member.get("description") for member in described["properties"].values())
        assert schema["$ref"] == "#/$defs/Settings"
        assert defined["Settings"]["required"] == ["public_url", "issuers"]

    @pytest.mark.parametrize(
        "key", ["leeway", "port", "metrics_port", "token_cache_size", "token_cache_seconds", "max_body_bytes"]
    )
    def test_bounds_of_the_schema_are_those_of_the_gate(self, key: str) -> None:
        member = json_schema()["$defs"]["Settings"]["properties"][key]
        with pytest.raises(SettingsError, match=key):
            parse(
                {
                    "public_url": "https://gw.example",
                    "issuers": [{"issuer": "https://a.example"}],
                    key: member["minimum"] - 1,
                }
            )
