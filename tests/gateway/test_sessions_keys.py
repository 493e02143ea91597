"""Which keys seal the sessions of an upstream: those of the settings for every replica, or one of this process."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest

from deploy.assembly import assemble, session_keys
from gateway.sessions import SealedSessions
from gateway.settings import Settings
from gateway.sources import parse

RESOURCE = "https://gw.example/mcp"
KEYS = [b"a" * 32, b"b" * 32]


def settings(**changes: Any) -> Settings:
    upstream = {"path": "/mcp", "upstream": {"url": "http://127.0.0.1:1/mcp"}}
    values = {"public_url": "https://gw.example", "issuers": [{"issuer": "https://issuer.example"}]}
    return parse(values | {"resources": [upstream]} | changes)


def test_keys_of_the_settings_seal_for_every_replica(caplog: pytest.LogCaptureFixture) -> None:
    said = settings(seal_keys=[base64.b64encode(key).decode() for key in KEYS])
    assert session_keys(said, RESOURCE) == KEYS
    assert caplog.records == []


def test_without_keys_one_is_made_and_whoever_runs_the_gate_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bearergate"):
        (first,), (second,) = session_keys(settings(), RESOURCE), session_keys(settings(), RESOURCE)
    assert len(first) == len(second) == 32
    assert first != second
    assert (
        caplog.messages[0]
        == f"{RESOURCE}: sessions end with this process, and no replica knows them; set seal_keys_file to keep them"
    )


def test_sessions_of_every_upstream_are_sealed() -> None:
    assembly = assemble(settings())
    (resource,) = assembly.settings.resources
    assert isinstance(assembly.app(resource, None, None), SealedSessions)
