"""Where the library is, by the environment; a setting that cannot be meant is named at the start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.prompts.bucket import BucketStore
from tools.prompts.folder import FolderStore
from tools.prompts.settings import SettingsError, store_of

P = "BEARERGATE_PROMPTS_"


def folder_of(environment: dict[str, str]) -> Path:
    store = store_of(environment)
    assert isinstance(store, FolderStore)
    return store.folder


def test_folder_is_the_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_of({f"{P}FOLDER": "/srv/prompts"}) == Path("/srv/prompts")
    assert folder_of({f"{P}FOLDER": "prompts"}) == tmp_path / "prompts"


def test_folder_may_be_named_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_of({f"{P}FOLDER": "~/prompts"}) == tmp_path / "prompts"


def test_folder_is_that_of_whoever_runs_the_server_where_none_is_named() -> None:
    assert folder_of({"XDG_DATA_HOME": "/data"}) == Path("/data/bearergate/prompts")
    ours = Path.home() / ".local/share/bearergate/prompts"
    assert folder_of({}) == folder_of({"XDG_DATA_HOME": "relative"}) == folder_of({f"{P}FOLDER": ""}) == ours


@pytest.mark.parametrize(
    ("given", "prefix"),
    [("", "prompts/"), ("prompts", "prompts/"), ("team/a/prompts/", "team/a/prompts/"), ("a" * 99, "a" * 99 + "/")],
)
def test_bucket_and_prefix(given: str, prefix: str) -> None:
    store = store_of({f"{P}BUCKET": "my.bucket-1", f"{P}PREFIX": given, f"{P}REGION": "us-gov-west-1"})
    assert isinstance(store, BucketStore)
    assert (store.bucket, store.prefix) == ("my.bucket-1", prefix)


def test_bucket_without_boto3_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match=r"BUCKET: needs boto3; pip install 'bearergate\[aws\]', or use a folder"):
        store_of({f"{P}BUCKET": "a-bucket"})


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({"BUCKET": "a-bucket", "FOLDER": "/a"}, "FOLDER: not together with", id="both"),
        pytest.param({"PREFIX": "a/"}, "PREFIX: only with BEARERGATE_PROMPTS_BUCKET", id="a prefix alone"),
        pytest.param({"REGION": "us-east-1"}, "REGION: only with", id="a region alone"),
        pytest.param({"ENDPOINT": "http://a", "FOLDER": "/a"}, "ENDPOINT: only with", id="an endpoint with a folder"),
        pytest.param({"FOLDER": "~nobody-there/prompts"}, "FOLDER: must be a whole path here", id="no home"),
        pytest.param({"BUCKETS": "a-bucket"}, "BUCKETS: not a setting of the prompts", id="a misspelt name"),
        pytest.param({"BUCKET": "s3://a-bucket"}, "BUCKET: must be the name of a bucket", id="an address"),
        pytest.param({"BUCKET": "a-bucket/prompts"}, "BUCKET: must be the name of a bucket", id="a path"),
        pytest.param({"BUCKET": "A-Bucket"}, "BUCKET: must be the name of a bucket", id="capitals"),
        pytest.param({"BUCKET": "a-bucket", "PREFIX": "/a"}, "PREFIX: must be a path such as", id="a slash in front"),
        pytest.param({"BUCKET": "a-bucket", "PREFIX": "a/../b"}, "PREFIX: must be a path", id="a path upwards"),
        pytest.param({"BUCKET": "a-bucket", "PREFIX": "a//b"}, "PREFIX: must be a path", id="two slashes"),
        pytest.param({"BUCKET": "a-bucket", "REGION": "Frankfurt"}, "REGION: must be a region", id="no region"),
        pytest.param({"BUCKET": "a-bucket", "ENDPOINT": "localhost:9000"}, "ENDPOINT: must be a URL", id="no URL"),
        pytest.param({"BUCKET": "a-bucket", "ENDPOINT": "http://"}, "ENDPOINT: must be a URL", id="no host"),
        pytest.param({"BUCKET": "a-bucket", "ENDPOINT": "http://["}, "ENDPOINT: must be a URL", id="half an address"),
        pytest.param(
            {"BUCKET": "a-bucket", "ENDPOINT": "http://a_b"}, "ENDPOINT: must be a URL", id="no host of boto3"
        ),
        pytest.param({"BUCKET": "a-bucket", "ENDPOINT": "http://a:b@c"}, "ENDPOINT: must be a URL", id="a password"),
        pytest.param({"BUCKET": "a-bucket", "ENDPOINT": f"http://{'a' * 99}!"}, "ENDPOINT: must", id="a long one"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_variable(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=f"^{P}{said}"):
        store_of({f"{P}{name}": value for name, value in environment.items()})
