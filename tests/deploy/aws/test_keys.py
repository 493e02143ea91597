"""The keys of issuers are packaged, so that a cold start fetches none; an issuer that cannot be asked stops nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from deploy.key_snapshot import file_name, in_order, snapshots
from deploy.packaged_files import region_of
from deploy.parameters import Parameters
from gateway.sources import load, pool_issuer
from tests.deploy.aws.cloudformation import POOL, surroundings
from tests.deploy.aws.driven import Driver, Issuer, issuer

SETTINGS = {"public_url": "https://mcp.example.com", "audit_log": "off", "drain_seconds": 5}


@pytest.fixture
def asked() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


def settings(driver: Driver, *issuers: dict[str, object]) -> None:
    (driver.folder / "bearergate.yaml").write_text(yaml.safe_dump({**SETTINGS, "issuers": [*issuers]}))


def test_package_brings_the_keys_and_the_gate_begins_with_them(driver: Driver, asked: Issuer) -> None:
    settings(driver, {"issuer": asked.url})
    assert "not packaged" not in driver.deploy()
    held = driver.held()
    name = file_name(asked.url)
    assert json.loads(held[name])["keys"] == sorted(asked.keys, key=lambda key: json.dumps(key, sort_keys=True))
    folder = driver.folder / "task"
    (folder / "keys").mkdir(parents=True)
    for file in (name, "bearergate.yaml"):
        (folder / file).write_bytes(held[file])
    with surroundings(folder, {}):
        read = load(None, {})
    assert read.issuers[0].jwks_file == name
    assert (read.audit_log, read.drain_seconds) == ("off", 5), "the rest of the settings stays what it was"


def test_same_keys_in_another_order_are_no_change(driver: Driver, asked: Issuer) -> None:
    settings(driver, {"issuer": asked.url})
    driver.deploy()
    asked.keys.reverse()
    assert "No changes" in driver.deploy()
    asked.keys.pop()
    assert "No changes" not in driver.deploy()


def test_issuer_that_brings_a_copy_of_its_own_is_not_asked(driver: Driver, asked: Issuer) -> None:
    (driver.folder / "mine.json").write_text(json.dumps({"keys": asked.keys}))
    settings(driver, {"issuer": asked.url, "jwks_file": "mine.json"})
    driver.deploy()
    assert not [name for name in driver.held() if name.startswith("keys/")]


@pytest.mark.parametrize(
    ("metadata", "keys", "sentence"),
    [
        pytest.param({"jwks_uri": None}, [], "its metadata names no jwks_uri", id="no place for keys"),
        pytest.param({}, [], "its key set holds no key that can verify RS256", id="no key that fits"),
        pytest.param({"issuer": "https://other.example"}, [], "the document is from", id="another issuer"),
    ],
)
def test_issuer_that_cannot_be_asked_stops_nothing_and_is_named(
    driver: Driver, asked: Issuer, metadata: dict[str, object], keys: list[dict[str, object]], sentence: str
) -> None:
    asked.metadata |= metadata
    asked.keys = keys  # type: ignore[assignment]  # what a stranger may publish
    settings(driver, {"issuer": asked.url})
    said = driver.deploy()
    assert f"Note: the keys of {asked.url} are not packaged, and the first token waits for them: " in said
    assert sentence in said
    assert "jwks_file" not in driver.held()["bearergate.yaml"].decode()


def test_one_issuer_that_is_down_does_not_keep_the_keys_of_another_out(driver: Driver, asked: Issuer) -> None:
    settings(driver, {"issuer": "http://127.0.0.1:1"}, {"issuer": asked.url})
    assert "Note: the keys of http://127.0.0.1:1 are not packaged" in driver.deploy()
    read = yaml.safe_load(driver.held()["bearergate.yaml"])
    assert [entry.get("jwks_file", "") for entry in read["issuers"]] == ["", file_name(asked.url)]


def test_key_location_of_the_settings_is_asked_without_metadata(asked: Issuer) -> None:
    asked.metadata = {}
    found = snapshots(
        [{"issuer": "https://issuer.example", "jwks_uri": f"{asked.url}/keys", "algorithms": ["RS256"]}], []
    )
    assert found.files == {file_name("https://issuer.example"): in_order(json.dumps({"keys": asked.keys}).encode())}


@pytest.mark.parametrize(
    ("kind", "region", "issuer_url"),
    [
        pytest.param("existing", "us-east-1", f"https://cognito-idp.eu-central-1.amazonaws.com/{POOL}", id="existing"),
        pytest.param("new", "cn-north-1", f"https://cognito-idp.cn-north-1.amazonaws.com.cn/{POOL}", id="in China"),
    ],
)
def test_issuer_of_a_pool_is_named_as_the_template_names_it(kind: str, region: str, issuer_url: str) -> None:
    parameters = Parameters({"FunctionName": "bearergate", "UserPool": kind}, {})
    assert pool_issuer(region_of(parameters, region, POOL), POOL) == issuer_url
