"""What a person chose, from the environment and the command line, and what cannot be."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from client.errors import BadInput
from client.settings import DEFAULT_URL, Settings, from_environment, state_folder


def test_environment_is_read_and_the_command_line_is_above_it() -> None:
    environment = {
        "MCP_SERVER_URL": "https://a.example.com/mcp",
        "AUTH_METHOD": "lambda",
        "ACCESS_TOKEN": "of-the-environment",
        "OAUTH_CLIENT_ID": "me",
        "OAUTH_REDIRECT_URI": "http://localhost:9/callback",
        "MCP_CLIENT_DEBUG": "true",
    }
    settings = from_environment(environment, url="https://b.example.com/mcp", client_id=None)
    assert settings.url == "https://b.example.com/mcp"
    assert (settings.auth_method, settings.client_id, settings.debug) == ("lambda", "me", True)
    assert settings.redirect_uri == "http://localhost:9/callback"
    assert "of-the-environment" not in repr(settings)


def test_nothing_chosen_is_the_server_of_this_laptop() -> None:
    settings = from_environment({})
    assert (settings.url, settings.auth_method, settings.debug) == (DEFAULT_URL, "auto", False)
    assert state_folder({"XDG_STATE_HOME": "/x"}) == Path("/x/bearergate")
    assert state_folder({}) == Path.home() / ".local/state/bearergate"


def test_account_without_a_home_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(BadInput, match="set HOME or XDG_STATE_HOME"):
        from_environment({})


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "http://far.example.com/mcp"},
        {"url": "file:///etc/passwd"},
        {"auth_method": "none"},
        {"client_secret": "alone"},
        {"client_credentials": True},
        {"client_credentials": True, "client_id": "x"},
        {"workload_token": "alone"},
        {"client_metadata_url": "https://x.example.com"},
    ],
    ids=str,
)
def test_choices_that_cannot_be_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        Settings(**settings)  # type: ignore[arg-type]


def test_secrets_are_not_in_a_repr() -> None:
    secret = dict.fromkeys(("access_token", "client_secret", "client_key", "workload_token"), "s3cret")
    assert "s3cret" not in repr(Settings(client_id="x", **secret))  # type: ignore[arg-type]


def test_private_hosts_are_those_a_person_named() -> None:
    assert Settings(url="https://gate.corp/mcp").permitted_hosts == {"gate.corp"}
    assert "localhost" in Settings(url="http://127.0.0.1:1/mcp").permitted_hosts
    named = Settings(url="https://gate.corp/mcp", allow_hosts=frozenset({"login.corp"}))
    assert named.permitted_hosts == {"gate.corp", "login.corp"}
