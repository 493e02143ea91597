"""Settings of the facade: every contradiction is one sentence that names its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from gateway.sources import SettingsError, parse
from tests.gateway.facade.rig import KEY, SECRET

ISSUER = "https://issuer.example"
SECOND = "https://second.example"
VALID: dict[str, Any] = {
    "public_url": "https://gw.example",
    "issuers": [{"issuer": ISSUER}],
    "facade": {"client_id": "gate", "client_secret": SECRET},
    "seal_keys": [KEY],
}
TWO = [{"issuer": ISSUER}, {"issuer": SECOND}]
CLIENT = {"client_id": "known", "name": "Known", "redirect_uris": ["https://app.example/cb"]}


def facade(**changes: Any) -> dict[str, Any]:
    return {"facade": VALID["facade"] | changes}


def problems(**changes: Any) -> list[str]:
    """What is wrong with valid settings after these changes."""
    try:
        parse(VALID | changes)
    except SettingsError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the smallest"),
        pytest.param({"facade": "off", "seal_keys": []}, id="off, without keys"),
        pytest.param({"facade": "off"}, id="off, with keys"),
        pytest.param(facade(client_secret=""), id="a public client of ours"),
        pytest.param({"issuers": TWO, **facade(issuer=SECOND)}, id="one of two issuers"),
        pytest.param(facade(issuer=ISSUER), id="the only issuer, named"),
        pytest.param(facade(clients=[CLIENT, CLIENT | {"client_id": "b.c_d~e-f"}]), id="two clients"),
        pytest.param(
            facade(clients=[CLIENT | {"redirect_uris": ["http://localhost/cb", "app:x"]}]), id="native redirects"
        ),
        pytest.param(facade(insecure_client_document_hosts=["localhost", "[::1]:1"]), id="hosts of documents"),
        pytest.param(facade(scopes={"a/b": "Read"}, consent_days=0, registrations_per_minute=1), id="the rest"),
        pytest.param({"seal_keys": [KEY, KEY[:-2] + "0="]}, id="two keys"),
    ],
)
def test_settings_that_are_fine(changes: dict[str, Any]) -> None:
    assert problems(**changes) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"seal_keys": []}, "seal_keys: missing; the facade seals", id="no keys"),
        pytest.param({"seal_keys": ["short"]}, "seal_keys: a seal key must be 32 random bytes", id="a short key"),
        pytest.param({"seal_keys_file": "k"}, "seal_keys: also in seal_keys_file", id="keys in two places"),
        pytest.param(
            {"seal_keys": [], "seal_keys_file": "no-such-file"},
            "seal_keys_file: no-such-file cannot be read",
            id="no file",
        ),
        pytest.param(facade(client_id=""), "facade.client_id: empty", id="no client of ours"),
        pytest.param(facade(issuer=SECOND), f"facade.issuer: {SECOND} is not among issuers", id="an unknown issuer"),
        pytest.param({"issuers": TWO}, "facade.issuer: missing; there are several", id="which of two issuers"),
        pytest.param(
            {"issuers": TWO, **facade(issuer=SECOND), "resources": [{"issuers": [ISSUER]}]},
            "facade.issuer: no resource takes its tokens",
            id="an issuer of no resource",
        ),
        pytest.param(facade(client_secret_file="x"), "facade.client_secret: also in", id="secrets in two places"),
        pytest.param(
            facade(client_secret="", client_secret_file="no-such-file"),
            "facade.client_secret_file: no-such-file cannot be read",
            id="no file of the secret",
        ),
        pytest.param(
            facade(insecure_client_document_hosts=["https://a.example"]),
            "facade.insecure_client_document_hosts: 'https://a.example' must be",
            id="a URL for a host",
        ),
        pytest.param(facade(scopes={"a b": "Read"}), "facade.scopes: 'a b' is no scope", id="words for no scope"),
        pytest.param(
            facade(clients=[CLIENT | {"client_id": "https://app.example"}]),
            "facade.clients[0].client_id: 'https://app.example' must be",
            id="a URL for a client's id",
        ),
        pytest.param(facade(clients=[CLIENT | {"client_id": ""}]), "clients[0].client_id: ''", id="an empty id"),
        pytest.param(
            facade(clients=[CLIENT | {"client_id": "x" * 101}]), "1 to 100 letters", id="an id that could be sealed"
        ),
        pytest.param(
            facade(clients=[CLIENT, CLIENT]), "clients[1].client_id: known is listed twice", id="twice the same"
        ),
        pytest.param(
            facade(clients=[CLIENT | {"redirect_uris": []}]),
            "clients[0].redirect_uris: name at least one",
            id="no redirect",
        ),
        pytest.param(
            facade(clients=[CLIENT | {"redirect_uris": ["http://evil.example"]}]),
            "clients[0].redirect_uris: 'http://evil.example': A redirect URI with http",
            id="a redirect in plain http",
        ),
        pytest.param(facade(consent_days=400), "consent_days", id="too many days"),
        pytest.param(facade(registrations_per_minute=0), "registrations_per_minute", id="no registrations a minute"),
        pytest.param(facade(kind="unknown"), "facade", id="an unknown kind"),
        pytest.param(facade(secret="x"), "facade", id="an unknown key"),
        pytest.param({"facade": "on"}, "facade", id="on"),
    ],
)
def test_settings_that_contradict_are_said_by_their_key(changes: dict[str, Any], sentence: str) -> None:
    found = problems(**changes)
    assert any(sentence in problem for problem in found), found
    assert SECRET not in "".join(found)


def test_every_problem_is_said_at_once() -> None:
    found = problems(seal_keys=[], **facade(client_id="", issuer=SECOND, clients=[CLIENT | {"redirect_uris": []}]))
    assert [problem.partition(":")[0] for problem in found] == [
        "seal_keys",
        "facade.issuer",
        "facade.client_id",
        "facade.clients[0].redirect_uris",
    ]


def test_no_issuers_at_all_is_said_once() -> None:
    assert [problem.partition(":")[0] for problem in problems(issuers=[])] == ["issuers"]


def test_which_issuer_and_resources_are_behind_the_facade() -> None:
    settings: Settings = parse(
        VALID
        | {"issuers": TWO, "resources": [{"path": "/a"}, {"path": "/b", "issuers": [SECOND]}]}
        | facade(issuer=ISSUER)
    )
    assert settings.facade_issuer == ISSUER
    assert [resource.path for resource in settings.behind_facade()] == ["/a"]
    both, second = settings.resources
    assert settings.authorization_servers(both) == ["https://gw.example", SECOND]
    assert settings.authorization_servers(second) == [SECOND]
    off = parse(VALID | {"facade": "off"})
    assert (off.facade_issuer, off.behind_facade()) == ("", [])
    assert off.authorization_servers(off.resources[0]) == [ISSUER]


def test_secrets_may_be_in_files(tmp_path: Path) -> None:
    keys, secret = tmp_path / "keys", tmp_path / "secret"
    keys.write_text(f"{KEY}\n")
    secret.write_text(f"{SECRET}\n")
    assert (
        problems(seal_keys=[], seal_keys_file=str(keys), **facade(client_secret="", client_secret_file=str(secret)))
        == []
    )
